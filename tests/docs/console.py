"""Runs the console blocks of a page as a person would type them, in one shell, and compares what comes out.

A page speaks of the usual port, folders and host names. The shell gets a port and folders of its own instead, and
whatever it started is ended with it. See CONTRIBUTING.md, "How documentation is tested".
"""

import fnmatch
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, Block

COMMAND_SECONDS = 60
READY_SECONDS = 60
_ANY = "…"
_ANY_LINES = "..."


class Mismatch(AssertionError):
    """The page says something else than the commands do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """One command with the output that the page shows, and the exit code that it announces (`# exit code 2`)."""

    text: str
    expected: tuple[str, ...]
    exit_code: int


def typed(block: Block) -> list[Typed]:
    """The block's commands. Lines after `$ ` that end in a backslash or begin with `> ` go on."""
    found: list[tuple[list[str], list[str]]] = []
    going_on = False
    for line in block.lines:
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif going_on or (line.startswith("> ") and found and not found[-1][1]):
            found[-1][0].append(line.removeprefix("> "))
        elif found:
            found[-1][1].append(line)
        else:
            raise Mismatch(f"{block.where}: a console block begins with `$ `")
        going_on = not found[-1][1] and found[-1][0][-1].endswith("\\")
    return [_typed("\n".join(command), expected) for command, expected in found]


def _typed(text: str, expected: list[str]) -> Typed:
    announced = re.search(r"# exit code (\d+)$", text)
    while expected and not expected[-1].strip():
        expected.pop()
    return Typed(text=text, expected=tuple(expected), exit_code=int(announced[1]) if announced else 0)


def compare(expected: tuple[str, ...], output: str, where: str) -> None:
    """Each expected line is there, in order: `…` is any text, `...` any lines. A command without output shown may say
    anything. Raises Mismatch."""
    if not expected:
        return
    patterns = [_ANY_LINES if line.strip() == _ANY_LINES else _pattern(line) for line in expected]
    lines = [line.rstrip() for line in output.splitlines()]
    if not _fits(patterns, lines):
        raise Mismatch(f"{where}: the page shows\n" + "\n".join(expected) + "\n\nbut the command said\n" + output)


def _pattern(line: str) -> str:
    return re.sub(r"([\[\]?*])", r"[\1]", line.rstrip()).replace(_ANY, "*")


def _fits(patterns: list[str], lines: list[str]) -> bool:
    """Whether the lines match, by the usual table over both lists."""
    reachable = {0}
    for pattern in patterns:
        if pattern == _ANY_LINES:
            reachable = set(range(min(reachable), len(lines) + 1))
        else:
            reachable = {at + 1 for at in reachable if at < len(lines) and fnmatch.fnmatchcase(lines[at], pattern)}
        if not reachable:
            return False
    return len(lines) in reachable


class Shell:
    """One bash for one page."""

    def __init__(self, folder: Path, substitutions: Mapping[str, str]) -> None:
        self._folder = folder
        self._substitutions = dict(sorted(substitutions.items(), key=lambda item: -len(item[0])))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "COLUMNS": "200", "AWS_PAGER": ""}
        # For pages that start a server without naming its port.
        environment["PATCHWRIGHT_LISTEN"] = f"127.0.0.1:{free_port()}"
        self._background: list[subprocess.Popen[bytes]] = []
        self._environment = environment
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def run(self, block: Block) -> None:
        """Run a block of commands that end. Raises Mismatch."""
        for command in typed(block):
            output, code = self._type(self._own(command.text))
            if code != command.exit_code:
                raise Mismatch(f"{block.where}: {command.text}\nended with {code}, not {command.exit_code}\n{output}")
            compare(tuple(self._own(line) for line in command.expected), output, f"{block.where}: {command.text}")

    def start(self, block: Block) -> None:
        """Start the block's one command, and wait until its output has each of the lines shown, in order."""
        (command,) = typed(block)
        log = self._folder / f"background-{len(self._background)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self._own(command.text)}"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )
        self._background.append(process)
        wanted = tuple(self._own(line) for line in (_ANY_LINES, *command.expected, _ANY_LINES))
        deadline = time.monotonic() + READY_SECONDS
        while not _fits([p if p == _ANY_LINES else _pattern(p) for p in wanted], log.read_text().splitlines()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Mismatch(f"{block.where}: {command.text}\ndid not come to its output:\n{log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """What `Ctrl-C` in the other terminal does: end the latest background command."""
        process = self._background.pop()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=15)

    def close(self) -> None:
        """End the shell and all that it started, by their own process groups."""
        for background in reversed(self._background):
            _end(background)
        _end(self._shell)
        for pipe in (self._shell.stdin, self._shell.stdout):
            if pipe is not None:
                pipe.close()

    def _own(self, text: str) -> str:
        for usual, own in self._substitutions.items():
            text = text.replace(usual, own)
        return text

    def _type(self, text: str) -> tuple[str, int]:
        """Type a command; its output and exit code."""
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin is not None and stdout is not None
        mark = f"--end-of-{id(self)}--"
        stdin.write(f"{{ {text}\n}} </dev/null\nprintf '\\n%s %d\\n' '{mark}' $?\n")
        stdin.flush()
        watchdog = threading.Timer(COMMAND_SECONDS, self._shell.kill)
        watchdog.start()
        lines: list[str] = []
        try:
            for line in stdout:
                if line.startswith(mark):
                    return "".join(lines).removesuffix("\n"), int(line.split()[1])
                lines.append(line)
        finally:
            watchdog.cancel()
        raise Mismatch(f"{text}\ndid not end; so far\n{''.join(lines)}")


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def shell_for(folder: Path, more: Mapping[str, str]) -> Shell:
    """A shell whose usual names stand for ports and folders of its own, and for what `more` says."""
    (folder / "dist").mkdir()
    agent = folder / "dist" / "patchwright-agent.pyz"
    subprocess.run([sys.executable, ROOT / "tools" / "build_agent.py", agent], check=True, capture_output=True)
    return Shell(
        folder,
        {
            # test_reference.py holds the Makefile to this.
            "make lab": f"env PYTHONPATH={ROOT} {sys.executable} {ROOT / 'tools' / 'lab.py'}",
            "make run": f"patchwright up --data-dir ./var --agent-file {agent}",
            "8484": str(free_port()),
            "8485": str(free_port()),
            "0.0.0.0": "127.0.0.1",
            "patch.example.org": "localhost",
            "/var/lib/patchwright-agent": f"{folder}/agent-state",
            "/var/lib/patchwright": f"{folder}/server-state",
            ".venv/bin/": f"{Path(sys.executable).parent}/",
            **more,
        },
    )
