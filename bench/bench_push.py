"""From the call of SendCommand to the stored result of a trivial script, over the push channel and over polls.

One server with an idle fleet of one, our agent by the system's own Python. The result counts once the database file
shows it as committed, read past the server every half millisecond: asking the server would measure the asking.
"""

import signal
import sqlite3
import statistics
import subprocess
import time
from typing import Any

from bench.bench_server import resident_mb
from bench.figures import Figure
from bench.lab import Lab

COMMANDS = 200
POLLED = 20
"""A poll's command takes seconds when it follows another: fewer of them tell as much."""
IDLE_SECONDS = 0.1
OPEN_SECONDS = 30.0
_ENDED = ("Success", "Failed", "TimedOut", "Cancelled")


def measure() -> list[Figure]:
    """All figures of this file; the peer of the push channel is the poll, in the same run."""
    with Lab() as lab:
        lab.start()
        lab.wait()
        agent = lab.enrolled_agent("--reboot-command=/bin/false", scan_only=False)
        try:
            _wait_open(lab)
            time.sleep(2)
            idle = resident_mb(agent.pid)
            pushed = _all(lab, COMMANDS)
            after = resident_mb(agent.pid)
        finally:
            _end(agent)
        # The same node by polls alone: what it does where no socket can be had.
        agent = lab.start_agent("--reboot-command=/bin/false", "--no-push")
        try:
            polled = _all(lab, POLLED)
        finally:
            _end(agent)
    figures = []
    for name, rank, limit in (("p50", 50, 40.0), ("p99", 99, 120.0)):
        value, peer = _percentile(pushed, rank), _percentile(polled, rank)
        figures.append(
            Figure(
                name=f"command to result, {name}",
                what=f"SendCommand to stored result of `true`, push channel, {COMMANDS} one by one",
                value=value * 1_000,
                unit="ms",
                limit=limit,
                peer="by polls",
                peer_value=peer * 1_000,
                ratio=value / peer,
            )
        )
    held = "holding a push channel, system Python"
    return [
        *figures,
        Figure(name="agent on the channel, RSS", what=held, value=idle, unit="MB", limit=24.0),
        Figure(name="agent after commands, RSS", what=f"after {COMMANDS} commands", value=after, unit="MB"),
    ]


def _all(lab: Lab, count: int) -> list[float]:
    ssm = lab.client()
    store = sqlite3.connect(f"file:{lab.folder / 'data' / 'patchwright.db'}?mode=ro", uri=True)
    try:
        (node,) = store.execute("SELECT id FROM node").fetchone()
        _one(ssm, store, node)  # what the first command of a process loads is not every command's
        return [_one(ssm, store, node) for _ in range(count)]
    finally:
        store.close()


def _one(ssm: Any, store: sqlite3.Connection, node: str) -> float:
    time.sleep(IDLE_SECONDS)
    began = time.perf_counter()
    command = ssm.send_command(
        InstanceIds=[node], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]}
    )["Command"]["CommandId"]
    while True:
        (status,) = store.execute("SELECT status FROM invocation WHERE command_id = ?", (command,)).fetchone()
        if status in _ENDED:
            if status != "Success":
                raise RuntimeError(f"a command ended as {status}")
            return time.perf_counter() - began
        time.sleep(0.0005)


def _percentile(values: list[float], rank: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]


def _wait_open(lab: Lab) -> None:
    deadline = time.monotonic() + OPEN_SECONDS
    while lab.metric("patchwright_open_channels") < 1:
        if time.monotonic() > deadline:
            raise TimeoutError("the agent opened no push channel")
        time.sleep(0.1)


def _end(agent: subprocess.Popen[bytes]) -> None:
    agent.send_signal(signal.SIGTERM)
    agent.wait(timeout=20)
