"""Whether a run reboots its node, and which patches wait for a reboot afterwards."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.facts import NodeFacts
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


def reboot_decision(
    operation: PatchOperation, option: RebootOption, *, pending: Set[PendingRow], installed_count: int
) -> RebootDecision:
    """Decide after the packages went in; `pending` are the rows of earlier runs that still wait.

    A run that installed something reboots, whether or not the patch needs it; so does one that finds
    patches of an earlier NoReboot run waiting. Source: patch-baselines.md 6.3.
    """
    if operation is PatchOperation.SCAN:
        return RebootDecision(reboot=False, reason=RebootReason.SCAN)
    if option is RebootOption.NO_REBOOT:
        return RebootDecision(reboot=False, reason=RebootReason.NO_REBOOT)
    if pending:
        return RebootDecision(reboot=True, reason=RebootReason.PATCHES_PENDING_REBOOT)
    if installed_count:
        return RebootDecision(reboot=True, reason=RebootReason.PATCHES_INSTALLED)
    return RebootDecision(reboot=False, reason=RebootReason.NOTHING_TO_DO)


def pending_after(
    history: History,
    after: NodeFacts,
    new: Iterable[tuple[Slot, str]],
    operation: PatchOperation,
    option: RebootOption,
    *,
    reboots: bool,
) -> frozenset[PendingRow]:
    """The pending rows to keep once a run has ended, from the facts taken after it.

    `new` are the (slot, version) present after but not before the run. A run that reboots clears all; a
    NoReboot Install adds what it brought; a Scan only forgets rows of an earlier boot or of versions that
    are gone. Source: patch-baselines.md 6.4.
    """
    if reboots:
        return frozenset()
    rows = still_pending(history.pending_reboot, after)
    if operation is PatchOperation.INSTALL and option is RebootOption.NO_REBOOT:
        rows |= {(slot, version, after.state.boot_id) for slot, version in new}
    return rows
