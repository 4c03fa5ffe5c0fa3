"""What listings ask of patch runs costs what they show, however long a node's history is."""

import shutil
from datetime import timedelta
from pathlib import Path

from tests.unit.fleet import NOW
from tests.unit.judged import Judged

from patchwright.core.values import NodeId
from patchwright.store import runs
from patchwright.store.engine import Engine, Tx
from patchwright.store.sqlite import SqliteEngine

GRAIN = 10
"""Steps of SQLite's machine between two calls of the counter."""


def test_the_latest_operation_is_the_one_whose_facts_came_last(store: Engine) -> None:
    judged = Judged(store)
    node, other, without = (judged.add() for _ in range(3))
    judged.run(node, NOW - timedelta(days=1))
    last = judged.run(node, NOW)
    judged.run(node, NOW + timedelta(days=1), plan_only=True)
    judged.run(node, NOW + timedelta(days=1), facts_at=None)
    once = judged.run(other, NOW)
    found = store.read(lambda tx: runs.latest(tx, [node, other, without]))
    assert {node_id: run.id for node_id, run in found.items()} == {node: last.id, other: once.id}


def test_the_latest_operation_of_a_node_with_a_long_history_costs_no_more(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    path = tmp_path / "runs.db"
    shutil.copyfile(migrated_sqlite, path)
    engine = SqliteEngine(path)
    judged = Judged(engine)
    nodes = [judged.add() for _ in range(2)]
    costs = []
    for count in (3, 200):
        for day in range(count):
            for node in nodes:
                judged.run(node, NOW - timedelta(days=day + 1))
        costs.append(engine.read(lambda tx: _cost(tx, nodes)))
    engine.close()
    assert costs[1] < 2 * costs[0], costs


def _cost(tx: Tx, nodes: list[NodeId]) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    raw = tx.connection.connection.dbapi_connection
    assert raw is not None
    runs.latest(tx, nodes)  # compiled before it is measured
    raw.set_progress_handler(count, GRAIN)
    assert len(runs.latest(tx, nodes)) == 2
    raw.set_progress_handler(None, 0)
    return steps * GRAIN
