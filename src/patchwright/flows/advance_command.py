"""Start what the rates allow, time out what is late, roll many invocations up into one command."""

from datetime import datetime, timedelta

from patchwright.core.commands import ERRORS, Command, Details, Invocation, roll_up
from patchwright.core.nodes import is_online
from patchwright.core.rates import (
    DEFAULT_MAX_CONCURRENCY,
    DEFAULT_MAX_ERRORS,
    Progress,
    concurrency_cap,
    error_threshold,
    may_start,
)
from patchwright.store import commands, nodes
from patchwright.store.engine import Tx


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
    settle(tx, command_id)
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
    waiting = [i for i in invocations if i.details is Details.PENDING and i.dispatched_at is None]
    if not waiting:
        return
    in_flight = sum(1 for i in invocations if not i.details.terminal and i.dispatched_at is not None)
    errors = sum(1 for i in invocations if i.details in ERRORS)
    cap = concurrency_cap(command.request.get("MaxConcurrency", DEFAULT_MAX_CONCURRENCY), command.target_count)
    allowed = may_start(
        Progress(waiting=len(waiting), in_flight=in_flight, errors=errors), cap=cap, threshold=threshold_of(command)
    )
    if allowed is None:
        for invocation in waiting:
            commands.update_invocation(
                tx,
                command.id,
                invocation.node_id,
                details=Details.TERMINATED,
                ended_at=now,
                trace="Not started: the command had passed its error threshold.",
            )
        return
    chosen = waiting[:allowed]
    online = {n.id for n in nodes.get_many(tx, command.scope, [i.node_id for i in chosen]) if is_online(n.last_ping_at, now)}
    for invocation in chosen:
        values = {} if invocation.node_id in online else {"details": Details.DELAYED, "trace": _LATE_TRACE[Details.DELAYED]}
        commands.update_invocation(tx, command.id, invocation.node_id, dispatched_at=now, visible_at=now, **values)
        tx.wake(f"node:{invocation.node_id}")


def settle(tx: Tx, command_id: str) -> None:
    """Roll the invocations up into the command's status and counters."""
    command = commands.get(tx, command_id)
    rolled = roll_up(commands.count_by_details(tx, command_id), threshold=threshold_of(command))
    commands.save_roll_up(tx, command_id, rolled)
    if rolled.open and commands.has_waiting(tx, command_id):
        tx.wake("commands")


def _next_look(command: Command, invocations: list[Invocation], now: datetime) -> datetime | None:
    open_ones = [i for i in invocations if not i.details.terminal]
    if not open_ones:
        return None
    delivery = [
        i.dispatched_at + timedelta(seconds=command.timeout_seconds)
        for i in open_ones
        if i.dispatched_at is not None and i.acknowledged_at is None
    ]
    return max(now, min([command.expires_at, *delivery]))

