"""What is kept for a time only, and forgotten in small steps. Source: decisions.md 27, operations.md 3.5."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, Table, select, text

from patchwright.core import snapshots
from patchwright.store import client_tokens, window_executions
from patchwright.store.engine import Tx
from patchwright.store.tables import (
    command,
    compliance_report,
    invocation,
    invocation_step,
    node_facts,
    override_document,
    patch_run,
    patch_snapshot,
    reply_seen,
)
from patchwright.store.tables.runs import REPORTED

STEP = 500
"""Rows a transaction: the write lock is never held for long."""
REPLIES_KEPT = timedelta(days=7)
"""A node that could not send repeats its replies for hours, not days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long history stays."""

    facts: timedelta = timedelta(days=400)
    commands: timedelta = timedelta(days=30)
    """And the texts that patch runs printed: outputs, too."""
    runs: timedelta = timedelta(days=400)
    """Results and Plans of patch runs: evidence."""
    windows: timedelta = timedelta(days=30)
    """Executions of maintenance windows."""


def forget(tx: Tx, kept: Retention, now: datetime) -> int:
    """Forget at most STEP rows of each kind; how many they were. Call it again while it answers more than 0."""
    gone = client_tokens.forget(tx, now=now)
    gone += _oldest(tx, patch_snapshot, "frozen_at", now - snapshots.RETENTION)
    gone += _oldest(tx, reply_seen, "at", now - REPLIES_KEPT)
    gone += _overrides(tx, now - kept.commands)
    gone += window_executions.forget(tx, now - kept.windows, limit=STEP // 10)
    gone += _closed_facts(tx, now - kept.facts)
    gone += _reports(tx, now - kept.commands) + _runs(tx, now - kept.runs)
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
    """Finished commands with their invocations and outputs. Results of patch runs stay longer: they are evidence."""
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


def _reports(tx: Tx, before: datetime) -> int:
    """Texts of ended runs; their results stay."""
    old = _some_of(tx, select(patch_run.c.id).where(text(REPORTED), patch_run.c.ended_at < before))
    return tx.execute(patch_run.update().where(patch_run.c.id.in_(old)).values(report="", draft=None)).rowcount


def _runs(tx: Tx, before: datetime) -> int:
    """Runs of the past, but for each node's newest of a kind: what is said of its last operation is read from that."""
    newer = patch_run.alias("newer")
    alike = [newer.c[name] == patch_run.c[name] for name in ("node_id", "operation", "reboot_option", "plan_only")]
    has_newer = select(newer.c.id).where(
        *alike,
        newer.c.facts_at.is_not(None),
        newer.c.ended_at.is_not(None),
        newer.c.started_at > patch_run.c.started_at,
    )
    old = _some_of(tx, select(patch_run.c.id).where(patch_run.c.started_at < before, has_newer.exists()))
    return tx.execute(patch_run.delete().where(patch_run.c.id.in_(old))).rowcount


def _overrides(tx: Tx, before: datetime) -> int:
    """Override documents of no run that is kept. Those of a run stay with it: its Plan was made from them."""
    used = select(patch_run.c.id).where(
        patch_run.c.account == override_document.c.account,
        patch_run.c.override_digest == override_document.c.digest,
        patch_run.c.override_digest.is_not(None),
    )
    old = (
        select(override_document.c.account, override_document.c.digest)
        .where(override_document.c.at < before, ~used.exists())
        .limit(STEP // 10)
    )
    found = tx.execute(old).all()
    for row in found:
        same = (override_document.c.account == row.account) & (override_document.c.digest == row.digest)
        tx.execute(override_document.delete().where(same))
    return len(found)


def _some_of(tx: Tx, ids: Select[tuple[str]]) -> list[str]:
    """Rows with long texts: few of them a transaction."""
    return list(tx.execute(ids.limit(STEP // 10)).scalars())
