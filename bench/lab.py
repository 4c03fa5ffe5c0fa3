"""A real server process on loopback in a folder of its own, and an agent of the zipapp."""

import configparser
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import botocore.session
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "dist" / "patchwright-agent.pyz"
SYSTEM_PYTHON = Path("/usr/bin/python3")


def client(url: str, credentials: tuple[str, str], service: str = "ssm", region: str = "local-1") -> Any:
    """A botocore client of a server, without retries."""
    session = botocore.session.Session()
    session.set_credentials(*credentials)
    return session.create_client(
        service, region_name=region, endpoint_url=url, config=Config(retries={"max_attempts": 0})
    )


class Lab:
    """Started processes end with the `with` block."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pw-bench-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> subprocess.Popen[bytes]:
        """A server on the lab's folder and port."""
        program = Path(sys.executable).with_name("patchwright")
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [program, "serve", "--data-dir", self.folder / "data", "--listen", f"127.0.0.1:{self.port}"],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.running.append(process)
        return process

    def wait(self) -> None:
        """Until the server answers."""
        for _ in range(2_000):
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=1):
                    return
            except OSError:
                time.sleep(0.005)
        raise TimeoutError("the server did not start; its log is in " + str(self.folder))

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(timeout=30)

    def credentials(self) -> tuple[str, str]:
        parser = configparser.ConfigParser()
        parser.read(self.folder / "data" / "aws" / "credentials")
        section = parser["default"]
        return section["aws_access_key_id"], section["aws_secret_access_key"]

    def client(self, service: str = "ssm") -> Any:
        return client(self.url, self.credentials(), service)

    def enrolled_agent(self, *options: str, scan_only: bool = True) -> subprocess.Popen[bytes]:
        """Register the zipapp and start it by the system's own Python."""
        made = self.client().create_activation(IamRole="bench")
        state = self.folder / "agent"
        environment = {**os.environ, "PATCHWRIGHT_ACTIVATION_CODE": made["ActivationCode"]}
        subprocess.run(
            [
                _python(),
                AGENT,
                "register",
                "--server",
                self.url,
                "--activation-id",
                made["ActivationId"],
                "--state-dir",
                state,
            ],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return self.start_agent(*options, *(["--scan-only"] if scan_only else []))

    def start_agent(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the enrolled agent."""
        process = subprocess.Popen(
            [_python(), AGENT, "run", "--state-dir", self.folder / "agent", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.running.append(process)
        return process

    def metric(self, name: str) -> float:
        """A metric without labels, as the server shows it now; 0 if it has none of the name."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        return 0.0


def _python() -> str:
    return str(SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else sys.executable)
