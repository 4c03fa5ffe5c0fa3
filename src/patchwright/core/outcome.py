"""What an Install came to: the package database compared with the Plan, and the exit code."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from patchwright.core.exit_codes import ExitCode
from patchwright.core.facts import NodeFacts
from patchwright.core.failures import NOT_INSTALLED, SCRIPT_FAILED, dropped_words, kept_text, problem_words
from patchwright.core.judgement import History
from patchwright.core.plan import ItemRole, Plan, PlanItem
from patchwright.core.slots import native_slot
from patchwright.core.values import Slot

NO_REASON = "the package database does not have it after the run, and the worker gave no reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the worker said of failures: the manager's words by slot, and what stood in the way of all targets."""

    messages: Mapping[Slot, str]
    problem: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`failed` are exact targets (slot, version), dropped ones included, each with its reason.

    `scripts_failed` are items that are there all the same, with the words of the script that ended in an error.
    """

    installed: tuple[PlanItem, ...]
    failed: frozenset[tuple[Slot, str]]
    failed_reasons: Mapping[tuple[Slot, str], str]
    scripts_failed: Mapping[tuple[Slot, str], str]
    failures: bool
    dependency_failures: bool

    @property
    def new(self) -> tuple[PlanItem, ...]:
        """What this run brought: an item that was there in the same version before is none."""
        return tuple(item for item in self.installed if item.from_version != item.to_version)

    def remembered(self, history: History) -> History:
        """`history` after this Install: its failures replace those of any earlier one. Source: decisions.md 12."""
        reasons = {**self.failed_reasons, **self.scripts_failed}
        return replace(history, failed=frozenset(reasons), failed_reasons=reasons)

    def exit_code(self, *, reboots: bool, worker_failed: bool = False) -> ExitCode:
        """The run's code, possibly an internal one. A worker that failed fails the run, whatever is installed."""
        return exit_code_of(
            failures=self.failures or worker_failed, dependency_failures=self.dependency_failures, reboots=reboots
        )


def after_install(plan: Plan, after: NodeFacts, said: Said) -> Outcome:
    """Compare the Plan with the facts taken after it was applied; what is not there has failed, whatever was said.

    Source: patch-baselines.md 5.6, 6.5; decisions.md 5.
    """
    native = after.state.arch
    messages = {native_slot(slot, native): text for slot, text in said.messages.items()}
    present = {(native_slot(item.package.slot, native), item.package.version) for item in after.installed}
    installed = tuple(item for item in plan.items if (native_slot(item.slot, native), item.to_version) in present)
    there = frozenset(installed)
    missed = [item for item in plan.items if item.role is ItemRole.TARGET and item not in there]
    dropped = [drop for drop in plan.dropped if (native_slot(drop.slot, native), drop.version) not in present]
    reasons = {
        (item.slot, item.to_version): _reason(messages.get(native_slot(item.slot, native), ""), said) for item in missed
    }
    for drop in dropped:
        reasons[drop.slot, drop.version] = kept_text(drop.code, dropped_words(drop))
    scripts = {
        (item.slot, item.to_version): kept_text(SCRIPT_FAILED, messages[native_slot(item.slot, native)])
        for item in installed
        if native_slot(item.slot, native) in messages
    }
    return Outcome(
        installed=installed,
        failed=frozenset(reasons),
        failed_reasons=reasons,
        scripts_failed=scripts,
        failures=bool(missed),
        dependency_failures=bool(dropped),
    )


def _reason(own: str, said: Said) -> str:
    if said.problem and not own:
        return kept_text(said.problem, problem_words(said.problem, said.message))
    return kept_text(said.problem or NOT_INSTALLED, own or NO_REASON)


def exit_code_of(*, failures: bool, dependency_failures: bool, reboots: bool) -> ExitCode:
    """A plain failure outweighs a dependency failure; any of them fails the run. Source: 5.6, 6.5."""
    if failures:
        return ExitCode.REBOOT_WITH_FAILURES if reboots else ExitCode.FAILURE
    if dependency_failures:
        return ExitCode.REBOOT_WITH_DEPENDENCY_FAILURES if reboots else ExitCode.DEPENDENCY_FAILURE
    return ExitCode.REBOOT if reboots else ExitCode.SUCCESS
