"""The override document that a run's worker fetched: read, checked, kept once; or the run ends with its reason.

The worker fetches, so that nothing makes this server ask other hosts for anything. Source: decisions.md 8;
patch-baselines.md 5.4 to 5.6.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from patchwright.core.errors import Invalid
from patchwright.core.exit_codes import ExitCode
from patchwright.core.nodes import ManagedNode
from patchwright.core.overrides import baseline_override, install_override_list
from patchwright.core.structured_text import Unreadable, parse_json, parse_yaml
from patchwright.flows.run_rules import OVERRIDE_WORDS, needs_document
from patchwright.store import overrides, runs
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun

MAX_OVERRIDE_BYTES = 1_048_576
"""Source: decisions.md 8."""
MAX_MESSAGE = 500


class FetchProblem(StrEnum):
    """Why a worker has no document to send."""

    DENIED = "DENIED"
    NOT_FETCHED = "NOT_FETCHED"
    TOO_LARGE = "TOO_LARGE"
    NOT_TEXT = "NOT_TEXT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of a document: its digest and content, or the code and the words with which its run ends."""

    digest: str = ""
    content: Any = None
    refusal: tuple[ExitCode, str] | None = None


def read_fetched(node: ManagedNode, run: PatchRun, body: str | None, problem: str, message: str) -> Fetched:
    """Read what the worker sent. Parses and checks, takes no lock, and keeps nothing."""
    parameter = needs_document(run)
    if run.ended_at is not None or not parameter:
        return Fetched()  # a repeat: the first answer stands
    is_baseline = parameter == "BaselineOverride"
    if body is None or problem:
        return Fetched(refusal=_not_fetched(FetchProblem(problem or FetchProblem.NOT_FETCHED), message, run))
    raw = body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_OVERRIDE_BYTES:
        return Fetched(refusal=_not_fetched(FetchProblem.TOO_LARGE, "", run))
    if body.lstrip().startswith("<") and "AccessDenied" in body:
        return Fetched(refusal=_not_fetched(FetchProblem.DENIED, "", run))
    invalid = ExitCode.OVERRIDE_INVALID if is_baseline else ExitCode.FAILURE
    try:
        content = parse_json(body) if is_baseline else parse_yaml(body)
        if not is_baseline:
            kept = install_override_list(content)
            content = {
                "patches": [{"id": e.id} | ({} if e.title is None else {"title": e.title}) for e in kept.entries]
            }
    except (Unreadable, Invalid) as wrong:
        return Fetched(refusal=(invalid, f"{parameter} can't be used: {str(wrong).rstrip('.')}"))
    if is_baseline:
        words = _wrong_baselines(node, content)
        if words is not None:
            return Fetched(refusal=words)
    return Fetched(digest=hashlib.sha256(raw).hexdigest(), content=content)


def _wrong_baselines(node: ManagedNode, content: object) -> tuple[ExitCode, str] | None:
    if node.operating_system is None:
        # Its first facts will say; the list itself can be looked at now.
        return None if isinstance(content, list) else (ExitCode.OVERRIDE_INVALID, OVERRIDE_WORDS[_INVALID])
    found = baseline_override(content, node.operating_system)
    return (found, f"{OVERRIDE_WORDS[found]} ({node.operating_system})") if isinstance(found, ExitCode) else None


_INVALID = ExitCode.OVERRIDE_INVALID
_PROBLEM_WORDS = {
    FetchProblem.DENIED: "access to it is denied",
    FetchProblem.NOT_FETCHED: "the node can't fetch it",
    FetchProblem.TOO_LARGE: f"it is larger than {MAX_OVERRIDE_BYTES} bytes",
    FetchProblem.NOT_TEXT: "it is not UTF-8 text",
}
_PROBLEM_CODES = {
    FetchProblem.DENIED: ExitCode.OVERRIDE_DENIED,
    FetchProblem.NOT_FETCHED: ExitCode.OVERRIDE_NOT_FETCHED,
    FetchProblem.TOO_LARGE: ExitCode.OVERRIDE_INVALID,
    FetchProblem.NOT_TEXT: ExitCode.OVERRIDE_INVALID,
}


def _not_fetched(problem: FetchProblem, message: str, run: PatchRun) -> tuple[ExitCode, str]:
    said = "".join(c if c.isprintable() else " " for c in message[:MAX_MESSAGE]).strip()
    words = f"{needs_document(run)} can't be used: {_PROBLEM_WORDS[problem]}" + (f": {said}" if said else "")
    return (_PROBLEM_CODES[problem] if run.baseline_override else ExitCode.FAILURE), words


def take_fetched(tx: Tx, run: PatchRun, fetched: Fetched, now: datetime) -> PatchRun:
    """Keep the document for the run, or end the run. The first answer stands: a repeat changes nothing."""
    if run.ended_at is not None or not needs_document(run):
        return run
    if fetched.refusal is None:
        overrides.keep(tx, run.scope.account, fetched.digest, fetched.content, now=now)
        runs.update(tx, run.id, override_digest=fetched.digest)
    else:
        code, words = fetched.refusal
        text = f"{words}. Nothing was done."
        runs.update(tx, run.id, ended_at=now, exit_code=code, message=text, report=f"{text}\n")
    found = runs.find(tx, run.id)
    return run if found is None else found
