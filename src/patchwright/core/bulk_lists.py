"""Which versions a list of patches names, for all that are loaded: every spelling is asked once, whoever shares it.

No rule is here: how a version may be spelled, and what an entry spells, `lists` says. Source: judging.md 9.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from patchwright.core.bulk_memos import MAX_LISTS
from patchwright.core.bulk_records import Ids, Records
from patchwright.core.lists import any_named, any_spelled, has_wildcards, name_forms, notice_ids
from patchwright.core.values import Family

Bools = NDArray[np.bool_]


@dataclass(slots=True)
class _Spellings:
    """Texts by number, and which version (by its place in `versions`) has which: pairs in two columns."""

    numbers: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    owners: Ids = field(default_factory=lambda: np.empty(0, np.int32))
    owned: Ids = field(default_factory=lambda: np.empty(0, np.int32))

    def add(self, found: list[tuple[int, tuple[str, ...]]]) -> None:
        """(version, its texts) of versions that are new."""
        owned = [self.numbers.setdefault(text, len(self.numbers)) for _, texts in found for text in texts]
        lengths = [len(texts) for _, texts in found]
        self.texts = list(self.numbers)
        self.owned = np.concatenate([self.owned, np.asarray(owned, np.int32)])
        owners = np.repeat(np.asarray([number for number, _ in found], np.int32), lengths)
        self.owners = np.concatenate([self.owners, owners])

    def mark(self, answers: NDArray[np.int8], of: Bools | None, hits: Callable[[Sequence[str]], list[bool]]) -> None:
        """Say yes of every version, among `of` if given, that has a text of which `hits` says yes."""
        owners, owned = self.owners, self.owned
        if of is not None:
            some = of.take(owners)
            owners, owned = owners[some], owned[some]
        asked = np.arange(len(self.texts)) if of is None else np.unique(owned)
        texts = self.texts if of is None else [self.texts[number] for number in asked.tolist()]
        hit = np.zeros(len(self.texts), np.bool_)
        hit[asked] = hits(texts)
        answers[owners[hit.take(owned)]] = 1


class Lists:
    """Whether a list of patches names a version. A changed list asks only for what is different in it."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._spellings: dict[Family, tuple[int, _Spellings, _Spellings]] = {}
        self._answers: dict[tuple[Family, tuple[str, ...]], NDArray[np.int8]] = {}

    def named(self, entries: tuple[str, ...], numbers: Ids, family: Family) -> Bools:
        """For each version, all of them of `family`, whether any of `entries` names it."""
        if not entries:
            return np.zeros(len(numbers), np.bool_)
        size, key = len(self._records.versions), (family, entries)
        answers = self._answers.pop(key, None)
        if answers is None or len(answers) < size:
            answers = self._derived(entries, family)
        self._answers[key] = answers
        if len(self._answers) > MAX_LISTS:
            del self._answers[next(iter(self._answers))]
        return np.asarray(answers.take(numbers) == 1, np.bool_)

    def _derived(self, entries: tuple[str, ...], family: Family) -> NDArray[np.int8]:
        """Asked anew, but for what the answers for the list that has most in common with this one already say."""
        size, wanted = len(self._records.versions), set(entries)
        alike = (known for of, known in self._answers if of is family)
        known = max(alike, key=lambda known: len(wanted.intersection(known)), default=())
        before = self._answers.get((family, known), np.zeros(0, np.int8))
        answers = np.zeros(size, np.int8)
        if not wanted.intersection(known) or len(before) < size:
            self._ask(answers, entries, family)
            return answers
        self._ask(answers, tuple(entry for entry in entries if entry not in set(known)), family)
        if wanted.issuperset(known):
            return answers | before
        # An entry that went may be the one that named them.
        self._ask(answers, entries, family, of=before == 1)
        return answers

    def _ask(
        self, answers: NDArray[np.int8], entries: tuple[str, ...], family: Family, *, of: Bools | None = None
    ) -> None:
        """Say yes in `answers` of each version that an entry names; with `of` only of those."""
        if not entries:
            return
        forms, ids = self._texts(family)
        wildcards = has_wildcards(family)
        forms.mark(answers, of, lambda texts: any_spelled(texts, entries, wildcards=wildcards))
        ids.mark(answers, of, lambda texts: any_named(texts, entries, wildcards=wildcards))

    def _texts(self, family: Family) -> tuple[_Spellings, _Spellings]:
        counted, forms, ids = self._spellings.get(family, (0, _Spellings(), _Spellings()))
        versions = self._records.versions
        if counted < len(versions):
            new = [n for n in self._records.of_family(family).tolist() if n >= counted]
            forms.add([(n, name_forms(versions[n])) for n in new])
            ids.add([(n, notice_ids(versions[n])) for n in new if versions[n].notices])
            self._spellings[family] = (len(versions), forms, ids)
        return forms, ids
