"""Memo tables around the scalar rules, kept from one judgement to the next: what a rule sees of each version.

No rule is here: every answer comes from the function that the plain judge calls. Source: judging.md 9.
"""

from collections.abc import Hashable
from datetime import UTC, date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from patchwright.core.approval import described
from patchwright.core.bulk_records import UNKNOWN, Ids, Records
from patchwright.core.filters import facets_of
from patchwright.core.judgement import Catalogue
from patchwright.core.lists import listed
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.releases import release_of

MAX_LISTS = 128
MAX_VIEWS = 64
Number = TypeVar("Number", np.int8, np.int32)
Bools = NDArray[np.bool_]


class Profiles:
    """All that filters, dates and descriptions can see of a version; versions that look alike share a number."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._views: dict[tuple[str, Hashable], tuple[Ids, dict[object, int]]] = {}

    def of(self, numbers: Ids, product: str, catalogue: Catalogue, catalogue_key: Hashable) -> Ids:
        """The profile of each version on nodes of `product`; `catalogue_key` tells catalogues apart."""
        if len(self._views) > MAX_VIEWS:
            self._views.clear()
        known, profiles = self._views.get((product, catalogue_key), (np.empty(0, np.int32), {}))
        known = _grown(known, len(self._records.versions))
        for number in numbers[known.take(numbers) == UNKNOWN].tolist():
            profile = _profile(self._records.versions[number], product, catalogue)
            known[number] = profiles.setdefault(profile, len(profiles))
        self._views[product, catalogue_key] = (known, profiles)
        return known.take(numbers)


def _profile(version: PackageVersion, product: str, catalogue: Catalogue) -> tuple[object, ...]:
    return tuple(
        (facets, described(version, facets, notice), _release_day(version, notice, catalogue))
        for facets, notice in facets_of(version, product)
    )


def _release_day(version: PackageVersion, notice: Notice | None, catalogue: Catalogue) -> date | None:
    """Of a release only its UTC date has a say. Source: decisions.md 14."""
    at = release_of(version, notice, catalogue).at
    return None if at is None else at.astimezone(UTC).date()


class Lists:
    """Whether a list of patches names a version. A changed list asks only for what is different in it."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._answers: dict[tuple[str, ...], NDArray[np.int8]] = {}

    def named(self, entries: tuple[str, ...], numbers: Ids) -> Bools:
        """For each version whether any of `entries` names it."""
        if not entries:
            return np.zeros(len(numbers), np.bool_)
        answers = self._answers.pop(entries, None)
        if answers is None:
            answers = self._derived(entries, numbers)
        answers = _grown(answers, len(self._records.versions))
        self._ask(answers, numbers[answers.take(numbers) == UNKNOWN], entries)
        self._answers[entries] = answers
        if len(self._answers) > MAX_LISTS:
            del self._answers[next(iter(self._answers))]
        return answers.take(numbers) == 1

    def _ask(self, answers: NDArray[np.int8], numbers: Ids, entries: tuple[str, ...]) -> None:
        versions = self._records.versions
        for number in numbers.tolist():
            answers[number] = listed(versions[number], entries) is not None

    def _derived(self, entries: tuple[str, ...], numbers: Ids) -> NDArray[np.int8]:
        """What the answers for the last list that is part of this one, or that this one is part of, already say."""
        wanted = set(entries)
        for known in reversed(self._answers):
            before = _grown(self._answers[known], len(self._records.versions))
            if wanted.issuperset(known):
                answers = before.copy()
                added = tuple(entry for entry in entries if entry not in set(known))
                self._ask(answers, numbers[before.take(numbers) == 0], added)
                answers[(before == 0) & ~_marked(numbers, len(before))] = UNKNOWN
                return answers
            if wanted.issubset(known):
                return np.where(before == 0, before, UNKNOWN).astype(np.int8)
        return np.full(0, UNKNOWN, np.int8)


def _marked(numbers: Ids, size: int) -> Bools:
    marked = np.zeros(size, np.bool_)
    marked[numbers] = True
    return marked


def _grown(array: NDArray[Number], size: int) -> NDArray[Number]:
    if len(array) >= size:
        return array
    grown = np.full(size, UNKNOWN, array.dtype)
    grown[: len(array)] = array
    return grown
