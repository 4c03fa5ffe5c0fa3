"""The push channel's sockets: opened by a POST and a signed upgrade, then held, one for each node.

Source: agent-protocol.md 7. A socket waits on an event as a parked poll does: no thread, no transaction.
"""

import asyncio
import logging
import re
import time
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from patchwright.core.errors import DomainError
from patchwright.gateway.credentials import registered
from patchwright.server.authenticate import Authenticator, NodeCaller
from patchwright.server.channel_socket import GOING_AWAY, POLICY, ChannelSocket, close
from patchwright.server.http import read_signed
from patchwright.server.node_context import node_context
from patchwright.server.state import State
from patchwright.server.telemetry import Telemetry
from patchwright.store.engine import StoreUnavailable
from patchwright.wire import channel_opening as opening
from patchwright.wire.canonical import SignedRequest
from patchwright.wire.errors import WireError

log = logging.getLogger(__name__)

OPENING_SECONDS = 15.0
"""A socket without its first frame is closed after this long."""
MAX_POST = 4_096
MAX_USED = 20_000
"""Used tokens in memory before those are thrown out whose time is over."""
_CHANNEL = re.compile(r"/v1/control-channel/([^/]+)")
_OPENED = "channel:"
"""Wake-up `channel:<node>:<microseconds>`: some process has opened a socket, and when."""


class ControlChannels:
    """All sockets of this process."""

    def __init__(self, state: State, telemetry: Telemetry, authenticator: Authenticator) -> None:
        self._state = state
        self._telemetry = telemetry
        self._authenticator = authenticator
        self._tokens = state.channel_tokens
        self._open: dict[str, ChannelSocket] = {}
        self._used: dict[str, float] = {}
        self._sweep_at = MAX_USED
        self._loop: asyncio.AbstractEventLoop | None = None
        state.store.on_wake(self._heard)

    @property
    def count(self) -> int:
        """How many nodes hold a socket here."""
        return len(self._open)

    async def create(self, request: Request) -> Response:
        """POST: a token to open a socket with. Refusals say `AccessDeniedException`, which makes the agent poll."""
        started = time.perf_counter()
        try:
            node_id = await self._caller(await read_signed(request, MAX_POST), request.path_params["node_id"])
            await self._check_registered(node_id)
            token = self._tokens.issue(node_id, self._state.clock.now(), self._state.ids.random(opening.RANDOM_BYTES))
            code, status, body = "OK", 201, opening.render_opened(token)
        except ClientDisconnect:
            return Response(status_code=400)
        except StoreUnavailable as failure:
            log.error("a channel was not opened: %s", failure)
            code, status = "ServiceUnavailable", 503
            body = opening.render_refusal(code, "Try again.")
        except (WireError, DomainError) as failure:
            code = failure.code if isinstance(failure, WireError) else opening.REFUSED
            status, body = 403, opening.render_refusal(opening.REFUSED, failure.message)
        self._telemetry.called("CreateControlChannel", code, time.perf_counter() - started)
        return Response(body, status_code=status, media_type=opening.CONTENT_TYPE)

    async def connect(self, socket: WebSocket) -> None:
        """GET with an upgrade: one node's socket, from its opening to its end."""
        self._loop = asyncio.get_running_loop()
        try:
            node_id = await self._upgrading(socket)
        except (WireError, DomainError) as failure:
            body = opening.render_refusal(opening.REFUSED, failure.message)
            await socket.send_denial_response(Response(body, status_code=403, media_type=opening.CONTENT_TYPE))
            return
        await socket.accept()
        try:
            await self._check_opening(socket, node_id)
        except (WireError, DomainError, opening.BadOpeningError, StoreUnavailable, TimeoutError) as failure:
            log.info("node %s did not open its channel: %s", node_id, failure or "no first frame")
            await close(socket, POLICY)
            return
        except WebSocketDisconnect:
            return
        await self._hold(ChannelSocket(self._state, self._telemetry, socket, node_id), socket)

    async def _upgrading(self, socket: WebSocket) -> str:
        """The node whose channel the upgrade is for. Raises WireError."""
        scope = socket.scope
        found = _CHANNEL.fullmatch(scope["path"])
        if found is None:
            raise WireError(opening.REFUSED, "There is no such channel.", 403)
        path = scope.get("raw_path") or scope["path"].encode()
        signed = SignedRequest.of(
            "GET", path.decode("latin-1"), scope["query_string"].decode("latin-1"), scope["headers"], b""
        )
        return await self._caller(signed, found.group(1))

    async def _caller(self, signed: SignedRequest, named: str) -> str:
        """The node that signed; it may open its own channel only. Raises WireError."""
        caller = await self._authenticator.caller(signed, opening.SIGNING_NAME, self._state.clock.now())
        if not isinstance(caller, NodeCaller) or caller.by_key or caller.node_id != named:
            raise WireError(opening.REFUSED, "A node may open its own channel, and nobody else's.", 403)
        return caller.node_id

    async def _check_opening(self, socket: WebSocket, node_id: str) -> None:
        text = await asyncio.wait_for(_first_text(socket), OPENING_SECONDS)
        now = self._state.clock.now()
        once = self._tokens.read(opening.token_of_opening(text), node_id, now)
        self._use(once, now)
        await self._check_registered(node_id)

    def _use(self, once: str, now: datetime) -> None:
        """A token opens one socket. Raises WireError at its second use in this process."""
        end = now.timestamp() + opening.TOKEN_LIFETIME.total_seconds()
        if once in self._used:
            raise WireError(opening.REFUSED, "The token was used before.", 403)
        if len(self._used) >= self._sweep_at:
            self._used = {token: until for token, until in self._used.items() if until > now.timestamp()}
            # A whole fleet that comes back within a token's life is not swept for each of its nodes.
            self._sweep_at = max(MAX_USED, 2 * len(self._used))
        self._used[once] = end

    async def _hold(self, mine: ChannelSocket, socket: WebSocket) -> None:
        """Serve a socket until it ends, in place of any that the node had before, in whichever process."""
        before = self._open.get(mine.node_id)
        self._open[mine.node_id] = mine
        if before is not None:
            before.replace()
        news = f"{_OPENED}{mine.node_id}:{_microseconds(mine.opened_at)}"
        told = self._state.store.submit_write(lambda tx: tx.wake(news))
        try:
            await asyncio.wrap_future(told)
            await mine.run()
        except StoreUnavailable as failure:
            log.error("the channel of node %s ends: %s", mine.node_id, failure)
        finally:
            if self._open.get(mine.node_id) is mine:
                del self._open[mine.node_id]
            mine.release()
            await close(socket, GOING_AWAY)

    def _heard(self, wake: str) -> None:
        """Called from any thread: some process opened a socket."""
        if wake.startswith(_OPENED) and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._give_way, wake.removeprefix(_OPENED))

    def _give_way(self, opened: str) -> None:
        node_id, _, moment = opened.rpartition(":")
        mine = self._open.get(node_id)
        # Not for one's own news, nor for news that a later opening has overtaken.
        if mine is not None and _microseconds(mine.opened_at) < int(moment):
            mine.replace()

    async def _check_registered(self, node_id: str) -> None:
        """Raises Refused for a node that is not registered any more."""
        state = self._state
        await asyncio.wrap_future(
            state.store.submit_read(lambda tx: registered(node_context(state, tx, node_id=node_id, address="")))
        )


async def _first_text(socket: WebSocket) -> str:
    while True:
        message: dict[str, Any] = dict(await socket.receive())
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise opening.BadOpeningError("the first frame is not a text")
        return str(text)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
