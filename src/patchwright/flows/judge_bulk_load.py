"""What the bulk judge must know before it can judge: sets, lines and versions, kinds of hosts, dates of publication."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchwright.core.bulk_memos import NEVER_DATED, Dates
from patchwright.core.bulk_records import Ids, Records
from patchwright.core.judge_bulk import BulkJudge
from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey
from patchwright.core.patches import PackageVersion, Repository
from patchwright.core.values import Family
from patchwright.store import bulk_facts, first_seen
from patchwright.store.bulk_facts import DueNode
from patchwright.store.engine import Tx
from patchwright.store.tables import instset, upset


class HostKind(NamedTuple):
    """All of a host's state that has a say in its counts, its boot aside."""

    manager: str
    arch: str
    os_version: str
    sources_digest: str


class Held(NamedTuple):
    """One facts record: the kind of its host, and its sets."""

    kind: HostKind
    instset: int
    upset: int


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
        self._held: dict[int, Held] = {}
        self._kinds: dict[HostKind, HostKind] = {}
        self._repositories: dict[tuple[Repository, ...], tuple[Repository, ...]] = {}
        self._dates: dict[str, _Dates] = {}

    @property
    def size(self) -> int:
        """About how much it takes, versions and tables aside."""
        return self.judge.records.bytes + 150 * len(self._held)

    def load(self, tx: Tx, nodes: Sequence[DueNode]) -> None:
        """Read what is not yet known of these nodes' facts."""
        records, held = self.judge.records, self._held
        fresh = [n.facts_id for n in nodes if n.facts_id is not None and n.facts_id not in held]
        for facts_id, installed, upgradable, body in bulk_facts.held(tx, fresh):
            state = _state.decode(body)
            kind = HostKind(state.manager, state.arch, state.os.version_id, state.sources_digest)
            held[facts_id] = Held(self._kinds.setdefault(kind, kind), installed, upgradable)
        mine = [held[facts_id] for facts_id in fresh]
        for some in bulk_facts.chunks(sorted({one.instset for one in mine} - records.instsets.keys())):
            found = bulk_facts.sets(tx, instset, some)
            self._learn_versions(tx, [blob for _, blob in found])
            for number, blob in found:
                records.add_instset(number, blob)
        for some in bulk_facts.chunks(sorted({one.upset for one in mine} - records.upsets.keys())):
            found = bulk_facts.sets(tx, upset, some)
            self._learn_lines(tx, [blob for _, blob in found])
            for number, blob in found:
                records.add_upset(number, blob)

    def held(self, facts_id: int) -> Held:
        return self._held[facts_id]

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
