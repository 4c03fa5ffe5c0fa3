"""The polling channel: take messages, acknowledge, reply, refuse. Source: agent-protocol.md 6."""

from datetime import UTC
from typing import Any

from patchwright.flows.run_invocation import VISIBILITY, accept_reply, acknowledge, fail_message, has_messages
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import note_presence, own, registered
from patchwright.gateway.outgoing import Outgoing, take
from patchwright.gateway.replies import digest_of, read_reply


def _ready(ctx: NodeContext, request: Request) -> bool:
    return has_messages(ctx.tx, own(ctx, request, "Destination"), ctx.now)


@door("EC2WindowsMessageDeliveryService.GetMessages", Proof.NODE_SESSION, ready=_ready)
def get_messages(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    node = own(ctx, request, "Destination")
    note_presence(ctx, node)
    return {
        "Destination": node.id,
        "MessagesRequestId": request.get("MessagesRequestId", ""),
        "Messages": [_message(node.id, waiting) for waiting in take(ctx, node, visibility=VISIBILITY)],
    }


def _message(node_id: str, waiting: Outgoing) -> dict[str, Any]:
    """A message with the members without which the agent drops it."""
    created = waiting.created.astimezone(UTC)
    return {
        "MessageId": waiting.message_id,
        "Destination": node_id,
        "Topic": waiting.topic,
        "CreatedDate": f"{created:%Y-%m-%dT%H:%M:%S}.{created.microsecond // 1000:03d}Z",
        "Payload": waiting.payload,
    }


@door("EC2WindowsMessageDeliveryService.AcknowledgeMessage", Proof.NODE_SESSION)
def acknowledge_message(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    acknowledge(ctx.tx, registered(ctx), request["MessageId"], ctx.now)
    return {}


@door("EC2WindowsMessageDeliveryService.SendReply", Proof.NODE_SESSION)
def send_reply(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    accept_reply(
        ctx.tx,
        registered(ctx),
        message_id=request["MessageId"],
        # The member is optional: without an id the same words are the same reply.
        reply_id=request.get("ReplyId") or digest_of(request["MessageId"], request["Payload"]),
        reply=read_reply(request["Payload"]),
        now=ctx.now,
    )
    return {"MessageId": request["MessageId"], "ReplyId": request.get("ReplyId"), "ReplyStatus": "QUEUED"}


@door("EC2WindowsMessageDeliveryService.FailMessage", Proof.NODE_SESSION)
def fail(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    fail_message(ctx.tx, registered(ctx), request["MessageId"], request.get("FailureType", "")[:200], ctx.now)
    return {}


@door("EC2WindowsMessageDeliveryService.DeleteMessage", Proof.NODE_SESSION)
def delete_message(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    acknowledge(ctx.tx, registered(ctx), request["MessageId"], ctx.now)
    return {}
