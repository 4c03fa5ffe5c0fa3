"""One baseline's say on every version and unit, at one day, for nodes of one product: outcomes by number.

The rules run once for each kind of version and of unit, by `judge_slot` and `count` themselves; arrays only look up.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cache
from operator import attrgetter, sub
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchwright.core.approval import Approval, Approver, Trace
from patchwright.core.baselines import RejectedAction
from patchwright.core.bulk_lists import Lists
from patchwright.core.bulk_memos import Dates, Profiles
from patchwright.core.bulk_records import Ids, Records
from patchwright.core.judge import HostHistory, count, judge_slot, levels_of
from patchwright.core.judgement import Counts
from patchwright.core.patches import PackageVersion
from patchwright.core.slots import SlotFacts, native_slot
from patchwright.core.values import LEVELS, ComplianceLevel, Family

Numbers = NDArray[np.int64]
NO_HISTORY = HostHistory(failed_reasons={})
MAX_OUTCOMES = 20_000
ANY_ENTRY = "*"
"""Stands for the entry that names a version: which one it is does not count."""
COUNTS = len(fields(Counts))
WIDTH = COUNTS + 2 * len(LEVELS)
"""Numbers of a row: the counts, then compliant and non-compliant lines by level, the highest level first."""


class CountingApprover(Approver):
    """An approver for judgements that are only counted: it may answer for a version what it said of one like it.

    Reasons are not for reading here: which noes there were is not worked out.
    """

    def remember(self, version: PackageVersion, approval: Approval) -> None:
        """Answer `approval` for `version`, which no rule can tell from the one that it was given for."""
        self._approvals[version] = approval

    def traced(self, version: PackageVersion) -> tuple[Approval, Trace]:
        return self.approval_of(version), Trace()


Outcome = tuple[int, ...]
"""What one slot adds to a node: WIDTH numbers."""
_counts_of = attrgetter(*(field.name for field in fields(Counts)))


def outcome_of(slot: SlotFacts, approver: Approver, history: HostHistory = NO_HISTORY) -> Outcome:
    """The scalar judgement of one slot, counted by the scalar counters."""
    one = judge_slot(slot, history, approver)
    counts = _counts_of(count([one.line], 0, int(one.pending_approval), approver.family))
    levels = levels_of([one.line])
    added = (number - of_none for number, of_none in zip(counts, of_nothing(approver.family), strict=True))
    return (*added, *levels.compliant, *levels.non_compliant)


@cache
def of_nothing(family: Family) -> tuple[int, ...]:
    """The counts of a node without any line: some are not 0 on some systems."""
    found: tuple[int, ...] = _counts_of(count([], 0, 0, family))
    return found


@dataclass(frozen=True, slots=True)
class _Standing:
    """All that decides what a slot adds, seen from one version's approval: reasons, texts and dates aside."""

    approved: bool
    level: ComplianceLevel
    rejected: bool
    waits: bool
    classification: str


class Steps:
    """Outcomes by how the versions of a slot stand, kept from one table to the next.

    Beside the approvals only the family and what is done with rejected patches have a say in a slot.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Family, RejectedAction, Outcome | None, _Standing], Outcome] = {}

    def outcome(
        self, approver: Approver, before: Outcome | None, standing: _Standing, make: Callable[[], Outcome]
    ) -> Outcome:
        """Of a slot that came to `before` (None: nothing is installed yet) and has one version more."""
        key = (approver.family, approver.baseline.rejected_patches_action, before, standing)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > MAX_OUTCOMES:
                self._known.clear()
            found = self._known[key] = make()
        return found


class Place(NamedTuple):
    """A slot of some pair: a unit, or an installed version that nothing speaks of."""

    is_unit: bool
    number: int


class Table:
    """`codes` says for each version, `unit_codes` for each unit, which row of `rows` or `unit_rows` it adds.

    A unit's row holds the difference that it makes: its own numbers less those of the versions that it stands for.
    `ranks` and `unit_ranks` index `instants`, its length for never: when time alone next changes a version or unit.
    """

    def __init__(
        self, records: Records, approver: CountingApprover, profiles: Profiles, lists: Lists, dates: Dates, steps: Steps
    ) -> None:
        self.approver = approver
        self._steps = steps
        self._records = records
        numbers = records.of_family(approver.family)
        kind, approvals = self._approvals(numbers, profiles, lists, dates)
        self._approvals_of_kind = approvals
        self._kind_of = np.zeros(len(records.versions), np.int32)
        self._kind_of[numbers] = kind
        self.instants: list[datetime] = sorted({a.next_change_at for a in approvals if a.next_change_at is not None})
        self.ranks = self._ranks(numbers, kind, approvals)
        self.unit_ranks = np.full(len(records.own), len(self.instants), np.int32)
        known: dict[_Standing, int] = {}
        standings = np.asarray([known.setdefault(_standing(a), len(known)) for a in approvals], np.int64)
        self._standing_of = np.zeros(len(records.versions), np.int64)
        self._standing_of[numbers] = standings[kind]
        self._standings = list(known)
        alone, self.codes = self._alone(numbers)
        differences, self.unit_codes = self._units(alone)
        self.rows, self.unit_rows = _array(alone), _array(differences)
        # Only needed on the way here, and tables are kept for a while.
        del self._standing_of, self._longer, self._states
        self._outcomes: dict[tuple[Place, frozenset[str], frozenset[str]], Outcome] = {}
        self.early = {
            unit
            for unit, versions in records.replaced.items()
            if any(self.ranks[version] < len(self.instants) for version in versions)
        }
        """Units of odd slots whose older versions would put a wrong date forward."""

    def outcome(self, place: Place, history: HostHistory) -> Outcome:
        """What one slot adds on a host with that history: nodes on which the same has failed are alike."""
        number = self._records.own[place.number] if place.is_unit else place.number
        slot = native_slot(self._records.versions[number].slot, history.native_arch)
        failed = frozenset(version for named, version in history.failed if named == slot)
        pending = frozenset(version for named, version in history.pending_reboot if named == slot)
        key = (place, failed, pending)
        if key not in self._outcomes:
            if len(self._outcomes) > MAX_OUTCOMES:
                self._outcomes.clear()
            if place.is_unit:
                seen = self._records.slot_of_unit(place.number)
                self._remember([*self._records.stands_for(place.number), *self._records.offers[place.number]])
            else:
                seen = self._records.slot_of_version(place.number)
                self._remember([place.number])
            self._outcomes[key] = outcome_of(seen, self.approver, history)
        return self._outcomes[key]

    def without_history(self, place: Place) -> Numbers:
        """What one slot adds to any host of which no history names it."""
        if not place.is_unit:
            return np.asarray(self.rows[self.codes[place.number]], np.int64)
        alone = np.sum(self.rows[self.codes[list(self._records.stands_for(place.number))]], axis=0)
        return np.asarray(self.unit_rows[self.unit_codes[place.number]] + alone, np.int64)

    def _approvals(
        self, numbers: Ids, profiles: Profiles, lists: Lists, dates: Dates
    ) -> tuple[Numbers, list[Approval]]:
        """The kind of each version, and for each kind what the baseline says of it."""
        baseline = self.approver.baseline
        seen = profiles.kinds(numbers, self.approver, dates)
        rejected = lists.named(baseline.rejected_patches, numbers, self.approver.family)
        approved = lists.named(baseline.approved_patches, numbers, self.approver.family)
        present, kind = np.unique(seen.of * 4 + rejected * 2 + approved, return_inverse=True)
        approvals = []
        for one in present.tolist():
            example, security = seen.examples[one // 4]
            approvals.append(
                self.approver.weigh(
                    example,
                    security=security,
                    rejected_entry=ANY_ENTRY if one & 2 else None,
                    approved_entry=ANY_ENTRY if one & 1 else None,
                )
            )
        return kind, approvals

    def _ranks(self, numbers: Ids, kind: Numbers, approvals: list[Approval]) -> Ids:
        rank: dict[datetime | None, int] = {instant: place for place, instant in enumerate(self.instants)}
        of_kind = np.asarray([rank.get(a.next_change_at, len(rank)) for a in approvals], np.int32)
        ranks = np.full(len(self._records.versions), len(rank), np.int32)
        ranks[numbers] = of_kind[kind]
        return ranks

    def _alone(self, numbers: Ids) -> tuple[list[Outcome], Ids]:
        """Outcomes of installed versions that nothing speaks of, and the code of each version."""
        known: dict[Outcome, int] = {}
        mine = self._standing_of.take(numbers)
        present, first = np.unique(mine, return_index=True)
        code_of = np.zeros(len(self._standings), np.int32)
        for standing, at in zip(present.tolist(), first.tolist(), strict=True):

            def alone(number: int = int(numbers[at])) -> Outcome:
                self._remember([number])
                return outcome_of(self._records.slot_of_version(number), self.approver)

            outcome = self._steps.outcome(self.approver, None, self._standings[standing], alone)
            code_of[standing] = known.setdefault(outcome, len(known))
        codes = np.zeros(len(self._standing_of), np.int32)
        codes[numbers] = code_of.take(mine)
        return list(known), codes

    def _units(self, alone: list[Outcome]) -> tuple[list[Outcome], Ids]:
        records, family = self._records, self.approver.family
        known: dict[Outcome, int] = {}
        codes = np.zeros(len(records.own), np.int32)
        self._longer: dict[tuple[int, int], int] = {}
        self._states: dict[Outcome, int] = {outcome: code for code, outcome in enumerate(alone)}
        for units, versions in records.units_by_length(family):
            own, state = self.codes[versions[:, 0]], self._fold(units, versions)
            outcomes = list(self._states)
            kind, inverse = np.unique(own.astype(np.int64) * len(outcomes) + state, return_inverse=True)
            differences = [
                _less(outcomes[one % len(outcomes)], [alone[one // len(outcomes)]], known) for one in kind.tolist()
            ]
            codes[units] = np.asarray(differences, np.int32)[inverse]
            self.unit_ranks[units] = self.ranks[versions].min(axis=1)
        for unit in records.units_by_themselves(family):
            self._remember([*records.stands_for(unit), *records.offers[unit]])
            outcome = outcome_of(records.slot_of_unit(unit), self.approver)
            codes[unit] = _less(outcome, [alone[self.codes[v]] for v in records.stands_for(unit)], known)
            self.unit_ranks[unit] = min(self.ranks[version] for version in (records.own[unit], *records.offers[unit]))
        return list(known), codes

    def _remember(self, numbers: list[int]) -> None:
        for number in numbers:
            self.approver.remember(self._records.versions[number], self._approvals_of_kind[self._kind_of[number]])

    def _fold(self, units: Ids, versions: Ids) -> Numbers:
        """What the slots of units with equally many offers come to, offer by offer in ascending order.

        What a slot comes to with one more offer follows from what it came to without it and from how that offer
        stands: so the rules run once for each such step, on a slot where it occurs.
        """
        state = self.codes[versions[:, 0]].astype(np.int64)
        for column in range(1, versions.shape[1]):
            kind = state * len(self._standings) + self._standing_of[versions[:, column]]
            present, first, inverse = np.unique(kind, return_index=True, return_inverse=True)
            steps = [divmod(one, len(self._standings)) for one in present.tolist()]
            outcomes = list(self._states)
            for step, at in zip(steps, first.tolist(), strict=True):
                if step not in self._longer:

                    def longer(at: int = at, column: int = column) -> Outcome:
                        slot = self._records.slot_of_unit(int(units[at]))
                        self._remember(versions[at].tolist())
                        return outcome_of(replace(slot, offers=slot.offers[:column]), self.approver)

                    before, standing = outcomes[step[0]], self._standings[step[1]]
                    outcome = self._steps.outcome(self.approver, before, standing, longer)
                    self._longer[step] = self._states.setdefault(outcome, len(self._states))
            state = np.asarray([self._longer[step] for step in steps], np.int64)[inverse]
        return state


def _less(outcome: Outcome, others: list[Outcome], known: dict[Outcome, int]) -> int:
    """The number of a difference."""
    numbers = outcome
    for other in others:
        numbers = tuple(map(sub, numbers, other))
    return known.setdefault(numbers, len(known))


def _standing(approval: Approval) -> _Standing:
    return _Standing(
        approval.approved,
        approval.level,
        approval.rejected_entry is not None,
        bool(approval.pending),
        approval.classification,
    )


def _array(outcomes: list[Outcome]) -> NDArray[np.float64]:
    return np.asarray(outcomes, np.float64).reshape(len(outcomes), WIDTH)
