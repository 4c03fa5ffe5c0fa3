"""INSERT … ON CONFLICT in the words of both engines."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from patchwright.store.engine import Tx
from patchwright.store.prepared import Prepared


def insert_or_ignore(tx: Tx, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows that are not there yet, by any of the table's unique keys."""
    if len(rows) == 1:
        _one_ignoring(tx.connection.dialect.name, table, tuple(rows[0])).run(tx, rows[0])
    elif rows:
        tx.execute(_ignoring(tx.connection.dialect.name, table), list(rows))


def upsert(tx: Tx, table: Table, rows: Sequence[dict[str, Any]], *, key: Sequence[str]) -> None:
    """Insert the rows; where `key` is taken, every other column given is replaced."""
    if len(rows) == 1:
        _one_replacing(tx.connection.dialect.name, table, tuple(key), tuple(rows[0])).run(tx, rows[0])
    elif rows:
        tx.execute(_replacing(tx.connection.dialect.name, table, tuple(key), tuple(rows[0])), list(rows))


# Made once: building a statement takes several times as long as running it.
@cache
def _ignoring(dialect: str, table: Table) -> Executable:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _one_ignoring(dialect: str, table: Table, columns: tuple[str, ...]) -> Prepared:
    return Prepared(_ignoring(dialect, table), columns=columns)


@cache
def _one_replacing(dialect: str, table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Prepared:
    return Prepared(_replacing(dialect, table, key, columns), columns=columns)


@cache
def _replacing(dialect: str, table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Executable:
    statement = _insert(dialect, table)
    rest = {c: statement.excluded[c] for c in columns if c not in key}
    if not rest:
        return statement.on_conflict_do_nothing(index_elements=list(key))
    return statement.on_conflict_do_update(index_elements=list(key), set_=rest)


def _insert(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
