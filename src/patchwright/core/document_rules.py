"""Names, versions, quotas and sharing of documents. Source: operations.md 2.4."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from patchwright.core.errors import Invalid, Kind, LimitExceeded
from patchwright.core.values import Scope

MAX_DOCUMENTS = 500
MAX_VERSIONS = 1_000
MAX_SHARED_ACCOUNTS = 1_000
MAX_PUBLIC_DOCUMENTS = 5
EVERYONE = "all"
"""In the place of an account id: the document is public."""
RESERVED_PREFIXES = ("aws", "amazon", "amzn", "patchwright")
"""In any case. The last is ours: our own built-in documents are never anybody else's."""
LATEST, DEFAULT = "$LATEST", "$DEFAULT"
_NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,128}")
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-zA-Z0-9-]{1,100}):([0-9]{12}|):document/([a-zA-Z0-9_\-.]{3,128})")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRef:
    """How a request names a document. `account`: "" for the vendor's, None where only a name was given."""

    name: str
    account: str | None = None
    region: str | None = None


def parse_ref(text: str) -> DocumentRef | None:
    """A name or an ARN; None for anything else."""
    if _NAME.fullmatch(text):
        return DocumentRef(name=text)
    found = _ARN.fullmatch(text)
    return None if found is None else DocumentRef(name=found[3], account=found[2], region=found[1])


def arn_of(scope: Scope, name: str, *, builtin: bool = False) -> str:
    """The ARN of a document; the vendor's own have no account. Source: operations.md 1.8."""
    return f"arn:aws:ssm:{scope.region}:{'' if builtin else scope.account}:document/{name}"


def check_name(name: str) -> None:
    """Raise Invalid(REQUEST) for a name that only the service's own documents may have."""
    if name.lower().startswith(RESERVED_PREFIXES):
        raise Invalid(
            Kind.REQUEST,
            f"Names of documents can't start with {', '.join(RESERVED_PREFIXES)} (in any case): {name} does.",
        )


def shares_after(
    present: Mapping[str, str], add: Collection[str], remove: Collection[str], *, version: str, public_elsewhere: int
) -> dict[str, str]:
    """Account (or EVERYONE) -> shared version, after a change; to remove wins. Raises LimitExceeded(DOCUMENT_SHARE).

    `public_elsewhere`: how many other documents of the account are public.
    """
    gone = {account.lower() for account in remove}
    after = {account: shared for account, shared in present.items() if account not in gone}
    after |= {account: version for account in (a.lower() for a in add) if account not in gone}
    if len(after) > MAX_SHARED_ACCOUNTS:
        raise LimitExceeded(
            Kind.DOCUMENT_SHARE,
            f"A document is shared with at most {MAX_SHARED_ACCOUNTS} accounts; nothing was changed.",
        )
    if EVERYONE in after and EVERYONE not in present and public_elsewhere >= MAX_PUBLIC_DOCUMENTS:
        raise LimitExceeded(
            Kind.DOCUMENT_SHARE, f"An account has at most {MAX_PUBLIC_DOCUMENTS} public documents; nothing was changed."
        )
    return after
