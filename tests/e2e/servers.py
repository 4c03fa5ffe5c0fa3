"""Real `patchwright serve` processes: started, ended, killed by -9 and started again on the same data folder.

    server = ServerProcess(folder, network.address)       # TLS by an own authority; `url` is what hosts call
    server.start()                                        # returns once it answers; raises ServerDied with its log
    server.kill(); server.start()                         # the same port, the same data folder
    server.client("ssm")                                  # boto3, as the administrator
    server.aws("ssm", "list-commands")                    # the unmodified aws CLI, as `patchwright env` sets it up
    server.rows("SELECT count(*) FROM node")              # what the store holds, past the server
    server.stop()

A server dies with the test process, even by a kill -9 (setpriv --pdeathsig): start it from the main thread.
"""

import configparser
import contextlib
import json
import os
import shlex
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from botocore.config import Config
from tests import vendor_clients

PROGRAMS = Path(sys.executable).parent
START_SECONDS = 30.0
POLL_SECONDS = 0.03

T = TypeVar("T")


class ServerDied(AssertionError):
    """A server ended that should have served; the message holds the end of its log."""


class ServerProcess:
    """One `patchwright serve`. Its port, its data folder and its certificates outlive a kill."""

    def __init__(
        self,
        folder: Path,
        address: str,
        *,
        tls: bool = True,
        database_url: str | None = None,
        public_url: str | None = None,
        secret_key: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.data_dir = folder / "data"
        self.log_file = folder / "server.log"
        self.address, self.port = address, free_port(address)
        self.own_url = f"{'https' if tls else 'http'}://{address}:{self.port}"
        self.url = public_url or self.own_url
        self.database_url = database_url
        self._arguments = [
            "--data-dir", str(self.data_dir), "--listen", f"{address}:{self.port}", "--public-url", self.url,
            *(("--tls", "auto") if tls else ()),
            *(("--database-url", database_url) if database_url else ()),
            *options,
        ]  # fmt: skip
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        if secret_key is not None:
            self._environment["PATCHWRIGHT_SECRET_KEY_FILE"] = str(secret_key)
        self._process: subprocess.Popen[bytes] | None = None
        self._exports: dict[str, str] = {}

    def start(self) -> "ServerProcess":
        """Start it and wait until it takes connections. Raises ServerDied."""
        argv = ["setpriv", "--pdeathsig", "KILL", "--", str(PROGRAMS / "patchwright"), "serve", *self._arguments]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ServerDied(f"the server did not start:\n{self.log[-3000:]}")
            time.sleep(POLL_SECONDS)
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
            return True
        return False

    def second(self) -> subprocess.CompletedProcess[str]:
        """Try to run another server on the same data folder, at another port."""
        argv = [str(PROGRAMS / "patchwright"), "serve", *self._arguments]
        argv[argv.index("--listen") + 1] = f"{self.address}:{free_port(self.address)}"
        return subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )

    def kill(self) -> None:
        """kill -9: nothing of it runs on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)

    def stop(self) -> None:
        """End it as an operator does."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, where `aws/config` says it is."""
        return Path(self._profile("config")["ca_bundle"])

    def _profile(self, file: str) -> configparser.SectionProxy:
        parser = configparser.ConfigParser()
        parser.read(self.data_dir / "aws" / file)
        return parser["default"]

    def client(self, service: str = "ssm", url: str = "") -> Any:
        """A boto3 client of the administrator; each call is made once. Without `url` it goes past any proxy."""
        credentials = self._profile("credentials")
        return vendor_clients.client(
            service,
            url or self.own_url,
            "local-1",
            (credentials["aws_access_key_id"], credentials["aws_secret_access_key"]),
            Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20),
            self.ca_file if self.own_url.startswith("https") else None,
        )

    def aws(self, *arguments: str) -> Any:
        """The answer of one call of the aws command line (parsed JSON; None if it prints nothing).

        It is set up by what `patchwright env` prints, and nothing else. Raises AssertionError with what it said.
        """
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.data_dir), **self._env()}
        done = subprocess.run(
            [PROGRAMS / "aws", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"aws {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def get(self, path: str) -> str:
        """The text at a path of the server, its certificate verified."""
        verified = ssl.create_default_context(cafile=str(self.ca_file)) if self.own_url.startswith("https") else None
        with urllib.request.urlopen(self.own_url + path, context=verified, timeout=20) as answer:
            text: str = answer.read().decode()
            return text

    def _env(self) -> dict[str, str]:
        if not self._exports:
            argv = [str(PROGRAMS / "patchwright"), "env", "--data-dir", str(self.data_dir)]
            printed = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
            exports = [line for line in printed.splitlines() if line.startswith("export ")]
            self._exports = dict(word.partition("=")[::2] for line in exports for word in shlex.split(line)[1:])
        return self._exports

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """What a query (`?` for values) finds in the store, read past the server."""
        if self.database_url:
            with psycopg.connect(self.database_url) as connection:
                return connection.execute(query.replace("?", "%s").encode(), values).fetchall()
        path = self.data_dir / "patchwright.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def fresh_database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database, dropped at the end."""
    name = f"pw_e2e_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield postgres_url.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def eventually(look: Callable[[], T], is_right: Callable[[T], bool], seconds: float = 15.0) -> T:
    """Look until it is right, and give what was seen then. Raises AssertionError with what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if is_right(seen):
            return seen
        assert time.monotonic() < deadline, f"not in {seconds:g} seconds; seen last: {seen}"
        time.sleep(POLL_SECONDS)
