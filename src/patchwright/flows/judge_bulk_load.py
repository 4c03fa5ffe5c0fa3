"""What the bulk judge must know before it can judge: sets, lines and versions, kinds of hosts, dates of publication."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchwright.core.bulk_memos import NEVER_DATED, Dates
from patchwright.core.bulk_records import UNKNOWN, Ids, Numbering, Records
from patchwright.core.judge_bulk import BulkJudge
from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey
from patchwright.core.patches import PackageVersion, Repository
from patchwright.core.values import Family
from patchwright.store import bulk_facts, first_seen
from patchwright.store.bulk_facts import HeldFacts
from patchwright.store.engine import Tx
from patchwright.store.standing_verdicts import NONE
from patchwright.store.tables import instset, upset

NO_FACTS, GONE = -1, -2
"""In place of the number of a kind of host: never reported, and facts that the store has no more."""


class HostKind(NamedTuple):
    """All of a host's state that has a say in its counts, its boot aside."""

    manager: str
    arch: str
    os_version: str
    sources_digest: str


class Held:
    """Facts records, dense numbers in columns: the kind of their hosts, and their sets."""

    def __init__(self) -> None:
        self.numbers = Numbering()
        self.kinds: list[HostKind] = []
        self._kind_numbers: dict[HostKind, int] = {}
        self.kind: Ids = np.empty(0, np.int32)
        self.instset: NDArray[np.int64] = np.empty(0, np.int64)
        self.upset: NDArray[np.int64] = np.empty(0, np.int64)
        self.empty: NDArray[np.bool_] = np.empty(0, np.bool_)
        self.pair: Ids = np.empty(0, np.int32)
        """The number of its pair of sets, UNKNOWN until it is asked for."""

    def add(self, records: Sequence[HeldFacts]) -> None:
        """New records of the store."""
        kinds = [self._kind_number(_kind(record.state)) for record in records]
        self.numbers.add([record.id for record in records])
        self.kind = np.concatenate([self.kind, np.asarray(kinds, np.int32)])
        self.instset = np.concatenate([self.instset, np.asarray([r.instset for r in records], np.int64)])
        self.upset = np.concatenate([self.upset, np.asarray([r.upset for r in records], np.int64)])
        self.empty = np.concatenate([self.empty, np.zeros(len(records), np.bool_)])
        self.pair = np.concatenate([self.pair, np.full(len(records), UNKNOWN, np.int32)])

    def _kind_number(self, kind: HostKind) -> int:
        known = self._kind_numbers.setdefault(kind, len(self.kinds))
        if known == len(self.kinds):
            self.kinds.append(kind)
        return known


class _Os(msgspec.Struct):
    version_id: str = ""


class _State(msgspec.Struct):
    """The members of a stored state part that are needed here; it was checked as a whole when it was accepted."""

    manager: str
    arch: str = ""
    boot_id: str = ""
    sources_digest: str = ""
    os: _Os = msgspec.field(default_factory=_Os)


_state = msgspec.json.Decoder(_State)


def _kind(body: bytes) -> HostKind:
    state = _state.decode(body)
    return HostKind(state.manager, state.arch, state.os.version_id, state.sources_digest)


@dataclass(slots=True)
class _Dates:
    """First-seen times of one account as they were when dates had moved `moves` times."""

    moves: int
    first_seen: dict[FirstSeenKey, FirstSeen] = field(default_factory=dict)
    settled: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Versions of which every repository has a date: no later report can add one."""


@dataclass(frozen=True, slots=True)
class DatedCatalogue:
    """A catalogue, and how it is told apart."""

    catalogue: Catalogue
    dates: Dates


NO_DATES = DatedCatalogue(Catalogue(), NEVER_DATED)


class Known:
    """The judging process's memory of the store. A cache: what is missing is read, within the caller's snapshot."""

    def __init__(self) -> None:
        self.judge = BulkJudge()
        self.held = Held()
        self._repositories: dict[tuple[Repository, ...], tuple[Repository, ...]] = {}
        self._dates: dict[str, _Dates] = {}

    @property
    def size(self) -> int:
        """About how much it takes, versions and tables aside."""
        return self.judge.records.weight + 24 * self.held.numbers.count

    def load(self, tx: Tx, facts_ids: NDArray[np.int64]) -> None:
        """Read what is not yet known of these facts records."""
        records, held = self.judge.records, self.held
        fresh = held.numbers.unknown(facts_ids)
        if not len(fresh):
            return
        before = held.numbers.count
        for some in bulk_facts.chunks(fresh.tolist()):
            held.add(list(bulk_facts.held(tx, some)))
        for some in bulk_facts.chunks(_news(held.instset[before:], records.instsets)):
            found = bulk_facts.sets(tx, instset, some)
            self._learn_versions(tx, [blob for _, blob in found])
            for number, blob in found:
                records.add_instset(number, blob)
        for some in bulk_facts.chunks(_news(held.upset[before:], records.upsets)):
            found = bulk_facts.sets(tx, upset, some)
            self._learn_lines(tx, [blob for _, blob in found])
            for number, blob in found:
                records.add_upset(number, blob)
        nothing = [number for number in np.unique(held.instset[before:]).tolist() if not records.instsets.size(number)]
        held.empty[before:] = np.isin(held.instset[before:], nothing)

    def pairs(self, places: Ids, native: str) -> Ids:
        """The numbers of the pairs of sets of held facts records, all of hosts of that architecture."""
        held, pairs = self.held, self.judge.pairs
        new = np.unique(places[held.pair.take(places) == UNKNOWN])
        if len(new):
            keys = [
                (native, instset, upset)
                for instset, upset in zip(held.instset.take(new).tolist(), held.upset.take(new).tolist(), strict=True)
            ]
            pairs.add(set(keys))
            held.pair[new] = [pairs.numbers[key] for key in keys]
        return held.pair.take(places)

    def host(self, kind: int) -> tuple[HostKind | None, bool]:
        """The kind of host of a number of `kinds`, and whether nothing is installed on it."""
        return (None, False) if kind == NO_FACTS else (self.held.kinds[kind // 2], bool(kind % 2))

    def kinds(self, facts_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """A number of the kind of each host, by its facts."""
        held, found = self.held, np.full(len(facts_ids), NO_FACTS, np.int64)
        some = facts_ids != NONE
        places = held.numbers.dense(facts_ids[some])
        mine = held.kind.take(places, mode="wrap") * 2 + held.empty.take(places, mode="wrap")
        found[some] = np.where(places == UNKNOWN, GONE, mine)
        return found

    def host_of(self, facts_id: int | None) -> tuple[HostKind | None, bool]:
        """The same of one host."""
        if facts_id is None:
            return None, False
        place = self.held.numbers.one(facts_id)
        return self.held.kinds[self.held.kind[place]], bool(self.held.empty[place])

    def _learn_versions(self, tx: Tx, blobs: Sequence[bytes]) -> None:
        numbers = self.judge.records.version_numbers
        missing = _unknown(blobs, numbers.unknown)
        if len(missing):
            self.judge.records.add_versions(bulk_facts.versions(tx, missing.tolist(), self._repositories))

    def _learn_lines(self, tx: Tx, blobs: Sequence[bytes]) -> None:
        missing = _unknown(blobs, self.judge.records.line_numbers.unknown)
        if len(missing):
            found = bulk_facts.lines(tx, missing.tolist())
            own = np.asarray([installed for _, installed, _ in found], np.int32)
            self._learn_versions(tx, [own.tobytes(), *(offers for _, _, offers in found)])
            lines = [(number, installed, np.frombuffer(offers, np.int32)) for number, installed, offers in found]
            self.judge.records.add_lines(lines)

    def dated(self, tx: Tx, account: str) -> DatedCatalogue:
        """First-seen times in an account of the apt versions that are loaded."""
        moves = first_seen.moves(tx, account)
        dates = self._dates.get(account)
        if dates is None or dates.moves != moves:
            dates = self._dates[account] = _Dates(moves)
        _settle(tx, account, dates, self.judge.records)
        told_apart = Dates(key=(account, moves), size=len(dates.first_seen), settled=dates.settled)
        return DatedCatalogue(Catalogue(first_seen=dates.first_seen), told_apart)


def boots(tx: Tx, facts_ids: Sequence[int]) -> dict[int, str]:
    """The boot in which each of these facts was taken."""
    return {one.id: _state.decode(one.state).boot_id for one in bulk_facts.held(tx, facts_ids)}


def _news(numbers: NDArray[np.int64], known: Collection[int]) -> list[int]:
    return sorted(set(numbers.tolist()) - set(known))


def _unknown(blobs: Sequence[bytes], unknown: Callable[[Ids], Ids]) -> Ids:
    """In parts, so that a large fleet's ids are never in memory twice."""
    found = [unknown(np.frombuffer(b"".join(blobs[i : i + 400]), np.int32)) for i in range(0, len(blobs), 400)]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int32)


def _settle(tx: Tx, account: str, dates: _Dates, records: Records) -> None:
    settled = np.zeros(len(records.versions), np.bool_)
    settled[: len(dates.settled)] = dates.settled
    apt = records.of_family(Family.APT)
    open_ones = apt[~settled.take(apt)].tolist()
    dates.first_seen |= first_seen.catalogue(
        tx, account, sorted({records.versions[number].name for number in open_ones})
    ).first_seen
    for number in open_ones:
        settled[number] = _is_settled(records.versions[number], dates.first_seen)
    dates.settled = settled


def _is_settled(version: PackageVersion, known: Collection[FirstSeenKey]) -> bool:
    return all(
        FirstSeenKey(repository=r.identity, name=version.name, arch=version.arch, version=version.version) in known
        for r in version.repositories
    )
