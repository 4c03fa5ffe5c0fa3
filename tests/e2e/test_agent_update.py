"""AWS-UpdateSSMAgent on a real server with a real agent, which updates itself and comes back from a broken one.

Source: operations.md 2.3, 10; decisions.md 20.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.contract.conftest import free_port
from tools import build_agent

from patchwright.server.app import Application
from patchwright.server.open import open_state
from patchwright.server.settings import Settings

QUICK = {"daemon/update_watch.py": ("GONE_SECONDS = 15.0", "GONE_SECONDS = 1.5")}
BROKEN = {"daemon/main.py": ("    os.umask(0o077)", "    raise SystemExit(3)")}


def make_agent(target: Path, version: str, monkeypatch: pytest.MonkeyPatch, **edits: tuple[str, str]) -> None:
    """An agent of that version, with texts of its files replaced."""
    folder = target.parent / f"source-{version}" / "patchwright_agent"
    shutil.copytree(build_agent.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in {"__init__.py": ('"0.1.0"', f'"{version}"'), **QUICK, **edits}.items():
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    with monkeypatch.context() as patched:
        patched.setattr(build_agent, "PACKAGE", folder)
        build_agent.build(target)


@dataclass
class Lab:
    """A server that serves `served`, and a node that runs `installed`."""

    ssm: Any
    served: Path
    installed: Path
    state_dir: Path
    node_id: str = ""

    def run(self, document: str, **parameters: list[str]) -> dict[str, Any]:
        """Send a command; the result of its one step once it is over."""
        sent = self.ssm.send_command(DocumentName=document, InstanceIds=[self.node_id], Parameters=parameters)
        which = {"CommandId": sent["Command"]["CommandId"], "InstanceId": self.node_id}
        return wait_for(lambda: self._over(which), f"the end of {document}")

    def _over(self, which: dict[str, str]) -> dict[str, Any] | None:
        got = self.ssm.get_command_invocation(**which)
        return got if got["Status"] not in ("Pending", "Delayed", "InProgress") else None

    @property
    def version(self) -> str:
        (node,) = self.ssm.describe_instance_information()["InstanceInformationList"]
        return str(node["AgentVersion"])


def wait_for(until: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := until()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.1)
    return found


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    served, installed, state_dir = tmp_path / "served.pyz", tmp_path / "host" / "agent.pyz", tmp_path / "state"
    installed.parent.mkdir()
    make_agent(installed, "0.1.0.1", monkeypatch)
    shutil.copyfile(installed, served)
    settings = Settings(
        data_dir=tmp_path / "data", listen_port=free_port(), poll_seconds=2.0, agent_file=served, fast_start=True
    )
    application = Application(open_state(settings), strict=True)
    config = uvicorn.Config(application.asgi, port=settings.listen_port, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "the server")
    keys = (settings.data_dir / "aws" / "credentials").read_text().split()
    ssm = boto3.client(
        "ssm", endpoint_url=settings.url, region_name="local-1", aws_access_key_id=keys[3],
        aws_secret_access_key=keys[6], config=Config(retries={"max_attempts": 0}),
    )  # fmt: skip
    made = Lab(ssm, served, installed, state_dir)
    activation = ssm.create_activation(IamRole="r")
    argv = [sys.executable, installed, "register", "--server", settings.url, "--state-dir", state_dir]
    argv += ["--activation-id", activation["ActivationId"], "--activation-code", activation["ActivationCode"]]
    made.node_id = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    with (tmp_path / "agent.log").open("ab") as log:
        argv = [sys.executable, installed, "run", "--state-dir", state_dir, "--reboot-command", "/bin/false"]
        daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    yield made
    for pid in processes(state_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    daemon.wait(10)
    server.should_exit = True
    thread.join(timeout=15)


def processes(state_dir: Path) -> list[int]:
    """Daemons and watches on this state folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if str(state_dir).encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def test_an_agent_updates_itself_and_comes_back_from_a_broken_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    same = lab.run("AWS-UpdateSSMAgent")
    assert (same["Status"], same["StandardOutputContent"]) == (
        "Success", "Agent 0.1.0.1 is what the server has: nothing to update.\n",
    )  # fmt: skip

    make_agent(lab.served, "0.1.1", monkeypatch)
    wrong = lab.run("AWS-UpdateSSMAgent", version=["0.2.0"])
    assert (wrong["Status"], "the server has agent 0.1.1, not 0.2.0" in wrong["StandardErrorContent"]) == (
        "Failed",
        True,
    )
    done = lab.run("AWS-UpdateSSMAgent", version=["0.1.1"])
    assert (done["Status"], done["StandardOutputContent"]) == ("Success", "Agent updated from 0.1.0.1 to 0.1.1.\n")
    wait_for(lambda: lab.version == "0.1.1", "the new version's heartbeat")
    assert lab.installed.read_bytes() == lab.served.read_bytes()

    make_agent(lab.served, "0.1.2", monkeypatch, **BROKEN)
    failed = lab.run("AWS-UpdateSSMAgent")
    assert failed["Status"] == "Failed"
    assert failed["StandardErrorContent"] == (
        "The new agent 0.1.2 did not come up (it ended, and nobody started it again). The old one, 0.1.1, runs.\n"
    )
    assert lab.run("AWS-RunShellScript", commands=["echo here"])["StandardOutputContent"] == "here\n"
    assert lab.version == "0.1.1"

    make_agent(lab.served, "0.1.0.9", monkeypatch)
    older = lab.run("AWS-UpdateSSMAgent")
    assert "allowDowngrade is not true" in older["StandardErrorContent"]

    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    der = base64.b64encode(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    (lab.state_dir / "artefact-key.json").write_text(json.dumps({"public_key": der}))
    forged = lab.run("AWS-UpdateSSMAgent", allowDowngrade=["true"])
    assert (forged["Status"], "not signed by the key" in forged["StandardErrorContent"]) == ("Failed", True)
    assert lab.version == "0.1.1"


@pytest.mark.slow
def test_an_agent_that_hangs_is_ended_and_replaced_by_the_old_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = {"daemon/agent_update.py": ("COME_UP_SECONDS = 120.0", "COME_UP_SECONDS = 10.0")}
    hangs = {"daemon/main.py": ("    os.umask(0o077)", "    signal.signal(15, signal.SIG_IGN); signal.pause()")}
    make_agent(lab.served, "0.1.1", monkeypatch, **patience)
    assert lab.run("AWS-UpdateSSMAgent")["Status"] == "Success"
    make_agent(lab.served, "0.1.2", monkeypatch, **hangs)
    failed = lab.run("AWS-UpdateSSMAgent")
    assert "the server did not answer it within 10 seconds" in failed["StandardErrorContent"]
    assert lab.run("AWS-RunShellScript", commands=["echo here"])["StandardOutputContent"] == "here\n"
