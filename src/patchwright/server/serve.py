"""Run one server process until it is told to end."""

import asyncio
import logging
import socket
import sys
from typing import Any

import uvicorn

from patchwright.server.app import Application
from patchwright.server.open import open_state
from patchwright.server.settings import Settings
from patchwright.server.telemetry import JsonLines
from patchwright.server.tls import TlsFiles
from patchwright.server.waits import Waits
from patchwright.wire.agent_frames import MAX_FRAME

GRACE_SECONDS = 5
_SOCKET_LINES = (
    '%s - "WebSocket ', "connection open", "connection closed", "connection rejected",
    # After each refusal, though that was answered: uvicorn waits for a handshake all the same.
    "ASGI callable returned without completing handshake",
)  # fmt: skip
CLOSING_SECONDS = 0.2
"""What a connection gets at least, at the end, to say its last words."""
WEBSOCKETS: dict[str, Any] = {
    "ws": "websockets-sansio",
    "ws_max_size": MAX_FRAME,
    # Seconds. The node pings too; these find sockets whose other end is gone.
    "ws_ping_interval": 60.0,
    "ws_ping_timeout": 30.0,
    # It would cost memory for each socket.
    "ws_per_message_deflate": False,
}


def configure_logs() -> None:
    """JSON lines on stderr; nothing secret is ever logged, so nothing needs to be hidden."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Our own line says that the schema was made or brought forward; the tool's ten lines help nobody.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(is_worth_a_line)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's is kept: a stranger's tries to open sockets would fill the log."""
    return not str(record.msg).startswith(_SOCKET_LINES)


class PatchwrightServer(uvicorn.Server):
    """Ends parked polls and open channels first: uvicorn would wait, and nodes would hear of the end that much later.

    A connection that is being closed over TLS waits for the other end; one whose other end is asleep in a pool, or is a
    real agent that has not connected anew yet, would hold up a restart.
    """

    def __init__(self, config: uvicorn.Config, waits: Waits) -> None:
        super().__init__(config)
        self._waits = waits

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._waits.close()
        ending = asyncio.ensure_future(super().shutdown(sockets))
        closing: set[Any] = set()
        while not ending.done():
            await asyncio.wait({ending}, timeout=CLOSING_SECONDS)
            for connection in closing & self.server_state.connections:
                connection.transport.abort()
            closing = {c for c in self.server_state.connections if c.transport.is_closing()}
        await ending


def server_for(settings: Settings) -> uvicorn.Server:
    """A server that is ready to run: the store is open and migrated, the administrator exists."""
    application = Application(open_state(settings))
    cert, key = settings.tls_cert, settings.tls_key
    if settings.tls == "auto":
        files = TlsFiles(settings.data_dir)
        cert, key = files.cert, files.key
    config = uvicorn.Config(
        application.asgi,
        host=settings.listen_host,
        port=settings.listen_port,
        ssl_certfile=str(cert) if cert else None,
        ssl_keyfile=str(key) if key else None,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # Addresses are the peer's own: a header that anyone can send must not get round a limit.
        proxy_headers=False,
        **WEBSOCKETS,
        lifespan="on",
    )
    return PatchwrightServer(config, application.state.waits)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    configure_logs()
    server = server_for(settings)
    server.run()
    return 0 if server.started else 1
