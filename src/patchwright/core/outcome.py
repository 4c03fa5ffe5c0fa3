"""What an Install came to: the package database compared with the Plan, and the exit code."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from patchwright.core.exit_codes import ExitCode
from patchwright.core.facts import NodeFacts
from patchwright.core.judgement import History
from patchwright.core.plan import ItemRole, Plan, PlanItem
from patchwright.core.slots import native_slot
from patchwright.core.values import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`failed` are exact targets (slot, version), dropped ones included; `exit_code` may be an internal one."""

    installed: tuple[PlanItem, ...]
    failed: frozenset[tuple[Slot, str]]
    failed_reasons: Mapping[tuple[Slot, str], str]
    exit_code: ExitCode

    def remembered(self, history: History) -> History:
        """`history` after this Install: its failures replace those of any earlier one. Source: decisions.md 12."""
        return replace(history, failed=self.failed, failed_reasons=dict(self.failed_reasons))


def after_install(plan: Plan, after: NodeFacts, messages: Mapping[Slot, str], *, reboots: bool) -> Outcome:
    """Compare the Plan with the facts taken after it was applied; what is not there has failed, whatever was said.

    `messages` are the manager's own words by slot. Source: patch-baselines.md 5.6, 6.5; decisions.md 5.
    """
    native = after.state.arch
    present = {(native_slot(item.package.slot, native), item.package.version) for item in after.installed}
    installed = tuple(item for item in plan.items if (native_slot(item.slot, native), item.to_version) in present)
    missed = [item for item in plan.items if item.role is ItemRole.TARGET and item not in installed]
    reasons = {(item.slot, item.to_version): messages.get(item.slot, "") for item in missed}
    for drop in plan.dropped:
        reasons[drop.slot, drop.version] = f"{drop.code}: {drop.because_of}"
    return Outcome(
        installed=installed,
        failed=frozenset(reasons),
        failed_reasons=reasons,
        exit_code=exit_code_of(failures=bool(missed), dependency_failures=bool(plan.dropped), reboots=reboots),
    )


def exit_code_of(*, failures: bool, dependency_failures: bool, reboots: bool) -> ExitCode:
    """A plain failure outweighs a dependency failure; any of them fails the run. Source: 5.6, 6.5."""
    if failures:
        return ExitCode.REBOOT_WITH_FAILURES if reboots else ExitCode.FAILURE
    if dependency_failures:
        return ExitCode.REBOOT_WITH_DEPENDENCY_FAILURES if reboots else ExitCode.DEPENDENCY_FAILURE
    return ExitCode.REBOOT if reboots else ExitCode.SUCCESS
