"""The text that a patch run prints: what matters most within the first 2,500 characters.

Counts and the reboot decision first, then what failed with its reason, what went in, what is missing, what the Plan
leaves out, the worker's notes. Source: patch-baselines.md 5.7.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from patchwright.core.exit_codes import known_code
from patchwright.core.facts import Problem
from patchwright.core.failures import dropped_words
from patchwright.core.judgement import Judgement, PatchLine, Unjudged
from patchwright.core.plan import Plan, PlanItem
from patchwright.core.reboot import RebootDecision, RebootReason
from patchwright.core.values import PatchOperation, PatchState

MAX_LINES = 400
"""Of one kind. The command API keeps 24,000 characters of an output in all."""
MAX_REASON = 200
"""Characters of one reason within a line; `why` has the whole of it."""

REBOOT_WORDS = {
    RebootReason.SCAN: "no: a Scan never reboots",
    RebootReason.NO_REBOOT: "no: RebootOption is NoReboot",
    RebootReason.PATCHES_PENDING_REBOOT: "yes: patches of an earlier run wait for it",
    RebootReason.PATCHES_INSTALLED: "yes: packages were installed",
    RebootReason.NOTHING_TO_DO: "no: nothing was installed",
    RebootReason.CANCELLED: "no: the run was cancelled",
    RebootReason.MANAGER_BROKEN: "no: the package database must be repaired first",
    RebootReason.MANAGER_LOCKED: "no: another program is changing packages",
}
REBOOTED = "The node has rebooted: this run is over.\n"
NEVER_REBOOTED = "The node was asked to reboot several times and did not: what was installed waits for it.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStory:
    """Everything that the report of one run tells. `plan` is the one that was settled last, `new` what it brought."""

    node: str
    operation: PatchOperation
    plan_only: bool
    baseline_id: str
    baseline_name: str
    patch_group: str
    snapshot_id: str
    outcome: Judgement | Unjudged
    reboot: RebootDecision
    exit_code: int
    problems: tuple[Problem, ...] = ()
    message: str = ""
    plan: Plan | None = None
    new: tuple[PlanItem, ...] = ()
    notes: tuple[str, ...] = ()


def report_of(story: RunStory) -> str:
    """The report of one run, as lines of plain text without control characters."""
    doing = "Plan" if story.plan_only else story.operation
    lines = [
        f"Patch Summary for {story.node}",
        f"Operation: {doing}",
        f"Baseline: {story.baseline_name} ({story.baseline_id})",
        f"PatchGroup: {story.patch_group}",
    ]
    lines += _verdict(story.outcome)
    lines.append(f"Reboot: {_reboot(story)}")
    if story.message:
        lines.append(f"Message: {story.message}")
    lines += [f"Problem: {p.code}: {p.message}" + (f" Remedy: {p.remedy}" if p.remedy else "") for p in story.problems]
    lines += _lines_of(story.outcome, PatchState.FAILED)
    lines += _limited("INSTALLED", [_change(item) for item in story.new])
    if story.plan_only and story.plan is not None:
        lines += _limited("WOULD INSTALL", [_change(item) for item in story.plan.items])
    lines += _lines_of(story.outcome, PatchState.INSTALLED_REJECTED)
    # What this run brought was named above.
    lines += _lines_of(story.outcome, PatchState.INSTALLED_PENDING_REBOOT, but={i.slot.patch_id for i in story.new})
    lines += _lines_of(story.outcome, PatchState.MISSING)
    lines += _limited("LEFT OUT", _left_out(story))
    lines += _limited("NOTE", story.notes)
    lines.append(f"SnapshotId: {story.snapshot_id}")
    return "\n".join(_printable(line) for line in lines) + "\n"


def _verdict(outcome: Judgement | Unjudged) -> list[str]:
    if isinstance(outcome, Unjudged):
        return [f"Compliance: UNJUDGED ({outcome.code}): {outcome.reason}"]
    c = outcome.counts
    return [
        f"Compliance: {outcome.status}",
        f"InstalledCount: {c.installed}  InstalledOtherCount: {c.installed_other}  "
        f"InstalledPendingRebootCount: {c.installed_pending_reboot}  InstalledRejectedCount: {c.installed_rejected}",
        f"MissingCount: {c.missing}  FailedCount: {c.failed}  "
        f"CriticalNonCompliantCount: {c.critical_non_compliant}  "
        f"SecurityNonCompliantCount: {c.security_non_compliant}  OtherNonCompliantCount: {c.other_non_compliant}",
        f"Waiting for approval: {c.pending_approval}",
    ]


def _reboot(story: RunStory) -> str:
    words = REBOOT_WORDS[story.reboot.reason]
    code = known_code(story.exit_code)
    if code is None or not code.asks_for_reboot:
        return words
    return f"{words}; the run ends with {int(code.after_reboot)} after it"


def _lines_of(outcome: Judgement | Unjudged, state: PatchState, *, but: Collection[str] = ()) -> list[str]:
    if isinstance(outcome, Unjudged):
        return []
    return _limited(state, [_line(x) for x in outcome.lines if x.state is state and x.patch_id not in but])


def _line(line: PatchLine) -> str:
    old = line.installed.version if line.installed else "-"
    new = line.target.version if line.target else old
    why = line.reason.details[0] if line.reason.details else line.reason.code
    level = f" {line.level}" if line.level != "UNSPECIFIED" else ""
    return f"{line.patch_id} {old} -> {new}{level} ({why[:MAX_REASON]})"


def _change(item: PlanItem) -> str:
    return f"{item.slot.patch_id} {item.from_version or '-'} -> {item.to_version} ({item.role})"


def _left_out(story: RunStory) -> Iterable[str]:
    """Targets that the Plan leaves out and no FAILED line has named."""
    if story.plan is None:
        return
    lines = story.outcome.lines if isinstance(story.outcome, Judgement) else ()
    failed = {line.slot for line in lines if line.state is PatchState.FAILED}
    for drop in story.plan.dropped:
        if drop.slot not in failed:
            yield f"{drop.slot.patch_id} {drop.version} ({drop.code}: {dropped_words(drop)[:MAX_REASON]})"


def _limited(what: str, rows: Sequence[str] | Iterable[str]) -> list[str]:
    rows = list(rows)
    shown = [f"{what}: {row}" for row in rows[:MAX_LINES]]
    if len(rows) > MAX_LINES:
        shown.append(f"… and {len(rows) - MAX_LINES} more {what}")
    return shown


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)
