"""A server with nodes that answer by a script, for pages whose commands need a fleet.

`python -m tests.docs.lab DIR` runs it until its standard input is closed, and says "ready" on standard output.
"""

import configparser
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from patchwright.server.app import Application
from patchwright.server.open import open_state
from patchwright.server.settings import Settings
from tests.contract.conftest import RunningServer, free_port
from tests.contract.nodes_fleet import Fleet
from tests.contract.scripted_nodes import FOREVER, Script, ScriptedNode
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package, usual_host
from tests.contract.worker_door import Manager
from tests.docs.pages import ROOT

REGION = "local-1"
_NEW = "3.0.13-1~deb12u1"
LIBSSL = {"Name": "libssl3", "Arch": "amd64", "FromVersion": "3.0.11-1", "Version": _NEW}
REFUSAL = "dpkg: error processing package openssl (--configure): no space left on device"
BLOCKED = "bind9 : Depends: bind9-libs (= 1:9.18.28-1~deb12u2) but it is not going to be installed"


def scripts() -> dict[str, tuple[Script, str]]:
    """Node by name, with its tag `tier`: two that go well, one whose disk is full, one with a target left out."""
    return {
        "web-1": (Script(usual_host(), manager=Manager({"openssl": [LIBSSL]})), "web"),
        "web-2": (Script(usual_host(), manager=Manager({"openssl": [LIBSSL]})), "web"),
        "web-3": (Script(usual_host(), refuses={"openssl": REFUSAL}), "web"),
        "dns-1": (Script(_name_server(), manager=Manager(problems={"bind9": BLOCKED})), "dns"),
    }


def _name_server() -> DebianHost:
    host = usual_host()
    host.packages["bind9"] = Package("1:9.18.24-1", offers=(("1:9.18.28-1~deb12u2", (SECURITY,)),))
    return host


@contextmanager
def running(data_dir: Path) -> Iterator[None]:
    """The lab in a process of its own, with its server's files in `data_dir`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.docs.lab", data_dir],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "the lab did not start"
        yield
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


def main() -> None:
    data_dir = Path(sys.argv[1])
    data_dir.mkdir(mode=0o700)
    settings = Settings(data_dir=data_dir, listen_port=free_port(), poll_seconds=2.0)
    application = Application(open_state(settings), strict=True)
    runner = uvicorn.Server(uvicorn.Config(application.asgi, port=settings.listen_port, log_config=None, ws="none"))
    threading.Thread(target=runner.run, daemon=True).start()
    while not runner.started:
        time.sleep(0.01)
    credentials = configparser.ConfigParser()
    credentials.read(data_dir / "aws" / "credentials")
    mine = credentials["default"]
    server = RunningServer(
        url=settings.url,
        data_dir=data_dir,
        application=application,
        key_id=mine["aws_access_key_id"],
        secret=mine["aws_secret_access_key"],
        engine="sqlite",
    )
    fleet = Fleet(server, REGION)
    for name, (script, tier) in scripts().items():
        ScriptedNode(fleet.node(name=name, tier=tier), script, FOREVER)
    fleet.add(1, ping=False, name="old-1")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
