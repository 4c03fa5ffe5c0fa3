"""Judging a whole fleet again from stored facts: after changed baselines, and at an approval midnight.

    python -m bench.bench_rejudge [--nodes 10000] [--engine sqlite,postgresql] [--sets shared,different]

The clock runs from the return of the last of five changes to the last count committed (decisions.md 34). `first` is the
process's first judgement after its start: everything has to be read. Made and measured by processes of their own, so
that the memory is that of judging alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from bench.figures import Figure, median
from bench.lab import ROOT
from bench.many_nodes import NOW, ManyNodes
from bench.private_postgres import PrivatePostgres
from patchwright.loops.judging import JudgingLoop
from patchwright.store.engine import Engine
from patchwright.store.migrate import migrate
from patchwright.store.postgres import PostgresEngine
from patchwright.store.sqlite import SqliteEngine

RUNS = 5
LIMITS = {10_000: 0.6, 100_000: 2.0}
MEMORY_MB = 600.0


def measure(nodes: tuple[int, ...] = (10_000, 100_000)) -> list[Figure]:
    """Both sizes, both distributions of sets, both engines."""
    return [
        figure
        for count in nodes
        for sets in ("shared", "different")
        for engine in ("sqlite", "postgresql")
        for figure in _case(count, sets, engine)
    ]


def _case(nodes: int, sets: str, engine: str) -> list[Figure]:
    distinct = nodes if sets == "different" else nodes // 5
    server = PrivatePostgres() if engine == "postgresql" else nullcontext()
    with tempfile.TemporaryDirectory(prefix="pw-bench-fleet-") as folder, server as postgres:
        url = postgres.url if postgres else str(Path(folder) / "fleet.db")
        _child("make", url, nodes, distinct)
        result = json.loads(_child("judge", url, nodes, distinct))
    name = f"re-judge {nodes:,}, {sets} sets, {engine}"
    what = f"{distinct:,} distinct sets, 5 baselines"
    figures = [
        Figure(name=name, what=what, value=result["change"], unit="s", limit=LIMITS.get(nodes)),
        Figure(name=f"{name}, CPU", what="processor time of the same", value=result["cpu"], unit="s"),
        Figure(name=f"{name}, first", what="the process's first, nothing in memory", value=result["first"], unit="s"),
        Figure(name=f"{name}, midnight", what="when approval delays end", value=result["midnight"], unit="s"),
        Figure(name=f"{name}, memory", what="peak resident", value=result["memory"], unit="MB", limit=MEMORY_MB),
        Figure(name=f"{name}, longest wait", what="of another write meanwhile", value=result["wait"], unit="ms"),
    ]
    if engine == "sqlite":
        held = Figure(name=f"{name}, longest lock", what="and its commit", value=result["lock"], unit="ms", limit=10.0)
        figures.append(held)
    return figures


def _child(step: str, url: str, nodes: int, distinct: int) -> str:
    argv = [sys.executable, "-m", "bench.bench_rejudge", "--step", step, "--url", url]
    argv += ["--nodes", str(nodes), "--distinct", str(distinct)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


class TimedSqlite(SqliteEngine):
    """Keeps the longest time that a group held the write lock."""

    longest = 0.0

    def _run_group(self, connection, first):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        go_on = super()._run_group(connection, first)
        self.longest = max(self.longest, time.perf_counter() - began)
        return go_on


def _open(url: str) -> Engine:
    return PostgresEngine(url) if url.startswith("postgresql") else TimedSqlite(Path(url))


def _make(url: str, nodes: int, distinct: int) -> None:
    store = _open(url)
    with store.connection() as connection:  # type: ignore[attr-defined]
        migrate(connection)
    ManyNodes(store, nodes=nodes, distinct=distinct).make()
    _judge_all(JudgingLoop(store, "honour"), NOW)
    if store.dialect == "postgresql":
        with store.connection() as connection:  # type: ignore[attr-defined]
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
    store.close()


def _judge_all(loop: JudgingLoop, now) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """(seconds, processor seconds) until nothing is due."""
    began, used = time.perf_counter(), time.process_time()
    while (again := loop.turn(now)) is not None and again <= now:
        pass
    return time.perf_counter() - began, time.process_time() - used


def _judge(url: str) -> dict[str, float]:
    store = _open(url)
    fleet, loop = ManyNodes(store, nodes=0, distinct=0), JudgingLoop(store, "honour")
    fleet.now = NOW + timedelta(minutes=1)
    fleet.change_baselines(1)
    first, _ = _judge_all(loop, fleet.now)
    changes = []
    waits: list[float] = []
    ended = threading.Event()

    def write_beside() -> None:
        while not ended.wait(0.01):
            began = time.perf_counter()
            store.write(lambda tx: tx.execute(text("UPDATE meta SET value = value WHERE key = 'bench'")))
            waits.append(time.perf_counter() - began)

    if isinstance(store, TimedSqlite):
        store.longest = 0.0
    beside = threading.Thread(target=write_beside)
    beside.start()
    for change in range(2, 2 + RUNS):
        fleet.change_baselines(change)
        changes.append(_judge_all(loop, fleet.now))
    ended.set()
    beside.join()
    fleet.now = (fleet.now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    midnight, _ = _judge_all(loop, fleet.now)
    result = {
        "first": first,
        "change": median([seconds for seconds, _ in changes]),
        "cpu": median([used for _, used in changes]),
        "midnight": midnight,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "wait": max(waits) * 1e3,
        "lock": store.longest * 1e3 if isinstance(store, TimedSqlite) else 0.0,
    }
    store.close()
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--engine", default="sqlite,postgresql")
    parser.add_argument("--sets", default="shared,different")
    parser.add_argument("--step", choices=("make", "judge"), help="one step of a case, for the benchmark itself")
    parser.add_argument("--url", default="")
    parser.add_argument("--distinct", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.step == "make":
        _make(arguments.url, arguments.nodes, arguments.distinct)
    elif arguments.step == "judge":
        print(json.dumps(_judge(arguments.url)))
    else:
        from bench.figures import show

        for sets in arguments.sets.split(","):
            for engine in arguments.engine.split(","):
                show(_case(arguments.nodes, sets, engine))
    return 0


if __name__ == "__main__":
    sys.exit(main())
