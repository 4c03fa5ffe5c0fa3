"""Whether a run reboots its node, and which patches wait for a reboot afterwards."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.facts import NodeFacts
from patchwright.core.failures import ProblemCode
from patchwright.core.judgement import History
from patchwright.core.slots import native_slot
from patchwright.core.values import PatchOperation, RebootOption, Slot

PendingRow = tuple[Slot, str, str]
"""(slot, version, boot_id under which it was installed). Source: decisions.md 12."""


class RebootReason(StrEnum):
    """Why a run reboots, or does not."""

    SCAN = "SCAN"
    NO_REBOOT = "NO_REBOOT"
    PATCHES_PENDING_REBOOT = "PATCHES_PENDING_REBOOT"
    PATCHES_INSTALLED = "PATCHES_INSTALLED"
    NOTHING_TO_DO = "NOTHING_TO_DO"
    CANCELLED = "CANCELLED"
    """An operator took the run back: whoever did that does not want his host rebooted by it."""
    MANAGER_BROKEN = "MANAGER_BROKEN"
    """The worker could not leave the package database sound: a host that boots now may not come back."""
    MANAGER_LOCKED = "MANAGER_LOCKED"
    """Another program is changing packages: a reboot would break it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootDecision:
    """The answer with its reason."""

    reboot: bool
    reason: RebootReason


def still_pending(recorded: Iterable[PendingRow], facts: NodeFacts) -> frozenset[PendingRow]:
    """The recorded rows that still wait: same boot, and the version is still installed. Source: decisions.md 6, 12."""
    native = facts.state.arch
    installed = {(native_slot(item.package.slot, native), item.package.version) for item in facts.installed}
    return frozenset(
        (slot, version, boot_id)
        for slot, version, boot_id in recorded
        if boot_id == facts.state.boot_id and (native_slot(slot, native), version) in installed
    )


_HELD_BACK: dict[str, RebootReason] = {
    ProblemCode.CANCELLED: RebootReason.CANCELLED,
    ProblemCode.BROKEN: RebootReason.MANAGER_BROKEN,
    ProblemCode.LOCKED: RebootReason.MANAGER_LOCKED,
}


def reboot_decision(
    operation: PatchOperation,
    option: RebootOption,
    *,
    pending: Set[PendingRow],
    installed_count: int,
    problem: str = "",
) -> RebootDecision:
    """Decide after the packages went in; `pending` are the rows of earlier runs that still wait.

    A run that installed something reboots, whether or not the patch needs it; so does one that finds
    patches of an earlier NoReboot run waiting. `problem` is what the worker met: some problems hold a reboot back.
    Source: patch-baselines.md 6.3.
    """
    if operation is PatchOperation.SCAN:
        return RebootDecision(reboot=False, reason=RebootReason.SCAN)
    if option is RebootOption.NO_REBOOT:
        return RebootDecision(reboot=False, reason=RebootReason.NO_REBOOT)
    if not pending and not installed_count:
        return RebootDecision(reboot=False, reason=RebootReason.NOTHING_TO_DO)
    if problem in _HELD_BACK:
        return RebootDecision(reboot=False, reason=_HELD_BACK[problem])
    reason = RebootReason.PATCHES_PENDING_REBOOT if pending else RebootReason.PATCHES_INSTALLED
    return RebootDecision(reboot=True, reason=reason)


def pending_after(
    history: History,
    after: NodeFacts,
    new: Iterable[tuple[Slot, str]],
    operation: PatchOperation,
    *,
    reboots: bool,
) -> frozenset[PendingRow]:
    """The pending rows to keep once a run has ended, from the facts taken after it.

    `new` are the (slot, version) present after but not before the run. A run that reboots clears all; an
    Install that does not adds what it brought; a Scan only forgets rows of an earlier boot or of versions that
    are gone. Source: patch-baselines.md 6.4.
    """
    if reboots:
        return frozenset()
    rows = still_pending(history.pending_reboot, after)
    if operation is PatchOperation.INSTALL:
        rows |= {(slot, version, after.state.boot_id) for slot, version in new}
    return rows
