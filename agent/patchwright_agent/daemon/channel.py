"""The push channel: opened beside the poll, opened again when it is lost, and a road for replies while it is open.

A thread of its own opens and hears it. What it brings is taken as what a poll brings, so nothing runs twice. A reply
that is not acknowledged in time goes by a call as before, with the same id: it counts once.
Source: spec/agent-protocol.md 7; docs/reference/push-channel.md.
"""

import json
import threading
import time

from patchwright_agent import __version__, text
from patchwright_agent.daemon import backoff, channel_frames, log, replies
from patchwright_agent.daemon.channel_frames import JOB, JOB_ACK, REPLY, REPLY_ACK
from patchwright_agent.daemon.channel_socket import ChannelSocket, Lost
from patchwright_agent.daemon.clock import iso_time
from patchwright_agent.daemon.intake import PollDoor
from patchwright_agent.daemon.outbox import SEND_FAILURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Tuple

    from patchwright_agent.daemon.command_run import Context

    Take = Callable[[Any, PollDoor], bool]

FIRST_SPREAD_SECONDS = 2.5  # after a loss: a server that restarts has lost all of its nodes at once
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 5.0, 600.0
PROVEN_SECONDS = 30.0  # a socket that lived less counts as one that could not be had
ACKNOWLEDGE_SECONDS = 1.0
ACCEPTED, QUEUE_FULL, INVALID = "200", "51402", "51406"
_SCHEMA = "1.0"


class Channel:
    """Runs from `start` to `stop`. `take` gets each job, as a poll's message, with the door that answers it."""

    def __init__(self, context: "Context", take: "Take") -> None:
        self._context = context
        self._node = context.node
        self._take = take
        self._socket: "Optional[ChannelSocket]" = None
        self._lock = threading.Lock()
        # By reply id: the socket that it went by, and whether it is acknowledged.
        self._awaited: "Dict[str, Tuple[ChannelSocket, threading.Event]]" = {}
        self._stopping = threading.Event()
        self._thread: "Optional[threading.Thread]" = None
        self._retry = backoff.Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        self._last_trouble = ""
        self.failure: "Optional[BaseException]" = None
        self.on_change: "Callable[[], None]" = lambda: None  # it was lost, or `failure` is set

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="channel", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        opened = self._socket
        if opened is not None:
            opened.leave()

    def begin_reply(self, message_id: str, reply_id: str, payload: str) -> None:
        """Send a reply for which `send_reply` will wait: so several are on their way at once."""
        opened = self._socket
        if opened is None or threading.current_thread() is self._thread:
            return  # who hears the acknowledgements can't wait for one
        frame = self.reply_frame(message_id, reply_id, payload)
        if len(frame) > channel_frames.MAX_FRAME:
            return
        with self._lock:
            self._awaited[reply_id] = (opened, threading.Event())
        try:
            opened.send(frame)
        except Lost:
            self._forget(reply_id)

    def send_reply(self, message_id: str, reply_id: str, payload: str) -> bool:
        """Whether the server has taken the reply. False: it is to go another way (it may have been taken as well)."""
        begun = self._awaited.get(reply_id)
        if begun is None or begun[0] is not self._socket:
            self._forget(reply_id)
            self.begin_reply(message_id, reply_id, payload)
            begun = self._awaited.get(reply_id)
        try:
            return begun is not None and begun[1].wait(ACKNOWLEDGE_SECONDS)
        finally:
            self._forget(reply_id)

    def _forget(self, reply_id: str) -> None:
        with self._lock:
            self._awaited.pop(reply_id, None)

    def reply_frame(self, message_id: str, reply_id: str, payload: str) -> bytes:
        said = {"schemaVersion": 1, "jobId": message_id, "content": payload, "topic": "aws.ssm.sendCommand"}
        return channel_frames.encode(REPLY, reply_id, said, self._context.clock.server_now())

    def _run(self) -> None:
        while not self._stopping.is_set():
            opened_at = 0.0
            try:
                opened = self._open()
                opened_at = time.monotonic()
                self._serve(opened)
            except (Lost,) + SEND_FAILURES as error:
                self._explain(str(error), was_open=bool(opened_at))
            except Exception as error:  # JournalError above all: the daemon ends by it
                self.failure = error
            was_open, self._socket = self._socket is not None, None
            if was_open or self.failure is not None:
                self.on_change()
            if self.failure is not None:
                return
            if opened_at and time.monotonic() - opened_at >= PROVEN_SECONDS:
                self._retry.succeeded()
                pause = FIRST_SPREAD_SECONDS * backoff.fraction()
            else:
                pause = self._retry.failed()
            self._stopping.wait(pause)

    def _open(self) -> ChannelSocket:
        """Raises Lost, or one of SEND_FAILURES."""
        token = self._node.create_channel()
        opened = ChannelSocket(*self._node.upgrade_channel())
        opening = {
            "Cookie": None,
            "MessageSchemaVersion": _SCHEMA,
            "RequestId": backoff.uuid4(),
            "TokenValue": token,
            "AgentVersion": __version__,
            "PlatformType": "linux",
        }
        try:
            opened.send_text(json.dumps(opening))
        except Lost:
            opened.close()
            raise
        return opened

    def _serve(self, opened: ChannelSocket) -> None:
        """Hear the socket until it ends. Raises Lost, JournalError."""
        self._socket = opened
        if self._stopping.is_set():
            opened.leave()
        log.say("the push channel is open")
        self._last_trouble = ""
        opened.listen(lambda data: self._hear(opened, data))

    def _explain(self, reason: str, was_open: bool) -> None:
        if not self._stopping.is_set() and reason != self._last_trouble:
            self._last_trouble = reason
            what = "the push channel is lost" if was_open else "no push channel"
            log.say("%s: %s; polling meanwhile" % (what, text.field(reason)))

    def _hear(self, opened: ChannelSocket, data: bytes) -> None:
        """One frame. What can't be read is said and left: types that are not known may come."""
        try:
            frame = channel_frames.decode(data)
        except channel_frames.BadFrame as error:
            log.say("a frame of the push channel was not taken: %s" % error)
            return
        if frame.kind == REPLY_ACK:
            with self._lock:
                begun = self._awaited.get(str(frame.payload.get("acknowledgedMessageId")).lower())
            if begun is not None:
                begun[1].set()
        elif frame.kind == JOB:
            raw = {
                "MessageId": frame.payload.get("JobId"),
                "Destination": self._node.instance_id,
                "Topic": frame.payload.get("Topic"),
                "CreatedDate": iso_time(self._context.clock.server_now()),
                "Payload": frame.payload.get("Content"),
            }
            try:
                self._take(raw, ChannelDoor(self._context, self, opened, frame.id))
            except SEND_FAILURES as error:  # it is recorded; the server offers it again
                log.say("a job could not be answered: %s" % text.field(str(error)))


class ChannelDoor(PollDoor):
    """What is said of one job, on the socket that brought it."""

    def __init__(self, context: "Context", channel: Channel, opened: ChannelSocket, frame_id: str) -> None:
        PollDoor.__init__(self, context)
        self._channel = channel
        self._opened = opened
        self._frame_id = frame_id

    def take(self, message_id: str) -> None:
        self._acknowledge(message_id, ACCEPTED, "Successful")
        now = self._context.clock.server_now()
        self._send(self._channel.reply_frame(message_id, backoff.uuid4(), replies.accepted(now)))

    def refuse(self, message_id: str, reason: str) -> None:
        self._acknowledge(message_id, INVALID, reason)

    def put_off(self, message_id: str) -> None:
        self._acknowledge(message_id, QUEUE_FULL, "the node has no room for it now")

    def _acknowledge(self, message_id: str, code: str, words: str) -> None:
        now = self._context.clock.server_now()
        said = {
            "jobId": message_id,
            "acknowledgedMessageId": self._frame_id,
            "createdDate": iso_time(now),
            "statusCode": code,
            "errorMessage": words,
        }
        self._send(channel_frames.encode(JOB_ACK, backoff.uuid4(), said, now))

    def _send(self, frame: bytes) -> None:
        """A socket that is gone ends its listener: a job without an acknowledgement is offered again."""
        try:
            self._opened.send(frame)
        except Lost:
            self._opened.close()
