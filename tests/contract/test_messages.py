"""The polling channel as a node sees it: delivery, replies of all kinds, hostile replies.

Source: agent-protocol.md 6 to 9.
What needs the clock to move (redelivery, timeouts) is in tests/unit/flows/test_deliver.py.
"""

import json
import threading
import time
import uuid
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Message, Node, Refusal, step_result
from tests.contract.nodes_fleet import Fleet

STEP = "aws:runShellScript"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _shown(fleet: Fleet, message: Message, node: Node, step: str = STEP) -> dict[str, Any]:
    return dict(fleet.ssm.get_command_invocation(CommandId=message.command_id, InstanceId=node.id, PluginName=step))


def _status(fleet: Fleet, message: Message, node: Node) -> str:
    (found,) = fleet.ssm.list_command_invocations(CommandId=message.command_id, InstanceId=node.id)[
        "CommandInvocations"
    ]
    return str(found["StatusDetails"])


def _sent(fleet: Fleet, **more: Any) -> tuple[Node, Message]:
    node = fleet.node()
    fleet.send([node], **more)
    return node, node.take()


def test_a_message_has_the_members_without_which_the_agent_drops_it(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node], Parameters={"commands": ["uname -r", "uptime"], "workingDirectory": ["/tmp"]})
    message = node.take()
    assert message.id == f"aws.ssm.{command}.{node.id}"
    assert message.raw["Destination"] == node.id
    assert message.raw["Topic"].startswith("aws.ssm.sendCommand.")
    assert message.raw["CreatedDate"].endswith("Z")
    payload = message.payload
    assert (payload["CommandId"], payload["DocumentName"]) == (command, "AWS-RunShellScript")
    assert payload["DocumentContent"]["schemaVersion"] == "2.2"
    # A String travels as text, a StringList as a list; defaults are filled in.
    assert payload["Parameters"] == {
        "commands": ["uname -r", "uptime"],
        "workingDirectory": "/tmp",
        "executionTimeout": "3600",
    }
    assert payload["CloudWatchOutputEnabled"] == "false"


def test_only_the_products_own_patch_document_gets_a_token(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    assert "PATCHWRIGHT_TOKEN" not in message.raw["Payload"]
    node.finish(message)
    fleet.send([node], DocumentName="AWS-RunPatchBaseline", Parameters={"Operation": ["Scan"]})
    patch = node.take()
    tokens = {s["name"]: s["inputs"]["environment"]["PATCHWRIGHT_TOKEN"] for s in patch.steps}
    assert set(tokens) == {"PatchWindows", "PatchLinux", "PatchMacOS"}
    assert len(set(tokens.values())) == 3
    assert all(t not in json.dumps([s["inputs"]["runCommand"] for s in patch.steps]) for t in tokens.values())


def test_a_parked_poll_gets_a_command_at_once(fleet: Fleet) -> None:
    node = fleet.node()
    took: list[float] = []

    def poll() -> None:
        node.take()
        took.append(time.monotonic())

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(0.2)  # the poll must be parked when the command comes
    sent = time.monotonic()
    fleet.send([node])
    waiting.join(10)
    assert took[0] - sent < 1.0


def test_a_poll_whose_agent_has_died_takes_no_command_away(fleet: Fleet) -> None:
    node = fleet.node()
    node.abandon_poll(0.3)  # parked by then
    time.sleep(0.1)  # and the server has heard of its end
    fleet.send([node])
    began = time.monotonic()
    node.take()
    assert time.monotonic() - began < 1.0


def test_an_empty_poll_is_answered_before_the_agent_gives_up(fleet: Fleet) -> None:
    node = fleet.node()
    began = time.monotonic()
    assert node.poll() == []
    assert 1.5 < time.monotonic() - began < 6


def test_several_commands_travel_in_one_answer_oldest_first(fleet: Fleet) -> None:
    node = fleet.node()
    sent = [fleet.send([node]) for _ in range(12)]
    first = [m.command_id for m in node.poll()]
    assert first == sent[:10]
    assert [m.command_id for m in node.poll()] == sent[10:]


def test_the_three_kinds_of_reply(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    node.reply(message, "InProgress")
    node.acknowledge(message)
    assert (_status(fleet, message, node), _shown(fleet, message, node)["ResponseCode"]) == ("InProgress", -1)
    node.reply(message, "InProgress", {STEP: step_result(out="hi")})
    assert _status(fleet, message, node) == "InProgress"
    assert _shown(fleet, message, node)["StandardOutputContent"] == "hi"
    node.reply(message, "Success", {})
    assert _status(fleet, message, node) == "Success"
    assert _shown(fleet, message, node)["StandardOutputContent"] == "hi"


WORDS = [
    ("Success", "Success", "Success"),
    ("Failed", "Failed", "Failed"),
    ("TimedOut", "TimedOut", "ExecutionTimedOut"),
    ("Cancelled", "Cancelled", "Cancelled"),
    ("SuccessAndReboot", "InProgress", "InProgress"),
    ("NotAWord", "InProgress", "InProgress"),
]


def test_what_the_agent_says_becomes_the_public_status(fleet: Fleet) -> None:
    node = fleet.node()
    for said, status, details in WORDS:
        fleet.send([node])
        message = node.take()
        node.acknowledge(message)
        node.reply(message, said, {STEP: step_result(said)}, trace="because")
        shown = _shown(fleet, message, node)
        assert (shown["Status"], shown["StatusDetails"]) == (status, details)
        (listed,) = fleet.ssm.list_command_invocations(CommandId=message.command_id, Details=True)["CommandInvocations"]
        assert listed["TraceOutput"] == ("because" if status != "InProgress" else "")
        assert listed["CommandPlugins"][0]["Status"] == status


def test_a_final_reply_without_an_acknowledgement_counts_as_one(fleet: Fleet) -> None:
    """The real agent refuses a bad document in this way."""
    node, message = _sent(fleet)
    node.reply(message, "Failed", None, trace="no such plugin")
    assert _status(fleet, message, node) == "Failed"
    assert _shown(fleet, message, node)["Status"] == "Failed"
    fleet.send([node])
    assert node.take().command_id != message.command_id


def test_a_step_that_comes_after_the_final_reply_keeps_its_output(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    node.accept(message)
    node.reply(message, "Success", {})
    assert _shown(fleet, message, node)["Status"] == "Success"
    node.reply(message, "InProgress", {STEP: step_result(out="late but true", code=0)})
    shown = _shown(fleet, message, node)
    assert (shown["Status"], shown["StandardOutputContent"], shown["ResponseCode"]) == ("Success", "late but true", 0)


def test_steps_are_shown_in_the_documents_order_however_they_arrive(fleet: Fleet) -> None:
    node = fleet.node()
    message = fleet.order(node)
    node.reply(message, "InProgress", {"PatchMacOS": step_result("Skipped", code=0, out="not this platform")})
    node.reply(message, "InProgress", {"PatchLinux": step_result(out="patched")})
    node.reply(message, "InProgress", {"PatchWindows": step_result("Skipped", code=0)})
    node.reply(message, "Success", {})
    (listed,) = fleet.ssm.list_command_invocations(CommandId=message.command_id, Details=True)["CommandInvocations"]
    assert [(p["Name"], p["Status"], p["Output"]) for p in listed["CommandPlugins"]] == [
        ("PatchWindows", "Success", ""),
        ("PatchLinux", "Success", "patched"),
        ("PatchMacOS", "Success", "not this platform"),
    ]


def test_a_status_never_moves_back(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    node.finish(message, "Failed", code=7, out="first")
    for status in ("InProgress", "Success", "Cancelled", "SuccessAndReboot"):
        node.reply(message, status, {STEP: step_result(status, out="second")})
    node.fail(message)
    shown = _shown(fleet, message, node)
    assert (shown["Status"], shown["ResponseCode"], shown["StandardOutputContent"]) == ("Failed", 7, "first")


def test_a_repeated_reply_is_dropped(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    node.accept(message)
    reply_id = str(uuid.uuid4())
    node.reply(message, "InProgress", {STEP: step_result("InProgress", out="one")}, reply_id=reply_id)
    node.reply(message, "InProgress", {STEP: step_result(out="two")}, reply_id=reply_id)
    assert _shown(fleet, message, node)["StandardOutputContent"] == "one"
    node.reply(message, "Success", {STEP: step_result(out="three")}, reply_id=reply_id)
    assert _status(fleet, message, node) == "InProgress"


def test_a_reply_without_an_id_is_taken_once(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    payload = json.dumps({"documentStatus": "Success", "runtimeStatus": {STEP: step_result(out="x")}})
    for _ in range(2):
        node.raw_reply(message, payload)
    assert _status(fleet, message, node) == "Success"


def test_a_reboot_keeps_the_command_open_until_the_step_ends(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    node.accept(message)
    node.reply(message, "SuccessAndReboot", {STEP: step_result("SuccessAndReboot", code=194, out="half")})
    shown = _shown(fleet, message, node)
    assert (shown["Status"], shown["ResponseCode"]) == ("InProgress", 194)
    node.reply(message, "InProgress", {STEP: step_result(out="whole")})
    node.reply(message, "Success", {STEP: step_result(out="whole")})
    assert _shown(fleet, message, node)["StandardOutputContent"] == "whole"


def test_a_refused_message_fails_the_command_with_its_reason(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    node.fail(message, "NoHandler\x00Exists")
    (listed,) = fleet.ssm.list_command_invocations(CommandId=message.command_id, Details=True)["CommandInvocations"]
    assert (listed["StatusDetails"], "The node refused the message" in listed["TraceOutput"]) == ("Failed", True)
    assert listed["CommandPlugins"][0]["Status"] == "Failed"


def test_foreign_and_unknown_messages_are_untouchable(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    stranger = fleet.node()
    unknown = f"aws.ssm.{uuid.uuid4()}.{stranger.id}"
    forged = f"aws.ssm.{message.command_id}.{stranger.id}"
    odd = ("x", "aws.ssm..", f"aws.ssm.\x00.{stranger.id}", f"aws.ssm.{message.command_id}.{node.id}.x", "a" * 256)
    for target in (message.id, unknown, forged, *odd):
        # Success and nothing done: an error would only make a node send it again.
        stranger.reply(target, "Failed", {STEP: step_result("Failed", out="evil")})
        stranger.acknowledge(target)
        stranger.messages("FailMessage", {"MessageId": target, "FailureType": "x"})
        stranger.messages("DeleteMessage", {"MessageId": target})
    assert _status(fleet, message, node) == "InProgress"
    assert _shown(fleet, message, node)["StandardOutputContent"] == ""
    node.finish(message)
    assert _status(fleet, message, node) == "Success"


BAD_PAYLOADS = ["", "not json", "[]", "7", '"text"', "[" * 50_000, "1e999", '{"documentStatus": "\\ud800"}', "{" * 9]


def test_a_payload_that_is_no_reply_is_refused(fleet: Fleet) -> None:
    node, message = _sent(fleet)
    for payload in BAD_PAYLOADS:
        with pytest.raises(Refusal) as refused:
            node.raw_reply(message, payload, str(uuid.uuid4()))
        assert (refused.value.status, refused.value.code) == (400, "ValidationException"), payload[:40]
    assert _status(fleet, message, node) == "InProgress"


ODD_STEPS: list[dict[str, Any]] = [
    {"status": 7},
    {"status": None},
    {"code": True},
    {"code": 2**40},
    {"code": "0"},
    {"code": 1.5},
    {"standardOutput": None},
    {"standardOutput": "a\x00b"},
    {"standardError": ["x"]},
    {"output": {}},
    {"startDateTime": "0001-01-01T00:00:00+14:00"},
    {"endDateTime": "9999-12-31T23:59:59-14:00"},
    {"startDateTime": "\x00"},
    {"endDateTime": 12},
]


def test_a_step_of_wrong_types_is_taken_as_far_as_it_goes(fleet: Fleet) -> None:
    """The node would send a refused reply for ever; what can't be read of it is left out."""
    node = fleet.node()
    for changes in ODD_STEPS:
        fleet.send([node])
        message = node.take()
        node.reply(message, "Success", {STEP: {**step_result(out="ok"), **changes}})
        assert _status(fleet, message, node) == "Success"
        shown = _shown(fleet, message, node)
        assert -(2**31) <= shown["ResponseCode"] < 2**31
        assert "\x00" not in shown["StandardOutputContent"]


ODD_RUNTIMES: list[Any] = [[], "x", 7, {"nobody": {"status": "Success"}}, {STEP: "x"}, {STEP: None}]


def test_a_runtime_status_of_wrong_shape_is_left_out(fleet: Fleet) -> None:
    node = fleet.node()
    for steps in ODD_RUNTIMES:
        fleet.send([node])
        message = node.take()
        node.reply(message, "InProgress", steps)
        assert _status(fleet, message, node) == "InProgress"
        node.reply(message, "Success", {STEP: step_result(out="ok")})
        assert _shown(fleet, message, node)["StandardOutputContent"] == "ok"


def test_an_acknowledgement_before_the_delivery_hides_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node])
    node.acknowledge(f"aws.ssm.{command}.{node.id}")
    assert node.take().command_id == command
