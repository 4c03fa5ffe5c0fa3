"""The push channel as a node sees it: opening, jobs, replies in any order, refusals. Source: agent-protocol.md 7."""

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from patchwright.store.engine import StoreUnavailable
from tests.contract.channel_node import ChannelNode, pack
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import step_result
from tests.contract.nodes_fleet import Fleet, wait_for

STEP = "aws:runShellScript"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


@pytest.fixture
def channel(fleet: Fleet) -> Iterator[ChannelNode]:
    channel = ChannelNode(fleet.node())
    yield channel
    channel.close()


def _sent(fleet: Fleet, channel: ChannelNode, **more: Any) -> tuple[str, Any]:
    command = fleet.send([channel.node], **more)
    return command, channel.job()


def _step(fleet: Fleet, command: str, channel: ChannelNode) -> dict[str, Any]:
    return dict(fleet.ssm.get_command_invocation(CommandId=command, InstanceId=channel.node.id, PluginName=STEP))


def test_the_post_is_answered_in_xml_with_a_token(channel: ChannelNode) -> None:
    status, body = channel.create()
    assert status == 201
    assert body.startswith("<CreateControlChannelResponse><MessageSchemaVersion>1.0</MessageSchemaVersion><TokenValue>")


def test_who_may_not_open_a_channel_is_told_so_that_the_agent_polls(fleet: Fleet, channel: ChannelNode) -> None:
    other = fleet.node()
    for status, body in (
        channel.create(signer=other),
        channel.create("/v1/control-channel/mi-00000000000000000"),
    ):
        assert status == 403
        assert body.startswith("<AccessDeniedException><message>")
    with pytest.raises(InvalidStatus) as refusal:
        channel.upgrade(signer=other)
    assert refusal.value.response.status_code == 403


def test_a_command_is_pushed_and_its_result_comes_back(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    began = time.monotonic()
    command, job = _sent(fleet, channel, Parameters={"commands": ["uname -r"]})
    assert time.monotonic() - began < 1.0
    assert job.raw["SchemaVersion"] == 1
    assert job.raw["JobId"] == f"aws.ssm.{command}.{channel.node.id}"
    assert job.raw["Topic"].startswith("aws.ssm.sendCommand.")
    assert job.message.payload["Parameters"]["commands"] == ["uname -r"]
    channel.acknowledge(job)
    channel.reply(job, "InProgress")
    channel.reply(job, "InProgress", {STEP: step_result(out="6.1\n")})
    channel.reply(job, "Success", {STEP: step_result(out="6.1\n")})
    assert fleet.ended(command)["Status"] == "Success"
    assert _step(fleet, command, channel)["StandardOutputContent"] == "6.1\n"


def test_what_waits_is_pushed_when_the_channel_opens(fleet: Fleet, channel: ChannelNode) -> None:
    sent = [fleet.send([channel.node]) for _ in range(12)]
    channel.open()
    assert [channel.job().raw["JobId"].split(".")[2] for _ in sent] == sent


def test_the_final_reply_may_come_before_the_steps(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    command, job = _sent(fleet, channel)
    channel.reply(job, "Success", {})
    channel.acknowledge(job)
    channel.reply(job, "InProgress", {STEP: step_result(out="late\n")})
    channel.reply(job, "InProgress")
    assert fleet.ended(command)["Status"] == "Success"
    assert _step(fleet, command, channel)["StandardOutputContent"] == "late\n"


def test_a_reply_that_is_sent_again_is_acknowledged_again_and_counts_once(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    command, job = _sent(fleet, channel)
    channel.acknowledge(job)
    frame_id = uuid.uuid4()
    channel.reply(job, "InProgress", {STEP: step_result("Failed", code=7, out="first\n")}, frame_id)
    channel.reply(job, "InProgress", {STEP: step_result(out="second\n")}, frame_id)
    channel.close()
    channel.open()  # the agent sends what was not acknowledged over its next connection
    channel.reply(job, "InProgress", {STEP: step_result(out="third\n")}, frame_id)
    channel.reply(job, "Failed", {})
    assert _step(fleet, command, channel)["StandardOutputContent"] == "first\n"


def test_a_cancel_is_pushed(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    command, job = _sent(fleet, channel)
    channel.acknowledge(job)
    channel.reply(job, "InProgress")
    fleet.ssm.cancel_command(CommandId=command)
    cancel = channel.job()
    assert cancel.raw["Topic"].startswith("aws.ssm.cancelCommand.")
    assert cancel.message.payload == {"CancelMessageId": job.raw["JobId"]}
    assert cancel.raw["JobId"] != job.raw["JobId"]
    channel.acknowledge(cancel)
    channel.reply(cancel, "InProgress")  # the real agent says so of the cancel itself
    channel.reply(job, "Cancelled", {STEP: step_result("Cancelled", code=137)})
    assert fleet.ended(command)["StatusDetails"] == "Cancelled"


@pytest.mark.parametrize("code", ["51403", "51406", "51499"])
def test_a_job_that_the_node_cannot_use_has_failed_with_its_reason(
    fleet: Fleet, channel: ChannelNode, code: str
) -> None:
    channel.open()
    command, job = _sent(fleet, channel)
    channel.acknowledge(job, code, "no such thing")
    assert fleet.ended(command)["Status"] == "Failed"
    (invocation,) = fleet.ssm.list_command_invocations(CommandId=command)["CommandInvocations"]
    assert invocation["TraceOutput"] == f"The node refused the message: {code} no such thing"


def test_a_known_command_counts_as_delivered(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    command, job = _sent(fleet, channel)
    channel.acknowledge(job, "51405", "duplicate")
    channel.reply(job, "Success", {STEP: step_result()})
    assert fleet.ended(command)["Status"] == "Success"


def test_a_new_socket_takes_the_place_of_the_old_one(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    again = ChannelNode(channel.node)
    again.open()
    assert channel.closed_with() == 4001
    command, job = _sent(fleet, again)
    assert job.raw["JobId"].split(".")[2] == command
    again.close()


def test_a_token_opens_one_socket_of_its_node(fleet: Fleet, channel: ChannelNode) -> None:
    token = channel.token()
    channel.open(token)
    for node, used in ((channel.node, token), (fleet.node(), token), (channel.node, "x"), (channel.node, token[:-2])):
        other = ChannelNode(node)
        other.open(used)
        assert other.closed_with() == 1008
        other.close()
    _sent(fleet, channel)


@pytest.mark.parametrize("first", [b"\x00" * 130, "[]", "{", '{"TokenValue":1}', "x" * 9000])
def test_a_first_frame_that_opens_nothing_ends_the_socket(channel: ChannelNode, first: str | bytes) -> None:
    socket = channel.upgrade()
    socket.send(first)
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=5)


def test_a_deregistered_node_loses_its_channel(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    wait_for(lambda: "patchwright_open_channels 0" not in _metrics(fleet), "the open channel")
    fleet.ssm.deregister_managed_instance(InstanceId=channel.node.id)
    assert channel.closed_with() == 1008
    status, body = channel.create()
    assert (status, "<AccessDeniedException>" in body) == (403, True)


def _metrics(fleet: Fleet) -> str:
    import urllib.request

    with urllib.request.urlopen(fleet.server.url + "/metrics") as answer:
        return str(answer.read().decode())


def test_hostile_frames_harm_nobody(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    other, message = fleet.node(), None
    foreign = fleet.send([other])
    message = other.take()
    for data in (
        b"",
        b"\xff" * 200,
        "a text",
        pack("agent_job_reply", b"[]", uuid.uuid4()),
        pack("agent_job_reply", b'{"jobId":1}', uuid.uuid4()),
        pack("agent_job_reply", b'{"jobId":"x","content":"[]"}', uuid.uuid4()),
        pack("agent_job_ack", b"{}", uuid.uuid4()),
        pack("agent_job_ack", f'{{"jobId":"{message.id}","statusCode":"51406"}}'.encode(), uuid.uuid4()),
        pack("agent_telemetry", b"\x00", uuid.uuid4()),
    ):
        channel.socket.send(data)
    reply = {"jobId": message.id, "content": '{"documentStatus":"Failed","runtimeStatus":{}}'}
    channel.send("agent_job_reply", reply)
    # A stranger's reply is dropped, yet acknowledged: an error would only make the node send it again.
    assert channel.receive()[0] == "agent_job_reply_ack"
    assert fleet.details(foreign) == ["InProgress"]
    command, job = _sent(fleet, channel)
    channel.reply(job, "Success", {STEP: step_result(out="\x00nul")})
    assert fleet.ended(command)["Status"] == "Success"


def test_a_poll_takes_over_when_the_socket_is_gone(fleet: Fleet, channel: ChannelNode) -> None:
    channel.open()
    channel.close()
    wait_for(lambda: "patchwright_open_channels 0" in _metrics(fleet), "the end of the channel")
    command = fleet.send([channel.node])
    assert channel.node.run().command_id == command


def test_a_socket_opened_in_another_process_ends_this_one_and_an_older_one_does_not(
    fleet: Fleet, channel: ChannelNode
) -> None:
    """Processes hear of each other by the store's wake-ups: here the test speaks for the other one."""
    channel.open()
    _sent(fleet, channel)
    now = int(time.time() * 1_000_000)
    fleet.write(lambda tx: tx.wake(f"channel:{channel.node.id}:{now - 60_000_000}"))
    _sent(fleet, channel)
    fleet.write(lambda tx: tx.wake(f"channel:{channel.node.id}:{now + 60_000_000}"))
    assert channel.closed_with() == 4001


def test_a_reply_that_could_not_be_stored_is_not_acknowledged_and_is_taken_later(
    fleet: Fleet, channel: ChannelNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.open()
    command, job = _sent(fleet, channel)
    store, lost = fleet.server.application.state.store, uuid.uuid4()
    content = json.dumps({"documentStatus": "Success", "runtimeStatus": {STEP: step_result(out="kept\n")}})
    reply = {"jobId": job.raw["JobId"], "content": content}
    with monkeypatch.context() as broken:

        def no_room(work: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(StoreUnavailable("disk is full"))
            return future

        broken.setattr(store, "submit_write", no_room)
        channel.send("agent_job_reply", reply, lost)
        wait_for(lambda: 'operation="AgentJobReply",code="ServiceUnavailable"' in _metrics(fleet), "the refusal")
    channel.reply(job, "InProgress")  # the next acknowledgement is this one's
    assert channel.send("agent_job_reply", reply, lost) == lost
    assert channel.receive()[2]["acknowledgedMessageId"] == str(lost)
    assert fleet.ended(command)["Status"] == "Success"


def test_pings_are_answered(channel: ChannelNode) -> None:
    assert channel.open().ping("keepalive").wait(5)
