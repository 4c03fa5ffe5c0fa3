"""Start time and memory at rest of a server process, and of an agent in its long poll."""

import signal
import time
import urllib.request
from pathlib import Path

from bench.figures import Figure, median
from bench.lab import Lab

RUNS = 5


def start_seconds(lab: Lab) -> float:
    """From the process's start to the first good answer of /readyz, on a data folder that exists."""
    began = time.perf_counter()
    process = lab.start()
    while True:
        try:
            with urllib.request.urlopen(f"{lab.url}/readyz", timeout=1):
                break
        except OSError:
            time.sleep(0.005)
    seconds = time.perf_counter() - began
    lab.stop(process)
    return seconds


def resident_mb(pid: int, key: str = "Rss") -> float:
    """Rss or Pss of a process in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"{key} is not in smaps_rollup of {pid}")


def measure() -> list[Figure]:
    """All figures of this file."""
    with Lab() as lab:
        first = start_seconds(lab)
        starts = [start_seconds(lab) for _ in range(RUNS)]
        process = lab.start()
        lab.wait()
        time.sleep(3)
        idle = resident_mb(process.pid)
        rss, pss = _agent_at_rest(lab)
        lab.stop(process)
    return [
        Figure(
            name="server start",
            what="process start to first answer, existing data",
            value=median(starts),
            unit="s",
            limit=1.0,
        ),
        Figure(name="server first start", what="the same with the schema to be made", value=first, unit="s"),
        Figure(name="server idle", what="resident memory 3 s after start, SQLite", value=idle, unit="MB", limit=120.0),
        Figure(
            name="agent at rest, RSS", what="holding its push channel, system Python", value=rss, unit="MB", limit=24.0
        ),
        Figure(
            name="agent at rest, PSS", what="holding its push channel, system Python", value=pss, unit="MB", limit=16.0
        ),
    ]


def _agent_at_rest(lab: Lab) -> tuple[float, float]:
    agent = lab.enrolled_agent()
    try:
        deadline = time.monotonic() + 20
        while lab.metric("patchwright_open_channels") < 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        return resident_mb(agent.pid), resident_mb(agent.pid, "Pss")
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(timeout=20)
