"""Why a target is not there, as a code and in an operator's words: one line that is kept, shown and explained.

Source: patch-baselines.md 11 (4, 5): a reason per FAILED line; the worker's protocol for the codes.
"""

from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.plan import DropCode, DroppedTarget

MAX_WORDS = 1_000
"""Of one reason, the manager's own words included: a package's script may write pages."""


class ProblemCode(StrEnum):
    """Why a worker could not apply a Plan. Source: the worker's protocol, FinishPatchRun."""

    REPOSITORY_CHANGED = "REPOSITORY_CHANGED"
    LOCKED = "LOCKED"
    DISK_FULL = "DISK_FULL"
    BROKEN = "BROKEN"
    SIGNATURE = "SIGNATURE"
    CANCELLED = "CANCELLED"
    DOWNLOAD = "DOWNLOAD"
    MANAGER_FAILED = "MANAGER_FAILED"


NOT_INSTALLED = "NOT_INSTALLED"
"""The run went to its end, yet the package database does not have the version."""

SCRIPT_FAILED = "SCRIPT_FAILED"
"""The package is there, yet a script of its failed: rpm keeps it, and has no state that says so."""

_PROBLEMS: dict[str, str] = {
    ProblemCode.REPOSITORY_CHANGED: "the repositories changed twice while the Plan was settled",
    ProblemCode.LOCKED: "another program held the package manager's lock",
    ProblemCode.DISK_FULL: "the node's disk has not enough room",
    ProblemCode.BROKEN: "the node's package database is broken and must be repaired first",
    ProblemCode.SIGNATURE: "a package or repository is not signed by a key that the node trusts",
    ProblemCode.CANCELLED: "the run was cancelled",
    ProblemCode.DOWNLOAD: "a package could not be downloaded",
    ProblemCode.MANAGER_FAILED: "the package manager failed",
}
_DROPS = {
    DropCode.BLOCKED_DEPENDENCY: "it would bring in {0}, which the baseline's rejected list blocks",
    DropCode.HELD_DEPENDENCY: "it would change {0}, which is held on the node",
    DropCode.REMOVAL: "it would remove {0}",
    DropCode.DOWNGRADE: "it would downgrade to {0}",
    DropCode.OTHER_VERSION: "it would bring in {0}, which is not the version that the baseline picks",
    DropCode.OVERRIDE_LIST: "it would bring in {0}, whose versions in the override list are others",
    DropCode.UNRESOLVED: "the node's package manager can't resolve it: {0}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A reason that was kept: its code ("" for one from before there were codes), and the words."""

    code: str
    words: str


def dropped_words(drop: DroppedTarget) -> str:
    """Why the Plan leaves a target out, without a full stop."""
    return _DROPS[drop.code].format(drop.because_of)


def problem_words(code: str, message: str = "") -> str:
    """Why nothing could be applied: the code's words, and the worker's own after them."""
    words = _PROBLEMS.get(code, "the run could not be carried out")
    return f"{words}: {message}" if message else words


def kept_text(code: str, words: str) -> str:
    """`CODE: words`, bounded: what is kept of a failure."""
    return f"{code}: {words}"[:MAX_WORDS]


def read_kept(text: str) -> Failure:
    """A kept reason taken apart again."""
    code, colon, words = text.partition(": ")
    known = code in _PROBLEMS or code in DropCode.__members__ or code in (NOT_INSTALLED, SCRIPT_FAILED)
    return Failure(code=code, words=words) if colon and known else Failure(code="", words=text)
