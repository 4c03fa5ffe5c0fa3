"""may(principal, action, resource): IAM-style policies, denied unless allowed. Source: decisions.md 22."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from patchwright.core.errors import Invalid, Kind

MAX_STATEMENTS = 50
MAX_PATTERN = 512

ADMIN: dict[str, Any] = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_READ = ["ssm:Describe*", "ssm:Get*", "ssm:List*", "patchwright:Describe*", "patchwright:Explain*", "patchwright:Get*"]
AUDITOR: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": [*_READ, "sts:GetCallerIdentity"], "Resource": "*"}],
}
OPERATOR: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["ssm:*", "patchwright:*", "sts:GetCallerIdentity"], "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": ["patchwright:*AccessKey*", "patchwright:*Account*"],
            "Resource": "*",
        },
    ],
}
NAMED_POLICIES: dict[str, dict[str, Any]] = {"admin": ADMIN, "operator": OPERATOR, "auditor": AUDITOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a policy; patterns know `*` and `?`, actions in any case."""

    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    tag_equals: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """From Condition StringEquals/StringLike on `ssm:resourceTag/<key>` (or aws:ResourceTag): key -> patterns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls: a user's key. No statements: may do nothing."""

    account: str
    user_name: str
    access_key_id: str
    statements: tuple[Statement, ...]

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user/{self.user_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Allowed, or refused for a reason that the caller is shown."""

    allowed: bool
    reason: str = ""


def could(principal: Principal, action: str) -> Decision:
    """Say whether `principal` may do `action` on anything at all: asked before the request is read.

    The resource's own check (`may`) follows; one that never comes is made with `*`, so nothing slips through.
    """
    mine = [s for s in principal.statements if any(_match(p, action, fold=True) for p in s.actions)]
    if any(not s.allow and "*" in s.resources and not s.tag_equals for s in mine):
        return Decision(allowed=False, reason=_DENIED.format(principal.arn))
    if any(s.allow for s in mine):
        return Decision(allowed=True)
    return Decision(allowed=False, reason=_NOT_ALLOWED.format(action))


def may(principal: Principal, action: str, resource: str, tags: Mapping[str, str] | None = None) -> Decision:
    """Say whether `principal` may do `action` (`ssm:SendCommand`) on `resource` (an ARN; `*`: all of them).

    A deny beats any allow; nothing said means no. A statement with a tag condition speaks only of resources whose
    tags are passed: without tags an allowing one does not apply, a denying one does (safe side).
    """
    allowed = False
    for statement in principal.statements:
        if not any(_match(p, action, fold=True) for p in statement.actions):
            continue
        if not any(_match(p, resource) for p in statement.resources):
            continue
        if not _tags_match(statement, tags):
            continue
        if not statement.allow:
            return Decision(allowed=False, reason=_DENIED.format(principal.arn))
        allowed = True
    return Decision(allowed=True) if allowed else Decision(allowed=False, reason=_NOT_ALLOWED.format(action))


def may_all(principal: Principal, action: str, prefix: str) -> Decision:
    """Say whether `principal` may do `action` on every resource whose ARN begins with `prefix`, whatever its tags.

    A deny of a single one of them, or of some by a tag, is a no: who may not do all may not have it done on all.
    """
    for statement in principal.statements:
        mine = any(_match(p, action, fold=True) for p in statement.actions)
        if mine and not statement.allow and any(_overlaps(p, prefix) for p in statement.resources):
            return Decision(allowed=False, reason=_DENIED.format(principal.arn))
    return may(principal, action, f"{prefix}*")


def _overlaps(pattern: str, prefix: str) -> bool:
    """Whether a pattern may match something that begins with `prefix`; yes in doubt."""
    head = re.split(r"[*?]", pattern, maxsplit=1)[0]
    return head.startswith(prefix) or prefix.startswith(head)


_DENIED = "with an explicit deny in a policy of {}"
_NOT_ALLOWED = "because no identity-based policy allows the {} action"


def _tags_match(statement: Statement, tags: Mapping[str, str] | None) -> bool:
    if not statement.tag_equals:
        return True
    if tags is None:
        return not statement.allow
    return all(key in tags and any(_match(p, tags[key]) for p in patterns) for key, patterns in statement.tag_equals)


def parse_policy(document: object) -> tuple[Statement, ...]:
    """Check an IAM policy document and make it statements. Raises Invalid naming what is wrong."""
    if not isinstance(document, Mapping):
        raise Invalid(Kind.ACCESS_KEY, "a policy is a JSON object with a Statement list")
    statements = document.get("Statement")
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, Sequence) or isinstance(statements, str) or not statements:
        raise Invalid(Kind.ACCESS_KEY, "a policy needs a non-empty Statement list")
    if len(statements) > MAX_STATEMENTS:
        raise Invalid(Kind.ACCESS_KEY, f"a policy has at most {MAX_STATEMENTS} statements")
    return tuple(_parse_statement(s) for s in statements)


def _parse_statement(raw: object) -> Statement:
    if not isinstance(raw, Mapping):
        raise Invalid(Kind.ACCESS_KEY, "each Statement is a JSON object")
    unknown = set(raw) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise Invalid(Kind.ACCESS_KEY, f"unknown member {sorted(unknown)[0]!r} in a Statement; it was not ignored")
    if raw.get("Effect") not in ("Allow", "Deny"):
        raise Invalid(Kind.ACCESS_KEY, "Effect must be Allow or Deny")
    return Statement(
        allow=raw["Effect"] == "Allow",
        actions=_patterns(raw, "Action"),
        resources=_patterns(raw, "Resource"),
        tag_equals=_conditions(raw.get("Condition", {})),
    )


def _patterns(raw: Mapping[str, Any], member: str) -> tuple[str, ...]:
    value = raw.get(member)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise Invalid(Kind.ACCESS_KEY, f"{member} must be a text or a list of texts")
    if any(len(v) > MAX_PATTERN for v in values):
        raise Invalid(Kind.ACCESS_KEY, f"{member}: a pattern has at most {MAX_PATTERN} characters")
    return tuple(values)


def _conditions(raw: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(raw, Mapping):
        raise Invalid(Kind.ACCESS_KEY, "Condition must be a JSON object")
    found: list[tuple[str, tuple[str, ...]]] = []
    for operator, tests in raw.items():
        if operator not in ("StringEquals", "StringLike") or not isinstance(tests, Mapping):
            raise Invalid(Kind.ACCESS_KEY, f"Condition operator {operator!r} is not known; it was not ignored")
        for key, value in tests.items():
            prefix, _, tag = str(key).partition("/")
            if prefix.lower() not in ("ssm:resourcetag", "aws:resourcetag") or not tag:
                raise Invalid(Kind.ACCESS_KEY, f"Condition key {key!r} is not known; it was not ignored")
            values = _patterns({"Condition": value}, "Condition")
            if operator == "StringEquals":
                values = tuple(v.replace("*", "[*]").replace("?", "[?]") for v in values)
            found.append((tag, values))
    return tuple(found)


def _match(pattern: str, text: str, *, fold: bool = False) -> bool:
    """Whether `text` fits a pattern of `*` (anything), `?` (one character), `[*]` and `[?]` (the letters themselves).

    Goes back to the last `*` alone, so a hostile pattern costs at most the product of both lengths.
    """
    if pattern == "*":
        return True
    parts = _parts(pattern.lower() if fold else pattern)
    text = text.lower() if fold else text
    at = place = 0
    star, resume = -1, 0
    while place < len(text):
        if at < len(parts) and parts[at] == "*":
            star, resume = at, place
            at += 1
        elif at < len(parts) and parts[at] in ("?", f"={text[place]}"):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return all(part == "*" for part in parts[at:])


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[str, ...]:
    """The pattern as `*`, `?` and `=c` for the character c."""
    return tuple(
        piece if piece in ("*", "?") else f"={piece.strip('[]') if len(piece) == 3 else piece}"
        for piece in re.findall(r"\[[*?]\]|.", pattern, re.DOTALL)
    )
