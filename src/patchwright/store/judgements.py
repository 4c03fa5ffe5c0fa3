"""Verdicts (a node's current judgement, as counts), history overlays, and which nodes are due for judging."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from struct import Struct
from typing import Any

from sqlalchemy import select

from patchwright.core.judgement import Counts, History, Levels
from patchwright.core.values import (
    LEVELS,
    BaselineId,
    ComplianceLevel,
    ComplianceStatus,
    NodeId,
    PatchState,
    Scope,
    Slot,
)
from patchwright.store.engine import Tx
from patchwright.store.tables import due_judgement, overlay, verdict
from patchwright.store.upsert import upsert

_COUNT_NAMES = tuple(field.name for field in fields(Counts))
IDS_PER_QUERY = 4_000
_LEVELS = Struct(f"<{2 * len(LEVELS)}i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the judge said of a node, and from which inputs. `baseline_version` is 0 for a predefined one."""

    node_id: NodeId
    scope: Scope
    baseline_id: BaselineId
    baseline_version: int
    baseline_source: str
    patch_group: str
    status: ComplianceStatus
    unjudged_reason: str | None
    overall_level: ComplianceLevel
    counts: Counts
    levels: Levels
    facts_id: int | None
    judged_at: datetime
    next_change_at: datetime | None


def save(tx: Tx, new: Verdict) -> None:
    """Replace the node's verdict."""
    row = asdict(new) | {"levels": pack_levels(new.levels)}
    scope, counts = row.pop("scope"), row.pop("counts")
    upsert(tx, verdict, [row | scope | counts], key=["node_id"])


def pack_levels(levels: Levels) -> bytes:
    """Little-endian 32-bit numbers: compliant by level, then non-compliant by level, the highest level first."""
    return _LEVELS.pack(*levels.compliant, *levels.non_compliant)


def unpack_levels(packed: bytes) -> Levels:
    """What `pack_levels` was given."""
    numbers = _LEVELS.unpack(packed)
    return Levels(compliant=numbers[: len(LEVELS)], non_compliant=numbers[len(LEVELS) :])


def find(tx: Tx, node_id: str) -> Verdict | None:
    found = find_many(tx, [node_id])
    return found[0] if found else None


def find_many(tx: Tx, node_ids: Sequence[str]) -> list[Verdict]:
    """The verdicts of nodes in id order; a node that was never judged has none."""
    rows = tx.execute(
        select(verdict).where(verdict.c.node_id.in_(list(node_ids))).order_by(verdict.c.node_id)
    ).mappings()
    return [verdict_from(r) for r in rows]


def forget_node(tx: Tx, node_id: NodeId) -> None:
    """Remove what the judge keeps of a node that was deregistered."""
    for table in (verdict, overlay, due_judgement):
        tx.execute(table.delete().where(table.c.node_id == node_id))


def history(tx: Tx, node_id: NodeId) -> History:
    """What earlier runs left behind on the node. Source: decisions.md 12."""
    return _history(list(tx.execute(select(overlay).where(overlay.c.node_id == node_id))))


def histories(tx: Tx, node_ids: Sequence[str]) -> dict[str, History]:
    """The same for many nodes, those that have any."""
    found: dict[str, list[Any]] = {}
    for start in range(0, len(node_ids), IDS_PER_QUERY):
        some = node_ids[start : start + IDS_PER_QUERY]
        for row in tx.execute(select(overlay).where(overlay.c.node_id.in_(some))):
            found.setdefault(row.node_id, []).append(row)
    return {node_id: _history(rows) for node_id, rows in found.items()}


def _history(rows: Sequence[Any]) -> History:
    failed = [r for r in rows if r.state == PatchState.FAILED]
    return History(
        failed=frozenset((Slot(name=r.name, arch=r.arch), r.version) for r in failed),
        failed_reasons={(Slot(name=r.name, arch=r.arch), r.version): r.detail for r in failed},
        pending_reboot=frozenset(
            (Slot(name=r.name, arch=r.arch), r.version, r.boot_id)
            for r in rows
            if r.state == PatchState.INSTALLED_PENDING_REBOOT
        ),
    )


def save_history(tx: Tx, node_id: NodeId, new: History) -> None:
    """Replace what earlier runs left behind on the node."""
    rows = [
        {
            "node_id": node_id,
            "name": slot.name,
            "arch": slot.arch,
            "version": version,
            "state": PatchState.FAILED,
            "boot_id": "",
            "detail": new.failed_reasons.get((slot, version), ""),
        }
        for slot, version in new.failed
    ]
    rows += [
        {
            "node_id": node_id,
            "name": slot.name,
            "arch": slot.arch,
            "version": version,
            "state": PatchState.INSTALLED_PENDING_REBOOT,
            "boot_id": boot_id,
            "detail": "",
        }
        for slot, version, boot_id in new.pending_reboot
    ]
    tx.execute(overlay.delete().where(overlay.c.node_id == node_id))
    if rows:
        tx.execute(overlay.insert(), rows)


def clear_failed(tx: Tx, node_id: NodeId) -> bool:
    """A Scan clears FAILED: what is still not there is MISSING again. Whether there was any. Source: 6.1."""
    gone = tx.execute(overlay.delete().where(overlay.c.node_id == node_id, overlay.c.state == PatchState.FAILED))
    return gone.rowcount > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A node to be judged again; the ticket tells whether it became due once more meanwhile."""

    node_id: NodeId
    cause: str
    caused_at: datetime
    ticket: str


def due(tx: Tx, *, limit: int) -> list[Due]:
    """Nodes due for judging, the oldest cause first."""
    rows = tx.execute(
        select(due_judgement).order_by(due_judgement.c.caused_at, due_judgement.c.node_id).limit(limit)
    ).mappings()
    return [Due(**r) for r in rows]


def is_due(tx: Tx, node_id: str) -> bool:
    return tx.execute(select(due_judgement.c.ticket).where(due_judgement.c.node_id == node_id)).first() is not None


def done(tx: Tx, item: Due) -> None:
    """Take the node off the list, unless it became due again since `item` was read."""
    tx.execute(
        due_judgement.delete().where(due_judgement.c.node_id == item.node_id, due_judgement.c.ticket == item.ticket)
    )


def next_change(tx: Tx) -> datetime | None:
    """The earliest instant at which time alone changes a verdict."""
    return tx.execute(
        select(verdict.c.next_change_at)
        .where(verdict.c.next_change_at.is_not(None))
        .order_by(verdict.c.next_change_at)
        .limit(1)
    ).scalar_one_or_none()


def changed_by_time(tx: Tx, now: datetime, *, limit: int) -> list[NodeId]:
    """Nodes whose verdict may have changed because an approval instant has passed."""
    rows = tx.execute(
        select(verdict.c.node_id)
        .where(verdict.c.next_change_at <= now)
        .order_by(verdict.c.next_change_at, verdict.c.node_id)
        .limit(limit)
    )
    return [NodeId(r.node_id) for r in rows]


def verdict_from(row: Any) -> Verdict:
    """A verdict of a row of its table."""
    values = dict(row)
    scope = Scope(account=values.pop("account"), region=values.pop("region"))
    return Verdict(
        scope=scope,
        counts=Counts(**{name: values.pop(name) for name in _COUNT_NAMES}),
        levels=unpack_levels(values.pop("levels")),
        status=ComplianceStatus(values.pop("status")),
        overall_level=ComplianceLevel(values.pop("overall_level")),
        **values,
    )
