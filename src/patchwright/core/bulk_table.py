"""One baseline's say on every version and unit, at one day, for nodes of one product: outcomes by number.

The rules run once for each kind of version and of unit, by `judge_slot` and `count` themselves; arrays only look up.
"""

from collections.abc import Hashable
from dataclasses import astuple, dataclass, fields
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from patchwright.core.approval import Approval, Approver
from patchwright.core.bulk_memos import Lists, Profiles
from patchwright.core.bulk_records import Ids, Records
from patchwright.core.judge import HostHistory, count, judge_slot, levels_of
from patchwright.core.judgement import Counts
from patchwright.core.slots import SlotFacts
from patchwright.core.values import LEVELS, ComplianceLevel, Family

Numbers = NDArray[np.int64]
NO_HISTORY = HostHistory(failed_reasons={})
COUNTS = len(fields(Counts))
WIDTH = COUNTS + 2 * len(LEVELS)
"""Numbers of a row: the counts, then compliant and non-compliant lines by level, the highest level first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one slot adds to a node: numbers in the order of Counts and Levels, and when time may change it."""

    numbers: tuple[int, ...]
    next_change_at: datetime | None


def outcome_of(slot: SlotFacts, approver: Approver, history: HostHistory = NO_HISTORY) -> Outcome:
    """The scalar judgement of one slot, counted by the scalar counters."""
    one = judge_slot(slot, history, approver)
    counts = count([one.line], 0, int(one.pending_approval), approver.family)
    added = (number - of_none for number, of_none in zip(astuple(counts), of_nothing(approver.family), strict=True))
    levels = levels_of([one.line])
    return Outcome((*added, *levels.compliant, *levels.non_compliant), one.next_change_at)


def of_nothing(family: Family) -> tuple[int, ...]:
    """The counts of a node without any line: some are not 0 on some systems."""
    return astuple(count([], 0, 0, family))


@dataclass(frozen=True, slots=True)
class _Standing:
    """All that `judge_slot` sees of an approval, reasons and texts aside: versions of one standing are alike to it."""

    approved: bool
    level: ComplianceLevel
    rejected: bool
    waits: bool
    next_change_at: datetime | None
    classification: str


def _standing(approval: Approval) -> _Standing:
    return _Standing(
        approval.approved,
        approval.level,
        approval.rejected_entry is not None,
        bool(approval.pending),
        approval.next_change_at,
        approval.classification,
    )


class Table:
    """`codes` says for each version, `unit_codes` for each unit, which row of `rows` or `unit_rows` it adds.

    A unit's row holds the difference that it makes: its own numbers less those of the versions that it stands for.
    """

    def __init__(
        self, records: Records, approver: Approver, profiles: Profiles, lists: Lists, catalogue_key: Hashable
    ) -> None:
        self.approver = approver
        self._records = records
        numbers = records.of_family(approver.family)
        self._standings: list[_Standing] = []
        standing_of = self._judge_versions(numbers, profiles, lists, catalogue_key)
        outcomes, self.codes = self._alone(numbers, standing_of)
        unit_outcomes, difference_of = self._units(standing_of, outcomes)
        instants = {o.next_change_at for o in (*outcomes, *unit_outcomes)} - {None}
        self.instants: list[datetime] = sorted(i for i in instants if i is not None)
        self.rows, self.ranks = self._arrays(outcomes)
        self.unit_rows, self.unit_ranks = self._arrays(unit_outcomes)
        self.unit_codes = difference_of
        never = len(self.instants)
        self.early = {
            unit
            for unit, versions in records.replaced.items()
            if any(self.ranks[self.codes[version]] < never for version in versions)
        }
        """Units of odd slots whose older versions would put a wrong date forward."""

    def _judge_versions(
        self, numbers: Ids, profiles: Profiles, lists: Lists, catalogue_key: Hashable
    ) -> NDArray[np.int64]:
        approver, versions = self.approver, self._records.versions
        profile = profiles.of(numbers, approver.product, approver.catalogue, catalogue_key).astype(np.int64)
        rejected = lists.named(approver.baseline.rejected_patches, numbers)
        approved = lists.named(approver.baseline.approved_patches, numbers)
        _, first, kind = np.unique(profile * 4 + rejected * 2 + approved, return_index=True, return_inverse=True)
        known: dict[_Standing, int] = {}
        of_kind = [
            known.setdefault(_standing(approver.approval_of(versions[number])), len(known))
            for number in numbers[first].tolist()
        ]
        self._standings = list(known)
        standing_of = np.zeros(len(versions), np.int64)
        standing_of[numbers] = np.asarray(of_kind, np.int64)[kind]
        return standing_of

    def _alone(self, numbers: Ids, standing_of: Numbers) -> tuple[list[Outcome], Ids]:
        """Outcomes of installed versions that nothing speaks of, and the code of each version."""
        known: dict[Outcome, int] = {}
        mine = standing_of.take(numbers)
        present, first = np.unique(mine, return_index=True)
        code_of = np.zeros(len(self._standings), np.int32)
        for standing, at in zip(present.tolist(), first.tolist(), strict=True):
            outcome = outcome_of(self._records.slot_of_version(int(numbers[at])), self.approver)
            code_of[standing] = known.setdefault(outcome, len(known))
        codes = np.zeros(len(standing_of), np.int32)
        codes[numbers] = code_of.take(mine)
        return list(known), codes

    def _units(self, standing_of: Numbers, alone: list[Outcome]) -> tuple[list[Outcome], Ids]:
        records = self._records
        known: dict[Outcome, int] = {}
        codes = np.zeros(len(records.own), np.int32)
        for units, versions in records.units_by_length(self.approver.family):
            kind = _kinds(standing_of[versions], len(self._standings))
            _, first, inverse = np.unique(kind, return_index=True, return_inverse=True)
            of_kind = [self._difference(int(units[at]), alone, known) for at in first]
            codes[units] = np.asarray(of_kind, np.int32)[inverse]
        for unit in records.units_by_themselves(self.approver.family):
            codes[unit] = self._difference(unit, alone, known)
        return list(known), codes

    def _difference(self, unit: int, alone: list[Outcome], known: dict[Outcome, int]) -> int:
        outcome = outcome_of(self._records.slot_of_unit(unit), self.approver)
        less = [alone[self.codes[version]].numbers for version in self._records.stands_for(unit)]
        numbers = tuple(own - sum(others) for own, *others in zip(outcome.numbers, *less, strict=True))
        return known.setdefault(Outcome(numbers, outcome.next_change_at), len(known))

    def _arrays(self, outcomes: list[Outcome]) -> tuple[NDArray[np.float64], Ids]:
        rank = {instant: place for place, instant in enumerate(self.instants)}
        rows = np.asarray([outcome.numbers for outcome in outcomes], np.float64).reshape(len(outcomes), WIDTH)
        ranks = [rank[o.next_change_at] if o.next_change_at is not None else len(rank) for o in outcomes]
        return rows, np.asarray(ranks, np.int32)


def _kinds(standings: Numbers, base: int) -> Numbers:
    """A number per row that is the same for equal rows and for no others."""
    kind = standings[:, 0]
    for column in standings.T[1:]:
        if kind.max(initial=0) >= 2**62 // max(base, 1):
            kind = np.unique(kind, return_inverse=True)[1]
        kind = kind * base + column
    return kind
