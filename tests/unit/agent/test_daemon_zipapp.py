"""The one file that is shipped: built the same each time, and small while at rest."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from daemon_lab import NODE_ID, PACKAGE, DaemonProcess, enrol, order, shell
from fake_server import FakeServer
from test_floor import INTERPRETERS
from tls_lab import authority
from tools.build_agent import build

MAX_RSS_KB, MAX_PSS_KB = 24 * 1024, 16 * 1024


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist") / "patchwright-agent.pyz"
    build(target)
    return target


def test_the_same_source_gives_the_same_bytes(zipapp: Path, tmp_path: Path) -> None:
    first, second = build(tmp_path / "a.pyz"), build(tmp_path / "deep" / "b.pyz")
    assert first == second
    assert (tmp_path / "a.pyz").read_bytes() == zipapp.read_bytes()


def test_it_holds_the_whole_package_and_runs_by_itself(zipapp: Path) -> None:
    names = set(zipfile.ZipFile(zipapp).namelist())
    assert names == {"__main__.py"} | {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*.py")}
    assert zipapp.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert subprocess.run([zipapp, "version"], capture_output=True, text=True).stdout == "0.1.0\n"


@pytest.mark.parametrize("minor", sorted(INTERPRETERS))
def test_it_serves_a_command_on_every_interpreter(zipapp: Path, tmp_path: Path, minor: int) -> None:
    ours = authority(tmp_path / "ours", "127.0.0.1")
    with FakeServer(ours.files) as server:
        (tmp_path / "state").mkdir(mode=0o700)
        shutil.copy(ours.ca_file, tmp_path / "state" / "ca.pem")
        enrol(server, tmp_path / "state", str(tmp_path / "state" / "ca.pem"))
        command = server.send(NODE_ID, order([shell('"$PATCHWRIGHT_PYTHON" "$PATCHWRIGHT_AGENT" version')]))
        with DaemonProcess(tmp_path / "state", "--once", python=INTERPRETERS[minor], agent=zipapp) as daemon:
            assert server.wait_final(command)["documentStatus"] == "Success", daemon.output()
            assert daemon.wait() == 0
    assert server.violations == []
    assert server.steps(command)["runShellScript"]["standardOutput"] == "0.1.0\n"


def test_at_rest_it_stays_within_its_memory(zipapp: Path, tmp_path: Path) -> None:
    ours = authority(tmp_path / "ours", "127.0.0.1")
    with FakeServer(ours.files) as server:
        (tmp_path / "state").mkdir(mode=0o700)
        shutil.copy(ours.ca_file, tmp_path / "state" / "ca.pem")
        enrol(server, tmp_path / "state", str(tmp_path / "state" / "ca.pem"))
        with DaemonProcess(tmp_path / "state", python=INTERPRETERS.get(11, sys.executable), agent=zipapp) as daemon:
            server.wait_for(lambda: [name for name, _ in server.calls].count("GetMessages") >= 2)
            lines = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    assert kilobytes["Rss:"] <= MAX_RSS_KB
    assert kilobytes["Pss:"] <= MAX_PSS_KB
