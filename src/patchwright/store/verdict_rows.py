"""Many verdicts at once: short transactions that write only what differs and skip nodes that moved on.

A row was judged from a node's facts and in place of a verdict as they were in a snapshot. When either is another by
now, somebody judged later, or new facts made the node due again: the row is left out.
Source: judging.md 3 and 11.6.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from patchwright.core.judgement import Counts
from patchwright.store.engine import Tx

CHECKED = (
    "baseline_id", "baseline_version", "baseline_source", "patch_group", "status", "unjudged_reason", "overall_level",
    *(field.name for field in fields(Counts)), "levels", "facts_id", "next_change_at",
)  # fmt: skip
"""A verdict is written again when one of these differs; a later `judged_at` alone is no reason."""
COLUMNS = ("node_id", "account", "region", *CHECKED, "judged_at", "seen_at")
"""Of a row here. Instants are microseconds. `seen_at`: `judged_at` of the verdict that is replaced, None for none."""
Row = tuple[Any, ...]

_SET = ("judged_at", *CHECKED)


def write(tx: Tx, rows: Sequence[Row], tickets: Sequence[tuple[str, str]]) -> None:
    """Keep the verdicts, and take off the list what was due by (node id, ticket), unless it is due again."""
    new = [row for row in rows if row[-1] is None]
    old = [row for row in rows if row[-1] is not None]
    if tx.connection.dialect.name == "sqlite":
        _write_sqlite(tx, old, new, tickets)
    else:
        _write_postgres(tx, rows, tickets)


_NUMBER = {name: f"?{place}" for place, name in enumerate(COLUMNS, 1)}
_CURRENT = "(SELECT id FROM node_facts WHERE node_id = {node} AND valid_to IS NULL)"
_UPDATE = (
    f"UPDATE verdict SET {', '.join(f'{name} = {_NUMBER[name]}' for name in _SET)} "  # noqa: S608
    f"WHERE node_id = ?1 AND judged_at = {_NUMBER['seen_at']} "
    f"AND {_CURRENT.format(node='?1')} IS {_NUMBER['facts_id']} "
    f"AND ({', '.join(CHECKED)}) IS NOT ({', '.join(_NUMBER[name] for name in CHECKED)})"
)
_KEPT = COLUMNS[:-1]
_INSERT = (
    f"INSERT INTO verdict ({', '.join(_KEPT)}) SELECT {', '.join(_NUMBER[name] for name in _KEPT)} "  # noqa: S608
    f"WHERE {_NUMBER['seen_at']} IS NULL AND {_CURRENT.format(node='?1')} IS {_NUMBER['facts_id']} "
    "AND EXISTS (SELECT 1 FROM node WHERE id = ?1 AND deregistered_at IS NULL) ON CONFLICT DO NOTHING"
)
_DONE = "DELETE FROM due_judgement WHERE node_id = ? AND ticket = ?"


def _write_sqlite(tx: Tx, old: list[Row], new: list[Row], tickets: Sequence[tuple[str, str]]) -> None:
    for statement, rows in ((_UPDATE, old), (_INSERT, new), (_DONE, list(tickets))):
        if rows:
            tx.connection.exec_driver_sql(statement, rows)


_STAGE = "judged_verdicts"
_MAKE_STAGE = (
    f"CREATE TEMP TABLE IF NOT EXISTS {_STAGE} ON COMMIT DELETE ROWS AS "  # noqa: S608
    f"SELECT {', '.join(_KEPT)}, judged_at AS seen_at FROM verdict WITH NO DATA"
)
_SAME_FACTS = f"{_CURRENT.format(node='s.node_id')} IS NOT DISTINCT FROM s.facts_id"
_UPDATE_FROM = (
    f"UPDATE verdict v SET {', '.join(f'{name} = s.{name}' for name in _SET)} FROM {_STAGE} s "  # noqa: S608
    f"WHERE v.node_id = s.node_id AND v.judged_at = s.seen_at AND {_SAME_FACTS} "
    f"AND ({', '.join(f'v.{name}' for name in CHECKED)}) "
    f"IS DISTINCT FROM ({', '.join(f's.{name}' for name in CHECKED)})"
)
_INSERT_FROM = (
    f"INSERT INTO verdict ({', '.join(_KEPT)}) SELECT {', '.join(f's.{name}' for name in _KEPT)} FROM {_STAGE} s "  # noqa: S608
    f"WHERE s.seen_at IS NULL AND {_SAME_FACTS} "
    "AND EXISTS (SELECT 1 FROM node WHERE id = s.node_id AND deregistered_at IS NULL) ON CONFLICT DO NOTHING"
)
_DONE_FROM = (
    "DELETE FROM due_judgement d USING unnest(%s::text[], %s::text[]) AS t(node_id, ticket) "
    "WHERE d.node_id = t.node_id AND d.ticket = t.ticket"
)


def _write_postgres(tx: Tx, rows: Sequence[Row], tickets: Sequence[tuple[str, str]]) -> None:
    driver: Any = tx.connection.connection.driver_connection
    with driver.cursor() as cursor:
        if rows:
            cursor.execute(_MAKE_STAGE)
            with cursor.copy(f"COPY {_STAGE} ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(_UPDATE_FROM)
            cursor.execute(_INSERT_FROM)
        if tickets:
            cursor.execute(_DONE_FROM, [[node_id for node_id, _ in tickets], [ticket for _, ticket in tickets]])
