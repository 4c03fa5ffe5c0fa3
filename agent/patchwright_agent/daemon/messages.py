"""Messages of the polling channel: checked before any part of them becomes a path name or is acted on. Pure.

Source: spec/agent-protocol.md 6.3 and 8.
"""

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

MAX_PAYLOAD_CHARACTERS = 1024 * 1024  # a document and its parameters are at most 64 KiB; output settings add little
_COMMAND_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")
_MEMBERS = ("MessageId", "Destination", "Topic", "CreatedDate", "Payload")
SEND_COMMAND, CANCEL_COMMAND = "aws.ssm.sendCommand", "aws.ssm.cancelCommand"


class Unusable(Exception):
    """A message that is dropped or refused. `message_id` is "" when there is none that could be answered."""

    def __init__(self, reason: str, message_id: str = "") -> None:
        Exception.__init__(self, reason)
        self.reason = reason
        self.message_id = message_id


class Message:
    """A message for this node: SEND_COMMAND or CANCEL_COMMAND, ids that are safe as file names, payload text."""

    __slots__ = ("command_id", "kind", "message_id", "payload")

    def __init__(self, message_id: str, command_id: str, kind: str, payload: str) -> None:
        self.message_id = message_id
        self.command_id = command_id
        self.kind = kind
        self.payload = payload


def parse_message(raw: "Any", instance_id: str) -> Message:
    """Check one element of a poll's answer. Raises Unusable."""
    if not isinstance(raw, dict):
        raise Unusable("a message is not an object")
    values = {name: str(raw[name]) for name in _MEMBERS if isinstance(raw.get(name), str) and raw[name]}
    if len(values) < len(_MEMBERS):
        raise Unusable("a message lacks one of its members")
    command_id = command_of(values["MessageId"], instance_id)
    if not command_id or values["Destination"] != instance_id:
        raise Unusable("a message is not for this node, or its id has another form")
    message_id = values["MessageId"]
    if len(values["Payload"]) > MAX_PAYLOAD_CHARACTERS:
        raise Unusable("a message is larger than %d characters" % MAX_PAYLOAD_CHARACTERS, message_id)
    for kind in (SEND_COMMAND, CANCEL_COMMAND):
        if values["Topic"].startswith(kind):
            return Message(message_id, command_id, kind, values["Payload"])
    raise Unusable("a message has a topic that this agent doesn't know", message_id)


def command_of(message_id: str, instance_id: str) -> str:
    """The command's id in "aws.ssm.<command>.<node>", or "" if it isn't one of this node's."""
    fields = message_id.split(".")
    if len(fields) != 4 or fields[:2] != ["aws", "ssm"] or fields[3] != instance_id:
        return ""
    return fields[2] if _COMMAND_ID.match(fields[2]) else ""


def parse_object(payload: str) -> "Dict[str, Any]":
    """A payload's JSON object. Raises ValueError."""
    try:
        value = json.loads(payload)
    except RecursionError:
        raise ValueError("nested too deeply")
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def cancelled_command(payload: str, instance_id: str) -> str:
    """The id of the command that a cancel message names, "" if it names none of this node's."""
    try:
        target = parse_object(payload).get("CancelMessageId")
    except ValueError:
        return ""
    return command_of(target, instance_id) if isinstance(target, str) else ""


def document_name(payload: str) -> str:
    """The DocumentName of an order, "" if it can't be read."""
    try:
        name = parse_object(payload).get("DocumentName")
    except ValueError:
        return ""
    return name if isinstance(name, str) else ""


def scan_order(payload: str) -> "Tuple[str, str]":
    """(step name, run token) of an order to scan, for a node that obeys nothing else. Raises Unusable.

    Only these two texts are taken from the message, both by strict patterns; the document's script is never looked at.
    """
    try:
        order = parse_object(payload)
    except ValueError:
        raise Unusable("the order is not a JSON object")
    parameters, content = order.get("Parameters"), order.get("DocumentContent")
    operation = parameters.get("Operation") if isinstance(parameters, dict) else None
    if order.get("DocumentName") != "AWS-RunPatchBaseline" or operation != "Scan":
        raise Unusable("the order is not a scan")
    steps = content.get("mainSteps") if isinstance(content, dict) else None
    for step in steps if isinstance(steps, list) else []:
        name = step.get("name") if isinstance(step, dict) else None
        if isinstance(name, str) and _STEP_NAME.match(name) and step.get("action") == "aws:runShellScript":
            inputs = step.get("inputs")
            environment = inputs.get("environment") if isinstance(inputs, dict) else None
            token = environment.get("PATCHWRIGHT_TOKEN") if isinstance(environment, dict) else None
            if isinstance(token, str) and _TOKEN.match(token):
                return name, token
    raise Unusable("the order to scan carries no run token")


def shell_step_name(payload: str) -> str:
    """The name of an order's first shell step, for a refusal that is to be shown with it; "" if it has none."""
    try:
        steps = parse_object(payload)["DocumentContent"]["mainSteps"]
        names = [step["name"] for step in steps if step["action"] == "aws:runShellScript"]
    except (ValueError, KeyError, TypeError):
        return ""
    return names[0] if names and isinstance(names[0], str) and _STEP_NAME.match(names[0]) else ""


_STEP_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=:-]{1,4096}\Z")
