"""Forget what has been kept long enough."""

from datetime import datetime, timedelta

from patchwright.store.engine import Engine
from patchwright.store.retention import Retention, forget

EVERY = timedelta(hours=1)
STEPS = 200


class RetentionLoop:
    """Small steps, so that nobody waits for the write lock."""

    def __init__(self, store: Engine, kept: Retention) -> None:
        self._store = store
        self._kept = kept

    def turn(self, now: datetime) -> datetime | None:
        """Forget until nothing is left or STEPS were made; what remains goes in the next turn."""
        for _ in range(STEPS):
            if self._store.write(lambda tx: forget(tx, self._kept, now)) == 0:
                break
        return now + EVERY
