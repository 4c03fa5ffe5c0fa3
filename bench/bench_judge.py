"""Judging one node by the plain judge, and first reports one after another."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Figure, median
from bench.fleet import NODES, Fleet
from patchwright.flows.judge_node import judge_node
from patchwright.store import nodes

RUNS = 7


def measure() -> list[Figure]:
    """On SQLite, in this process, with real package names and versions of a Debian 12 host."""
    with tempfile.TemporaryDirectory(prefix="pw-bench-judge-") as folder:
        fleet = Fleet(Path(folder))
        try:
            reports = fleet.report_all()
            return [
                *_figures(fleet),
                Figure(
                    name="new reports",
                    what=f"{NODES} nodes report different facts for the first time, one after another",
                    value=NODES / reports,
                    unit="1/s",
                ),
            ]
        finally:
            fleet.close()


def _figures(fleet: Fleet) -> list[Figure]:
    now = datetime.now(UTC)
    node = fleet.store.read(lambda tx: nodes.get_active(tx, fleet.node_ids[0]))
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        fleet.store.read(lambda tx: judge_node(tx, node, now, "honour"))
        seconds.append(time.perf_counter() - began)
    return [
        Figure(
            name="judge one node",
            what=f"from stored facts, {fleet.packages} packages, {fleet.lines} upgradable",
            value=median(seconds) * 1_000,
            unit="ms",
        ),
    ]
