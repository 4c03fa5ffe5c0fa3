"""Virtual days of a fleet's commands, by seeds. PATCHWRIGHT_SEED=<number> replays one."""

import os
import shutil
from pathlib import Path

import pytest
from tests.simulation.world import World

from patchwright.store.engine import Engine
from patchwright.store.sqlite import SqliteEngine

GIVEN = os.environ.get("PATCHWRIGHT_SEED")
SEEDS = [int(GIVEN)] if GIVEN else list(range(1, 9))
LAST = 40
"""Acts that a failure tells of."""


def _live(store: Engine, seed: int, acts: int) -> World:
    world = World(store, seed)
    try:
        world.run(acts)
        world.check_results()
    except AssertionError as broken:
        acts_told = "\n".join(world.story[-LAST:])
        broken.add_note(f"replay: PATCHWRIGHT_SEED={seed} pytest tests/simulation\nlast acts:\n{acts_told}")
        raise
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_commands_on_sqlite(seed: int, tmp_path: Path, migrated_sqlite: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copyfile(migrated_sqlite, path)
    store = SqliteEngine(path)
    try:
        world = _live(store, seed, acts=200)
    finally:
        store.close()
    assert world.sent, "nothing was simulated"


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_commands_on_postgresql(store: Engine) -> None:
    _live(store, SEEDS[0], acts=100)


def test_the_same_seed_tells_the_same_story(tmp_path: Path, migrated_sqlite: Path) -> None:
    """Without this no failure could be replayed."""
    stories = []
    for name in ("one", "two"):
        path = tmp_path / name
        shutil.copyfile(migrated_sqlite, path)
        store = SqliteEngine(path)
        try:
            stories.append(_live(store, SEEDS[0], acts=60).story)
        finally:
            store.close()
    assert stories[0] == stories[1]
