"""500 agents on push channels and polls, by seeds. PATCHWRIGHT_SEED=<number> replays one."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.simulation.push_world import AGENTS, PushWorld
from tests.unit.command_lab import CommandLab

from patchwright.core.values import NodeId
from patchwright.store.sqlite import SqliteEngine

GIVEN = os.environ.get("PATCHWRIGHT_SEED")
EXCERPT = [int(GIVEN)] if GIVEN else [1]
REST = [] if GIVEN else range(2, 1_001)


@dataclass
class Start:
    """A store with all nodes, made once; each seed lives in a copy."""

    path: Path
    nodes: list[NodeId]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Start:
    path = tmp_path_factory.mktemp("push") / "start.db"
    shutil.copyfile(migrated_sqlite, path)
    store = SqliteEngine(path)
    try:
        return Start(path, CommandLab(store).add(AGENTS))
    finally:
        store.close()


def _live(seed: int, path: Path, start: Start) -> None:
    shutil.copyfile(start.path, path)
    store = SqliteEngine(path)
    try:
        world = PushWorld(store, seed, start.nodes)
        world.run()
    except AssertionError as broken:
        broken.add_note(f"replay: PATCHWRIGHT_SEED={seed} pytest tests/simulation/test_push.py")
        raise
    finally:
        store.close()
    path.unlink()
    assert world.told == AGENTS


@pytest.mark.parametrize("seed", EXCERPT)
def test_every_invocation_ends_once_and_rightly(seed: int, tmp_path: Path, start: Start) -> None:
    _live(seed, tmp_path / "store.db", start)


@pytest.mark.slow
@pytest.mark.parametrize("seed", REST)
def test_a_thousand_seeds(seed: int, tmp_path: Path, start: Start) -> None:
    _live(seed, tmp_path / "store.db", start)
