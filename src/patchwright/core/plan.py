"""A Plan: the exact changes of one Install. What goes in as a target, what may come with it, and what stops it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from patchwright.core.baselines import PatchBaseline, RejectedAction
from patchwright.core.facts import NodeFacts
from patchwright.core.judgement import Judgement, PatchLine, ReasonCode
from patchwright.core.lists import listed
from patchwright.core.overrides import InstallOverrideList, Selection
from patchwright.core.patches import PackageVersion
from patchwright.core.slots import native_slot
from patchwright.core.values import FAMILY_OF, Family, PatchState, RebootOption, Slot

LIFETIME = timedelta(seconds=900)
"""Repositories move on: an older Plan is not applied. Source: decisions.md 1."""
MAX_TARGETS = 10_000
"""Three times what a node meets that missed a whole release; bounds what one run makes the store keep."""

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
    DOWNGRADE = "DOWNGRADE"
    OTHER_VERSION = "OTHER_VERSION"
    UNRESOLVED = "UNRESOLVED"
    OVERRIDE_LIST = "OVERRIDE_LIST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the server picked: exactly `version`. `from_version` may stay beside it (an rpm system's kernels)."""

    slot: Slot
    from_version: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the host's manager would install or change. `from_version` is "" for a package that comes in anew."""

    slot: Slot
    from_version: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What one target brings with it (`slot`), or several at once (`slot` is None), as the host's manager says."""

    slot: Slot | None = None
    incoming: tuple[Change, ...] = ()
    removed: tuple[Slot, ...] = ()
    problem: str = ""
    """The manager's own words if it could not resolve what was asked."""


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
class Plan:
    """Immutable and specific: no pattern, no choice left. Items are sorted by slot."""

    items: tuple[PlanItem, ...]
    dropped: tuple[DroppedTarget, ...]
    reboot_option: RebootOption

    @property
    def digest(self) -> str:
        """SHA-256 of the items' lines. Source: the worker's protocol, SettlePlan."""
        lines = sorted(
            f"{i.slot.name}\t{i.slot.arch}\t{i.from_version}\t{i.to_version}\t{i.role}\n" for i in self.items
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why something may not go in: a package's title, or the manager's words."""

    code: DropCode
    because_of: str


def targets_of(judgement: Judgement) -> tuple[PatchLine, ...]:
    """The lines that an Install goes for: MISSING or FAILED, neither held nor waiting for a gradual roll-out."""
    return tuple(
        line
        for line in judgement.lines
        if line.state in (PatchState.MISSING, PatchState.FAILED)
        and line.target is not None
        and line.reason.code not in _LEFT_ALONE
    )


def in_order(lines: Iterable[PatchLine]) -> tuple[Target, ...]:
    """The targets in the order that counts: by compliance level, then by name."""
    ranked = sorted(lines, key=lambda line: (-line.level.rank, line.slot))
    return tuple(
        Target(
            slot=line.slot,
            from_version=line.installed.version if line.installed else "",
            version=line.target.version,
        )
        for line in ranked
        if line.target is not None
    )


class Ground:
    """What the objections of one node rest on: its baseline, its holds, its versions. Remembers its answers."""

    def __init__(self, facts: NodeFacts, baseline: PatchBaseline, overrides: InstallOverrideList | None = None) -> None:
        self.native = facts.state.arch
        self._family = FAMILY_OF[facts.operating_system]
        self._baseline = baseline
        self._selection = None if overrides is None else Selection(overrides)
        # An override list stands in the place of the baseline's rejected list. Source: patch-baselines.md 5.4.
        self._blocks = overrides is None and baseline.rejected_patches_action is RejectedAction.BLOCK
        self._holds = frozenset(native_slot(slot, self.native) for slot in facts.state.holds)
        self._newest: dict[Slot, PackageVersion] = {}
        self._offers: dict[tuple[Slot, str], PackageVersion] = {}
        for item in facts.installed:
            slot = self.slot(item.package.slot)
            other = self._newest.get(slot)
            if other is None or item.package.sort_key > other.sort_key:
                self._newest[slot] = item.package
        for line in facts.upgradable:
            for offer in line.offers:
                key = self.slot(offer.slot), offer.version
                other = self._offers.get(key)
                # Two repositories may say different things of one version: a list that names either names it.
                self._offers[key] = replace(offer, notices=(*other.notices, *offer.notices)) if other else offer
        self._said: dict[Change, Objection | None] = {}

    def slot(self, slot: Slot) -> Slot:
        """The slot in native form: `all` and `noarch` are the native architecture's. Source: decisions.md 10."""
        return native_slot(slot, self.native)

    def version(self, slot: Slot, version: str) -> PackageVersion:
        """The version with what the node's repositories say of it (notices that a list may name), where they do."""
        known = self._offers.get((self.slot(slot), version))
        return known or PackageVersion(family=self._family, name=slot.name, arch=slot.arch, version=version)

    def same(self, slot: Slot, one: str, other: str) -> bool:
        """Whether two texts are one version: an rpm's epoch of 0 may be left out."""
        return one == other or self.version(slot, one).sort_key == self.version(slot, other).sort_key

    def to_change(self, change: Change) -> Objection | None:
        """What speaks against one incoming package, whoever brings it. Source: patch-baselines.md 1.7, 4.2 to 4.4."""
        if change not in self._said:
            self._said[change] = self._to_change(change)
        return self._said[change]

    def _to_change(self, change: Change) -> Objection | None:
        version = self.version(change.slot, change.version)
        slot = self.slot(change.slot)
        if self._blocks and listed(version, self._baseline.rejected_patches) is not None:
            return Objection(code=DropCode.BLOCKED_DEPENDENCY, because_of=version.title)
        if self._selection is not None and self._selection.forbids(version):
            return Objection(code=DropCode.OVERRIDE_LIST, because_of=version.title)
        if slot in self._holds:
            return Objection(code=DropCode.HELD_DEPENDENCY, because_of=version.title)
        before = self._newest.get(slot)
        beside = not change.from_version and self._family is not Family.APT
        if before is not None and not beside and version.sort_key < before.sort_key:
            return Objection(code=DropCode.DOWNGRADE, because_of=version.title)
        return None


def objection(closure: Closure, targets: Mapping[Slot, Target], ground: Ground) -> Objection | None:
    """What speaks against a closure; `targets` are all that the server picked, by native slot.

    Nothing is ever removed, downgraded or taken off a hold; under BLOCK a rejected package does not come in even as a
    dependency; a target comes in at the server's version or not at all. Source: decisions.md 3, 4.
    """
    if closure.problem:
        return Objection(code=DropCode.UNRESOLVED, because_of=closure.problem)
    # An rpm system that keeps three kernels lets the oldest go when another comes: the package itself stays.
    staying = {ground.slot(change.slot) for change in closure.incoming}
    if closure.slot is not None:
        staying.add(ground.slot(closure.slot))
    for slot in closure.removed:
        if ground.slot(slot) not in staying:
            return Objection(code=DropCode.REMOVAL, because_of=slot.patch_id)
    own = targets.get(ground.slot(closure.slot)) if closure.slot is not None else None
    coming = (Change(slot=own.slot, from_version=own.from_version, version=own.version),) if own is not None else ()
    for change in (*coming, *closure.incoming):
        target = targets.get(ground.slot(change.slot))
        if target is not None and not ground.same(change.slot, target.version, change.version):
            version = ground.version(change.slot, change.version)
            return Objection(code=DropCode.OTHER_VERSION, because_of=version.title)
        found = ground.to_change(change)
        if found is not None:
            return found
    return None


def joint_plan(
    targets: Sequence[Target],
    closure: Closure,
    dropped: Sequence[DroppedTarget],
    reboot_option: RebootOption,
    ground: Ground,
) -> Plan:
    """The Plan of a closure that nothing speaks against: the targets, and whatever else it brings, by name."""
    wanted = {ground.slot(target.slot) for target in targets}
    items = [
        PlanItem(slot=target.slot, from_version=target.from_version, to_version=target.version, role=ItemRole.TARGET)
        for target in targets
    ]
    brought = {
        (change.slot, change.version): PlanItem(
            slot=change.slot,
            from_version=change.from_version,
            to_version=change.version,
            role=ItemRole.DEPENDENCY,
        )
        for change in closure.incoming
        if ground.slot(change.slot) not in wanted
    }
    items += brought.values()
    coming = {ground.slot(item.slot) for item in items}
    return Plan(
        items=tuple(sorted(items, key=lambda item: (item.slot, item.to_version))),
        # What another target brings along after all is not left out: it can only come at the server's version.
        dropped=tuple(drop for drop in dropped if ground.slot(drop.slot) not in coming),
        reboot_option=reboot_option,
    )
