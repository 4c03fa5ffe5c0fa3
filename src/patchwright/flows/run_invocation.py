"""Deliver an invocation to its node, and accept what the node says of it, once. Source: agent-protocol.md 6 to 9."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from patchwright.core.builtin_documents import worker_steps
from patchwright.core.commands import Command, Details, Invocation, StepResult, details_of_reply, may_move
from patchwright.core.document_parameters import delivered_parameters
from patchwright.core.documents import Document
from patchwright.core.nodes import ManagedNode
from patchwright.flows.advance_command import settle_acknowledgement, settle_move
from patchwright.flows.cancel_command import acknowledge_cancel
from patchwright.store import commands
from patchwright.store.engine import Tx

VISIBILITY = timedelta(seconds=10)
"""A message that is not acknowledged is offered again after this long to a node that polls."""
MAX_MESSAGES = 10
STDOUT_LIMIT, STDERR_LIMIT, OUTPUT_LIMIT, TRACE_LIMIT = 24_000, 8_000, 2_500, 2_500
CUT, OUTPUT_CUT = "--output truncated--", "\n---Output truncated---"
_COMMAND_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENDED = frozenset({"Success", "Failed", "ExecutionTimedOut", "Cancelled"})
_STEP_DETAILS = {
    "Success": ("Success", "Success"),
    "Skipped": ("Success", "Success"),
    "Failed": ("Failed", "Failed"),
    "TimedOut": ("TimedOut", "ExecutionTimedOut"),
    "Cancelled": ("Cancelled", "Cancelled"),
    "SuccessAndReboot": ("InProgress", "InProgress"),
    "InProgress": ("InProgress", "InProgress"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An invocation as it travels. `steps_with_token` need a run token added to the delivered copy."""

    command: Command
    invocation: Invocation
    token_steps: tuple[str, ...]


def take_messages(
    tx: Tx, node: ManagedNode, now: datetime, *, limit: int = MAX_MESSAGES, visibility: timedelta = VISIBILITY
) -> list[Message]:
    """The invocations to hand to a node now; each is offered again unless it is acknowledged in `visibility`."""
    taken = []
    for invocation in commands.deliverable(tx, node.id, now, limit=limit):
        command = commands.get(tx, invocation.command_id)
        if now >= command.expires_at:
            continue
        values: dict[str, Any] = {"visible_at": now + visibility, "delivered_at": invocation.delivered_at or now}
        moves = may_move(invocation.details, Details.IN_PROGRESS)
        if moves:
            values |= {"details": Details.IN_PROGRESS, "trace": ""}
        commands.update_invocation(tx, command.id, node.id, **values)
        if moves:
            settle_move(tx, command, invocation.details, Details.IN_PROGRESS)
        names = worker_steps(command.document_name, command.content)
        taken.append(Message(command=command, invocation=invocation, token_steps=names))
    return taken


def has_messages(tx: Tx, node: ManagedNode, now: datetime) -> bool:
    """Whether a poll would bring anything, commands or cancels; reads only."""
    return commands.has_deliverable(tx, node.id, now)


def payload_of(message: Message, tokens: Mapping[str, str], worker: Mapping[str, str] = MappingProxyType({})) -> str:
    """The message's payload: document and parameters in full, run tokens in the steps' environment only.

    `worker` is added to the environment of steps with a token: where their worker comes from.
    """
    command = message.command
    document = Document(name=command.document_name, version=command.document_version, content=command.content)
    content = dict(command.content)
    if tokens:
        content["mainSteps"] = [_with_token(s, tokens.get(s["name"]), worker) for s in content["mainSteps"]]
    request = command.request
    payload = {
        "CommandId": command.id,
        "DocumentName": command.document_name,
        "DocumentContent": content,
        "Parameters": delivered_parameters(document, command.parameters),
        "OutputS3BucketName": request.get("OutputS3BucketName", ""),
        "OutputS3KeyPrefix": request.get("OutputS3KeyPrefix", ""),
        "CloudWatchLogGroupName": "",
        "CloudWatchOutputEnabled": "false",
    }
    return msgspec.json.encode(payload).decode()


def _with_token(step: Mapping[str, Any], token: str | None, worker: Mapping[str, str]) -> Mapping[str, Any]:
    if token is None:
        return step
    inputs = dict(step["inputs"])
    inputs["environment"] = {**inputs.get("environment", {}), **worker, "PATCHWRIGHT_TOKEN": token}
    return {**step, "inputs": inputs}


def ids_of_message(message_id: str, node: ManagedNode) -> str | None:
    """The command id in `aws.ssm.<CommandId>.<InstanceId>`, None for a message of another node or another form.

    A cancel has a message id of its own, whose command does not exist.
    """
    parts = message_id.split(".")
    if len(parts) != 4 or parts[:2] != ["aws", "ssm"] or parts[3] != node.id:
        return None
    return parts[2] if _COMMAND_ID.fullmatch(parts[2]) else None


def acknowledge(tx: Tx, node: ManagedNode, message_id: str, now: datetime) -> None:
    """The node has durably queued the message. An unknown one is ignored: an error would only make it send again."""
    command_id = ids_of_message(message_id, node)
    invocation = commands.find_invocation(tx, command_id, node.id) if command_id else None
    if invocation is None:
        acknowledge_cancel(tx, node, message_id, now)
    elif invocation.delivered_at is not None and invocation.acknowledged_at is None:
        commands.update_invocation(tx, invocation.command_id, node.id, acknowledged_at=now)
        settle_acknowledgement(tx, commands.get(tx, invocation.command_id))


def postpone(tx: Tx, node: ManagedNode, message_id: str, until: datetime) -> None:
    """The node can't take the message now: it is offered again at `until`."""
    command_id = ids_of_message(message_id, node)
    invocation = commands.find_invocation(tx, command_id, node.id) if command_id else None
    if invocation is not None and invocation.visible_at is not None and invocation.acknowledged_at is None:
        commands.update_invocation(tx, invocation.command_id, node.id, visible_at=until)


def fail_message(tx: Tx, node: ManagedNode, message_id: str, failure: str, now: datetime) -> None:
    """The node can't use the message: the invocation has failed. A refused cancel is not sent again."""
    command_id = ids_of_message(message_id, node)
    invocation = commands.find_invocation(tx, command_id, node.id) if command_id else None
    if invocation is None:
        acknowledge_cancel(tx, node, message_id, now)
    if invocation is None or not may_move(invocation.details, Details.FAILED):
        return
    commands.update_invocation(
        tx,
        invocation.command_id,
        node.id,
        details=Details.FAILED,
        ended_at=now,
        acknowledged_at=invocation.acknowledged_at or now,
        trace=f"The node refused the message: {_text(failure)}"[:TRACE_LIMIT],
    )
    settle_move(tx, commands.get(tx, invocation.command_id), invocation.details, Details.FAILED)
    tx.wake(f"command:{invocation.command_id}")


def accept_reply(
    tx: Tx, node: ManagedNode, *, message_id: str, reply_id: str, reply: Mapping[str, Any], now: datetime
) -> None:
    """Take one reply of a node: each reply id counts once, status only moves forward, steps are merged by name.

    Replies for unknown or foreign commands are dropped, as the node would only send them again.
    Source: agent-protocol.md 9.4.
    """
    command_id = ids_of_message(message_id, node)
    invocation = commands.find_invocation(tx, command_id, node.id) if command_id else None
    if invocation is None or not commands.first_reply(tx, node.id, _text(reply_id), now):
        return
    steps = _merge_steps(tx, invocation, reply.get("runtimeStatus"))
    new = details_of_reply(_text(reply.get("documentStatus")))
    values: dict[str, Any] = {}
    if invocation.acknowledged_at is None and new is not None and new.terminal:
        values["acknowledged_at"] = now
    if invocation.started_at is None:
        values["started_at"] = now
    moves = new is not None and may_move(invocation.details, new)
    if new is not None and moves:
        values["details"] = new
        if new.terminal:
            values["ended_at"] = now
            values["trace"] = _text(reply.get("documentTraceOutput"))[:TRACE_LIMIT]
            _close_steps(tx, invocation, steps, new, now)
    if values:
        commands.update_invocation(tx, invocation.command_id, node.id, **values)
        tx.wake(f"command:{invocation.command_id}")
    if new is not None and moves:
        settle_move(tx, commands.get(tx, invocation.command_id), invocation.details, new)


def _merge_steps(tx: Tx, invocation: Invocation, runtime: object) -> list[StepResult]:
    steps = commands.steps(tx, invocation.command_id, invocation.node_id)
    if not isinstance(runtime, Mapping):
        return steps
    merged = []
    for step in steps:
        said = runtime.get(step.name)
        after = _step(step, said) if isinstance(said, Mapping) else step
        if after is step or _is_settled(step) or (step.status_details in _ENDED and after.status_details not in _ENDED):
            merged.append(step)
            continue
        commands.save_step(tx, invocation.command_id, invocation.node_id, after)
        merged.append(after)
    return merged


def _is_settled(step: StepResult) -> bool:
    """Whether the node itself has said how the step ended; what only `_close_steps` said gives way to its word."""
    return step.status_details in _ENDED and (step.response_code != -1 or step.started_at is not None)


def _step(step: StepResult, said: Mapping[str, Any]) -> StepResult:
    status, details = _STEP_DETAILS.get(_text(said.get("status")), ("InProgress", "InProgress"))
    code = said.get("code")
    return replace(
        step,
        status=status,
        status_details=details,
        response_code=code if type(code) is int and -(2**31) <= code < 2**31 else -1,
        output=cut(_text(said.get("output")), OUTPUT_LIMIT, mark=OUTPUT_CUT),
        standard_output=cut(_text(said.get("standardOutput")), STDOUT_LIMIT),
        standard_error=cut(_text(said.get("standardError")), STDERR_LIMIT),
        started_at=_instant(said.get("startDateTime")),
        ended_at=_instant(said.get("endDateTime")),
    )


def _close_steps(tx: Tx, invocation: Invocation, steps: list[StepResult], final: Details, now: datetime) -> None:
    """Steps that no reply spoke of end with the document: the node never ran them, or could not say."""
    for step in steps:
        if step.status_details in ("Pending", "InProgress"):
            details = {"Success": "Success", "TimedOut": "ExecutionTimedOut"}.get(final.status, final.status)
            commands.save_step(
                tx,
                invocation.command_id,
                invocation.node_id,
                replace(step, status=final.status, status_details=details, ended_at=step.ended_at or now),
            )


def cut(text: str, limit: int, mark: str = CUT) -> str:
    """The first part of an output, marked when something was cut away. Source: operations.md 3.5."""
    return text if len(text) <= limit else text[: limit - len(mark)] + mark


def _text(value: object) -> str:
    """A node's text as both engines can keep it: PostgreSQL refuses NUL."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else ""


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
