"""The server of `up`: on loopback, SQLite in the data folder, without settings of the environment."""

import contextlib
import http.client
import os
import socket
import sys
import time
from pathlib import Path

from patchwright.cli.exits import Failed
from patchwright.cli.output import printable
from patchwright.cli.up.children import Child

HOST = "127.0.0.1"
FIRST_PORT = 8484
PORTS = 100
START_SECONDS = 60
POLL_SECONDS = 0.05


def free_port() -> int:
    """The first port from 8484 on which nothing listens. Raises Failed if 100 are taken."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise Failed(f"every port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} of {HOST} is taken: free one")


def start_server(data_dir: Path, port: int, agent_file: Path) -> Child:
    """Start the server; it is not ready yet. PATCHWRIGHT_* of the environment are for another server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PATCHWRIGHT_")}
    argv: list[str | Path] = [
        sys.executable, "-m", "patchwright.cli.main", "serve", "--data-dir", data_dir, "--listen", f"{HOST}:{port}",
        "--agent-file", agent_file,
    ]  # fmt: skip
    return Child(argv, data_dir / "server.log", environment)


def wait_ready(server: Child, port: int) -> None:
    """Return when /readyz says so. Raises Failed if the server ends, or takes more than START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(port):
        if server.exit_code() is not None:
            raise Failed(f"the server did not start: {printable(server.last_words())} (log: {server.log})")
        if time.monotonic() > deadline:
            raise Failed(f"the server is not ready after {START_SECONDS} seconds: see {server.log}")
        time.sleep(POLL_SECONDS)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
