"""Start what the rates allow, time out what is late, roll many invocations up into one command."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from patchwright.core.commands import ERRORS, Command, Details, Invocation, RollUp, roll_up
from patchwright.core.nodes import is_online
from patchwright.core.rates import (
    DEFAULT_MAX_CONCURRENCY,
    DEFAULT_MAX_ERRORS,
    Progress,
    concurrency_cap,
    error_threshold,
    may_start,
)
from patchwright.core.values import NodeId
from patchwright.store import commands, nodes
from patchwright.store.engine import Tx

HOLD_SLOT = timedelta(minutes=5)
"""A node that is offline keeps its slot this long: a dead one must not block a roll-out. Source: operations.md 3.2."""


def threshold_of(command: Command) -> int:
    """How many errors the command bears."""
    return error_threshold(command.request.get("MaxErrors", DEFAULT_MAX_ERRORS), command.target_count)


def advance_command(tx: Tx, command_id: str, now: datetime) -> datetime | None:
    """Bring one command forward as far as it goes at `now`.

    Idempotent. Returns when it must be looked at again whatever happens, None once it is finished.
    """
    command = commands.get(tx, command_id)
    if not command.open:
        return None
    for invocation in commands.invocations(tx, command_id):
        late = _late(command, invocation, now)
        if late is not None:
            commands.update_invocation(
                tx, command_id, invocation.node_id, details=late, ended_at=now, trace=_LATE_TRACE[late]
            )
    _start(tx, command, now)
    # Not `settle`: that wakes the loop, whose turn this is, and it would never come to rest while anything waits.
    _roll_up(tx, command)
    return _next_look(command, commands.invocations(tx, command_id), now)


_LATE_TRACE = {
    Details.DELIVERY_TIMED_OUT: "No final result came from the node in time.",
    Details.CANCELLED: "The cancel was not confirmed by the node in time.",
    Details.DELAYED: "The node is not connected; the command waits for it.",
}


def _late(command: Command, invocation: Invocation, now: datetime) -> Details | None:
    """What the clock makes of an invocation. Source: operations.md 3.3."""
    if invocation.details.terminal:
        return None
    if now >= command.expires_at:
        over = invocation.details is Details.CANCELLING
        return Details.CANCELLED if over else Details.DELIVERY_TIMED_OUT
    if invocation.dispatched_at is None or invocation.acknowledged_at is not None:
        return None
    if now >= invocation.dispatched_at + timedelta(seconds=command.timeout_seconds):
        return Details.DELIVERY_TIMED_OUT
    return None


def _start(tx: Tx, command: Command, now: datetime) -> None:
    """Dispatch waiting invocations as far as the rates allow, or terminate them once the errors are too many."""
    invocations = commands.invocations(tx, command.id)
    undelivered = [i for i in invocations if i.undelivered]
    if not undelivered:
        return
    delayed = {i.node_id for i in undelivered if i.details is Details.DELAYED}
    back = _online(tx, command, delayed, now)
    gone = {i.node_id for i in undelivered if _gives_up_slot(i, now) and i.node_id not in back}
    # A node that comes back after that queues for a slot like the others. Source: decisions.md 29.
    waiting = [i for i in undelivered if i.waiting and (i.node_id not in delayed or i.node_id in back)]
    progress = Progress(
        waiting=len(waiting),
        in_flight=sum(1 for i in invocations if i.in_flight) - len(gone),
        errors=sum(1 for i in invocations if i.details in ERRORS),
    )
    cap = concurrency_cap(command.request.get("MaxConcurrency", DEFAULT_MAX_CONCURRENCY), command.target_count)
    allowed = may_start(progress, cap=cap, threshold=threshold_of(command))
    if allowed is None:
        # What was offered to a node that is there counts as started; an offline node has not begun.
        _terminate(tx, command, [i for i in undelivered if i.waiting or i.details is Details.DELAYED], now)
        return
    for node_id in gone:
        commands.update_invocation(tx, command.id, node_id, visible_at=None)
    _dispatch(tx, command, waiting[:allowed], now)


def _gives_up_slot(invocation: Invocation, now: datetime) -> bool:
    """Whether an invocation has waited for its offline node as long as it may hold a slot."""
    held_since = invocation.dispatched_at
    if invocation.details is not Details.DELAYED or invocation.waiting or held_since is None:
        return False
    return now >= held_since + HOLD_SLOT


def _terminate(tx: Tx, command: Command, chosen: Sequence[Invocation], now: datetime) -> None:
    """End what will not be started any more. Source: operations.md 3.2."""
    for invocation in chosen:
        commands.update_invocation(
            tx,
            command.id,
            invocation.node_id,
            details=Details.TERMINATED,
            ended_at=now,
            trace="Not started: the command had passed its error threshold.",
        )


def _dispatch(tx: Tx, command: Command, chosen: Sequence[Invocation], now: datetime) -> None:
    online = _online(tx, command, {i.node_id for i in chosen}, now)
    for invocation in chosen:
        values: dict[str, Any] = {}
        if invocation.node_id not in online:
            values = {"details": Details.DELAYED, "trace": _LATE_TRACE[Details.DELAYED]}
        commands.update_invocation(tx, command.id, invocation.node_id, dispatched_at=now, visible_at=now, **values)
        tx.wake(f"node:{invocation.node_id}")


def _online(tx: Tx, command: Command, node_ids: Collection[NodeId], now: datetime) -> set[NodeId]:
    found = nodes.get_many(tx, command.scope, sorted(node_ids)) if node_ids else []
    return {n.id for n in found if is_online(n.last_ping_at, now)}


def settle(tx: Tx, command_id: str) -> None:
    """Roll the invocations up after one of them moved, and wake the loop when that may let others start."""
    command = commands.get(tx, command_id)
    rolled = _roll_up(tx, command)
    if rolled.open and commands.has_waiting(tx, command_id, or_delayed=rolled.errors > threshold_of(command)):
        tx.wake("commands")


def _roll_up(tx: Tx, command: Command) -> RollUp:
    """The command's status and counters as its invocations are now; written only where they changed."""
    rolled = roll_up(commands.count_by_details(tx, command.id), threshold=threshold_of(command))
    before = RollUp(
        status=command.status,
        details=command.status_details,
        completed=command.completed_count,
        errors=command.error_count,
        delivery_timed_out=command.delivery_timed_out_count,
        open=command.open,
    )
    if rolled != before:
        commands.save_roll_up(tx, command.id, rolled)
    return rolled


def _next_look(command: Command, invocations: list[Invocation], now: datetime) -> datetime | None:
    open_ones = [i for i in invocations if not i.details.terminal]
    if not open_ones:
        return None
    delivery = [
        i.dispatched_at + timedelta(seconds=command.timeout_seconds)
        for i in open_ones
        if i.dispatched_at is not None and i.acknowledged_at is None
    ]
    # An instant that has passed made its change in this very turn: counting it again would keep the loop spinning.
    held = [i for i in open_ones if i.details is Details.DELAYED and i.in_flight]
    slots = [i.dispatched_at + HOLD_SLOT for i in held if i.dispatched_at is not None]
    return max(now, min([command.expires_at, *delivery, *(s for s in slots if s > now)]))
