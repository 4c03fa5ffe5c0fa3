"""CancelCommand: what is not sent yet ends at once, what a node has is asked back. Source: operations.md 3.4, 3.7."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from patchwright.core.commands import CANCEL_MOVES, Command, Details, Invocation
from patchwright.core.errors import Duplicate, Kind, NotFound
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import NodeId
from patchwright.flows.advance_command import settle, settle_move
from patchwright.store import commands, rollouts
from patchwright.store.engine import Tx

VISIBILITY = timedelta(seconds=10)
"""A cancel that is not acknowledged is told again after this long to a node that polls."""
NOT_SENT = "Cancelled before the node was handed the command."


def cancellable(tx: Tx, command: Command, node_ids: Sequence[str]) -> list[Invocation]:
    """The invocations that a cancel would change: of the nodes named, or of all when none is.

    Raises Duplicate for a node named twice, NotFound(NODE) for one that the command was not sent to.
    """
    twice = sorted({n for n in node_ids if node_ids.count(n) > 1})
    if twice:
        raise Duplicate(Kind.NODE, f"Instance ids given more than once: {', '.join(twice)}")
    named = {n: commands.find_invocation(tx, command.id, n) for n in node_ids}
    absent = [n for n, invocation in named.items() if invocation is None]
    if absent:
        raise NotFound(Kind.NODE, f"Command {command.id} was not sent to [{', '.join(absent)}]. Nothing was cancelled.")
    found = list(named.values()) if node_ids else rollouts.open_ones(tx, command.id)
    return [i for i in found if i is not None and i.details in CANCEL_MOVES]


def cancel_command(tx: Tx, command: Command, chosen: Sequence[Invocation], *, whole: bool, now: datetime) -> None:
    """Cancel these invocations. `whole`: the operator named no node, so the command itself counts as cancelled.

    A command that is over, and what is over or being cancelled already, stays as it is: best effort, and no error.
    """
    if not command.open:
        return
    by_end: dict[Details, list[NodeId]] = {Details.CANCELLED: [], Details.CANCELLING: []}
    for invocation in chosen:
        by_end[CANCEL_MOVES[invocation.details]].append(invocation.node_id)
    rollouts.end_many(tx, command.id, by_end[Details.CANCELLED], Details.CANCELLED, NOT_SENT, now)
    rollouts.ask_back(tx, command.id, by_end[Details.CANCELLING], now)
    for node_id in by_end[Details.CANCELLING]:
        tx.wake(f"node:{node_id}")
    if whole and command.cancelled_at is None:
        commands.set_cancelled(tx, command.id, now)
    settle(tx, command.id)
    tx.wake(f"command:{command.id}")


def take_cancels(
    tx: Tx, node: ManagedNode, now: datetime, *, limit: int, visibility: timedelta = VISIBILITY
) -> list[Invocation]:
    """The cancels to tell a node now; each is told again unless it is acknowledged in `visibility`."""
    taken = commands.deliverable_cancels(tx, node.id, now, limit=limit)
    for invocation in taken:
        commands.update_invocation(tx, invocation.command_id, node.id, visible_at=now + visibility)
    return taken


def cancel_payload(invocation: Invocation) -> str:
    """What a cancel message says. Source: agent-protocol.md 8."""
    return msgspec.json.encode({"CancelMessageId": invocation.message_id}).decode()


def acknowledge_cancel(tx: Tx, node: ManagedNode, message_id: str, now: datetime) -> None:
    """The node knows of the cancel, whose message has this id; any other message is ignored.

    A command that the node was never handed is cancelled with that: nobody will speak of it.
    """
    for invocation in _told(commands.open_of_node(tx, node.id)):
        if invocation.cancel_message_id != message_id or invocation.cancel_acknowledged_at is not None:
            continue
        commands.update_invocation(tx, invocation.command_id, node.id, cancel_acknowledged_at=now)
        if invocation.delivered_at is None:
            rollouts.end_many(tx, invocation.command_id, [node.id], Details.CANCELLED, NOT_SENT, now)
            settle_move(tx, commands.get(tx, invocation.command_id), Details.CANCELLING, Details.CANCELLED)
            tx.wake(f"command:{invocation.command_id}")


def _told(found: Collection[Invocation]) -> list[Invocation]:
    return [i for i in found if i.details is Details.CANCELLING]
