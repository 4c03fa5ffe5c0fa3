"""INSERT … ON CONFLICT in the words of both engines."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from patchwright.store.engine import Tx


def _insert(tx: Tx, table: Table) -> "sqlite.Insert | postgresql.Insert":
    return sqlite.insert(table) if tx.connection.dialect.name == "sqlite" else postgresql.insert(table)


def insert_or_ignore(tx: Tx, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows that are not there yet, by any of the table's unique keys."""
    if rows:
        tx.execute(_insert(tx, table).on_conflict_do_nothing(), list(rows))


def upsert(tx: Tx, table: Table, rows: Sequence[dict[str, Any]], *, key: Sequence[str]) -> None:
    """Insert the rows; where `key` is taken, every other column given is replaced."""
    if not rows:
        return
    statement = _insert(tx, table)
    rest = {c: statement.excluded[c] for c in rows[0] if c not in key}
    if rest:
        tx.execute(statement.on_conflict_do_update(index_elements=list(key), set_=rest), list(rows))
    else:
        tx.execute(statement.on_conflict_do_nothing(index_elements=list(key)), list(rows))
