"""The composition root: settings -> store -> api, gateway -> loops -> http."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from patchwright.core import enrol_script
from patchwright.loops.commands import CommandsLoop
from patchwright.loops.driver import Driver, Loop
from patchwright.loops.inventory import InventoryLoop
from patchwright.loops.judging import JudgingLoop
from patchwright.loops.retention import RetentionLoop
from patchwright.loops.windows import WindowsLoop
from patchwright.server import handlers
from patchwright.server.authenticate import Authenticator
from patchwright.server.control_channels import ControlChannels
from patchwright.server.http import Edge
from patchwright.server.snapshot_page import snapshot_behind
from patchwright.server.state import State
from patchwright.server.telemetry import Telemetry
from patchwright.server.tls import TlsFiles
from patchwright.store.engine import StoreUnavailable
from patchwright.store.retention import Retention
from patchwright.wire.snapshot_urls import PATH as SNAPSHOTS


class Front:
    """Calls of the API go straight to the edge, which answers every failure itself; the rest has routes.

    Sockets too go past the routes, each layer of which would stay in memory as long as a socket does.
    """

    def __init__(self, edge: Edge, channels: ControlChannels, pages: ASGIApp) -> None:
        self._edge = edge
        self._channels = channels
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "POST":
            response = await self._edge.post(Request(scope, receive, send))
            await response(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._channels.connect(WebSocket(scope, receive, send))
        else:
            await self._pages(scope, receive, send)


class Application:
    """One server process: its loops and its HTTP face."""

    def __init__(self, state: State, *, strict: bool = False) -> None:
        handlers.check(state.models)
        self.state = state
        self.telemetry = Telemetry(strict=strict)
        authenticator = Authenticator(state)
        self._edge = Edge(state, self.telemetry, authenticator)
        self._channels = ControlChannels(state, self.telemetry, authenticator)
        self.driver = Driver(
            [
                Loop(name="commands", turn=CommandsLoop(state.store).turn, wakes=frozenset({"commands"})),
                Loop(
                    name="judging",
                    turn=JudgingLoop(state.store, state.service.apt_delays).turn,
                    wakes=frozenset({"judging"}),
                ),
                Loop(
                    name="windows",
                    turn=WindowsLoop(
                        state.store,
                        state.ids,
                        fast_start=state.service.fast_start,
                        catch_up=state.service.catch_up_windows,
                    ).turn,
                    wakes=frozenset({"windows", "ended-commands"}),
                ),
                Loop(name="inventory", turn=InventoryLoop(state.store).turn, wakes=frozenset({"inventory"})),
                Loop(name="retention", turn=RetentionLoop(state.store, Retention()).turn, wakes=frozenset()),
            ],
            state.clock.now,
        )
        state.store.on_wake(state.waits.wake)
        state.store.on_wake(self.driver.wake)
        self.asgi = Front(self._edge, self._channels, Starlette(routes=self._routes(), lifespan=self._lifespan))

    def _routes(self) -> list[Route]:
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
            Route("/ca.pem", self._ca),
            Route("/enrol.sh", self._enrol),
            Route("/agent/patchwright-agent.pyz", self._agent),
            Route("/agent/patchwright-agent.json", self._agent_manifest),
            Route(f"{SNAPSHOTS}{{token}}/{{name}}", self._snapshot),
            Route("/v1/control-channel/{node_id}", self._channels.create, methods=["POST"]),
            Route("/{path:path}", _not_found, methods=["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
        ]

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self.state.waits.bind(asyncio.get_running_loop())
        self.driver.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.driver.stop)
            await asyncio.to_thread(self.state.store.close)

    async def _healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, _request: Request) -> Response:
        problems = {f"loop {name}": text for name, text in self.driver.failures.items()}
        try:
            await asyncio.to_thread(self.state.store.ping)
        except StoreUnavailable as failure:
            problems["store"] = str(failure)
        return JSONResponse({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)

    async def _metrics(self, _request: Request) -> Response:
        gauges = {
            "patchwright_parked_polls": float(max(0, self.state.waits.count - self._channels.count)),
            "patchwright_open_channels": float(self._channels.count),
        }
        return PlainTextResponse(self.telemetry.exposition(gauges), media_type="text/plain; version=0.0.4")

    async def _ca(self, request: Request) -> Response:
        path = TlsFiles(self.state.settings.data_dir).ca
        if self.state.settings.tls != "auto":
            return await _not_found(request)
        return _file(path, "application/x-pem-file")

    async def _enrol(self, _request: Request) -> Response:
        return PlainTextResponse(enrol_script.SCRIPT, media_type="text/x-shellscript")

    async def _agent(self, request: Request) -> Response:
        path = self.state.settings.agent_file
        if path is None or not path.is_file():
            return await _not_found(request)
        return _file(path, "application/octet-stream")

    async def _snapshot(self, request: Request) -> Response:
        document = await snapshot_behind(self.state, request.path_params["token"])
        return await _not_found(request) if document is None else JSONResponse(document)

    async def _agent_manifest(self, request: Request) -> Response:
        manifest = await asyncio.to_thread(self.state.artefact.manifest)
        return await _not_found(request) if manifest is None else JSONResponse(manifest)


def _file(path: Path, media_type: str) -> Response:
    return FileResponse(path, media_type=media_type)


async def _not_found(request: Request) -> Response:
    body = {
        "__type": "UnknownOperationException",
        "message": f"Nothing is served at {request.method} {request.url.path[:200]}.",
    }
    return Response(
        json.dumps(body),
        status_code=404,
        media_type="application/x-amz-json-1.1",
        headers={"x-amzn-ErrorType": "UnknownOperationException"},
    )
