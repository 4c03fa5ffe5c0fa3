"""The server of `up`: on loopback, SQLite in the data folder, without settings of the environment."""

import contextlib
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from patchwright.cli.exits import Failed
from patchwright.cli.output import printable
from patchwright.cli.up.children import Child
from patchwright.client.calls import Client
from patchwright.client.errors import CallFailed

HOST = "127.0.0.1"
FIRST_PORT = 8484
PORTS = 100
START_SECONDS = 60
POLL_SECONDS = 0.05


_TAKEN = "address already in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is ready, and a client with its administrator's key."""

    child: Child
    client: Client
    url: str
    port: int


@contextlib.contextmanager
def server_on(data_dir: Path, agent_file: Path) -> Iterator[Server]:
    """A server on the first free port from 8484, for the time of the block. Raises Failed."""
    first = FIRST_PORT
    while True:
        port = _free_port(first)
        child = _start(data_dir, port, agent_file)
        try:
            client = _client_when_ready(child, data_dir, port)
            if client is not None:
                yield Server(child=child, client=client, url=_url(port), port=port)
                return
        finally:
            child.end()
        first = port + 1


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _free_port(first: int) -> int:
    for port in range(first, FIRST_PORT + PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise Failed(f"every port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} of {HOST} is taken: free one")


def _start(data_dir: Path, port: int, agent_file: Path) -> Child:
    """PATCHWRIGHT_* of the environment are for another server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PATCHWRIGHT_")}
    argv: list[str | Path] = [
        sys.executable, "-m", "patchwright.cli.main", "serve", "--data-dir", data_dir, "--listen", f"{HOST}:{port}",
        "--agent-file", agent_file,
    ]  # fmt: skip
    return Child(argv, data_dir / "server.log", environment)


def _client_when_ready(server: Child, data_dir: Path, port: int) -> Client | None:
    """A client once `server` answers; None if somebody else took the port in the meantime. Raises Failed."""
    deadline = time.monotonic() + START_SECONDS
    while server.exit_code() is None:
        if _is_ready(port):
            client = Client(data_dir)  # a new one each time: the server writes its address just before it listens
            if _is_own(client, port):
                return client
        if time.monotonic() > deadline:
            raise Failed(f"the server is not ready after {START_SECONDS} seconds: see {server.log}")
        time.sleep(POLL_SECONDS)
    if _TAKEN in server.output():
        return None
    raise Failed(f"the server did not start: {printable(server.last_words())} (log: {server.log})")


def _is_own(client: Client, port: int) -> bool:
    """Whether the one that answers is the server of this data folder: another's would not know the key."""
    try:
        return bool(client.call("patchwright", "GetServerInformation")["PublicUrl"] == _url(port))
    except CallFailed:
        return False


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
