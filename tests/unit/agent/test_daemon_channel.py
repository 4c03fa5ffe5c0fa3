"""The agent's end of the push channel on a socket pair: jobs, replies, duplicates, hostile servers."""

import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_lab import COMMAND, Wire, daemon, mark, message, ran, settle
from daemon_lab import NODE_ID, order, shell
from hypothesis import given
from hypothesis import strategies as st
from test_websocket import server_frame

from patchwright.wire import agent_frames
from patchwright_agent import websocket
from patchwright_agent.daemon import channel_frames, channel_socket
from patchwright_agent.daemon.channel import Channel
from patchwright_agent.daemon.channel_socket import ChannelSocket, Lost
from patchwright_agent.daemon.journal import JournalError
from patchwright_agent.transport import Unreachable

SECONDS = 5.0
CAPTURES = Path(__file__).parents[2] / "fixtures" / "captures" / "amazon-ssm-agent-3.3.0.0"
RECORDED = [
    bytes.fromhex(one["frame"]) for story in json.loads((CAPTURES / "push.json").read_text()).values() for one in story
]
STEP = shell("true")


class Far:
    """The server's end of a socket pair: reads masked frames, writes its own."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.end.settimeout(SECONDS)

    def message(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        assert first & 0x80
        assert second & 0x80, "a client masks"
        size = second & 0x7F
        if size >= 126:
            form = "!H" if size == 126 else "!Q"
            (size,) = struct.unpack(form, self._exactly(struct.calcsize(form)))
        mask = self._exactly(4)
        return first & 0x0F, websocket.masked(self._exactly(size), mask)

    def frame(self) -> tuple[str, uuid.UUID, dict[str, Any]]:
        opcode, payload = self.message()
        assert opcode == websocket.BINARY
        frame = agent_frames.decode(payload)  # the server's own reading of it
        return frame.kind, frame.id, json.loads(frame.payload)

    def send(self, kind: str, payload: Any) -> uuid.UUID:
        made = agent_frames.Frame(
            kind=kind, id=uuid.uuid4(), created=1_900_000_000_000, payload=json.dumps(payload).encode()
        )
        self.end.sendall(server_frame(websocket.BINARY, agent_frames.encode(made)))
        return made.id

    def job(self, raw: dict[str, str]) -> uuid.UUID:
        job = {"SchemaVersion": 1, "JobId": raw["MessageId"], "Topic": raw["Topic"], "Content": raw["Payload"]}
        return self.send("agent_job", job)

    def acknowledge(self, reply: uuid.UUID) -> None:
        self.send("agent_job_reply_ack", {"jobId": "any", "acknowledgedMessageId": str(reply)})

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.end.recv(size - len(data))
            assert piece, "the agent closed"
            data += piece
        return data


class PushedWire(Wire):
    """The node's calls with a channel: replies take it first, as in node.py. Sockets are handed out one by one."""

    channel: Channel | None = None

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[socket.socket] = []
        self.tokens = 0

    def create_channel(self) -> str:
        self.tokens += 1
        if not self.sockets:
            raise Unreachable("no socket")
        return f"token-{self.tokens}"

    def upgrade_channel(self) -> tuple[socket.socket, bytes]:
        return self.sockets.pop(0), b""

    def begin_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        if self.channel is not None:
            self.channel.begin_reply(message_id, reply_id, payload)

    def send_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        if self.channel is not None and self.channel.send_reply(message_id, reply_id, payload):
            return
        super().send_reply(message_id, reply_id, payload)


class Pushed:
    """A daemon's parts with an open channel to `far`."""

    def __init__(self, state_dir: Path, **options: Any) -> None:
        self.wire = PushedWire()
        near, far = socket.socketpair()
        self.far = Far(far)
        self.wire.sockets.append(near)
        self.daemon = daemon(self.wire, state_dir, **options)
        self.channel = self.wire.channel = self.daemon._push
        self.channel.start()
        opcode, opening = self.far.message()
        assert opcode == websocket.TEXT
        assert json.loads(opening)["TokenValue"] == "token-1"

    def end(self) -> None:
        self.channel.stop()
        self.far.end.close()


@pytest.fixture
def pushed(tmp_path: Path) -> Iterator[Pushed]:
    one = Pushed(tmp_path)
    yield one
    one.end()


def replies(far: Far, count: int, acknowledge: bool = True) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        kind, frame_id, said = far.frame()
        assert kind == "agent_job_reply"
        found.append(json.loads(said["content"]))
        if acknowledge:
            far.acknowledge(frame_id)
    return found


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_job_is_recorded_acknowledged_run_and_its_replies_go_back(pushed: Pushed, tmp_path: Path) -> None:
    sent = pushed.far.job(message(order([shell(mark(tmp_path, "a"))])))
    kind, _, said = pushed.far.frame()
    assert kind == "agent_job_ack"
    assert (said["acknowledgedMessageId"], said["statusCode"]) == (str(sent), "200")
    assert said["jobId"] == f"aws.ssm.{COMMAND}.{NODE_ID}"
    begun, step, final = replies(pushed.far, 3)
    assert (begun["documentStatus"], begun["runtimeStatus"]) == ("InProgress", None)
    assert step["runtimeStatus"]["runShellScript"]["standardOutput"] == "a-output\n"
    assert final["documentStatus"] == "Success"
    settle(pushed.daemon)
    assert ran(tmp_path) == ["a"]
    assert pushed.wire.replies == [], "nothing went by a call"


def test_a_job_that_comes_twice_and_by_a_poll_runs_once(pushed: Pushed, tmp_path: Path) -> None:
    raw = message(order([shell(mark(tmp_path, "a"))]))
    pushed.far.job(raw)
    pushed.far.job(raw)
    threads = [threading.Thread(target=pushed.daemon.take, args=(raw,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: ran(tmp_path))
    settle(pushed.daemon)
    assert ran(tmp_path) == ["a"]


def test_a_reply_without_an_acknowledgement_goes_by_a_call_with_the_same_id(
    pushed: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchwright_agent.daemon.channel.ACKNOWLEDGE_SECONDS", 0.05)
    pushed.far.job(message(order([STEP])))
    pushed.far.frame()
    pushed.far.frame()  # in progress
    _, step, _ = pushed.far.frame()
    _, final, _ = pushed.far.frame()
    settle(pushed.daemon)
    assert [reply_id for reply_id, _ in pushed.wire.replies] == [str(step), str(final)]


def test_a_lost_socket_leaves_the_command_running_and_its_replies_to_calls(pushed: Pushed, tmp_path: Path) -> None:
    pushed.far.job(message(order([shell(f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done")])))
    pushed.far.frame()
    pushed.far.end.close()
    wait_until(lambda: not pushed.channel.is_open)
    (tmp_path / "go").touch()
    settle(pushed.daemon)
    assert [payload["documentStatus"] for _, payload in pushed.wire.finals] == ["Success"]


def test_what_cannot_be_used_is_refused_and_what_has_no_room_is_put_off(
    pushed: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed.far.job(message(order([STEP]), topic="somethingElse"))
    assert pushed.far.frame()[2]["statusCode"] == "51406"
    monkeypatch.setattr("patchwright_agent.daemon.command_pool.MAX_RUNNING", 0)
    monkeypatch.setattr("patchwright_agent.daemon.command_pool.MAX_WAITING", 0)
    pushed.far.job(message(order([STEP])))
    assert pushed.far.frame()[2]["statusCode"] == "51402"
    assert not pushed.daemon._journal.is_known(COMMAND)


def test_a_cancel_comes_by_the_channel(pushed: Pushed) -> None:
    pushed.far.job(message(order([shell("sleep 60")])))
    pushed.far.frame()
    replies(pushed.far, 1)
    cancel = message({"CancelMessageId": f"aws.ssm.{COMMAND}.{NODE_ID}"}, str(uuid.uuid4()), "cancelCommand")
    sent = pushed.far.job(cancel)
    kinds: list[str] = []
    statuses: list[str] = []
    while "Cancelled" not in statuses:
        kind, frame_id, said = pushed.far.frame()
        kinds.append(kind)
        if kind == "agent_job_ack":
            assert said["acknowledgedMessageId"] == str(sent)
        else:
            pushed.far.acknowledge(frame_id)
            statuses.append(json.loads(said["content"])["documentStatus"])
    assert "agent_job_ack" in kinds


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\0" * 10, b"\xff" * 500, agent_frames.encode(
        agent_frames.Frame(kind="agent_job", id=uuid.uuid4(), created=1, payload=b"[]"))[:-1] + b"}"],
    ids=["empty", "short", "noise", "digest"],
)  # fmt: skip
def test_frames_that_make_no_sense_are_left_and_the_channel_goes_on(pushed: Pushed, garbage: bytes) -> None:
    pushed.far.end.sendall(server_frame(websocket.BINARY, garbage))
    pushed.far.send("of_the_future", {"a": 1})
    pushed.far.send("agent_job", {"JobId": 7, "Topic": None, "Content": []})
    pushed.far.send("agent_job_reply_ack", {"acknowledgedMessageId": ["x"]})
    pushed.far.job(message(order([STEP])))
    assert pushed.far.frame()[2]["statusCode"] == "200"


@pytest.mark.parametrize("hostile", [b"\x82\x80\0\0\0\0", b"\x82\x7f" + b"\xff" * 8, b"HTTP/1.1 400 Bad Request\r\n"])
def test_a_broken_protocol_ends_the_socket_with_its_code(pushed: Pushed, hostile: bytes) -> None:
    pushed.far.end.sendall(hostile)
    opcode, payload = pushed.far.message()
    assert opcode == websocket.CLOSE
    assert struct.unpack("!H", payload)[0] in (1002, 1009)
    wait_until(lambda: not pushed.channel.is_open)
    assert pushed.channel.failure is None


def test_a_ping_is_answered(pushed: Pushed) -> None:
    pushed.far.end.sendall(server_frame(websocket.PING, b"are you there"))
    assert pushed.far.message() == (websocket.PONG, b"are you there")


def test_a_silent_server_is_pinged_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_socket, "PING_SECONDS", 0.05)
    monkeypatch.setattr(channel_socket, "SILENCE_SECONDS", 0.2)
    near, far = socket.socketpair()
    with near, far:
        with pytest.raises(Lost, match="silent"):
            ChannelSocket(near).listen(lambda _: None)
        assert Far(far).message() == (websocket.PING, b"keepalive")


def test_a_server_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_socket, "SEND_SECONDS", 0.1)
    near, far = socket.socketpair()
    with near, far:
        opened = ChannelSocket(near)
        with pytest.raises(Lost, match="does not read"):
            opened.send(bytes(10_000_000))
        with pytest.raises(Lost):
            opened.send(b"nothing may follow half a frame")


def test_a_journal_that_cannot_be_written_stops_the_daemon(pushed: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(pushed.daemon._journal, "append", full)
    pushed.far.job(message(order([STEP])))
    wait_until(lambda: pushed.channel.failure is not None)
    assert isinstance(pushed.daemon._failure(), JournalError)
    assert not pushed.channel.is_open


def test_a_long_reply_goes_by_a_call(pushed: Pushed) -> None:
    assert not pushed.channel.send_reply("job", str(uuid.uuid4()), "x" * 150_000)


def test_recorded_frames_are_read_as_the_server_reads_them() -> None:
    """What the vendor's agent and this server were recorded to say to each other."""
    for data in RECORDED:
        seen, ours = agent_frames.decode(data), channel_frames.decode(data)
        assert (ours.kind, ours.id, ours.payload) == (seen.kind, str(seen.id), json.loads(seen.payload))


def test_what_the_agent_says_has_the_members_of_what_was_recorded(pushed: Pushed) -> None:
    recorded = {frame.kind: set(frame.payload) for frame in map(channel_frames.decode, RECORDED)}
    pushed.far.job(message(order([STEP])))
    for expected in ("agent_job_ack", "agent_job_reply", "agent_job_reply"):
        kind, frame_id, said = pushed.far.frame()
        assert (kind, set(said)) == (expected, recorded[expected])
        pushed.far.acknowledge(frame_id)


def test_recorded_jobs_are_taken_by_our_agent(pushed: Pushed) -> None:
    """The recorded documents, with this node's id in place of the recorded one; a cancel among them."""
    jobs = [frame.payload for frame in map(channel_frames.decode, RECORDED) if frame.kind == "agent_job"]
    assert any(".cancelCommand." in job["Topic"] for job in jobs)
    for number, job in enumerate(jobs):
        node = job["JobId"].rsplit(".", 1)[1]
        command = f"{COMMAND[:-4]}{number:04d}"
        sent = pushed.far.send(
            "agent_job",
            {**job, "JobId": f"aws.ssm.{command}.{NODE_ID}", "Content": job["Content"].replace(node, NODE_ID)},
        )
        while True:
            kind, frame_id, said = pushed.far.frame()
            if kind == "agent_job_ack":
                break
            pushed.far.acknowledge(frame_id)
        assert (said["acknowledgedMessageId"], said["statusCode"]) == (str(sent), "200")
    pushed.daemon.pool.shut_down(SECONDS)


_JSON = st.dictionaries(st.text(max_size=8), st.text(max_size=50) | st.integers() | st.none(), max_size=4)


@given(payload=_JSON, frame_id=st.uuids(), now=st.floats(min_value=0, max_value=4e9))
def test_the_server_reads_what_the_agent_writes(payload: dict[str, Any], frame_id: uuid.UUID, now: float) -> None:
    data = channel_frames.encode("agent_job_reply", str(frame_id), payload, now)
    seen = agent_frames.decode(data)
    assert (seen.kind, seen.id) == ("agent_job_reply", frame_id)
    back = channel_frames.decode(data)
    assert (back.kind, back.id, back.payload) == (seen.kind, str(frame_id), json.loads(seen.payload))


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_none(data: bytes) -> None:
    with pytest.raises(channel_frames.BadFrame):
        channel_frames.decode(data)
