"""This machine as a node of the server: its agent, its identity, enrolled once and used again."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from patchwright.cli.activation import DEFAULT_ROLE
from patchwright.cli.exits import Failed
from patchwright.cli.output import printable
from patchwright.cli.up.children import Child
from patchwright.client.calls import Client
from patchwright.client.errors import ApiError

SYSTEM_PYTHON = Path("/usr/bin/python3")
NO_REBOOT = "/bin/false"
"""A scan never asks for a reboot; and if a server did, this command would not give it."""
REGISTER_TIMEOUT_SECONDS = 120
MAX_IDENTITY_BYTES = 64 * 1024
_CHECKOUT = Path(__file__).resolve().parents[4]
_BUILDER = _CHECKOUT / "tools" / "build_agent.py"
_SOURCES = _CHECKOUT / "agent" / "patchwright_agent"
_BUILT = _CHECKOUT / "dist" / "patchwright-agent.pyz"


def agent_file(given: Path | None) -> Path:
    """The agent's zipapp: the one given, else the checkout's, built anew when a source is newer. Raises Failed."""
    path = given or _BUILT
    if given is None and _BUILDER.exists() and _is_old(path):
        built = subprocess.run([sys.executable, _BUILDER, path], capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise Failed(f"the agent can't be built in {path.parent}: {printable(built.stderr[-300:])}")
    if not path.is_file():
        raise Failed(f"there is no agent at {path}: build it with `make dist`, or name it with --agent-file")
    return path.resolve()


def _is_old(path: Path) -> bool:
    if not path.exists():
        return True
    built = path.stat().st_mtime
    return any(source.stat().st_mtime > built for source in _SOURCES.rglob("*.py"))


def host_python() -> str:
    """The interpreter that a host would use: the system's own, if there is one."""
    return str(SYSTEM_PYTHON) if os.access(SYSTEM_PYTHON, os.X_OK) else sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAgent:
    """The agent on this machine: `file` is its zipapp, `state_dir` is where its identity is kept."""

    file: Path
    state_dir: Path

    def start(self, log: Path) -> Child:
        """Run it as a node that only scans."""
        argv: list[str | Path] = [host_python(), self.file, "run", "--scan-only", "--state-dir", self.state_dir]
        argv += ["--reboot-command", NO_REBOOT]
        return Child(argv, log, _environment())

    def enrolled(self, client: Client, url: str) -> str:
        """This machine's node id, from an identity that the server at `url` knows, or from a new enrolment."""
        known = self._identity()
        node_id = str(known.get("instance_id", ""))
        if node_id and _is_known(client, node_id):
            if known.get("server") == url:
                return node_id
            # The agent would call an address at which this server is no more.
            client.call("ssm", "DeregisterManagedInstance", InstanceId=node_id)
        return self._enrol(client, url)

    def _identity(self) -> Mapping[str, Any]:
        try:
            with (self.state_dir / "registration.json").open("rb") as file:
                known = json.loads(file.read(MAX_IDENTITY_BYTES))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _enrol(self, client: Client, url: str) -> str:
        activation = client.call(
            "ssm", "CreateActivation", IamRole=DEFAULT_ROLE, RegistrationLimit=1,
            DefaultInstanceName=socket.gethostname()[:256] or "this-machine",
            ExpirationDate=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
        argv = [
            host_python(), self.file, "register", "--force", "--server", url, "--state-dir", self.state_dir,
            "--activation-id", activation["ActivationId"], "--region",
            client.call("patchwright", "GetServerInformation")["Region"],
        ]  # fmt: skip
        environment = {**_environment(), "PATCHWRIGHT_ACTIVATION_CODE": activation["ActivationCode"]}
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=REGISTER_TIMEOUT_SECONDS, check=False
        )
        client.call("ssm", "DeleteActivation", ActivationId=activation["ActivationId"])
        if done.returncode != 0:
            raise Failed(f"this machine could not be enrolled: {printable(done.stderr.strip()[-500:])}")
        return done.stdout.strip()


def _is_known(client: Client, node_id: str) -> bool:
    try:
        client.call("ssm", "DescribeInstanceInformation", Filters=[{"Key": "InstanceIds", "Values": [node_id]}])
    except ApiError:
        return False
    return True


def _environment() -> dict[str, str]:
    """What an agent gets at most: no settings of this server, no secrets of its user."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ}
