"""A node's end of the push channel, independent of the product's own codec. Source: spec/agent-protocol.md 7.

channel = ChannelNode(node)                 # a Node of nodes_door.py, registered
channel.open()                              # POST, upgrade, first frame
job = channel.job()                         # the next agent_job
channel.acknowledge(job); channel.reply(job, "Success", {...}); channel.close()
"""

import contextlib
import hashlib
import json
import re
import struct
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSRequest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.contract.nodes_door import Message, Node

SECONDS = 8.0
_HEADER = struct.Struct(">I32sIQqQ16s32sI")


@dataclass(frozen=True)
class Job:
    """An agent_job: `message` is what a poll would have brought."""

    frame_id: uuid.UUID
    raw: dict[str, Any]

    @property
    def message(self) -> Message:
        return Message(id=self.raw["JobId"], raw={"Payload": self.raw["Content"], "Topic": self.raw["Topic"]})


def pack(kind: str, payload: bytes, frame_id: uuid.UUID) -> bytes:
    halves = frame_id.bytes[8:] + frame_id.bytes[:8]
    created, digest = int(time.time() * 1000), hashlib.sha256(payload).digest()
    header = _HEADER.pack(116, kind.ljust(32).encode(), 1, created, 0, 0, halves, digest, 0)
    return header + struct.pack(">I", len(payload)) + payload


def unpack(data: bytes) -> tuple[str, uuid.UUID, Any]:
    length, kind, version, created, _, _, halves, digest, _ = _HEADER.unpack_from(data)
    payload = data[120:]
    assert (length, version) == (116, 1)
    assert created > 0
    assert struct.unpack_from(">I", data, 116) == (len(payload),)
    assert hashlib.sha256(payload).digest() == digest
    return kind.decode().rstrip(), uuid.UUID(bytes=halves[8:] + halves[:8]), json.loads(payload)


class ChannelNode:
    """One node with at most one open socket at a time."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._socket: ClientConnection | None = None
        self._stack = contextlib.ExitStack()

    @property
    def path(self) -> str:
        return f"/v1/control-channel/{self.node.id}"

    def create(self, path: str | None = None, *, signer: Node | None = None) -> tuple[int, str]:
        """The POST that begins: status and body."""
        body = json.dumps({"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4())}).encode()
        request = AWSRequest(
            "POST", self.node.url + (path or self.path), data=body, headers={"Content-Type": "application/json"}
        )
        (signer or self.node).auth("ssmmessages").add_auth(request)
        call = urllib.request.Request(request.url, data=body, headers=dict(request.headers), method="POST")
        try:
            with urllib.request.urlopen(call, timeout=SECONDS) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def token(self) -> str:
        status, body = self.create()
        assert status == 201, body
        found = re.search("<TokenValue>(.+)</TokenValue>", body)
        assert found
        return found.group(1)

    def upgrade(self, signer: Node | None = None) -> ClientConnection:
        """The signed WebSocket request, without the first frame."""
        url = f"{self.node.url}{self.path}?role=subscribe&stream=input"
        request = AWSRequest("GET", url)
        (signer or self.node).auth("ssmmessages").add_auth(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        opened = connect(
            url.replace("http", "ws", 1), additional_headers=headers, compression=None, user_agent_header=None
        )
        socket: ClientConnection = self._stack.enter_context(opened)
        return socket

    def open(self, token: str | None = None) -> ClientConnection:
        """The whole opening. Nothing comes back for it."""
        token = token or self.token()
        self._socket = self.upgrade()
        opening = {
            "Cookie": None,
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": token,
            "AgentVersion": "3.3.0.0",
            "PlatformType": "linux",
        }
        self._socket.send(json.dumps(opening))
        return self._socket

    @property
    def socket(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    def close(self) -> None:
        """End every socket that this node has opened."""
        self._stack.close()

    def closed_with(self) -> int:
        """The code that the server closes the socket with."""
        try:
            while True:
                self.socket.recv(timeout=SECONDS)
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else 1006

    def receive(self) -> tuple[str, uuid.UUID, Any]:
        data = self.socket.recv(timeout=SECONDS)
        assert isinstance(data, bytes)
        return unpack(data)

    def job(self) -> Job:
        kind, frame_id, payload = self.receive()
        assert kind == "agent_job", kind
        return Job(frame_id, payload)

    def send(self, kind: str, payload: dict[str, Any], frame_id: uuid.UUID | None = None) -> uuid.UUID:
        chosen = frame_id or uuid.uuid4()
        self.socket.send(pack(kind, json.dumps(payload).encode(), chosen))
        return chosen

    def acknowledge(self, job: Job, code: str = "200", message: str = "Successful") -> None:
        said = {
            "jobId": job.raw["JobId"],
            "acknowledgedMessageId": str(job.frame_id),
            "createdDate": "2030-01-02T03:04:05.678Z",
            "statusCode": code,
            "errorMessage": message,
        }
        self.send("agent_job_ack", said)

    def reply(
        self, job: Job, status: str, steps: dict[str, Any] | None = None, frame_id: uuid.UUID | None = None
    ) -> uuid.UUID:
        """A reply, and the acknowledgement that must follow it."""
        content = {"documentStatus": status, "documentTraceOutput": "", "runtimeStatus": steps}
        sent = self.send(
            "agent_job_reply",
            {
                "schemaVersion": 1,
                "jobId": job.raw["JobId"],
                "content": json.dumps(content),
                "topic": "aws.ssm.sendCommand",
            },
            frame_id,
        )
        kind, _, payload = self.receive()
        assert kind == "agent_job_reply_ack"
        assert payload == {"jobId": job.raw["JobId"], "acknowledgedMessageId": str(sent)}
        return sent
