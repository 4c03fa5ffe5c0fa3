"""Verdicts that stand, read and renewed in columns: for changes that leave each node under its baseline.

A changed baseline, or an approval instant that passes, changes what is said of a node but not which facts and which
baseline speak. Both stand in the verdict, so nothing else has to be read of a hundred thousand nodes. Whatever moves
a node to other facts or another baseline makes it due by itself, in the same transaction.
Source: judging.md 3 and 11.6.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from itertools import chain
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
    # One text for all rows: a row at a time would be made an object, and cost the interpreter a turn, each.
    statement = (
        "SELECT count(*), group_concat(node_id, ' '), group_concat("  # noqa: S608
        f"row || ' ' || IFNULL(facts_id, {NONE}) || ' ' || judged_at || ' ' || IFNULL(next_change_at, {NONE}), ' ') "
        f"FROM (SELECT rowid AS row, node_id, facts_id, judged_at, next_change_at FROM verdict "
        f"WHERE {_WHERE} AND node_id > :after {passed}ORDER BY node_id LIMIT :limit)"
    )
    values = {**group._asdict(), "after": after.decode(), "now": by_time, "limit": limit}
    driver: Any = tx.connection.connection.driver_connection
    count, ids, numbers = driver.execute(statement, values).fetchone()
    if not count:
        return _nothing(group)
    rows, *columns = np.fromstring(numbers, np.int64, sep=" ").reshape(count, 4).T.copy()
    return Standing(group, rows, np.asarray(ids.encode().split(), np.bytes_), *columns)


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
_SEEN = ("node_id", "judged_at", "facts_id")
_COMMON = ("baseline_version", "unjudged_reason", *Group._fields[2:])
_OF_ROW = ("row", "node_id", "judged_at", "facts_id", "new_judged_at", "new_next", "status", "overall_level",
           *_COUNTS, "levels")  # fmt: skip
"""What each row has of its own; the rest is said once in the statement."""
_ROWS = (100, 10, 1)
"""Rows of a statement. To bind and step once for each row costs more than the rows do, and each step gives up the
interpreter with the write lock held."""


@cache
def _update(rows: int, with_next: bool) -> str:
    """`next_change_at` is named only where it changes: to name it costs its index an entry for each row."""
    common = {name: f"?{number}" for number, name in enumerate(_COMMON, 1)}
    new = {name: common.get(name, f"s.{name}") for name in _NEW}
    changed = f"({', '.join(f'verdict.{name}' for name in new)}) IS NOT ({', '.join(new.values())})"
    more = ""
    if with_next:
        changed, more = f"(next_change_at IS NOT s.new_next OR {changed})", ", next_change_at = s.new_next"
    first = len(_COMMON) + 1
    values = (", ".join(f"?{first + row * len(_OF_ROW) + n}" for n in range(len(_OF_ROW))) for row in range(rows))
    return (
        f"WITH s ({', '.join(_OF_ROW)}) AS (VALUES ({'), ('.join(values)})) "  # noqa: S608
        f"UPDATE verdict SET judged_at = s.new_judged_at, {', '.join(f'{n} = {v}' for n, v in new.items())}{more} "
        f"FROM s WHERE verdict.rowid = s.row AND {' AND '.join(f'verdict.{n} IS s.{n}' for n in _SEEN)} "
        f"AND {' AND '.join(f'verdict.{n} = {common[n]}' for n in Group._fields[2:])} AND {changed}"
    )


def _renewal_sqlite(renewed: Renewed, first: int, last: int) -> Callable[[Tx], None]:
    same = renewed.standing.next_change[first:last] == renewed.next_change[first:last]
    common = (renewed.version, renewed.unjudged_reason, *renewed.standing.group[2:])
    statements = [
        (_update(size, with_next), [*common, *chain.from_iterable(rows)])
        for with_next, chosen in ((False, same), (True, ~same))
        for size, rows in _in_sizes(list(_tuples(renewed, np.nonzero(chosen)[0] + first)))
    ]

    def write(tx: Tx) -> None:
        driver: Any = tx.connection.connection.driver_connection
        for statement, values in statements:
            driver.execute(statement, values)

    return write


def _in_sizes(rows: list[tuple[Any, ...]]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """The rows cut into the few sizes of which there are statements."""
    at = 0
    for size in _ROWS:
        while len(rows) - at >= size:
            yield size, rows[at : at + size]
            at += size


def _tuples(renewed: Renewed, places: NDArray[np.int64]) -> Iterator[tuple[Any, ...]]:
    standing = renewed.standing.take(places)
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
            levels[at : at + _LEVEL_BYTES],
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
