"""The text that a patch run prints: what matters most within the first 2,500 characters.

Counts first, then what failed with its reason, then what is missing. Source: patch-baselines.md 5.7.
"""

from patchwright.core.facts import Problem
from patchwright.core.judgement import Judgement, PatchLine, Unjudged
from patchwright.core.values import PatchOperation, PatchState

MAX_LINES = 400


def report_of(
    *,
    node: str,
    operation: PatchOperation,
    baseline_id: str,
    baseline_name: str,
    patch_group: str,
    snapshot_id: str,
    outcome: Judgement | Unjudged,
    problems: tuple[Problem, ...],
    message: str,
) -> str:
    """The report of one run, as lines of plain text without control characters."""
    lines = [f"Patch Summary for {node}"]
    if message:
        lines.append(f"Message: {message}")
    lines += [f"Problem: {p.code}: {p.message}" + (f" Remedy: {p.remedy}" if p.remedy else "") for p in problems]
    lines += [
        f"Operation: {operation}",
        f"Baseline: {baseline_name} ({baseline_id})",
        f"PatchGroup: {patch_group}",
    ]
    if isinstance(outcome, Unjudged):
        lines.append(f"Compliance: UNJUDGED ({outcome.code}): {outcome.reason}")
    else:
        lines += _counts(outcome)
        for state in (PatchState.FAILED, PatchState.INSTALLED_REJECTED, PatchState.MISSING):
            lines += _of_state(outcome, state)
    lines.append(f"SnapshotId: {snapshot_id}")
    return "\n".join(_printable(line) for line in lines) + "\n"


def _counts(outcome: Judgement) -> list[str]:
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


def _of_state(outcome: Judgement, state: PatchState) -> list[str]:
    chosen = [line for line in outcome.lines if line.state is state]
    shown = [_line(line) for line in chosen[:MAX_LINES]]
    if len(chosen) > MAX_LINES:
        shown.append(f"… and {len(chosen) - MAX_LINES} more {state}")
    return shown


def _line(line: PatchLine) -> str:
    old = line.installed.version if line.installed else "-"
    new = line.target.version if line.target else old
    why = line.reason.details[0] if line.reason.details else line.reason.code
    level = f" {line.level}" if line.level != "UNSPECIFIED" else ""
    return f"{line.state}: {line.patch_id} {old} -> {new}{level} ({why})"


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)
