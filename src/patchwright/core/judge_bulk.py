"""judge() for a whole fleet: the same counts, levels, statuses and dates, by adding up what slots contribute.

Array code here only looks up, adds and takes minima. What a slot contributes comes from the scalar rules
(`bulk_table`), and a node whose history has a say in some slots gets those judged by the scalar rules again.
Source: judging.md 5 and 9.
"""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchwright.core.bulk_lists import Lists
from patchwright.core.bulk_memos import NEVER_DATED, Dates, Profiles
from patchwright.core.bulk_pairs import Pairs
from patchwright.core.bulk_records import Ids, Records
from patchwright.core.bulk_table import COUNTS, WIDTH, CountingApprover, Numbers, Place, Steps, Table, of_nothing
from patchwright.core.facts import HostState, NodeFacts
from patchwright.core.judge import host_history
from patchwright.core.judgement import Counts, History, Levels
from patchwright.core.values import LEVELS, ComplianceLevel, ComplianceStatus, OperatingSystem, Slot

CHUNK = 200_000
"""Ids in one step: its arrays should stay in the processor's cache."""
CELLS = 1_000_000
MAX_TABLES = 16


@dataclass(frozen=True, slots=True)
class Totals:
    """A row per pair: `numbers` in the order of Counts and Levels, `ranks` index `instants` (its length: never)."""

    numbers: Numbers
    ranks: Ids
    instants: Sequence[datetime]


class BulkJudge:
    """What a judging process keeps between judgements. All of it is a cache: drop it and it is made again."""

    def __init__(self) -> None:
        self.records = Records()
        self.pairs = Pairs(self.records)
        self._profiles = Profiles(self.records)
        self._lists = Lists(self.records)
        self._steps = Steps()
        self._tables: dict[Hashable, Table] = {}

    def table(self, approver: CountingApprover, *, baseline_key: Hashable, dates: Dates = NEVER_DATED) -> Table:
        """The table of `approver`. `baseline_key` tells baselines and their versions apart, `dates` its catalogue.

        Approvals change at 00:00Z only (decisions.md 14), so one table serves all instants of a day.
        """
        day = approver.now.astimezone(UTC).date()
        key = (baseline_key, dates.key, dates.size, approver.product, approver.waits, day, *self.records.size)
        found = self._tables.pop(key, None)
        if found is None:
            found = Table(self.records, approver, self._profiles, self._lists, dates, self._steps)
        self._tables[key] = found
        if len(self._tables) > MAX_TABLES:
            del self._tables[next(iter(self._tables))]
        return found

    def judge(self, table: Table, pairs: Sequence[int] | Ids) -> Totals:
        """The judgement of each pair, without any history."""
        records, never = self.records, len(table.instants)
        chosen = np.asarray(pairs, np.int64)
        instset_of, unit_set_of = self.pairs.sets()
        sets, set_of = np.unique(instset_of.take(chosen), return_inverse=True)
        numbers, ranks = np.zeros((len(sets), WIDTH), np.int64), np.full(len(sets), never, np.int32)
        for start, parts in records.instsets.parts(sets.tolist()):
            some, least = _sums(parts, np.uint16, table.codes[start:], table.rows, table.ranks[start:], never)
            numbers += some
            ranks = np.minimum(ranks, least)
        sets, blob_of = np.unique(unit_set_of.take(chosen), return_inverse=True)
        blobs = [self.pairs.unit_sets[number] for number in sets.tolist()]
        more, unit_ranks = _sums(blobs, np.int32, table.unit_codes, table.unit_rows, table.unit_ranks, never)
        ranks = np.minimum(ranks.take(set_of), unit_ranks.take(blob_of))
        if table.early:
            wrong = _with_any(blobs, table.early)
            for place in np.nonzero(wrong.take(blob_of))[0].tolist():
                ranks[place] = self._rank_without_older(table, int(pairs[place]))
        total = numbers.take(set_of, axis=0)
        total += more.take(blob_of, axis=0)
        total[:, :COUNTS] += np.asarray(of_nothing(table.approver.family), np.int64)
        return Totals(total, ranks, table.instants)

    def _rank_without_older(self, table: Table, pair: int) -> int:
        """The earliest change of a pair, older versions of odd slots left aside: the judge looks at the newest only."""
        installed, units = self.pairs.members(pair)
        older = [version for unit in units.tolist() for version in self.records.replaced.get(unit, ())]
        kept = installed[~np.isin(installed, older)]
        return min(
            int(table.ranks.take(kept).min(initial=len(table.instants))),
            int(table.unit_ranks.take(units).min(initial=len(table.instants))),
        )

    def correction(self, table: Table, pair: int, history: History, native: str, boot_id: str) -> Numbers:
        """What a node's history changes in its pair's numbers: the slots that it names are judged again.

        History never moves a date: what waits, waits with or without it.
        """
        seen = host_history(history, _host(native, boot_id))
        changed = np.zeros(WIDTH, np.int64)
        for place in self._slots_named(pair, native, {named for named, _ in (*seen.failed, *seen.pending_reboot)}):
            changed += np.asarray(table.outcome(place, seen)) - table.without_history(place)
        return changed

    def _slots_named(self, pair: int, native: str, named: Collection[Slot]) -> Iterator[Place]:
        """The pair's slots among `named`."""
        records = self.records
        wanted = [number for slot in named if (number := records.slot_number(slot, native)) is not None]
        slot_of = records.keys(native)
        installed, units = self.pairs.members(pair)
        told: set[int] = set()
        for unit in units[_any_of(slot_of.take(records.owns().take(units)), wanted)].tolist():
            told.update(records.stands_for(unit))
            yield Place(True, unit)
        for number in installed[_any_of(slot_of.take(installed), wanted)].tolist():
            if number not in told:
                yield Place(False, number)


def statuses(numbers: Numbers) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """For each row whether any line is non-compliant, and the highest level of those as an index of LEVELS."""
    guilty = numbers[:, COUNTS + len(LEVELS) :] > 0
    any_guilty = np.asarray(guilty.any(axis=1), np.bool_)
    lowest = LEVELS.index(ComplianceLevel.UNSPECIFIED)
    return any_guilty, np.where(any_guilty, guilty.argmax(axis=1), lowest)


def summary(numbers: Sequence[int]) -> tuple[Counts, Levels, ComplianceStatus, ComplianceLevel]:
    """One row of Totals in the words of a Judgement."""
    guilty, level = statuses(np.asarray([numbers], np.int64))
    plain = [int(number) for number in numbers]
    return (
        _counts(plain[:COUNTS]),
        Levels(
            compliant=tuple(plain[COUNTS : COUNTS + len(LEVELS)]), non_compliant=tuple(plain[COUNTS + len(LEVELS) :])
        ),
        ComplianceStatus.NON_COMPLIANT if guilty[0] else ComplianceStatus.COMPLIANT,
        LEVELS[int(level[0])],
    )


def _counts(numbers: Sequence[int]) -> Counts:
    return Counts(**{field.name: number for field, number in zip(fields(Counts), numbers, strict=True)})


def _host(native: str, boot_id: str) -> NodeFacts:
    """As much of a host as its history is narrowed by."""
    state = HostState(manager="", arch=native, boot_id=boot_id)
    return NodeFacts(operating_system=OperatingSystem.DEBIAN, product="", installed=(), upgradable=(), state=state)


def _any_of(values: Ids, few: Collection[int]) -> NDArray[np.bool_]:
    """Which of `values` are among a handful of numbers."""
    found = np.zeros(len(values), np.bool_)
    for number in few:
        found |= values == number
    return found


def _with_any(blobs: Sequence[bytes], units: set[int]) -> NDArray[np.bool_]:
    return np.asarray([not units.isdisjoint(np.frombuffer(blob, np.int32).tolist()) for blob in blobs], np.bool_)


def _sums(
    blobs: Sequence[bytes],
    form: type[np.uint16] | type[np.int32],
    codes: Ids,
    rows: NDArray[np.float64],
    ranks: Ids,
    never: int,
) -> tuple[Numbers, Ids]:
    """For each set the sum of its members' rows, and the least of their ranks."""
    kinds = len(rows)
    numbers = np.zeros((len(blobs), WIDTH), np.int64)
    least = np.full(len(blobs), never, np.int32)
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs)) // np.dtype(form).itemsize
    for first, last in _steps(lengths, kinds) if kinds else ():
        ids: NDArray[np.integer[Any]] = np.frombuffer(b"".join(blobs[first:last]), form)
        some, mine = last - first, lengths[first:last]
        cells = np.repeat(np.arange(0, some * kinds, kinds), mine)
        cells += codes.take(ids)
        found = np.bincount(cells, minlength=some * kinds).reshape(some, kinds)
        numbers[first:last] = found @ rows
        if never and len(ids):
            # An empty segment would answer its neighbour's first member instead of nothing.
            filled = np.nonzero(mine)[0]
            starts = (np.cumsum(mine) - mine)[filled]
            least[first + filled] = np.minimum.reduceat(ranks.take(ids), starts)
    return numbers, least


def _steps(lengths: NDArray[np.int64], kinds: int) -> Iterator[tuple[int, int]]:
    """Cut sets into steps of about CHUNK ids, and of no more than CELLS counters."""
    ends, first = np.cumsum(lengths), 0
    while first < len(lengths):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + CHUNK)) + 1
        last = min(last, first + max(1, CELLS // kinds), len(lengths))
        yield first, last
        first = last
