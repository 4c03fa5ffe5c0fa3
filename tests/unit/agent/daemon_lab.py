"""Registered nodes, orders and daemons for tests of the agent's daemon."""

import base64
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fake_server import REGION, FakeServer

from patchwright_agent.daemon.identity import Identity, save

PACKAGE = Path(__file__).resolve().parents[3] / "agent" / "patchwright_agent"
NODE_ID = "mi-0a1b2c3d4e5f60718"
FINGERPRINT = "b1c6c0f2-2a0e-4e53-8d8c-3b2f0f7f7d10"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def enrol(server: FakeServer, state_dir: Path, ca_file: str = "") -> Identity:
    """A registered node, known to the server, its identity in `state_dir`."""
    public = _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    server.nodes[NODE_ID] = {"PublicKey": base64.b64encode(public).decode(), "Fingerprint": FINGERPRINT}
    private = _KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    identity = Identity(NODE_ID, REGION, server.url, ca_file, False, private, FINGERPRINT)
    state_dir.mkdir(mode=0o700, exist_ok=True)
    save(str(state_dir), identity)
    return identity


def order(steps: list[dict[str, Any]], name: str = "Example", version: str = "2.2", **more: Any) -> dict[str, Any]:
    """An order's payload with these mainSteps."""
    document = {"schemaVersion": version, "parameters": more.pop("definitions", {}), "mainSteps": steps}
    return {"DocumentName": name, "DocumentContent": document, "Parameters": more.pop("parameters", {}), **more}


def shell(script: str, name: str = "runShellScript", **inputs: Any) -> dict[str, Any]:
    return {"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": [script], **inputs}}


class DaemonProcess:
    """The daemon in a process of its own, as an operator starts it."""

    def __init__(self, state_dir: Path, *arguments: str, python: str = sys.executable, agent: Path = PACKAGE) -> None:
        self.log = state_dir.parent / "daemon.log"
        argv = [python, str(agent), "run", "--state-dir", str(state_dir), "--reboot-command", "/bin/false", *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        self.pid = self._process.pid

    def __enter__(self) -> "DaemonProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait(10)

    def terminate(self) -> int:
        self._process.terminate()
        return self._process.wait(15)

    def wait(self, seconds: float = 20) -> int:
        return self._process.wait(seconds)

    def output(self) -> str:
        return self.log.read_text(errors="replace")
