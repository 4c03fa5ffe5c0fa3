"""What a fleet has in common, in memory: package versions, upgradable lines and sets, each once, as dense numbers.

A cache of what the store holds: immutable records under the store's ids, renumbered from 0 so that arrays stay small.
No rule is in here but through `slots_of`, which says what a slot holds.
Source: judging.md 4 and 9.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchwright.core.bulk_sets import PackedSets
from patchwright.core.facts import HostState, InstalledPackage, NodeFacts, UpgradeLine
from patchwright.core.patches import PackageVersion
from patchwright.core.slots import SlotFacts, native_slot, slots_of
from patchwright.core.values import Family, OperatingSystem, Slot

Ids = NDArray[np.int32]
UNKNOWN = -1


class Numbering:
    """Ids of the store -> dense numbers, by array: a whole set is translated at once."""

    def __init__(self) -> None:
        self._dense: Ids = np.full(1, UNKNOWN, np.int32)
        self.count = 0

    def unknown(self, ids: NDArray[Any]) -> NDArray[Any]:
        """Those of `ids` that have no number yet, each once, ascending."""
        if not len(ids):
            return ids
        self._reach(int(ids.max()))
        return np.unique(ids[self._dense.take(ids) == UNKNOWN])

    def add(self, ids: Sequence[int]) -> None:
        """Number new ids in the order given."""
        if len(ids):
            self._reach(max(ids))
            self._dense[np.asarray(ids)] = np.arange(self.count, self.count + len(ids), dtype=np.int32)
            self.count += len(ids)

    def dense(self, ids: NDArray[Any]) -> Ids:
        """The numbers of known ids, in their order."""
        return self._dense.take(ids)

    def one(self, id: int) -> int:
        """The number of one known id."""
        return int(self._dense[id])

    def _reach(self, highest: int) -> None:
        if highest >= len(self._dense):
            grown = np.full(highest + 1 + highest // 4, UNKNOWN, np.int32)
            grown[: len(self._dense)] = self._dense
            self._dense = grown


class Records:
    """Versions, units and sets. A unit is a slot that more than one record has a say in.

    Most units are lines: an installed version with newer ones on offer. The others are slots with several installed
    versions (kernels, or one package as `noarch` and native): `replaced` names the versions that it stands for.
    """

    def __init__(self) -> None:
        self.versions: list[PackageVersion] = []
        self.version_numbers = Numbering()
        self.line_numbers = Numbering()
        self.own: list[int] = []
        """Unit -> its newest installed version."""
        self.offers: list[tuple[int, ...]] = []
        """Unit -> the versions on offer that are newer than `own`, ascending."""
        self.tied: set[int] = set()
        """Units with offers of equal version: their order is not enough to tell the best."""
        self.replaced: dict[int, tuple[int, ...]] = {}
        """Unit of an odd slot -> the installed versions that it stands for; any other unit stands for `own`."""
        self.spoken_of: dict[int, tuple[int, ...]] = {}
        """Unit of an odd slot -> the lines that speak of it."""
        self._natives: dict[int, str] = {}
        self._by_length: dict[Family, tuple[int, list[tuple[Ids, Ids]]]] = {}
        self._offered: list[tuple[int, ...]] = []
        """Line unit -> all versions on offer, for slots whose newest version is not the line's."""
        self._units_of_slots: dict[tuple[tuple[int, ...], tuple[int, ...], str], int] = {}
        self._line_units: list[int] = []
        self._unit_of_line: Ids | None = None
        self._slot_numbers: dict[str, dict[Slot, int]] = {}
        self._keys: dict[str, Ids] = {}
        self._owns = np.empty(0, np.int32)
        self._families: dict[Family, tuple[int, Ids]] = {}
        self.instsets = PackedSets()
        self.upsets: dict[int, bytes] = {}
        self._upset_bytes = 0

    @property
    def size(self) -> tuple[int, int]:
        """How many versions and units there are: tables made at another size do not speak of all of them."""
        return len(self.versions), len(self.own)

    @property
    def weight(self) -> int:
        """About how many bytes the sets take."""
        return self.instsets.bytes + self._upset_bytes

    def add_versions(self, versions: Mapping[int, PackageVersion]) -> None:
        """Records of the store by id, all of them new."""
        self.version_numbers.add(list(versions))
        self.versions += versions.values()

    def add_lines(self, lines: Sequence[tuple[int, int, Ids]]) -> None:
        """New lines as (id, installed version's id, offers' ids); their versions are known."""
        self.line_numbers.add([line[0] for line in lines])
        for _, installed, offered in lines:
            own = int(self.version_numbers.dense(np.asarray([installed]))[0])
            offers = tuple(int(number) for number in self.version_numbers.dense(offered))
            line = UpgradeLine(installed=self.versions[own], offers=tuple(self.versions[number] for number in offers))
            (slot,) = slots(([InstalledPackage(package=self.versions[own])], [line]), "")
            self._line_units.append(self._add_unit(slot, (own, *offers)))
        self._unit_of_line = None

    def _add_unit(self, slot: SlotFacts, numbers: tuple[int, ...]) -> int:
        """`numbers`: the versions that may be in the slot; the first is a line's own, the others are on offer."""
        by_identity = {id(self.versions[number]): number for number in numbers}
        unit = len(self.own)
        self.own.append(by_identity[id(slot.installed)])
        self.offers.append(tuple(by_identity[id(offer)] for offer in slot.offers))
        self._offered.append(numbers[1:])
        if len({offer.sort_key for offer in slot.offers}) < len(slot.offers):
            self.tied.add(unit)
        return unit

    def add_instset(self, set_id: int, ids: bytes) -> None:
        """A set of installed versions: ids of the store as native 32-bit integers."""
        self.instsets.add(set_id, self.version_numbers.dense(np.frombuffer(ids, np.int32)))

    def add_upset(self, set_id: int, ids: bytes) -> None:
        """A set of upgradable lines, kept as units."""
        if self._unit_of_line is None:
            self._unit_of_line = np.asarray(self._line_units, np.int32)
        lines = self.line_numbers.dense(np.frombuffer(ids, np.int32))
        self.upsets[set_id] = self._unit_of_line.take(lines).tobytes() if len(lines) else b""
        self._upset_bytes += len(ids) + 100

    def keys(self, native: str) -> Ids:
        """Version -> number of its slot, as hosts of that architecture see it. Source: decisions.md 10."""
        known = self._keys.get(native)
        if known is None or len(known) < len(self.versions):
            numbers = self._slot_numbers.setdefault(native, {})
            before = [] if known is None else [known]
            new = [
                numbers.setdefault(native_slot(version.slot, native), len(numbers))
                for version in self.versions[sum(map(len, before)) :]
            ]
            known = self._keys[native] = np.concatenate([*before, np.asarray(new, np.int32)])
        return known

    def owns(self) -> Ids:
        """Unit -> its newest installed version, as an array."""
        if len(self._owns) < len(self.own):
            self._owns = np.asarray(self.own, np.int32)
        return self._owns

    def of_family(self, family: Family) -> Ids:
        """The versions of one family, ascending."""
        counted, numbers = self._families.get(family, (0, np.empty(0, np.int32)))
        if counted < len(self.versions):
            new = [n for n, version in enumerate(self.versions[counted:], counted) if version.family is family]
            numbers = np.concatenate([numbers, np.asarray(new, np.int32)])
            self._families[family] = (len(self.versions), numbers)
        return numbers

    def slot_number(self, slot: Slot, native: str) -> int | None:
        """The number that `keys` has for a slot, None if no version is of it."""
        self.keys(native)
        return self._slot_numbers[native].get(native_slot(slot, native))

    def stands_for(self, unit: int) -> tuple[int, ...]:
        """The installed versions of the unit's slot."""
        return self.replaced.get(unit) or (self.own[unit],)

    def slot_of_unit(self, unit: int) -> SlotFacts:
        """A unit as the scalar rules see it."""
        parts = self.parts(self.stands_for(unit), self.spoken_of.get(unit, (unit,)))
        (slot,) = slots(parts, self._natives.get(unit, ""))
        return slot

    def units_by_length(self, family: Family) -> list[tuple[Ids, Ids]]:
        """The family's usual units grouped by the number of their offers: units, and their versions a row each.

        A row holds the installed version and then the offers, ascending.
        """
        counted, found = self._by_length.get(family, (0, []))
        if counted < len(self.own):
            groups: dict[int, list[int]] = {}
            for unit, offers in enumerate(self.offers):
                if self._is_usual(unit) and self.versions[self.own[unit]].family is family:
                    groups.setdefault(len(offers), []).append(unit)
            found = [
                (np.asarray(units, np.int32), np.asarray([(self.own[u], *self.offers[u]) for u in units], np.int32))
                for units in groups.values()
            ]
            self._by_length[family] = (len(self.own), found)
        return found

    def units_by_themselves(self, family: Family) -> list[int]:
        """The family's units of odd slots, and those whose offers' order is not all that tells them apart."""
        some = self.tied | self.replaced.keys()
        return [unit for unit in some if self.versions[self.own[unit]].family is family]

    def _is_usual(self, unit: int) -> bool:
        return unit not in self.tied and unit not in self.replaced

    def slot_of_version(self, number: int) -> SlotFacts:
        """The slot of an installed version that nothing else speaks of."""
        (slot,) = slots(self.parts((number,), ()), "")
        return slot

    def unit_of_slot(self, installed: Sequence[int], units: Sequence[int], native: str) -> int:
        """The unit of a slot in which these versions are installed, and of which these line units speak."""
        key = (tuple(sorted(installed)), tuple(sorted(units)), native)
        known = self._units_of_slots.get(key)
        if known is None:
            (slot,) = slots(self.parts(installed, units), native)
            numbers = (*installed, *(offer for unit in units for offer in self._offered[unit]))
            known = self._units_of_slots[key] = self._add_unit(slot, numbers)
            self.replaced[known], self.spoken_of[known], self._natives[known] = key
        return known

    def parts(self, installed: Iterable[int], units: Iterable[int]) -> tuple[list[InstalledPackage], list[UpgradeLine]]:
        """Packages and lines as a node would report them, from versions and line units."""
        lines = [
            UpgradeLine(
                installed=self.versions[self.own[unit]],
                offers=tuple(self.versions[number] for number in self._offered[unit]),
            )
            for unit in units
        ]
        return [InstalledPackage(package=self.versions[number]) for number in installed], lines


def slots(parts: tuple[Sequence[InstalledPackage], Sequence[UpgradeLine]], native: str) -> tuple[SlotFacts, ...]:
    """What `slots_of` makes of some packages and lines of a host with that architecture."""
    facts = NodeFacts(
        operating_system=OperatingSystem.DEBIAN,  # slots are the same on every system
        product="",
        installed=tuple(parts[0]),
        upgradable=tuple(parts[1]),
        state=HostState(manager="", arch=native),
    )
    return slots_of(facts)
