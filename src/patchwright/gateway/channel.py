"""The push channel: jobs to a node, and what the node says of them, frame by frame. Source: agent-protocol.md 7.

The queue behind it is that of the polls: a message is on one road at a time, and either may drain it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from patchwright.core.errors import Invalid, Kind
from patchwright.core.nodes import is_quiet
from patchwright.flows.run_invocation import accept_reply, acknowledge, fail_message, has_messages, postpone
from patchwright.gateway.context import NodeContext
from patchwright.gateway.credentials import note_presence, registered
from patchwright.gateway.outgoing import Outgoing, take
from patchwright.gateway.replies import read_reply
from patchwright.wire.agent_frames import Frame

UNANSWERED = timedelta(seconds=5)
"""A job that arrives before the node's processor is ready gets no word at all: it is sent again after this long."""
BACK_OFF = timedelta(seconds=5)
"""A job that the node could not take is offered again after this long."""
JOB, JOB_ACK, REPLY, REPLY_ACK = "agent_job", "agent_job_ack", "agent_job_reply", "agent_job_reply_ack"
ACCEPTED = "200"
_LATER = frozenset({"51401", "51402"})  # shutting down, queue full
_KNOWN_ALREADY = "51405"
_MAX_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What follows from a frame: an answer to send, and when to look again at what the node could not take now."""

    answer: Frame | None = None
    look_again: timedelta | None = None


def has_work(ctx: NodeContext) -> bool:
    """Whether `take_jobs` would do anything: a read. Raises Refused once the node is deregistered."""
    node = registered(ctx)
    return has_messages(ctx.tx, node, ctx.now) or is_quiet(node.last_ping_at, ctx.now)


def take_jobs(ctx: NodeContext) -> list[Frame]:
    """The jobs to send to the node now. Raises Refused once it is deregistered."""
    node = registered(ctx)
    note_presence(ctx, node)
    return [_job(ctx, waiting) for waiting in take(ctx, node, visibility=UNANSWERED)]


def _job(ctx: NodeContext, waiting: Outgoing) -> Frame:
    job = {
        "SchemaVersion": 1,
        "JobId": waiting.message_id,
        "Topic": waiting.topic,
        "Content": waiting.payload,
    }
    return _frame(ctx, JOB, job)


def hear(ctx: NodeContext, frame: Frame) -> Heard:
    """Take one frame of the node's. Its answer is to be sent once this transaction is committed.

    Kinds that are not known are ignored. Raises Invalid for one that is known and makes no sense, and Refused.
    """
    if frame.kind == JOB_ACK:
        return _hear_ack(ctx, _object(frame))
    if frame.kind == REPLY:
        return _hear_reply(ctx, frame, _object(frame))
    return Heard()


def _hear_ack(ctx: NodeContext, said: dict[str, Any]) -> Heard:
    node, job_id, code = registered(ctx), _text(said, "jobId"), _text(said, "statusCode")
    if code in (ACCEPTED, _KNOWN_ALREADY):
        acknowledge(ctx.tx, node, job_id, ctx.now)
    elif code in _LATER:
        postpone(ctx.tx, node, job_id, ctx.now + BACK_OFF)
        return Heard(look_again=BACK_OFF)
    else:
        reason = said.get("errorMessage")
        words = reason[:_MAX_REASON] if isinstance(reason, str) else ""
        fail_message(ctx.tx, node, job_id, f"{code[:20]} {words}".strip(), ctx.now)
    return Heard()


def _hear_reply(ctx: NodeContext, frame: Frame, said: dict[str, Any]) -> Heard:
    job_id = _text(said, "jobId")
    accept_reply(
        ctx.tx,
        registered(ctx),
        message_id=job_id,
        # What is sent again has the same frame id, also over another connection.
        reply_id=str(frame.id),
        reply=read_reply(_text(said, "content")),
        now=ctx.now,
    )
    return Heard(answer=_frame(ctx, REPLY_ACK, {"jobId": job_id, "acknowledgedMessageId": str(frame.id)}))


def _frame(ctx: NodeContext, kind: str, payload: dict[str, Any]) -> Frame:
    return Frame(
        kind=kind, id=UUID(ctx.ids.uuid()), created=_milliseconds(ctx.now), payload=msgspec.json.encode(payload)
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _object(frame: Frame) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(frame.payload)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise Invalid(Kind.REQUEST, f"The payload of {frame.kind} is not JSON.") from wrong
    if not isinstance(said, dict):
        raise Invalid(Kind.REQUEST, f"The payload of {frame.kind} is not a JSON object.")
    return said


def _text(said: dict[str, Any], member: str) -> str:
    value = said.get(member)
    if not isinstance(value, str):
        raise Invalid(Kind.REQUEST, f"{member} is missing.")
    return value
