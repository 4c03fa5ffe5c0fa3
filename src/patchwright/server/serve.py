"""Run one server process until it is told to end."""

import logging
import socket
import sys

import uvicorn

from patchwright.server.app import Application
from patchwright.server.open import open_state
from patchwright.server.settings import Settings
from patchwright.server.telemetry import JsonLines
from patchwright.server.tls import TlsFiles
from patchwright.server.waits import Waits

GRACE_SECONDS = 5


def configure_logs() -> None:
    """JSON lines on stderr; nothing secret is ever logged, so nothing needs to be hidden."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Our own line says that the schema was made or brought forward; the tool's ten lines help nobody.
    logging.getLogger("alembic").setLevel(logging.WARNING)


class PatchwrightServer(uvicorn.Server):
    """Ends parked polls first: uvicorn would wait for them, and nodes would hear of the restart that much later."""

    def __init__(self, config: uvicorn.Config, waits: Waits) -> None:
        super().__init__(config)
        self._waits = waits

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._waits.close()
        await super().shutdown(sockets)


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
        ws="none",
        lifespan="on",
    )
    return PatchwrightServer(config, application.state.waits)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    configure_logs()
    server = server_for(settings)
    server.run()
    return 0 if server.started else 1
