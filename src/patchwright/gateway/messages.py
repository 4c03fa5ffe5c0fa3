"""The polling channel: take messages, acknowledge, reply, refuse. Source: agent-protocol.md 6."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from patchwright.core.commands import Invocation
from patchwright.core.errors import Invalid, Kind
from patchwright.flows.cancel_command import cancel_payload, take_cancels
from patchwright.flows.run_invocation import (
    MAX_MESSAGES,
    Message,
    accept_reply,
    acknowledge,
    fail_message,
    has_messages,
    payload_of,
    take_messages,
)
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import own, registered

MAX_REPLY = 1_000_000


def _ready(ctx: NodeContext, request: Request) -> bool:
    return has_messages(ctx.tx, own(ctx, request, "Destination"), ctx.now)


@door("EC2WindowsMessageDeliveryService.GetMessages", Proof.NODE_SESSION, ready=_ready)
def get_messages(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    node = own(ctx, request, "Destination")
    # Cancels first: what they concern may still be ended before it does more.
    cancels = take_cancels(ctx.tx, node, ctx.now, limit=MAX_MESSAGES)
    messages = take_messages(ctx.tx, node, ctx.now, limit=MAX_MESSAGES - len(cancels))
    region = node.scope.region
    return {
        "Destination": node.id,
        "MessagesRequestId": request.get("MessagesRequestId", ""),
        "Messages": [*(_cancel(ctx, i, region) for i in cancels), *(_send(ctx, m) for m in messages)],
    }


def _send(ctx: NodeContext, message: Message) -> dict[str, Any]:
    command = message.command
    tokens = {
        step: ctx.run_tokens.issue(ctx.node_id, command.id, step, command.expires_at) for step in message.token_steps
    }
    topic = f"aws.ssm.sendCommand.{command.scope.region}"
    return _message(ctx, message.invocation.message_id, topic, command.requested_at, payload_of(message, tokens))


def _cancel(ctx: NodeContext, invocation: Invocation, region: str) -> dict[str, Any]:
    created = invocation.cancel_requested_at or ctx.now
    topic = f"aws.ssm.cancelCommand.{region}"
    return _message(ctx, invocation.cancel_message_id, topic, created, cancel_payload(invocation))


def _message(ctx: NodeContext, message_id: str, topic: str, created: datetime, payload: str) -> dict[str, Any]:
    """A message as the agent expects it; a topic is matched by its prefix, and the region has no dot in it."""
    created = created.astimezone(UTC)
    return {
        "MessageId": message_id,
        "Destination": ctx.node_id,
        "Topic": topic,
        "CreatedDate": f"{created:%Y-%m-%dT%H:%M:%S}.{created.microsecond // 1000:03d}Z",
        "Payload": payload,
    }


@door("EC2WindowsMessageDeliveryService.AcknowledgeMessage", Proof.NODE_SESSION)
def acknowledge_message(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    acknowledge(ctx.tx, registered(ctx), request["MessageId"], ctx.now)
    return {}


@door("EC2WindowsMessageDeliveryService.SendReply", Proof.NODE_SESSION)
def send_reply(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    payload = request["Payload"]
    if len(payload) > MAX_REPLY:
        raise Invalid(Kind.REQUEST, f"A reply's payload has at most {MAX_REPLY} characters.")
    try:
        reply = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise Invalid(Kind.REQUEST, "The reply's payload is not JSON.") from wrong
    if not isinstance(reply, dict):
        raise Invalid(Kind.REQUEST, "The reply's payload is not a JSON object.")
    accept_reply(
        ctx.tx,
        registered(ctx),
        message_id=request["MessageId"],
        # The member is optional: without an id the same words are the same reply.
        reply_id=request.get("ReplyId") or hashlib.sha256(f"{request['MessageId']} {payload}".encode()).hexdigest(),
        reply=reply,
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
