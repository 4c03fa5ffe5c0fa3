"""Verdicts that stand, read and renewed in columns: for changes that leave each node under its baseline.

A changed baseline, or an approval instant that passes, changes what is said of a node but not which facts and which
baseline speak. Both stand in the verdict, so nothing else has to be read of a hundred thousand nodes. Whatever moves
a node to other facts or another baseline makes it due by itself, in the same transaction.
Source: judging.md 3 and 11.6.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchwright.core.judgement import Counts
from patchwright.core.values import LEVELS, BaselineId, ComplianceStatus, Scope
from patchwright.store.engine import Tx

NONE = -1
"""Stands for no facts, or for no instant, where a column has numbers only."""
Numbers = NDArray[np.int64]
_COUNTS = tuple(field.name for field in fields(Counts))
_LEVEL_BYTES = 4 * 2 * len(LEVELS)


class Group(NamedTuple):
    """Nodes whose verdicts name one baseline for one reason."""

    account: str
    region: str
    baseline_id: str
    baseline_source: str
    patch_group: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Some verdicts of a group in node order, an element each: node, facts, instants in microseconds."""

    group: Group
    rows: Numbers
    """Where they are on SQLite; nothing on PostgreSQL."""
    ids: NDArray[np.bytes_]
    facts: Numbers
    judged_at: Numbers
    next_change: Numbers

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: NDArray[Any]) -> "Standing":
        """The same of some."""
        rows = self.rows[places] if len(self.rows) else self.rows
        return Standing(
            self.group, rows, self.ids[places], self.facts[places], self.judged_at[places], self.next_change[places]
        )


@dataclass(frozen=True, slots=True)
class Renewed:
    """What is now said of standing verdicts, an element each.

    `guilty`: non-compliant; `level` indexes LEVELS; `numbers` has the counts, then what the table keeps as levels.
    """

    standing: Standing
    version: int
    unjudged_reason: str | None
    guilty: NDArray[np.bool_]
    level: Numbers
    numbers: Numbers
    judged_at: Numbers
    next_change: Numbers

    def __len__(self) -> int:
        return len(self.standing)


def groups_of_baseline(tx: Tx, scope: Scope, baseline_id: BaselineId) -> list[Group]:
    """The groups of one baseline."""
    return _groups(
        tx, "account = :account AND region = :region AND baseline_id = :id", {**_in(scope), "id": baseline_id}
    )


def groups_by_time(tx: Tx, now: int) -> list[Group]:
    """The groups in which time alone may have changed a verdict."""
    return _groups(tx, "next_change_at <= :now", {"now": now})


def _in(scope: Scope) -> dict[str, str]:
    return {"account": scope.account, "region": scope.region}


def _groups(tx: Tx, where: str, values: dict[str, Any]) -> list[Group]:
    statement = f"SELECT DISTINCT {', '.join(Group._fields)} FROM verdict WHERE {where}"  # noqa: S608
    if not _is_sqlite(tx):
        statement = _percent(statement, values)
    driver: Any = tx.connection.connection.driver_connection
    return sorted(Group._make(row) for row in driver.execute(statement, values).fetchall())


def _percent(statement: str, values: dict[str, Any]) -> str:
    for name in values:
        statement = statement.replace(f":{name}", f"%({name})s")
    return statement


def read(tx: Tx, group: Group, *, by_time: int | None, after: bytes, limit: int) -> Standing:
    """The verdicts of `group` behind node `after`; with `by_time` those that time may have changed by then."""
    return (_read_sqlite if _is_sqlite(tx) else _read_postgres)(tx, group, by_time, after, limit)


def _is_sqlite(tx: Tx) -> bool:
    return tx.connection.dialect.name == "sqlite"


_WHERE = " AND ".join(f"{name} = :{name}" for name in Group._fields)


def _read_sqlite(tx: Tx, group: Group, by_time: int | None, after: bytes, limit: int) -> Standing:
    passed = "" if by_time is None else "AND next_change_at <= :now "
    statement = (
        f"SELECT rowid, CAST(node_id AS BLOB), IFNULL(facts_id, {NONE}), judged_at, IFNULL(next_change_at, {NONE}) "  # noqa: S608
        f"FROM verdict WHERE {_WHERE} AND node_id > :after {passed}ORDER BY node_id LIMIT :limit"
    )
    values = {**group._asdict(), "after": after.decode(), "now": by_time, "limit": limit}
    driver: Any = tx.connection.connection.driver_connection
    found = driver.execute(statement, values).fetchall()
    if not found:
        return _nothing(group)
    rows, ids, facts, judged_at, next_change = zip(*found, strict=True)
    numbers = [np.asarray(column, np.int64) for column in (facts, judged_at, next_change)]
    return Standing(group, np.asarray(rows, np.int64), np.asarray(ids, np.bytes_), *numbers)


def _nothing(group: Group) -> Standing:
    none = np.empty(0, np.int64)
    return Standing(group, none, np.empty(0, "S1"), none, none, none)


_ID_BYTES = 20
_COPIED = np.dtype(
    [("n", ">i2"), ("i", ">i4"), ("id", f"S{_ID_BYTES}")]
    + [part for name in ("facts", "judged", "next") for part in ((f"{name}_n", ">i4"), (name, ">i8"))]
)
"""A row of PostgreSQL's binary COPY: the number of columns, then each with its length before it."""
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


def _read_postgres(tx: Tx, group: Group, by_time: int | None, after: bytes, limit: int) -> Standing:
    passed = "" if by_time is None else "AND next_change_at <= %(now)s "
    statement = (
        f"COPY (SELECT rpad(node_id, {_ID_BYTES}), coalesce(facts_id, {NONE}), judged_at, "  # noqa: S608
        f"coalesce(next_change_at, {NONE}) FROM verdict WHERE {_percent(_WHERE, group._asdict())} "
        f"AND node_id > %(after)s {passed}ORDER BY node_id LIMIT %(limit)s) TO STDOUT (FORMAT binary)"
    )
    values = {**group._asdict(), "after": after.decode(), "now": by_time, "limit": limit}
    driver: Any = tx.connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement, values) as copy:
        data = b"".join(copy)
    rows = np.frombuffer(data, _COPIED, offset=len(_HEADER), count=(len(data) - len(_HEADER)) // _COPIED.itemsize)
    if not len(rows):
        return _nothing(group)
    numbers = [rows[name].astype(np.int64) for name in ("facts", "judged", "next")]
    return Standing(group, np.empty(0, np.int64), np.char.rstrip(rows["id"]), *numbers)


def renewal(dialect: str, renewed: Renewed, first: int, last: int) -> Callable[[Tx], None]:
    """What writes that which differs of the verdicts from `first` up to `last`, unless they are others by now.

    Rows are made here, before the transaction that has to be short.
    """
    return (_renewal_sqlite if dialect == "sqlite" else _renewal_postgres)(renewed, first, last)


_NEW = ("baseline_version", "status", "unjudged_reason", "overall_level", *_COUNTS, "levels")
_SEEN = ("rowid", "node_id", "judged_at", "facts_id", *Group._fields[2:])
_OF_ROW = ("rowid", "node_id", "judged_at", "facts_id", "new_judged_at", "new_next", "status", "overall_level",
           *_COUNTS, "levels")  # fmt: skip
"""What each row has of its own; the rest is said once in the statement."""


def _update(with_next: bool) -> str:
    """`next_change_at` is named only where it changes: to name it costs its index an entry for each row."""
    place = {name: f"?{number}" for number, name in enumerate((*_OF_ROW, *_COMMON), 1)}
    changed = f"({', '.join(_NEW)}) IS NOT ({', '.join(place[name] for name in _NEW)})"
    if with_next:
        changed = f"(next_change_at IS NOT {place['new_next']} OR {changed})"
    more = f", next_change_at = {place['new_next']}" if with_next else ""
    return (
        f"UPDATE verdict SET judged_at = {place['new_judged_at']}, "  # noqa: S608
        f"{', '.join(f'{name} = {place[name]}' for name in _NEW)}{more} "
        f"WHERE {' AND '.join(f'{name} IS {place[name]}' for name in _SEEN)} AND {changed}"
    ).replace("rowid IS ?1", "rowid = ?1")


_COMMON = ("baseline_version", "unjudged_reason", *Group._fields[2:])
_UPDATE_WITH_NEXT, _UPDATE = _update(True), _update(False)


def _renewal_sqlite(renewed: Renewed, first: int, last: int) -> Callable[[Tx], None]:
    same = renewed.standing.next_change[first:last] == renewed.next_change[first:last]
    parts = [
        (statement, list(_tuples(renewed, np.nonzero(chosen)[0] + first)))
        for statement, chosen in ((_UPDATE, same), (_UPDATE_WITH_NEXT, ~same))
        if chosen.any()
    ]

    def write(tx: Tx) -> None:
        for statement, rows in parts:
            tx.connection.exec_driver_sql(statement, rows)

    return write


def _tuples(renewed: Renewed, places: NDArray[np.int64]) -> Iterator[tuple[Any, ...]]:
    standing = renewed.standing.take(places)
    common = (renewed.version, renewed.unjudged_reason, *standing.group[2:])
    numbers = renewed.numbers[places]
    levels = np.ascontiguousarray(numbers[:, len(_COUNTS) :], "<i4").tobytes()
    said, names = _statuses(renewed), [str(level.value) for level in LEVELS]
    every = zip(
        standing.rows.tolist(), standing.ids.astype(str).tolist(), standing.judged_at.tolist(),
        _nullable(standing.facts), renewed.judged_at[places].tolist(), _nullable(renewed.next_change[places]),
        renewed.guilty[places].tolist(), renewed.level[places].tolist(), numbers[:, : len(_COUNTS)].tolist(),
        range(0, len(levels), _LEVEL_BYTES), strict=True,
    )  # fmt: skip
    for row, node_id, seen_at, facts, judged_at, next_change, guilty, level, counts, at in every:
        yield (
            row, node_id, seen_at, facts, judged_at, next_change, said[guilty], names[level], *counts,
            levels[at : at + _LEVEL_BYTES], *common,
        )  # fmt: skip


def _statuses(renewed: Renewed) -> tuple[str, str]:
    """What is said of those who are not guilty, and of those who are."""
    if renewed.unjudged_reason is not None:
        return (ComplianceStatus.UNJUDGED.value,) * 2
    return ComplianceStatus.COMPLIANT.value, ComplianceStatus.NON_COMPLIANT.value


def _nullable(numbers: Numbers) -> list[int | None]:
    return [None if number == NONE else number for number in numbers.tolist()]


_STAGE = "renewed_verdicts"
_STAGED = {
    "node_id": ("text", f"S{_ID_BYTES}"),
    **dict.fromkeys(("seen_at", "seen_facts", "judged_at", "next_change_at"), ("bigint", ">i8")),
    **dict.fromkeys(("guilty", "level", *_COUNTS), ("integer", ">i4")),
    "levels": ("bytea", f"V{_LEVEL_BYTES}"),
}
_STAGED_ROW = np.dtype(
    [("n", ">i2"), *(part for name, (_, form) in _STAGED.items() for part in ((f"{name}_n", ">i4"), (name, form)))]
)
_MAKE_STAGE = (
    f"CREATE TEMP TABLE IF NOT EXISTS {_STAGE} "
    f"({', '.join(f'{name} {kind}' for name, (kind, _) in _STAGED.items())}) ON COMMIT DELETE ROWS"
)
_LEVEL_NAMES = "(ARRAY[" + ", ".join(f"'{level.value}'" for level in LEVELS) + "])[s.level + 1]"
_VALUES = {
    "baseline_version": "%(version)s",
    "status": "(ARRAY[%(said)s, %(blamed)s]::text[])[s.guilty + 1]",
    "unjudged_reason": "%(reason)s",
    "overall_level": _LEVEL_NAMES,
    **{name: f"s.{name}" for name in (*_COUNTS, "levels")},
    "next_change_at": f"nullif(s.next_change_at, {NONE})",
}
_RENEW = (
    f"UPDATE verdict v SET judged_at = s.judged_at, {', '.join(f'{n} = {value}' for n, value in _VALUES.items())} "  # noqa: S608
    f"FROM {_STAGE} s WHERE v.node_id = rtrim(s.node_id) AND v.judged_at = s.seen_at "
    f"AND coalesce(v.facts_id, {NONE}) = s.seen_facts AND v.baseline_id = %(baseline_id)s "
    "AND v.baseline_source = %(baseline_source)s AND v.patch_group = %(patch_group)s "
    f"AND ({', '.join(f'v.{name}' for name in _VALUES)}) IS DISTINCT FROM ({', '.join(_VALUES.values())})"
)


def _renewal_postgres(renewed: Renewed, first: int, last: int) -> Callable[[Tx], None]:
    standing, part = renewed.standing, slice(first, last)
    rows = np.zeros(len(standing.ids[part]), _STAGED_ROW)
    rows["n"] = len(_STAGED)
    for name in _STAGED:
        rows[f"{name}_n"] = _STAGED_ROW[name].itemsize
    columns = {
        "seen_at": standing.judged_at, "seen_facts": standing.facts, "judged_at": renewed.judged_at,
        "next_change_at": renewed.next_change, "guilty": renewed.guilty, "level": renewed.level,
    }  # fmt: skip
    rows["node_id"] = np.char.ljust(standing.ids[part], _ID_BYTES)
    for name, values in columns.items():
        rows[name] = values[part]
    for place, name in enumerate(_COUNTS):
        rows[name] = renewed.numbers[part, place]
    levels = np.ascontiguousarray(renewed.numbers[part, len(_COUNTS) :], "<i4")
    rows["levels"] = levels.view(f"V{_LEVEL_BYTES}")[:, 0]
    said, blamed = _statuses(renewed)
    common: dict[str, Any] = {**standing.group._asdict(), "version": renewed.version, "reason": renewed.unjudged_reason}
    common |= {"said": said, "blamed": blamed}
    data = _HEADER + rows.tobytes() + _TRAILER

    def write(tx: Tx) -> None:
        driver: Any = tx.connection.connection.driver_connection
        with driver.cursor() as cursor:
            cursor.execute(_MAKE_STAGE)
            with cursor.copy(f"COPY {_STAGE} FROM STDIN (FORMAT binary)") as copy:
                copy.write(data)
            cursor.execute(_RENEW, common)

    return write
