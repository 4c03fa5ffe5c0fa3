"""Pairs of an installed and an upgradable set: how a node's slots come out of them.

The usual slot has one installed version and at most one line that speaks of it. A pair where that does not hold for
all slots gets units of its own for the others, so that sums stay exact.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from patchwright.core.bulk_records import Ids, Records

PairKey = tuple[str, int, int]
"""(native architecture, installed set, upgradable set)."""
TOGETHER = 16
"""Pairs looked at in one step: their table of slots should fit the processor's cache."""


class Pairs:
    """Pairs by number; what was found of a pair is kept, since sets never change."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.numbers: dict[PairKey, int] = {}
        self.unit_sets: list[bytes] = []
        """Sets of units as native 32-bit integers; usually those of an upgradable set, shared by many pairs."""
        self._number_of_set: dict[int, int] = {}
        self._instsets: list[int] = []
        self._unit_sets: list[int] = []
        self._arrays = (np.empty(0, np.int64), np.empty(0, np.int64))
        self._places = np.empty(0, np.int32)
        self._line_places = np.empty(0, np.int32)

    def add(self, keys: Collection[PairKey]) -> None:
        """Number the pairs that are new; their sets are known."""
        new = sorted(key for key in keys if key not in self.numbers)
        for native, group in groupby(new, key=lambda key: key[0]):
            mine = list(group)
            slot_of = self._records.keys(native)
            for start in range(0, len(mine), TOGETHER):
                some = mine[start : start + TOGETHER]
                for key, units in zip(some, self._units(native, some, slot_of), strict=True):
                    self.numbers[key] = len(self._instsets)
                    self._instsets.append(key[1])
                    number = self._number_of_set.setdefault(id(units), len(self.unit_sets))
                    if number == len(self.unit_sets):
                        self.unit_sets.append(units)  # kept, so that its identity stays its own
                    self._unit_sets.append(number)

    def sets(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pair -> its installed set, and the number of its set of units."""
        if len(self._arrays[0]) < len(self._instsets):
            self._arrays = (np.asarray(self._instsets, np.int64), np.asarray(self._unit_sets, np.int64))
        return self._arrays

    def members(self, pair: int) -> tuple[Ids, Ids]:
        """The installed versions and the units of one pair."""
        installed = self._records.instsets.members(self._instsets[pair])
        return installed, np.frombuffer(self.unit_sets[self._unit_sets[pair]], np.int32)

    def _units(self, native: str, some: Sequence[PairKey], slot_of: Ids) -> list[bytes]:
        records = self._records
        found = [records.upsets[upset] for _, _, upset in some]
        versions, version_rows = records.instsets.joined([instset for _, instset, _ in some])
        lines, line_rows = _joined(found)
        own = records.owns().take(lines)
        width = int(slot_of.max(initial=0)) + 1
        slots = version_rows * width + slot_of.take(versions)
        line_slots = line_rows * width + slot_of.take(own)
        self._places = _reach(self._places, len(some) * width)
        self._line_places = _reach(self._line_places, len(some) * width)
        twice = _repeated(slots, self._places)
        spoken_twice = _repeated(line_slots, self._line_places)
        # Old entries are still in the table: a place counts only if the slot there is the one that was asked for.
        at = np.minimum(self._places.take(line_slots), max(len(slots) - 1, 0)) if len(slots) else line_slots
        strange = (slots.take(at) != line_slots) | (versions.take(at) != own) if len(slots) else line_slots >= 0
        odd = np.unique(np.concatenate([slots[twice], line_slots[spoken_twice | strange]]))
        if len(odd):
            for row, units in self._odd_rows(native, odd, (versions, slots), (lines, line_slots), width):
                found[row] = units
        return found

    def _odd_rows(
        self,
        native: str,
        odd: NDArray[np.int64],
        installed: tuple[Ids, NDArray[np.int64]],
        spoken: tuple[Ids, NDArray[np.int64]],
        width: int,
    ) -> Iterator[tuple[int, bytes]]:
        """(row, units) of each pair that has odd slots: its other lines, and a unit for each odd slot."""
        versions, slots = installed
        lines, line_slots = spoken
        members: dict[int, tuple[list[int], list[int]]] = {int(slot): ([], []) for slot in odd}
        for place in np.nonzero(_among(slots, odd))[0].tolist():
            members[int(slots[place])][0].append(int(versions[place]))
        is_odd = _among(line_slots, odd)
        for place in np.nonzero(is_odd)[0].tolist():
            members[int(line_slots[place])][1].append(int(lines[place]))
        for row in sorted({slot // width for slot in members}):
            mine = [both for slot, both in members.items() if slot // width == row]
            usual = lines[(line_slots // width == row) & ~is_odd]
            # A line of a package that is not installed says nothing.
            own = [self._records.unit_of_slot(*both, native) for both in mine if both[0]]
            yield row, np.concatenate([usual, np.asarray(own, np.int32)]).tobytes()


def _joined(blobs: Sequence[bytes]) -> tuple[Ids, NDArray[np.int64]]:
    """All numbers of some sets, and which set each belongs to."""
    lengths = [len(blob) // 4 for blob in blobs]
    return np.frombuffer(b"".join(blobs), np.int32), np.repeat(np.arange(len(blobs)), lengths)


def _reach(places: Ids, size: int) -> Ids:
    return places if len(places) >= size else np.zeros(size, np.int32)


def _repeated(slots: NDArray[np.int64], places: Ids) -> NDArray[np.bool_]:
    """Which of `slots` occur again further on. Leaves in `places` the last place of each."""
    here = np.arange(len(slots), dtype=np.int32)
    places[slots] = here
    return np.asarray(places.take(slots) != here, np.bool_)


def _among(values: NDArray[np.int64], few: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `values` are in the ascending `few`."""
    at = np.minimum(np.searchsorted(few, values), len(few) - 1)
    return np.asarray(few.take(at) == values, np.bool_)
