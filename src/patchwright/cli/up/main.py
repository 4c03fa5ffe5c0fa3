"""`patchwright up`: start, enrol, scan, show; then stay until told to end."""

import argparse
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from patchwright.cli.exits import ERROR, OK, Failed
from patchwright.cli.follow import Selection, follow, send
from patchwright.cli.output import json_text, printable, write
from patchwright.cli.scan import DOCUMENT
from patchwright.cli.up.children import ENDING_SIGNALS, Child, end_with_parent, ignore_signals
from patchwright.cli.up.node import LocalAgent, agent_file
from patchwright.cli.up.result import as_json, as_tables, failure_of, problems_text
from patchwright.cli.up.server import FIRST_PORT, Server, server_on

SCAN_TIMEOUT_SECONDS = 900
"""A first scan without root may have to fetch every package index."""
LOOK_SECONDS = 0.5
MAX_OUTPUT_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server and an agent that run, and the node that this machine is."""

    server: Server
    agent: Child
    node_id: str

    def check(self) -> None:
        """Raises Failed if one of them has ended."""
        for name, child in (("server", self.server.child), ("agent", self.agent)):
            if child.exit_code() is not None:
                raise Failed(f"the {name} ended by itself: {printable(child.last_words())} (log: {child.log})")


def run_up(args: argparse.Namespace) -> int:
    """Everything; 0 after a scan and an orderly end, 1 if there was no scan."""
    if args.end_with_parent:
        end_with_parent(os.getppid())
    _end_on_signals()
    try:
        with _running(args.data_dir, args.agent_file) as running:
            code = _scan(running, as_object=args.json)
            if code == OK and not args.once:
                _stay(running, args.data_dir, sys.stderr if args.json else sys.stdout)
            return code
    except KeyboardInterrupt:
        _say("ended before the scan was done")
        return ERROR


def _end_on_signals() -> None:
    """The first signal ends everything in order; those that follow (a closed terminal sends two) change nothing."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        ignore_signals()
        raise KeyboardInterrupt

    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGTERM:
            signal.signal(number, end)


@contextlib.contextmanager
def _running(data_dir: Path, agent: Path | None) -> Iterator[Running]:
    """Server and agent, started in this order and ended in the other."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = agent_file(agent)
        with server_on(data_dir, file) as server:
            if server.port != FIRST_PORT:
                _say(f"port {FIRST_PORT} is taken, so the server listens on {server.port}")
            _say(f"server: {server.url} (log: {server.child.log})")
            local = LocalAgent(file=file, state_dir=(data_dir / "agent").resolve())
            node_id = local.enrolled(server.client, server.url)
            child = local.start(data_dir / "agent.log")
            try:
                _say(f"this machine is node {node_id}, scan only: nothing is ever installed on it (log: {child.log})")
                yield Running(server=server, agent=child, node_id=node_id)
            finally:
                child.end()
    except PermissionError as denied:
        text = f"{denied.filename}: {denied.strerror}: was it made by another user? Use another --data-dir"
        raise Failed(text) from denied


def _scan(running: Running, *, as_object: bool) -> int:
    """Scan, wait, print. The exit code: 1 if it failed, with the problem and its remedy on standard error."""
    _say("scanning this machine")
    client = running.server.client
    command_id = send(client, DOCUMENT, Selection(node_ids=(running.node_id,)), {"Operation": "Scan"})
    try:
        (invocation,) = follow(client, command_id, timeout_seconds=SCAN_TIMEOUT_SECONDS, check=running.check)
    except TimeoutError as late:
        raise Failed(f"{late}: see {running.agent.log}") from late
    node = client.call("patchwright", "DescribeNodePatches", NodeId=running.node_id)
    if as_object:
        write(json_text(as_json(node, invocation["Status"])))
    else:
        write(as_tables(node))
    sys.stderr.write(problems_text(node))
    failure = failure_of(node)
    if invocation["Status"] != "Success":
        failure = f"{invocation['StatusDetails']}\n{_output_of(invocation)}"
    if failure:
        _say("the scan failed: " + failure)
        return ERROR
    return OK


def _output_of(invocation: dict[str, Any]) -> str:
    """The last lines that the failed step printed."""
    for step in invocation.get("CommandPlugins", ()):
        if step.get("Status") not in ("Success", "Pending"):
            lines = str(step.get("Output", "")).strip().splitlines()
            return "\n".join(f"  {line}" for line in lines[-MAX_OUTPUT_LINES:])
    return ""


def _tell_more(running: Running, data_dir: Path, stream: TextIO) -> None:
    program = Path(sys.argv[0]).resolve()
    words = [str(program)] if program.name == "patchwright" else [sys.executable, "-m", "patchwright.cli.main"]
    environment = shlex.join([*words, "env", "--data-dir", str(data_dir.resolve())])
    stream.write(
        f"\nAPI and health  {running.server.url}  (/readyz, /metrics); this release has no web console yet\n"
        f'in a shell      eval "$({environment})"\n'
        f"then            aws ssm describe-instance-patch-states --instance-ids {running.node_id}\n"
        f"                {shlex.join([*words, 'why', running.node_id, 'PACKAGE'])}\n"
        "\nCtrl-C ends it.\n"
    )
    stream.flush()


def _stay(running: Running, data_dir: Path, stream: TextIO) -> None:
    """Say how to go on, and wait for a signal. Raises Failed if the server or the agent ends by itself."""
    with contextlib.suppress(KeyboardInterrupt):
        _tell_more(running, data_dir, stream)
        while True:
            running.check()
            time.sleep(LOOK_SECONDS)
    _say("ending")


def _say(text: str) -> None:
    """Progress, to standard error."""
    for line in text.splitlines():
        print(printable(line), file=sys.stderr, flush=True)
