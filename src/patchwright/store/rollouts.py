"""What a turn of a command needs to know, at the cost of what is in flight and not of the whole command.

Each statement is served by a partial index of tables.py, whose condition it repeats word for word.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select

from patchwright.core.commands import Details, Invocation
from patchwright.core.values import NodeId
from patchwright.store.commands import CHUNK, invocation_from
from patchwright.store.engine import Tx
from patchwright.store.tables import invocation, node

_i = invocation.c
_OPEN = _i.ended_at.is_(None)
_FLYING = and_(_OPEN, _i.visible_at.is_not(None))
_UNANSWERED = and_(_OPEN, _i.acknowledged_at.is_(None), _i.dispatched_at.is_not(None))
_WILL_NOT_RUN = and_(_i.status_details == Details.CANCELLING, _i.delivered_at.is_(None))
_MAY_ANSWER = [Details.PENDING, Details.IN_PROGRESS]


def in_flight(tx: Tx, command_id: str) -> int:
    """How many invocations hold a slot, as `Invocation.in_flight` says of one."""
    return _count(tx, select(_i.node_id).where(_i.command_id == command_id, _FLYING, ~_WILL_NOT_RUN))


def acknowledged(tx: Tx, command_id: str, *, limit: int) -> int:
    """How many nodes have acknowledged the command; counted up to `limit`, beyond which the slow start is over."""
    return _count(
        tx, select(_i.node_id).where(_i.command_id == command_id, _i.acknowledged_at.is_not(None)).limit(limit)
    )


def unanswered(tx: Tx, command_id: str, *, since: datetime) -> tuple[int, datetime | None]:
    """Invocations offered to nodes that were there, after `since`, and not acknowledged; and the first one's time."""
    row = tx.execute(
        select(func.count().label("n"), func.min(_i.dispatched_at).label("first")).where(
            _i.command_id == command_id,
            _UNANSWERED,
            _i.visible_at.is_not(None),
            _i.status_details.in_(_MAY_ANSWER),
            _i.dispatched_at > since,
        )
    ).one()
    return row.n, row.first


def late(tx: Tx, command_id: str, *, dispatched_until: datetime) -> list[Invocation]:
    """Invocations that were dispatched by then, never acknowledged, and are not over."""
    return _invocations(
        tx, select(invocation).where(_i.command_id == command_id, _UNANSWERED, _i.dispatched_at <= dispatched_until)
    )


def open_ones(tx: Tx, command_id: str) -> list[Invocation]:
    """Every invocation that is not over: for what concerns them all, such as the command's end."""
    return _invocations(tx, select(invocation).where(_i.command_id == command_id, _OPEN).order_by(_i.ordinal))


def first_unanswered(tx: Tx, command_id: str) -> datetime | None:
    """When the oldest invocation that nobody acknowledged was dispatched."""
    return tx.execute(
        select(_i.dispatched_at).where(_i.command_id == command_id, _UNANSWERED).order_by(_i.dispatched_at).limit(1)
    ).scalar_one_or_none()


def held_by_offline(
    tx: Tx, command_id: str, *, until: datetime | None = None, after: datetime | None = None
) -> list[Invocation]:
    """Delayed invocations that hold a slot, dispatched `until` or `after` then, the oldest first."""
    statement = select(invocation).where(
        _i.command_id == command_id, _UNANSWERED, _i.visible_at.is_not(None), _i.status_details == Details.DELAYED
    )
    if until is not None:
        statement = statement.where(_i.dispatched_at <= until)
    if after is not None:
        statement = statement.where(_i.dispatched_at > after).limit(1)
    return _invocations(tx, statement.order_by(_i.dispatched_at))


def online_among(tx: Tx, node_ids: Collection[NodeId], *, since: datetime) -> set[NodeId]:
    """The registered nodes among these that have pinged `since` then."""
    wanted, found = sorted(node_ids), set()
    for start in range(0, len(wanted), CHUNK):
        rows = tx.execute(
            select(node.c.id).where(
                node.c.id.in_(wanted[start : start + CHUNK]),
                node.c.deregistered_at.is_(None),
                node.c.last_ping_at >= since,
            )
        )
        found |= {NodeId(r.id) for r in rows}
    return found


def waiting(tx: Tx, command_id: str, *, online_since: datetime, limit: int) -> list[Invocation]:
    """The next invocations to start, in their order: not offered yet, or taken back and the node is there again."""
    pending = _invocations(tx, _waits(command_id, Details.PENDING).order_by(_i.ordinal).limit(limit))
    back = _invocations(
        tx,
        _waits(command_id, Details.DELAYED)
        .join(node, node.c.id == _i.node_id)
        .where(node.c.last_ping_at >= online_since)
        .order_by(_i.ordinal)
        .limit(limit),
    )
    return sorted([*pending, *back], key=lambda one: one.ordinal)[:limit]


def has_waiting(tx: Tx, command_id: str, *, or_delayed: bool = False) -> bool:
    """Whether an invocation waits to be offered, or for an offline node; `or_delayed`: or is Delayed at all."""
    for details in (Details.PENDING, Details.DELAYED):
        statement = _waits(command_id, details)
        if or_delayed and details is Details.DELAYED:
            statement = select(invocation).where(_i.command_id == command_id, _OPEN, _i.status_details == details)
        if tx.execute(statement.with_only_columns(_i.node_id).limit(1)).first() is not None:
            return True
    return False


def not_started(tx: Tx, command_id: str) -> list[Invocation]:
    """What the error threshold ends: waiting ones, and those that wait for an offline node."""
    delayed = _i.status_details == Details.DELAYED
    waits = and_(_i.status_details == Details.PENDING, _i.visible_at.is_(None))
    return _invocations(tx, select(invocation).where(_i.command_id == command_id, _OPEN, or_(delayed, waits)))


def end_many(tx: Tx, command_id: str, node_ids: Sequence[NodeId], details: Details, trace: str, now: datetime) -> None:
    """The same end for many invocations."""
    for start in range(0, len(node_ids), CHUNK):
        tx.execute(
            invocation.update()
            .where(_i.command_id == command_id, _i.node_id.in_(node_ids[start : start + CHUNK]))
            .values(status=details.status, status_details=str(details), ended_at=now, trace=trace)
        )


def ask_back(tx: Tx, command_id: str, node_ids: Sequence[NodeId], now: datetime) -> None:
    """Make invocations Cancelling; their nodes are told at their next poll."""
    values = {"status": Details.CANCELLING.status, "status_details": str(Details.CANCELLING)}
    for start in range(0, len(node_ids), CHUNK):
        tx.execute(
            invocation.update()
            .where(_i.command_id == command_id, _i.node_id.in_(node_ids[start : start + CHUNK]))
            .values(**values, cancel_requested_at=now, visible_at=now)
        )


def _waits(command_id: str, details: Details) -> Any:
    return select(invocation).where(
        _i.command_id == command_id, _OPEN, _i.status_details == details, _i.visible_at.is_(None)
    )


def _count(tx: Tx, rows: Any) -> int:
    return int(tx.execute(select(func.count()).select_from(rows.subquery())).scalar_one())


def _invocations(tx: Tx, statement: Any) -> list[Invocation]:
    return [invocation_from(r) for r in tx.execute(statement).mappings()]
