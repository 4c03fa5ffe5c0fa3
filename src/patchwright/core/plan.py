"""plan(): a judgement -> the exact versions to install, once the host has said what each would bring in."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.baselines import PatchBaseline, RejectedAction
from patchwright.core.judgement import Judgement, PatchLine, ReasonCode
from patchwright.core.lists import listed
from patchwright.core.patches import PackageVersion
from patchwright.core.values import PatchState, RebootOption, Slot

_LEFT_ALONE = frozenset({ReasonCode.HELD, ReasonCode.PHASED})
"""A hold is never overridden, a roll-out never overtaken. Source: patch-baselines.md 4.4, DECISION."""


class ItemRole(StrEnum):
    """Why an item is in a Plan. Source: decisions.md 3."""

    TARGET = "target"
    DEPENDENCY = "dependency"


class DropCode(StrEnum):
    """Why a target was left out of the Plan. All of them are dependency failures (exit code 2)."""

    BLOCKED_DEPENDENCY = "BLOCKED_DEPENDENCY"
    HELD_DEPENDENCY = "HELD_DEPENDENCY"
    REMOVAL = "REMOVAL"
    UNRESOLVED = "UNRESOLVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One exact change. `from_version` is "" for a package that comes in anew, as a dependency."""

    slot: Slot
    from_version: str
    to_version: str
    role: ItemRole


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedTarget:
    """A target that the Plan leaves out, with the package that is to blame."""

    slot: Slot
    version: str
    code: DropCode
    because_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What one target brings with it, as the host's own manager resolved it; the target itself is not in it.

    `replaces` are the installed versions of the incoming slots, where there are any.
    """

    incoming: tuple[PackageVersion, ...] = ()
    removed: tuple[Slot, ...] = ()
    replaces: Mapping[Slot, str] | None = None
    problem: str = ""
    """The manager's own words if it could not resolve the target at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Immutable and specific: no pattern, no choice left. Items are sorted by slot."""

    items: tuple[PlanItem, ...]
    dropped: tuple[DroppedTarget, ...]
    reboot_option: RebootOption


def targets_of(judgement: Judgement) -> tuple[PatchLine, ...]:
    """The lines that an Install goes for: MISSING or FAILED, neither held nor waiting for a gradual roll-out."""
    return tuple(
        line
        for line in judgement.lines
        if line.state in (PatchState.MISSING, PatchState.FAILED)
        and line.target is not None
        and line.reason.code not in _LEFT_ALONE
    )


def plan(
    judgement: Judgement,
    baseline: PatchBaseline,
    closures: Mapping[Slot, Closure],
    reboot_option: RebootOption,
    *,
    holds: frozenset[Slot] = frozenset(),
) -> Plan:
    """Keep the targets whose closure is acceptable, drop the others, and name every item.

    `closures` is by the target's slot; a target without one brings nothing with it. Under BLOCK a rejected
    package may not even come in as a dependency; nothing is ever removed, no hold is overridden.
    Source: patch-baselines.md 1.7, 4.2 to 4.4; decisions.md 3, 4.
    """
    items: dict[Slot, PlanItem] = {}
    dropped: list[DroppedTarget] = []
    dependencies: dict[Slot, PlanItem] = {}
    for line in targets_of(judgement):
        target = line.target
        if target is None:
            continue
        closure = closures.get(line.slot, Closure())
        objection = _objection(closure, baseline, holds)
        if objection is not None:
            code, because_of = objection
            dropped.append(DroppedTarget(slot=line.slot, version=target.version, code=code, because_of=because_of))
            continue
        before = line.installed.version if line.installed is not None else ""
        items[line.slot] = PlanItem(
            slot=line.slot, from_version=before, to_version=target.version, role=ItemRole.TARGET
        )
        for version in closure.incoming:
            dependencies[version.slot] = PlanItem(
                slot=version.slot,
                from_version=(closure.replaces or {}).get(version.slot, ""),
                to_version=version.version,
                role=ItemRole.DEPENDENCY,
            )
    merged = dependencies | items  # a target that another target needs stays a target
    return Plan(
        items=tuple(sorted(merged.values(), key=lambda item: item.slot)),
        dropped=tuple(dropped),
        reboot_option=reboot_option,
    )


def _objection(closure: Closure, baseline: PatchBaseline, holds: frozenset[Slot]) -> tuple[DropCode, str] | None:
    if closure.problem:
        return DropCode.UNRESOLVED, closure.problem
    if closure.removed:
        return DropCode.REMOVAL, closure.removed[0].patch_id
    blocks = baseline.rejected_patches_action is RejectedAction.BLOCK
    for version in closure.incoming:
        if blocks and listed(version, baseline.rejected_patches) is not None:
            return DropCode.BLOCKED_DEPENDENCY, version.title
        if version.slot in holds:
            return DropCode.HELD_DEPENDENCY, version.title
    return None
