"""What the unmodified amazon-ssm-agent 3.3.0.0 was seen to send, against this server: see the captures' NOTE.md."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from patchwright.wire.agent_frames import decode, encode
from patchwright.wire.canonical import SignedRequest
from patchwright.wire.errors import InvalidSignatureError
from patchwright.wire.model import Models, Operation
from patchwright.wire.node_signature import verify_node
from patchwright.wire.parse import parse_request
from patchwright.wire.sigv4 import parse_authorization
from tests.contract.channel_node import ChannelNode, unpack
from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet

CAPTURES = Path(__file__).parents[1] / "fixtures" / "captures" / "amazon-ssm-agent-3.3.0.0"
STORIES: dict[str, list[dict[str, str]]] = json.loads((CAPTURES / "push.json").read_text())
REQUESTS: list[dict[str, Any]] = json.loads((CAPTURES / "requests.json").read_text())
SIGNED_BY_KEY = [r for r in REQUESTS if "authorization" in r["headers"]]
STEP = "aws:runShellScript"
ENDS = {
    "final before its step": ("Success", 0, "hello\n", "err\n"),
    "exit code 7": ("Failed", 7, "", "failed to run commands: exit status 7"),
    "cancelled": ("Cancelled", 137, "start\n", ""),
}


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


@pytest.fixture
def channel(fleet: Fleet) -> Iterator[ChannelNode]:
    channel = ChannelNode(fleet.node())
    yield channel
    channel.close()


@pytest.mark.parametrize("story", STORIES)
def test_every_frame_is_read_and_would_be_written_the_same(story: str) -> None:
    for recorded in STORIES[story]:
        data = bytes.fromhex(recorded["frame"])
        assert encode(decode(data)) == data


@pytest.mark.parametrize("story", STORIES)
def test_a_recorded_exchange_has_its_end(fleet: Fleet, channel: ChannelNode, story: str) -> None:
    """The node's frames in their recorded order, about this test's command; what the server said is waited for."""
    channel.open()
    command = fleet.send([channel.node])
    ids: dict[str, str] = {}
    for recorded in STORIES[story]:
        kind, frame_id, payload = unpack(bytes.fromhex(recorded["frame"]))
        if kind == "agent_job":
            if ".cancelCommand." in payload["Topic"]:
                fleet.ssm.cancel_command(CommandId=command)
            ids[payload["JobId"]] = channel.job().raw["JobId"]
        elif kind == "agent_job_reply_ack":
            received, _, said = channel.receive()
            assert (received, said["acknowledgedMessageId"]) == (kind, payload["acknowledgedMessageId"])
        else:
            channel.send(kind, {**payload, "jobId": ids[payload["jobId"]]}, frame_id)
    status, code, out, err = ENDS[story]
    assert fleet.ended(command)["StatusDetails"] == status
    shown = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=channel.node.id, PluginName=STEP)
    assert (shown["Status"], shown["ResponseCode"]) == (status, code)
    assert (shown["StandardOutputContent"], shown["StandardErrorContent"]) == (out, err)


def test_recorded_replies_over_polls_have_the_same_ends(fleet: Fleet) -> None:
    node = fleet.node()
    ended: dict[str, str] = {}
    messages: dict[str, str] = {}
    for recorded in REQUESTS:
        operation = recorded["headers"]["x-amz-target"].partition(".")[2]
        if operation not in ("SendReply", "AcknowledgeMessage"):
            continue
        body = json.loads(recorded["body"])
        theirs = body["MessageId"]
        if theirs not in messages:
            ended[theirs] = fleet.send([node])
            messages[theirs] = node.take().id
        node.messages(operation, {**body, "MessageId": messages[theirs]})
    assert sorted(fleet.ended(command)["Status"] for command in ended.values()) == ["Failed", "Success"]


def test_every_recorded_request_is_in_the_model() -> None:
    models = Models.load()
    for recorded in REQUESTS:
        operation = models.lookup(recorded["headers"]["x-amz-target"])
        assert isinstance(operation, Operation)
        parse_request(operation, recorded["body"].encode())


@pytest.mark.parametrize("recorded", SIGNED_BY_KEY, ids=lambda r: r["headers"]["x-amz-target"])
def test_signatures_by_its_registration_key_verify(recorded: dict[str, Any]) -> None:
    key = base64.b64decode(json.loads(REQUESTS[0]["body"])["PublicKey"])
    headers = [(name.encode(), value.encode()) for name, value in recorded["headers"].items()]
    request = SignedRequest.of("POST", "/", "", headers, recorded["body"].encode())
    claim = parse_authorization(request)
    assert claim.by_node_key
    now = datetime.strptime(recorded["headers"]["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    verify_node(request, claim, key, service="ssm", now=now)
    changed = SignedRequest.of("POST", "/", "", [h for h in headers if b"sha256" not in h[0]], b"{}")
    with pytest.raises(InvalidSignatureError):
        verify_node(changed, claim, key, service="ssm", now=now)
