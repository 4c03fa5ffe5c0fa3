"""A real server of each engine on loopback, and the vendor's own clients pointed at it."""

import configparser
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from botocore.config import Config

from patchwright.server.app import Application
from patchwright.server.open import open_state
from patchwright.server.serve import WEBSOCKETS
from patchwright.server.settings import Settings
from patchwright.wire.model import DATA_DIRECTORY
from tests import vendor_clients


@dataclass
class RunningServer:
    """A server in a thread of this process, with its administrator's credentials."""

    url: str
    data_dir: Path
    application: Application
    key_id: str
    secret: str
    engine: str

    def client(self, service: str = "ssm", *, region: str = "local-1", key: tuple[str, str] | None = None) -> Any:
        """A botocore client, boto3's own where boto3 knows the service."""
        config = Config(retries={"max_attempts": 0}, parameter_validation=False)
        return vendor_clients.client(service, self.url, region, key or (self.key_id, self.secret), config)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all contract tests of an engine: each test uses a region of its own (see `ssm`)."""
    data_dir = tmp_path_factory.mktemp(f"server-{request.param}")
    database_url = None
    if request.param == "postgresql":
        import psycopg

        url = request.getfixturevalue("postgres_url")
        name = f"pw_contract_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{request.getfixturevalue("migrated_postgres")}"')
        database_url = url.replace("/postgres?", f"/{name}?")
    else:
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), data_dir / "patchwright.db")
    port = free_port()
    # Tests that take commands node by node would meet the slow start in all of them; it has tests of its own.
    settings = Settings(
        data_dir=data_dir, listen_port=port, database_url=database_url, poll_seconds=2.0, fast_start=True
    )
    application = Application(open_state(settings), strict=True)
    runner = uvicorn.Server(
        uvicorn.Config(application.asgi, port=port, log_config=None, timeout_graceful_shutdown=1, **WEBSOCKETS)
    )
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    while not runner.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    credentials = configparser.ConfigParser()
    credentials.read(data_dir / "aws" / "credentials")
    yield RunningServer(
        url=settings.url,
        data_dir=data_dir,
        application=application,
        key_id=credentials["default"]["aws_access_key_id"],
        secret=credentials["default"]["aws_secret_access_key"],
        engine=request.param,
    )
    runner.should_exit = True
    thread.join(timeout=15)


@pytest.fixture
def region() -> str:
    """A region that no other test uses: an empty partition of the same server."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def ssm(server: RunningServer, region: str) -> Any:
    """A boto3 SSM client as administrator, in a region of its own."""
    return server.client("ssm", region=region)


@pytest.fixture
def patchwright_client(server: RunningServer, region: str) -> Any:
    """A client of our own service, made from the model in the package."""
    return server.client("patchwright", region=region)


@pytest.fixture
def aws(server: RunningServer, region: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The unmodified aws command line, configured only by what `patchwright env` prints."""
    program = Path(sys.executable).with_name("aws")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        folder = server.data_dir / "aws"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
            "AWS_DATA_PATH": str(DATA_DIRECTORY),
            "AWS_REGION": region,
        }
        return subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run
