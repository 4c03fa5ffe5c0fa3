"""docs/reference/reason-codes.md: one line per reason code, its sentence taken from the code that speaks it."""

import sys
from datetime import UTC, datetime

from tools import generated

from patchwright.core.baselines import PatchBaseline
from patchwright.core.failures import (
    NOT_INSTALLED,
    SCRIPT_FAILED,
    ProblemCode,
    dropped_words,
    kept_text,
    problem_words,
    read_kept,
)
from patchwright.core.judgement import Reason, ReasonCode, ReleaseSource, UnjudgedCode
from patchwright.core.outcome import NO_REASON
from patchwright.core.plan import DropCode, DroppedTarget
from patchwright.core.sentences import Subject, remedy_for, sentence_for
from patchwright.core.values import BaselineId, OperatingSystem, Slot

REFERENCE = "docs/reference/reason-codes.md"
MEANINGS = {
    ReasonCode.APPROVED_BY_RULE: "A rule approves a newer version.",
    ReasonCode.APPROVED_BY_LIST: "The list of approved patches names a newer version.",
    ReasonCode.UP_TO_DATE: "The installed version is approved, and nothing newer is on offer.",
    ReasonCode.NOT_SECURITY: "It is no security update, and the matching rules take security updates only.",
    ReasonCode.FILTERED_OUT: "No rule's filters accept it.",
    ReasonCode.GLOBAL_FILTER: "The baseline's global filters leave it out.",
    ReasonCode.PENDING_APPROVAL: "A rule matches; its waiting days are not over.",
    ReasonCode.AFTER_CUTOFF: "A rule matches; the version was released after its cut-off date.",
    ReasonCode.REJECTED: "The list of rejected patches names it; action ALLOW_AS_DEPENDENCY.",
    ReasonCode.REJECTED_BLOCKED: "The list of rejected patches names what is installed; action BLOCK.",
    ReasonCode.NO_RULES: "The baseline has no rules, and its approved list does not name it.",
    ReasonCode.NEWER_NOT_APPROVED: "An approved version is missing; a newer one is on offer and not approved.",
    ReasonCode.NO_UPDATE_ON_OFFER: "The repositories offer nothing newer.",
    ReasonCode.NOT_INSTALLED: "The package is not installed; a baseline never installs anew.",
    ReasonCode.HELD: "Approved and missing, but held on the node.",
    ReasonCode.PHASED: "Approved and missing, but the vendor's gradual roll-out has not reached the node.",
    ReasonCode.FAILED_LAST_INSTALL: "Approved, and the last Install could not bring it in.",
    ReasonCode.LEFT_OUT_OF_PLAN: "Approved and missing, and the node's last Plan leaves it out.",
    ReasonCode.SCRIPT_FAILED: "Installed by the last Install, but a script of the package failed (rpm).",
    ReasonCode.PENDING_REBOOT: "Installed without a reboot, and the node has not been booted since.",
    ReasonCode.NO_CVE_SOURCE: "The node's repositories publish no CVE data (all of apt).",
    ReasonCode.CVE_NOT_FOUND: "No notice of the node's repositories names the CVE.",
    ReasonCode.CVE_FIXED: "The installed version has the fix.",
    ReasonCode.CVE_OPEN: "A newer version fixes the CVE.",
    ReasonCode.ADVISORY_NOT_FOUND: "No notice with that id concerns the node.",
    ReasonCode.UNTRUSTED_REPOSITORY: "Only repositories whose signature the node does not trust offer it.",
    ReasonCode.LOCAL_PACKAGE: "The installed version is in none of the node's repositories.",
    ReasonCode.NOT_APPLICABLE: "Approved, but it does not apply to the node (Windows).",
    ReasonCode.AVAILABLE_SECURITY_UPDATE: "A security update that applies and is not approved (Windows).",
    ReasonCode.UNJUDGED: "The node can't be judged; the detail is one of the codes below.",
}
UNJUDGED = {
    UnjudgedCode.NO_FACTS: "The node has not reported its packages.",
    UnjudgedCode.WRONG_OPERATING_SYSTEM: "The baseline is for another operating system.",
    UnjudgedCode.NEEDS_SCAN: "The last scan read other package sources than the baseline names.",
    UnjudgedCode.NO_MATCHING_SOURCE: "The baseline's alternative sources do not name the node's product.",
    UnjudgedCode.UNSUPPORTED_MANAGER: "The node's package manager is none that the rules read.",
}
_NOT_IN_SENTENCES = frozenset(
    {
        ReasonCode.NO_CVE_SOURCE,
        ReasonCode.CVE_NOT_FOUND,
        ReasonCode.CVE_FIXED,
        ReasonCode.CVE_OPEN,
        ReasonCode.ADVISORY_NOT_FOUND,
        ReasonCode.UNJUDGED,
    }
)
"""Their sentence quotes what was asked for; `core/explain.py` makes it."""
_FAILURES = {
    ReasonCode.FAILED_LAST_INSTALL: kept_text(ProblemCode.LOCKED, problem_words(ProblemCode.LOCKED)),
    ReasonCode.SCRIPT_FAILED: kept_text(SCRIPT_FAILED, "its POSTIN script failed, exit status 3: no such user"),
    ReasonCode.LEFT_OUT_OF_PLAN: kept_text(
        DropCode.BLOCKED_DEPENDENCY,
        dropped_words(
            DroppedTarget(
                slot=Slot(name="openssl", arch="amd64"),
                version="3.0.2-2",
                code=DropCode.BLOCKED_DEPENDENCY,
                because_of="libssl3.amd64:3.0.2-2",
            )
        ),
    ),
}
_DAY = datetime(2026, 11, 2, tzinfo=UTC)


def _sentence(code: ReasonCode) -> str:
    if code in _NOT_IN_SENTENCES:
        return ""
    return sentence_for(code, _reason(code), _subject(code))


def _remedy(code: ReasonCode) -> str:
    if code in _NOT_IN_SENTENCES:
        return ""
    return remedy_for(code, _reason(code), _subject(code))


def _reason(code: ReasonCode) -> Reason:
    """A reason of rule 1, or of the entry `openssl`, with a date that a node's report gave."""
    inner = ReasonCode.PENDING_APPROVAL if code is ReasonCode.NEWER_NOT_APPROVED else code
    return Reason(
        code=inner,
        rule=1,
        entry=None if code in (ReasonCode.NOT_SECURITY, ReasonCode.NO_RULES) else "openssl",
        released_at=datetime(2026, 10, 26, tzinfo=UTC),
        release_source=ReleaseSource.FIRST_REPORT,
        approved_at=_DAY,
        details=(_FAILURES[code],) if code in _FAILURES else (),
    )


def _subject(code: ReasonCode) -> Subject:
    rpm = code is ReasonCode.SCRIPT_FAILED
    baseline = PatchBaseline(
        id=BaselineId("pb-0123456789abcdef0"),
        name="web-servers",
        operating_system=OperatingSystem.ROCKY_LINUX if rpm else OperatingSystem.DEBIAN,
        rejected_patches=("openssl",) if code in (ReasonCode.REJECTED, ReasonCode.REJECTED_BLOCKED) else (),
    )
    return Subject(
        name="openssl",
        patch_id="openssl.x86_64" if rpm else "openssl.amd64",
        baseline=baseline,
        installed="3.0.2-1",
        target="3.0.2-2",
        newest="3.0.2-3",
    )


def codes_part() -> str:
    rows = []
    for code in sorted(ReasonCode):
        remedy = _remedy(code)
        shown = f"`{remedy}`" if remedy.startswith(("aws", "apt")) else remedy
        rows.append((f"`{code}`", MEANINGS[code], _sentence(code), shown))
    return generated.table(("code", "meaning", "sentence, for example", "remedy, for example"), rows)


def unjudged_part() -> str:
    return generated.table(("detail", "meaning"), [(f"`{code}`", UNJUDGED[code]) for code in sorted(UnjudgedCode)])


def failures_part() -> str:
    rows = [(f"`{code}`", dropped_words(_drop(code))) for code in DropCode]
    rows += [(f"`{code}`", problem_words(code)) for code in ProblemCode]
    rows.append((f"`{NOT_INSTALLED}`", NO_REASON))
    rows.append((f"`{SCRIPT_FAILED}`", read_kept(_FAILURES[ReasonCode.SCRIPT_FAILED]).words))
    return generated.table(("code", "words, for example"), rows)


def _drop(code: DropCode) -> DroppedTarget:
    blamed = "libssl3.amd64:3.0.2-2"
    because = {DropCode.UNRESOLVED: "nothing provides libssl3", DropCode.REMOVAL: "libssl3.amd64"}.get(code, blamed)
    return DroppedTarget(slot=Slot(name="openssl", arch="amd64"), version="3.0.2-2", code=code, because_of=because)


def parts() -> dict[tuple[str, str], str]:
    """Everything that this tool writes. A code without a meaning above is a KeyError: give it one."""
    return {
        (REFERENCE, "reason codes"): codes_part(),
        (REFERENCE, "unjudged codes"): unjudged_part(),
        (REFERENCE, "failure codes"): failures_part(),
    }


if __name__ == "__main__":
    sys.exit(generated.run(parts()))
