"""What is kept for a time only, and forgotten in small steps. Source: decisions.md 27, operations.md 3.5."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Table, select

from patchwright.store import client_tokens
from patchwright.store.engine import Tx
from patchwright.store.tables import command, compliance_report, invocation, invocation_step, node_facts, reply_seen

STEP = 500
"""Rows a transaction: the write lock is never held for long."""
REPLIES_KEPT = timedelta(days=7)
"""A node that could not send repeats its replies for hours, not days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long history stays."""

    facts: timedelta = timedelta(days=400)
    commands: timedelta = timedelta(days=30)


def forget(tx: Tx, kept: Retention, now: datetime) -> int:
    """Forget at most STEP rows of each kind; how many they were. Call it again while it answers more than 0."""
    gone = client_tokens.forget(tx, now=now)
    gone += _oldest(tx, reply_seen, "at", now - REPLIES_KEPT)
    gone += _closed_facts(tx, now - kept.facts)
    gone += _past_reports(tx, now - kept.facts)
    return gone + _commands(tx, now - kept.commands)


def _oldest(tx: Tx, table: Table, column: str, before: datetime) -> int:
    bound = tx.execute(
        select(table.c[column]).where(table.c[column] < before).order_by(table.c[column]).limit(1).offset(STEP)
    ).scalar_one_or_none()
    limit = before if bound is None else bound
    return tx.execute(table.delete().where(table.c[column] < limit)).rowcount


def _closed_facts(tx: Tx, before: datetime) -> int:
    old = select(node_facts.c.id).where(node_facts.c.valid_to < before).limit(STEP)
    return tx.execute(node_facts.delete().where(node_facts.c.id.in_(old.scalar_subquery()))).rowcount


def _past_reports(tx: Tx, before: datetime) -> int:
    old = select(compliance_report.c.id).where(compliance_report.c.valid_to < before).limit(STEP // 10)
    return tx.execute(compliance_report.delete().where(compliance_report.c.id.in_(old.scalar_subquery()))).rowcount


def _commands(tx: Tx, before: datetime) -> int:
    """Finished commands with their invocations and outputs. Results of patch runs stay: they are evidence."""
    ids = list(
        tx.execute(
            select(command.c.id).where(command.c.open.is_(False), command.c.requested_at < before).limit(STEP // 10)
        ).scalars()
    )
    if not ids:
        return 0
    for table in (invocation_step, invocation):
        tx.execute(table.delete().where(table.c.command_id.in_(ids)))
    return tx.execute(command.delete().where(command.c.id.in_(ids))).rowcount
