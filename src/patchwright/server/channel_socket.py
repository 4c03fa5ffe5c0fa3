"""One open socket of the push channel: jobs go out when its node is woken, frames come in one by one."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect

from patchwright.core.errors import Invalid, Refused
from patchwright.gateway import channel
from patchwright.gateway.context import NodeContext
from patchwright.server.node_context import node_context
from patchwright.server.state import State
from patchwright.server.telemetry import Telemetry
from patchwright.store.engine import StoreUnavailable, Tx
from patchwright.wire.agent_frames import BadFrameError, decode, encode

T = TypeVar("T")
log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""A socket looks for jobs by itself this often: wake-ups may be missed, and a message may show itself by time alone."""
STORE_PAUSE_SECONDS = 5.0
GOING_AWAY, POLICY, REPLACED = 1001, 1008, 4001
"""Why a socket is closed: the server ends, the node is not registered, the node has opened another one."""
_OPERATIONS = {channel.JOB_ACK: "AgentJobAck", channel.REPLY: "AgentJobReply"}


class ChannelSocket:
    """Serves one node's socket until either end goes."""

    def __init__(self, state: State, telemetry: Telemetry, socket: WebSocket, node_id: str) -> None:
        self.node_id = node_id
        self.opened_at = state.clock.now()
        self._state = state
        self._telemetry = telemetry
        self._socket = socket
        self._code = 0
        """Why this end closes the socket; 0 while it does not."""
        self._look = state.waits.enter(f"node:{node_id}")
        self._timer: asyncio.TimerHandle | None = None
        self._full = False
        """Whether the node has refused a job since the last look: its queue is short."""

    def replace(self) -> None:
        """The node has opened another socket: this one ends."""
        self._end(REPLACED)

    def release(self) -> None:
        """Wait for nothing any more: once for each socket, run or not."""
        self._state.waits.leave(f"node:{self.node_id}", self._look)
        if self._timer is not None:
            self._timer.cancel()

    async def run(self) -> None:
        """Send jobs and hear the node until one of both ends; called once."""
        # Two tasks and one timer: with ten thousand sockets each further one shows.
        sending = asyncio.ensure_future(self._send_jobs())
        try:
            await self._listen()
        finally:
            self._end(self._code or GOING_AWAY)
            await sending

    def _end(self, code: int) -> None:
        self._code = code
        self._look.set()

    async def _send_jobs(self) -> None:
        waits = self._state.waits
        try:
            while not (self._code or waits.closing):
                self._look.clear()
                self._full = False
                await self._look_for_jobs()
                self._look_in(LOOK_SECONDS)
                await self._look.wait()
        finally:
            # Ends the listening too.
            await close(self._socket, self._code or GOING_AWAY)

    async def _look_for_jobs(self) -> None:
        try:
            while await self._send_waiting() and not self._full:
                pass  # there may be more than one batch
        except StoreUnavailable as failure:
            log.error("nothing was taken for node %s: %s", self.node_id, failure)
            self._look_in(STORE_PAUSE_SECONDS)
        except Refused:
            self._end(POLICY)
        except (RuntimeError, WebSocketDisconnect):
            # The other end went while a job was on its way: it is offered again.
            self._end(GOING_AWAY)

    async def _send_waiting(self) -> bool:
        """Send the next batch; whether there was one."""
        state = self._state
        if not await asyncio.wrap_future(state.store.submit_read(lambda tx: channel.has_work(self._context(tx)))):
            return False
        frames = await self._write(channel.take_jobs)
        for frame in frames:
            await self._socket.send_bytes(encode(frame))
        if frames:
            self._look_in(channel.UNANSWERED.total_seconds())
        return bool(frames)

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if data is not None:
                await self._hear(data)

    async def _hear(self, data: bytes) -> None:
        started = time.perf_counter()
        operation, code = "Frame", "OK"
        try:
            frame = decode(data)
            operation = _OPERATIONS.get(frame.kind, operation)
            heard = await self._write(lambda ctx: channel.hear(ctx, frame))
            if heard.answer is not None:
                await self._socket.send_bytes(encode(heard.answer))
            if heard.look_again is not None:
                self._full = True
                self._look_in(heard.look_again.total_seconds())
        except (BadFrameError, Invalid) as wrong:
            # No answer would help: the same frame would come again. The command ends by its time limit.
            log.warning("node %s sent a frame that can't be used: %s", self.node_id, wrong)
            code = "InvalidFrame"
        except Refused:
            operation, code = "Frame", "AccessDeniedException"
            self._end(POLICY)
        except StoreUnavailable as failure:
            # Without an answer the node keeps its reply, and sends it again.
            log.error("a frame of node %s was not taken: %s", self.node_id, failure)
            code = "ServiceUnavailable"
        self._telemetry.called(operation, code, time.perf_counter() - started)

    def _look_in(self, seconds: float) -> None:
        """Look again in so many seconds at the latest."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None and not self._timer.cancelled() and loop.time() < self._timer.when() <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._look.set)

    async def _write(self, work: Callable[[NodeContext], T]) -> T:
        written = asyncio.wrap_future(self._state.store.submit_write(lambda tx: work(self._context(tx))))
        # The socket may end meanwhile; the store's writer must not find its caller gone.
        return await asyncio.shield(written)

    def _context(self, tx: Tx) -> NodeContext:
        return node_context(self._state, tx, node_id=self.node_id, address="")


async def close(socket: WebSocket, code: int) -> None:
    """Close a socket whose other end may be gone."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code)
