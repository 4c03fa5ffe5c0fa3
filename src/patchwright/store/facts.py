"""Facts as content-addressed records: package versions, lines and sets, and which node had which, when.

Source: judging.md 4. Every record is interned as a whole; nothing is shared by name alone.
"""

import hashlib
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from patchwright.core.facts import InstalledPackage, UpgradeLine
from patchwright.core.patches import PackageVersion
from patchwright.core.values import NodeId
from patchwright.store.engine import Tx
from patchwright.store.prepared import Prepared
from patchwright.store.tables import hoststate, instset, line, node_facts, node_seen, pkgver, upset
from patchwright.store.upsert import insert_or_ignore, upsert

T = TypeVar("T")
# Of every report.
_MINE = (node_facts.c.node_id == bindparam("wanted")) & node_facts.c.valid_to.is_(None)
_CURRENT = Prepared(select(node_facts).where(_MINE))
_CLOSE = Prepared(node_facts.update().where(_MINE).values(valid_to=bindparam("now", type_=node_facts.c.valid_to.type)))
_OPEN = Prepared(node_facts.insert(), columns=tuple(c.name for c in node_facts.c if c.name not in ("id", "valid_to")))
_SETS = {
    table.name: Prepared(select(table.c.id).where(table.c.digest == bindparam("wanted"))) for table in (instset, upset)
}
_FIRST = itemgetter(0)
CHUNK = 500
CACHED_IDS = 400_000
CACHED_RECORDS = 60_000
_encoder = msgspec.json.Encoder()
_version = msgspec.json.Decoder(PackageVersion)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsRecord:
    """What a node reported over one interval; `parts` are the digests of the texts that it sent."""

    id: int
    node_id: NodeId
    valid_from: datetime
    facts_version: int
    report_digest: str
    instset: int
    upset: int
    state: str
    parts: dict[str, str]
    times: bytes


def current(tx: Tx, node_id: str) -> FactsRecord | None:
    """The node's facts as last reported."""
    row = _CURRENT.first(tx, {"wanted": node_id})
    return None if row is None else _record(row)


def as_of(tx: Tx, node_id: str, at: datetime) -> FactsRecord | None:
    """The node's facts as they were known at `at`, so that a past judgement can be computed again."""
    row = (
        tx.execute(
            select(node_facts)
            .where(node_facts.c.node_id == node_id, node_facts.c.valid_from <= at)
            .order_by(node_facts.c.valid_from.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    return None if row is None else _record(row)


def _record(row: Any) -> FactsRecord:
    return FactsRecord(**{k: v for k, v in row.items() if k != "valid_to"})


def replace(tx: Tx, node_id: NodeId, now: datetime, **values: Any) -> None:
    """Close the node's current interval and open the next."""
    _CLOSE.run(tx, {"wanted": node_id, "now": now})
    _OPEN.run(tx, {"node_id": node_id, "valid_from": now, **values})


def seen(tx: Tx, node_id: NodeId, now: datetime) -> None:
    """The node said at `now` that its facts still are what the server holds."""
    upsert(tx, node_seen, [{"node_id": node_id, "facts_at": now}], key=["node_id"])


def seen_at(tx: Tx, node_id: str) -> datetime | None:
    """When the node last confirmed its facts."""
    return tx.execute(select(node_seen.c.facts_at).where(node_seen.c.node_id == node_id)).scalar_one_or_none()


def seen_at_many(tx: Tx, node_ids: Sequence[str]) -> dict[str, datetime]:
    """When each of the nodes last confirmed its facts; those that never did are left out."""
    rows = tx.execute(select(node_seen).where(node_seen.c.node_id.in_(list(node_ids))))
    return {row.node_id: row.facts_at for row in rows}


def intern_versions(tx: Tx, versions: Sequence[PackageVersion]) -> list[int]:
    """The ids of `versions`, in their order; what is new is written."""
    records = [_encoder.encode(v) for v in versions]
    digests = [hashlib.blake2b(r, digest_size=16).digest() for r in records]
    return _intern(tx, pkgver, digests, [{"digest": d, "record": r} for d, r in zip(digests, records, strict=True)])


def intern_remembered(tx: Tx, versions: Sequence[PackageVersion]) -> list[int]:
    """The same for versions that are one and the same object whenever they are reported (flows/facts_rows.py)."""
    return _by_identity(tx, "ids of versions", list(map(id, versions)), versions, lambda new: intern_versions(tx, new))


def _by_identity(
    tx: Tx, memory: str, places: Sequence[Hashable], things: Sequence[T], make: Callable[[Sequence[T]], list[int]]
) -> list[int]:
    """The ids of `things`, by their identities in `places`; `make` gives those that are not in the memory.

    An entry holds its thing as well, so that no other can have its identity as long as the entry lasts.
    """
    known = tx.cache(memory, limit=CACHED_RECORDS)
    try:
        return list(map(_FIRST, map(known.__getitem__, places)))
    except KeyError:
        held = {place: entry for place in places if (entry := known.get(place)) is not None}
    new = {place: thing for place, thing in zip(places, things, strict=True) if place not in held}
    made = dict(zip(new, zip(make(list(new.values())), new.values(), strict=True), strict=True))
    tx.after_commit(lambda: known.update(made))
    held |= made
    return [held[place][0] for place in places]


class Line(Protocol):
    """An upgradable line: the offers ascending by version."""

    @property
    def candidate(self) -> str: ...

    @property
    def offers(self) -> tuple[PackageVersion, ...]: ...


Reported = tuple[PackageVersion, Line]
"""The installed version that a line speaks of, and the line."""


def intern_reported(tx: Tx, lines: Sequence[Reported]) -> list[int]:
    """The ids of reported lines, in their order; what is new is written."""
    offers = iter(intern_versions(tx, [offer for _, line in lines for offer in line.offers]))
    installed = intern_versions(tx, [version for version, _ in lines])
    return intern_lines(
        tx,
        [
            (inst, [next(offers) for _ in line.offers], line.candidate)
            for inst, (_, line) in zip(installed, lines, strict=True)
        ],
    )


def intern_remembered_lines(tx: Tx, lines: Sequence[Reported]) -> list[int]:
    """The same for lines and versions that are one and the same object whenever they are reported."""
    places = [(id(installed), id(line)) for installed, line in lines]
    return _by_identity(tx, "ids of reported lines", places, lines, lambda new: intern_reported(tx, new))


def intern_lines(tx: Tx, lines: Sequence[tuple[int, Sequence[int], str]]) -> list[int]:
    """The ids of lines given as (installed id, offer ids ascending by version, candidate)."""
    rows: list[dict[str, Any]] = []
    for inst, offers, candidate in lines:
        blob = array("i", offers).tobytes()
        digest = hashlib.blake2b(b"%d|%s|" % (inst, blob) + candidate.encode(), digest_size=16).digest()
        rows.append({"digest": digest, "inst": inst, "offers": blob, "candidate": candidate})
    return _intern(tx, line, [r["digest"] for r in rows], rows)


def _intern(tx: Tx, table: Table, digests: Sequence[bytes], rows: Sequence[dict[str, Any]]) -> list[int]:
    known = tx.cache(f"ids of {table.name}", limit=CACHED_IDS)
    ids = {d: known.get(d) for d in digests}
    missing = {d: r for d, r in zip(digests, rows, strict=True) if ids[d] is None}
    if missing:
        found = _ids(tx, table, missing)
        new = [r for d, r in missing.items() if d not in found]
        for chunk in _chunks(new):
            insert_or_ignore(tx, table, chunk)
        found |= _ids(tx, table, [r["digest"] for r in new])
        tx.after_commit(lambda: known.update(found))
        ids |= found
    return [i for i in (ids[d] for d in digests) if i is not None]


def _ids(tx: Tx, table: Table, digests: Iterable[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for chunk in _chunks(list(digests)):
        rows = tx.execute(select(table.c.digest, table.c.id).where(table.c.digest.in_(chunk)))
        found |= {bytes(r.digest): r.id for r in rows}
    return found


def _chunks(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))


def intern_set(tx: Tx, table: Table, ids: Sequence[int]) -> int:
    """The id of a set of ids; the same ids are the same set, whatever their order."""
    blob = array("i", sorted(ids)).tobytes()
    row = {"digest": hashlib.sha256(blob).hexdigest(), "n": len(ids), "ids": blob}
    made = _new_set(tx.connection.dialect.name, table).first(tx, row)
    made = made or _SETS[table.name].first(tx, {"wanted": row["digest"]})
    if made is None:
        raise LookupError(f"a set of {table.name} is neither new nor there")
    return int(made["id"])


@cache
def _new_set(dialect: str, table: Table) -> Prepared:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    new = insert(table).on_conflict_do_nothing().returning(table.c.id)
    return Prepared(new, columns=("digest", "n", "ids"))


def intern_state(tx: Tx, digest: str, body: str) -> None:
    """Keep a state part's text under its digest."""
    insert_or_ignore(tx, hoststate, [{"digest": digest, "body": body.encode()}])


def state_body(tx: Tx, digest: str) -> str:
    body: bytes = tx.execute(select(hoststate.c.body).where(hoststate.c.digest == digest)).scalar_one()
    return body.decode()


def installed_ids(tx: Tx, instset_id: int) -> list[int]:
    """The package version ids of a set, ascending."""
    return _unpack(tx.execute(select(instset.c.ids).where(instset.c.id == instset_id)).scalar_one())


def _unpack(blob: bytes) -> list[int]:
    ids = array("i")
    ids.frombytes(blob)
    return ids.tolist()


def installed(tx: Tx, record: FactsRecord) -> tuple[InstalledPackage, ...]:
    """The packages of a facts record with their times of installation, in (name, arch) order."""
    ids = installed_ids(tx, record.instset)
    times = _unpack(record.times)
    versions = versions_by_id(tx, ids)
    packages = [
        InstalledPackage(package=versions[i], installed_at=datetime.fromtimestamp(t, UTC) if t else None)
        for i, t in zip(ids, times, strict=True)
    ]
    return tuple(sorted(packages, key=lambda p: (p.package.name, p.package.arch, p.package.sort_key)))


def upgradable(tx: Tx, record: FactsRecord) -> tuple[UpgradeLine, ...]:
    """The upgradable lines of a facts record, in (name, arch) order."""
    ids = _unpack(tx.execute(select(upset.c.ids).where(upset.c.id == record.upset)).scalar_one())
    rows = []
    for chunk in _chunks(ids):
        rows += list(tx.execute(select(line.c.inst, line.c.offers, line.c.candidate).where(line.c.id.in_(chunk))))
    offers = [_unpack(r.offers) for r in rows]
    versions = versions_by_id(tx, [*(r.inst for r in rows), *(i for o in offers for i in o)])
    lines = [
        UpgradeLine(installed=versions[r.inst], offers=tuple(versions[i] for i in o), candidate=r.candidate)
        for r, o in zip(rows, offers, strict=True)
    ]
    return tuple(sorted(lines, key=lambda x: (x.installed.name, x.installed.arch)))


def versions_by_id(tx: Tx, ids: Sequence[int]) -> dict[int, PackageVersion]:
    """The records of package versions; they never change, so they are kept in memory."""
    cache = tx.cache("package versions", limit=CACHED_RECORDS)
    found = {i: v for i in ids if (v := cache.get(i)) is not None}
    fresh: dict[int, PackageVersion] = {}
    for chunk in _chunks(sorted(set(ids) - found.keys())):
        for row in tx.execute(select(pkgver.c.id, pkgver.c.record).where(pkgver.c.id.in_(chunk))):
            fresh[row.id] = _version.decode(row.record)
    if fresh:
        tx.after_commit(lambda: cache.update(fresh))
    return found | fresh
