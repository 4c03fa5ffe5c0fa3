"""Delete what operators have deleted of custom inventory types, and sets of rows that no node has any more."""

from datetime import datetime, timedelta

from patchwright.store import inventory_sweep
from patchwright.store.engine import Engine, Tx
from patchwright.store.inventory_sweep import Deletion

EVERY = timedelta(hours=1)
SETS_A_TURN = 2_000


class InventoryLoop:
    """Small steps, so that nobody waits for the write lock."""

    def __init__(self, store: Engine) -> None:
        self._store = store
        self._sweep_at: datetime | None = None

    def turn(self, now: datetime) -> datetime | None:
        """Bring open deletions to their end; sweep every hour."""
        for deletion in self._store.read(inventory_sweep.open_deletions):
            self._delete(deletion, now)
        if self._sweep_at is None or self._sweep_at <= now:
            self._sweep(now)
            self._sweep_at = now + EVERY
        return self._sweep_at

    def _delete(self, deletion: Deletion, now: datetime) -> None:
        while self._store.write(lambda tx: inventory_sweep.delete_step(tx, deletion, now)):
            pass

    def _sweep(self, now: datetime) -> None:
        self._store.write(lambda tx: inventory_sweep.forget_deletions(tx, now))
        for set_id in self._store.read(lambda tx: inventory_sweep.unused_sets(tx, now, limit=SETS_A_TURN)):

            def step(tx: Tx, set_id: int = set_id) -> bool:
                return inventory_sweep.sweep_set(tx, set_id, now)

            while self._store.write(step):
                pass
