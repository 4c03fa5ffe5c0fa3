"""`patchwright` on a real terminal: what it looks like there, and what Ctrl-C does."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator

import pytest

from tests.contract.cli_runs import CommandLine
from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet
from tests.contract.scripted_nodes import Script
from tests.contract.synthetic_facts import usual_host

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
COLOUR = re.compile(r"\x1b\[\d+m")
SECONDS = 30


@pytest.fixture
def run(server: RunningServer, region: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    line = CommandLine(Fleet(server, region), monkeypatch)
    yield line
    for node in line.nodes:
        node.join()


class OnTerminal:
    """A command in a process with a terminal of 80 columns of its own."""

    def __init__(self, fleet: Fleet, *words: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        where = ["--data-dir", str(fleet.server.data_dir), "--region", fleet.region]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "patchwright.cli.main", *words, *where],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment},
            preexec_fn=_own_terminal,
            close_fds=True,
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> str:
        """Read until `text` is there; all that was seen."""
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            assert time.monotonic() < deadline, f"never came: {text!r}\n{self.seen}"
            self._read(0.5)
        return self.seen

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code and everything that was shown."""
        while self._read(SECONDS):
            pass
        code = self.process.wait(timeout=SECONDS)
        os.close(self._ours)
        return code, self.seen

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_control_c_leaves_the_install_running_and_says_how_to_go_on(run: CommandLine) -> None:
    back = threading.Event()
    node = run.script("web-1", Script(usual_host(), rebooting=lambda: assert_set(back)), 2)
    terminal = OnTerminal(run.fleet, "patch", "web-1")
    terminal.until("1 of which reboot? [y/N] ")
    terminal.type("y\n")
    terminal.until("rebooting")
    terminal.type("\x03")
    code, seen = terminal.end()
    assert code == 1
    command = run.fleet.ssm.list_commands()["Commands"][0]["CommandId"]
    assert f"follow it: aws ssm list-command-invocations --command-id {command}" in seen
    assert f"cancel it: aws ssm cancel-command --command-id {command}" in seen
    assert "Traceback" not in seen
    back.set()
    node.join()
    assert run.fleet.ended(command)["Status"] == "Success"  # it went on without us


def assert_set(event: threading.Event) -> None:
    assert event.wait(SECONDS)


def test_colours_and_moving_lines_are_for_terminals_that_want_them(run: CommandLine) -> None:
    run.script("web-1", Script(usual_host()), 2)
    code, seen = OnTerminal(run.fleet, "scan", "web-1", "--wait").end()
    assert code == 2
    assert "\x1b[31mNON_COMPLIANT\x1b[0m" in seen
    assert "\x1b[2K" in seen
    code, seen = OnTerminal(run.fleet, "nodes", NO_COLOR="1").end()
    assert "NON_COMPLIANT" in seen
    assert not COLOUR.search(seen)
    _, seen = OnTerminal(run.fleet, "scan", "web-1", "--wait", TERM="dumb").end()
    assert "\x1b" not in seen


def test_eighty_columns_are_enough(run: CommandLine) -> None:
    script = Script(usual_host(), refuses={"openssl": "no"})
    run.script("a-node-with-a-name-that-nobody-would-type.example.org", script, 3)
    columns = "node,name,ping,compliance,missing,failed"  # notes come last, and are as long as they are
    for words in (("scan", "--all", "--wait"), ("patch", "--all", "--yes"), ("nodes", "--columns", columns)):
        _, seen = OnTerminal(run.fleet, *words).end()
        tables = [COLOUR.sub("", line) for line in seen.splitlines() if line.startswith(("NODE", "mi-"))]
        assert len(tables) == 2
        assert max(map(len, tables)) <= 80, tables
