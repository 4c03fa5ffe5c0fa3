"""Memo tables around the scalar rules, kept from one judgement to the next: what a rule sees of each version.

No rule is here: every answer comes from the function that the plain judge calls. Source: judging.md 9.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from patchwright.core.approval import Approver, Seen, described, facets_match, rule_hit
from patchwright.core.baselines import PatchBaseline
from patchwright.core.bulk_records import UNKNOWN, Ids, Records
from patchwright.core.filters import Facets, facets_of
from patchwright.core.judgement import Catalogue, ReleaseSource
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.releases import Release, release_of

MAX_LISTS = 128
MAX_VIEWS = 64
Number = TypeVar("Number", np.int8, np.int32)
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dates:
    """Which first-seen times a catalogue has. With one `key` times are only added, never changed.

    `size`: how many there are. `settled`: versions of which no time can be added any more, None for all of them.
    """

    key: Hashable
    size: int = 0
    settled: Bools | None = None


NEVER_DATED = Dates(None)


class View:
    """What versions look like on nodes of one product: a profile is a tuple of descriptions, one per notice.

    A description is (facets, words, release day), each by number.
    """

    def __init__(self) -> None:
        self.known: Ids = np.empty(0, np.int32)
        self.profiles: dict[tuple[int, ...], int] = {}
        self.descriptions: dict[tuple[int, int, int], int] = {}
        self.facets: dict[Facets, int] = {}
        self.words: dict[tuple[str, str], int] = {}
        self.days: dict[date | None, int] = {}
        self._matches: dict[Hashable, dict[Facets, tuple[int, ...]]] = {}

    def number(self, version: PackageVersion, product: str, catalogue: Catalogue) -> int:
        """The profile of a version."""
        found = []
        for facets, notice in facets_of(version, product):
            words, day = described(version, facets, notice), _release_day(version, notice, catalogue)
            description = (
                self.facets.setdefault(facets, len(self.facets)),
                self.words.setdefault(words, len(self.words)),
                self.days.setdefault(day, len(self.days)),
            )
            found.append(self.descriptions.setdefault(description, len(self.descriptions)))
        return self.profiles.setdefault(tuple(found), len(self.profiles))

    def _matched(self, baseline: PatchBaseline) -> dict[Facets, tuple[int, ...]]:
        """`facets_match` of all facets; remembered for baselines that differ in levels, waits and lists alone."""
        asked = tuple((rule.filters, rule.enable_non_security) for rule in baseline.rules)
        key = (baseline.operating_system, baseline.global_filters, asked)
        if len(self._matches) > MAX_LISTS:
            self._matches.clear()
        known = self._matches.setdefault(key, {})
        for facets in self.facets:
            if facets not in known:
                known[facets] = facets_match(facets, baseline)
        return known

    def kinds(self, approver: Approver) -> "Kinds":
        """Profiles between which the baseline can't tell on that day are of one kind."""
        baseline = approver.baseline
        matched_by = self._matched(baseline)
        rules = _interned([(matched_by[facets], facets.security) for facets in self.facets])
        releases = [_release_on(day) for day in self.days]
        effects = _interned([_effect(release, approver) for release in releases])
        rows = np.asarray(list(self.descriptions), np.int64).reshape(-1, 3)
        felt = _felt(rules.values, effects.values)
        combined = rules.of[rows[:, 0]] * len(effects.values) + effects.of[rows[:, 2]]
        combined = np.asarray(felt, np.int64).take(combined) * len(self.words) + rows[:, 1]
        present, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
        words, singles, alike, seen = list(self.words), [], [], []
        for one, (facets_number, _, day) in zip(present.tolist(), rows[first].tolist(), strict=True):
            matched, security = rules.values[rules.of[facets_number]]
            classification, severity = words[one % len(words)]
            # The vendor's severity only decides between several notices.
            singles.append((one // len(words), classification))
            alike.append((one // len(words), classification, severity))
            seen.append((Seen(matched, releases[day], classification, severity), security))
        single, several = _interned(singles), _interned(alike)
        of_single, of_several = single.of[inverse], several.of[inverse]
        number = np.asarray([p[0] if len(p) == 1 else UNKNOWN for p in self.profiles], np.int64)
        of_profile = np.where(number != UNKNOWN, of_single.take(number, mode="wrap"), 0)
        examples: list[tuple[list[Seen], bool]] = [([], False)] * len(single.values)
        for place, kind in enumerate(single.of.tolist()):
            examples[kind] = ([seen[place][0]], seen[place][1])
        known: dict[tuple[int, ...], int] = {}
        for profile, descriptions in enumerate(self.profiles):
            if len(descriptions) > 1:
                kind = tuple(int(of_several[description]) for description in descriptions)
                of_profile[profile] = known.setdefault(kind, len(examples))
                if of_profile[profile] == len(examples):
                    parts = [seen[int(inverse[description])] for description in descriptions]
                    examples.append(([part for part, _ in parts], parts[0][1]))
        return Kinds(of_profile, examples)


def _felt(rules: Sequence[tuple[tuple[int, ...], bool]], effects: Sequence[tuple[object, ...]]) -> list[int]:
    """For each pair of what matches and what a day means a number: a day has a say through the rules that match."""
    known: dict[object, int] = {}
    return [
        known.setdefault((matched, security, tuple(effect[rule - 1] for rule in matched)), len(known))
        for matched, security in rules
        for effect in effects
    ]


class Kinds(NamedTuple):
    """`of`: the kind of each profile (or version). `examples`: how one of each kind is seen, and if it is security."""

    of: NDArray[np.int64]
    examples: list[tuple[list[Seen], bool]]


def _effect(release: Release, approver: Approver) -> tuple[object, ...]:
    """What a release means to each rule. Only its UTC date has a say. Source: decisions.md 14."""
    hits = [
        rule_hit(number, rule, release, waits=approver.waits, classification="", severity="")
        for number, rule in enumerate(approver.baseline.rules, 1)
    ]
    return tuple((hit.after_cutoff, None if hit.due(approver.now) else hit.approved_at) for hit in hits)


def _release_day(version: PackageVersion, notice: Notice | None, catalogue: Catalogue) -> date | None:
    at = release_of(version, notice, catalogue).at
    return None if at is None else at.astimezone(UTC).date()


def _release_on(day: date | None) -> Release:
    at = None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Release(at=at, source=ReleaseSource.NONE)


class _Interned(NamedTuple):
    """`of`: a number for each place, the same for equal values; `values` by number."""

    of: NDArray[np.int64]
    values: list[Any]


def _interned(values: Sequence[object]) -> _Interned:
    known: dict[object, int] = {}
    numbers = np.asarray([known.setdefault(value, len(known)) for value in values], np.int64)
    return _Interned(numbers, list(known))


class Profiles:
    """Views by product and catalogue, kept from one judgement to the next."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._views: dict[tuple[str, Hashable], View] = {}

    def kinds(self, numbers: Ids, approver: Approver, dates: Dates) -> Kinds:
        """The kind of each version: those of one kind `approver` can't tell apart, lists aside."""
        if len(self._views) > MAX_VIEWS:
            self._views.clear()
        view = self._views.setdefault((approver.product, dates.key), View())
        view.known = grown(view.known, len(self._records.versions))
        for number in numbers[view.known.take(numbers) == UNKNOWN].tolist():
            view.known[number] = view.number(self._records.versions[number], approver.product, approver.catalogue)
        kinds = view.kinds(approver)
        found = kinds.of.take(view.known.take(numbers))
        if dates.settled is not None:
            view.known[numbers[~dates.settled.take(numbers)]] = UNKNOWN
        return Kinds(found, kinds.examples)


def grown(array: NDArray[Number], size: int) -> NDArray[Number]:
    if len(array) >= size:
        return array
    grown = np.full(size, UNKNOWN, array.dtype)
    grown[: len(array)] = array
    return grown
