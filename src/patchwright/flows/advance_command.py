"""Start what the rates allow, time out what is late, roll many invocations up into one command.

A turn and a reply cost what changed, not what the command has: counters are carried forward move by move, and only
the last move counts everything. The simulation holds them against the invocations after each step.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from patchwright.core.commands import Command, Details, Invocation, RollUp, moved, roll_up
from patchwright.core.nodes import ONLINE_FOR
from patchwright.core.rates import (
    DEFAULT_MAX_CONCURRENCY,
    DEFAULT_MAX_ERRORS,
    PATIENCE,
    Progress,
    Ramp,
    concurrency_cap,
    error_threshold,
    may_start,
)
from patchwright.store import commands, rollouts
from patchwright.store.engine import Tx

HOLD_SLOT = timedelta(minutes=5)
"""A node that is offline keeps its slot this long: a dead one must not block a roll-out. Source: operations.md 3.2."""
Moves = list[tuple[Details, Details]]


def threshold_of(command: Command) -> int:
    """How many errors the command bears."""
    return error_threshold(command.request.get("MaxErrors", DEFAULT_MAX_ERRORS), command.target_count)


def cap_of(command: Command) -> int:
    """How many invocations the command may have in flight."""
    return concurrency_cap(command.request.get("MaxConcurrency", DEFAULT_MAX_CONCURRENCY), command.target_count)


def advance_command(tx: Tx, command_id: str, now: datetime) -> datetime | None:
    """Bring one command forward as far as it goes at `now`.

    Idempotent. Returns when it must be looked at again whatever happens, None once it is finished.
    """
    command = commands.get(tx, command_id)
    if not command.open:
        return None
    moves = _end_late(tx, command, now)
    moves += _start(tx, command, now)
    # Not `settle`: that wakes the loop, whose turn this is, and it would never come to rest while anything waits.
    rolled = _carry(tx, command, moves, recount=now >= command.expires_at)
    return _next_look(tx, command, now) if rolled.open else None


_LATE_TRACE = {
    Details.DELIVERY_TIMED_OUT: "No final result came from the node in time.",
    Details.CANCELLED: "The cancel was not confirmed by the node in time.",
    Details.DELAYED: "The node is not connected; the command waits for it.",
}


def _end_late(tx: Tx, command: Command, now: datetime) -> Moves:
    """End what the clock ends. Source: operations.md 3.3."""
    if now >= command.expires_at:
        late = rollouts.open_ones(tx, command.id)
    else:
        late = rollouts.late(tx, command.id, dispatched_until=now - timedelta(seconds=command.timeout_seconds))
    ends = [(i, Details.CANCELLED if i.details is Details.CANCELLING else Details.DELIVERY_TIMED_OUT) for i in late]
    for end in (Details.CANCELLED, Details.DELIVERY_TIMED_OUT):
        rollouts.end_many(tx, command.id, [i.node_id for i, e in ends if e is end], end, _LATE_TRACE[end], now)
    return [(i.details, end) for i, end in ends]


def _start(tx: Tx, command: Command, now: datetime) -> Moves:
    """Dispatch waiting invocations as far as the rates allow, or terminate them once the errors are too many."""
    cap, threshold = cap_of(command), threshold_of(command)
    if command.error_count > threshold:
        return _terminate(tx, command, now)
    _free_slots(tx, command, now)
    in_flight = rollouts.in_flight(tx, command.id)
    # A node that comes back after it gave its slot up queues for one like the others. Source: decisions.md 29.
    waiting = (
        rollouts.waiting(tx, command.id, online_since=now - ONLINE_FOR, limit=cap - in_flight)
        if in_flight < cap
        else []
    )
    progress = Progress(waiting=len(waiting), in_flight=in_flight, errors=command.error_count)
    allowed = may_start(progress, cap=cap, threshold=threshold)
    return _dispatch(tx, command, waiting[:allowed], cap, now)


def _free_slots(tx: Tx, command: Command, now: datetime) -> None:
    """Take the slots back from nodes that have been offline for as long as they may hold one."""
    held = rollouts.held_by_offline(tx, command.id, until=now - HOLD_SLOT)
    back = rollouts.online_among(tx, [i.node_id for i in held], since=now - ONLINE_FOR)
    for invocation in held:
        if invocation.node_id not in back:
            commands.update_invocation(tx, command.id, invocation.node_id, visible_at=None)


def _terminate(tx: Tx, command: Command, now: datetime) -> Moves:
    """End what will not be started any more. Source: operations.md 3.2.

    What was offered to a node that is there counts as started; an offline node has not begun.
    """
    chosen = rollouts.not_started(tx, command.id)
    trace = "Not started: the command had passed its error threshold."
    rollouts.end_many(tx, command.id, [i.node_id for i in chosen], Details.TERMINATED, trace, now)
    return [(i.details, Details.TERMINATED) for i in chosen]


def _dispatch(tx: Tx, command: Command, waiting: Sequence[Invocation], cap: int, now: datetime) -> Moves:
    """Offer the next invocations to their nodes: all of `waiting`, or as many as the slow start lets go."""
    if not waiting:
        return []
    online = rollouts.online_among(tx, [i.node_id for i in waiting], since=now - ONLINE_FOR)
    if not command.fast_start:
        ramp = Ramp(
            acknowledged=rollouts.acknowledged(tx, command.id, limit=cap),
            unanswered=rollouts.unanswered(tx, command.id, since=now - PATIENCE)[0],
        )
        waiting = waiting[: ramp.admits(i.node_id in online for i in waiting)]
    moves: Moves = []
    for invocation in waiting:
        if invocation.node_id in online:
            changes = {}
        else:
            changes = {"details": Details.DELAYED, "trace": _LATE_TRACE[Details.DELAYED]}
            moves.append((invocation.details, Details.DELAYED))
        commands.update_invocation(tx, command.id, invocation.node_id, dispatched_at=now, visible_at=now, **changes)
        tx.wake(f"node:{invocation.node_id}")
    return moves


def settle(tx: Tx, command_id: str) -> None:
    """Count the invocations anew after some of them moved, and wake the loop when that may let others start."""
    command = commands.get(tx, command_id)
    _wake(tx, command, _carry(tx, command, [], recount=True))


def settle_move(tx: Tx, command: Command, old: Details, new: Details) -> None:
    """The same after one invocation of `command`, as it was read in this transaction, went from `old` to `new`."""
    rolled = _carry(tx, command, [(old, new)])
    if new.terminal:
        _wake(tx, command, rolled)


def settle_acknowledgement(tx: Tx, command: Command) -> None:
    """Wake the loop when an acknowledgement lets the slow start go on."""
    if command.fast_start or not command.open or not rollouts.has_waiting(tx, command.id):
        return
    if rollouts.in_flight(tx, command.id) < cap_of(command):
        tx.wake("commands")


def _wake(tx: Tx, command: Command, rolled: RollUp) -> None:
    passed = rolled.errors > threshold_of(command)
    if rolled.open and rollouts.has_waiting(tx, command.id, or_delayed=passed):
        tx.wake("commands")


def _carry(tx: Tx, command: Command, moves: Moves, *, recount: bool = False) -> RollUp:
    """The command's status and counters after `moves`; written only where they changed."""
    rolled = before = command.rolled
    for old, new in moves:
        rolled = moved(rolled, old, new)
    if recount or rolled.completed >= command.target_count:
        rolled = roll_up(
            commands.count_by_details(tx, command.id),
            threshold=threshold_of(command),
            cancelled=command.cancelled_at is not None,
        )
    if rolled != before:
        commands.save_roll_up(tx, command.id, rolled)
    if before.open and not rolled.open:
        tx.wake("ended-commands")
    return rolled


def _next_look(tx: Tx, command: Command, now: datetime) -> datetime:
    """When the clock next changes something by itself.

    An instant that has passed made its change in this very turn: counting it again would keep the loop spinning.
    """
    looks = [command.expires_at]
    first = rollouts.first_unanswered(tx, command.id)
    if first is not None:
        looks.append(first + timedelta(seconds=command.timeout_seconds))
    looks += [i.dispatched_at + HOLD_SLOT for i in _next_held(tx, command, now) if i.dispatched_at is not None]
    if not command.fast_start and rollouts.has_waiting(tx, command.id):
        _, asked = rollouts.unanswered(tx, command.id, since=now - PATIENCE)
        looks += [] if asked is None else [asked + PATIENCE]
    return max(now, min(looks))


def _next_held(tx: Tx, command: Command, now: datetime) -> list[Invocation]:
    return rollouts.held_by_offline(tx, command.id, after=now - HOLD_SLOT)
