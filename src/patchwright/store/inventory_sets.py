"""Rows of inventory and sets of them, each kept once by its digest.

A set is filled in parts, each in a transaction of its own if the caller wants so, and is complete once its `row_ids`
are there. A row lives as long as a set has it. Source: docs/decisions/0004, decisions.md 26.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, select

from patchwright.core.inventory import Row, number_of, seen
from patchwright.store.engine import Tx
from patchwright.store.tables import inventory_member, inventory_row, inventory_set, inventory_value
from patchwright.store.upsert import insert_or_ignore

PART = 200
"""Rows that are written with their values in one go: a part holds the write lock for some milliseconds."""
CHUNK = 500
CACHED_ROWS = 60_000
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSet:
    """Distinct rows of one type in the order of their digests, so that the same rows are the same set."""

    type_name: str
    rows: tuple[Row, ...]
    digests: tuple[bytes, ...]
    digest: bytes

    @property
    def parts(self) -> Iterator[slice]:
        return (slice(start, start + PART) for start in range(0, len(self.rows), PART))


def row_set(type_name: str, rows: Iterable[Row]) -> RowSet:
    """The set that `rows` are; rows that are equal are one."""
    by_digest = {hashlib.blake2b(_encode([type_name, row]), digest_size=16).digest(): row for row in rows}
    digests = tuple(sorted(by_digest))
    whole = hashlib.sha256(type_name.encode() + b"".join(digests)).digest()
    return RowSet(type_name=type_name, rows=tuple(by_digest[d] for d in digests), digests=digests, digest=whole)


def find(tx: Tx, wanted: RowSet) -> int | None:
    """The id of the set if it is there and complete."""
    held = inventory_set.c.digest == wanted.digest
    row = tx.execute(select(inventory_set.c.id).where(held, inventory_set.c.row_ids.is_not(None))).first()
    return None if row is None else int(row.id)


def want(tx: Tx, wanted: RowSet, now: datetime) -> int:
    """The id of the set, which is there from now on, perhaps unfilled; nobody sweeps it for a day."""
    insert_or_ignore(
        tx, inventory_set, [{"digest": wanted.digest, "n": len(wanted.rows), "row_ids": None, "wanted_at": now}]
    )
    held = inventory_set.c.digest == wanted.digest
    tx.execute(inventory_set.update().where(held).values(wanted_at=now))
    return int(tx.execute(select(inventory_set.c.id).where(held)).scalar_one())


def fill(tx: Tx, wanted: RowSet, part: slice, now: datetime) -> None:
    """Write one part of the set: its rows, their values, and that they are members. Safe to repeat."""
    set_id = want(tx, wanted, now)
    ids = _intern(tx, wanted.type_name, wanted.rows[part], wanted.digests[part])
    insert_or_ignore(tx, inventory_member, [{"set_id": set_id, "row_id": i} for i in ids])


def complete(tx: Tx, wanted: RowSet, now: datetime) -> int:
    """The id of the set, complete: what is missing of it is written now."""
    set_id = find(tx, wanted)
    if set_id is not None:
        tx.execute(inventory_set.update().where(inventory_set.c.id == set_id).values(wanted_at=now))
        return set_id
    set_id = want(tx, wanted, now)
    members = select(func.count()).select_from(inventory_member).where(inventory_member.c.set_id == set_id)
    if tx.execute(members).scalar_one() < len(wanted.rows):
        for part in wanted.parts:
            fill(tx, wanted, part, now)
    rows = tx.execute(select(inventory_member.c.row_id).where(inventory_member.c.set_id == set_id))
    ids = array("q", sorted(rows.scalars())).tobytes()
    tx.execute(inventory_set.update().where(inventory_set.c.id == set_id).values(row_ids=ids))
    return set_id


def _intern(tx: Tx, type_name: str, rows: Sequence[Row], digests: Sequence[bytes]) -> list[int]:
    known = _ids(tx, digests)
    new = {d: row for d, row in zip(digests, rows, strict=True) if d not in known}
    if new:
        insert_or_ignore(tx, inventory_row, [{"digest": d, "content": dict(row)} for d, row in new.items()])
        made = _ids(tx, list(new))
        values = [value for d, row in new.items() for value in _values(made[d], type_name, row)]
        insert_or_ignore(tx, inventory_value, values)
        known |= made
    return [known[d] for d in digests]


def _ids(tx: Tx, digests: Sequence[bytes]) -> dict[bytes, int]:
    rows = tx.execute(select(inventory_row.c.digest, inventory_row.c.id).where(inventory_row.c.digest.in_(digests)))
    return {bytes(r.digest): r.id for r in rows}


def _values(row_id: int, type_name: str, row: Row) -> Iterator[dict[str, Any]]:
    for attribute, value in row.items():
        yield {
            "row_id": row_id,
            "key": f"{type_name}.{attribute}",
            "value": seen(value),
            "number": number_of(value),
        }


def row_ids_of(tx: Tx, set_ids: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """Each set that is there and complete with the ids of its rows."""
    for start in range(0, len(set_ids), CHUNK):
        some = set_ids[start : start + CHUNK]
        sets = select(inventory_set.c.id, inventory_set.c.row_ids).where(
            inventory_set.c.id.in_(some), inventory_set.c.row_ids.is_not(None)
        )
        for r in tx.execute(sets):
            ids = array("q")
            ids.frombytes(r.row_ids)
            yield r.id, ids


def rows_of(tx: Tx, set_ids: Sequence[int]) -> dict[int, list[Row]]:
    """The rows of each set that is there and complete; in no order that means anything."""
    found = dict(row_ids_of(tx, set_ids))
    contents = _contents(tx, {i for ids in found.values() for i in ids})
    return {set_id: [contents[i] for i in ids] for set_id, ids in found.items()}


def _contents(tx: Tx, row_ids: set[int]) -> Mapping[int, Row]:
    """Rows never change and their ids are not given twice, so they are kept in memory."""
    cache = tx.cache("rows of inventory", limit=CACHED_ROWS)
    held: dict[int, Row] = {i: row for i in row_ids if (row := cache.get(i)) is not None}
    absent = sorted(row_ids - held.keys())
    fresh: dict[int, Row] = {}
    for start in range(0, len(absent), CHUNK):
        some = absent[start : start + CHUNK]
        rows = tx.execute(select(inventory_row.c.id, inventory_row.c.content).where(inventory_row.c.id.in_(some)))
        fresh |= {r.id: r.content for r in rows}
    if fresh:
        tx.after_commit(lambda: cache.update(fresh))
    return held | fresh
