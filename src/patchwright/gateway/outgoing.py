"""What is handed to a node, on whichever road: cancels and commands, as texts. Source: agent-protocol.md 6.3, 8."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from patchwright.core.nodes import ManagedNode
from patchwright.flows.cancel_command import cancel_payload, take_cancels
from patchwright.flows.run_invocation import MAX_MESSAGES, Message, payload_of, take_messages
from patchwright.gateway.context import NodeContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message for a node. A topic is matched by its prefix; the region has no dot in it."""

    message_id: str
    topic: str
    created: datetime
    payload: str


def take(ctx: NodeContext, node: ManagedNode, *, visibility: timedelta) -> list[Outgoing]:
    """What waits for the node, up to MAX_MESSAGES; each is offered again unless it is acknowledged in `visibility`."""
    # Cancels first: what they concern may still be ended before it does more.
    cancels = take_cancels(ctx.tx, node, ctx.now, limit=MAX_MESSAGES, visibility=visibility)
    messages = take_messages(ctx.tx, node, ctx.now, limit=MAX_MESSAGES - len(cancels), visibility=visibility)
    told = [
        Outgoing(
            message_id=i.cancel_message_id,
            topic=f"aws.ssm.cancelCommand.{node.scope.region}",
            created=i.cancel_requested_at or ctx.now,
            payload=cancel_payload(i),
        )
        for i in cancels
    ]
    return [*told, *(_command(ctx, message) for message in messages)]


def _command(ctx: NodeContext, message: Message) -> Outgoing:
    command = message.command
    tokens = {
        step: ctx.run_tokens.issue(ctx.node_id, command.id, step, command.expires_at) for step in message.token_steps
    }
    return Outgoing(
        message_id=message.invocation.message_id,
        topic=f"aws.ssm.sendCommand.{command.scope.region}",
        created=command.requested_at,
        payload=payload_of(message, tokens, ctx.worker_source() if tokens else {}),
    )
