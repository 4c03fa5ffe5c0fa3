"""Maintenance windows: starts what is due, brings executions forward."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from patchwright.flows.ports import Ids
from patchwright.flows.run_window import advance_execution, is_due, start_due
from patchwright.store import window_executions, windows
from patchwright.store.engine import Engine, StoreUnavailable, Tx

BATCH = 100
"""Windows that are due at once, a turn."""


log = logging.getLogger(__name__)


class NotAdvanced(Exception):
    """Some windows or executions could not be brought forward; the others were."""


class WindowsLoop:
    """Each window's start and each step of an execution in a transaction of its own."""

    def __init__(self, store: Engine, ids: Ids, *, fast_start: bool, catch_up: bool) -> None:
        self._store = store
        self._ids = ids
        self._fast_start = fast_start
        self._catch_up = catch_up

    def turn(self, now: datetime) -> datetime | None:
        """Start what is due and advance every open execution. Returns when the clock next matters to one of them."""
        failed: list[str] = []
        # First, so that a run which is over in all but name keeps no start from running.
        before = self._store.read(window_executions.open_ones)
        self._advance_all(before, now, failed)
        for window_id in self._store.read(lambda tx: windows.due(tx, now, limit=BATCH)):
            start = partial(start_due, window_id=window_id, now=now, ids=self._ids, catch_up=self._catch_up)
            self._guarded(window_id, partial(self._store.write, start), failed)
        begun = set(self._store.read(window_executions.open_ones)) - set(before)
        self._advance_all(sorted(begun), now, failed)
        if failed:
            raise NotAdvanced(f"{len(failed)} windows or executions are stuck: {', '.join(failed[:5])}")
        return self._store.read(lambda tx: _next_look(tx, now))

    def _advance_all(self, execution_ids: Sequence[str], now: datetime, failed: list[str]) -> None:
        for execution_id in execution_ids:
            self._guarded(execution_id, partial(self._advance, execution_id, now), failed)

    def _advance(self, execution_id: str, now: datetime) -> None:
        advance = partial(
            advance_execution, execution_id=execution_id, now=now, ids=self._ids, fast_start=self._fast_start
        )
        if self._store.read(lambda tx: is_due(tx, execution_id, now)):
            while self._store.write(advance):
                pass

    def _guarded(self, what: str, work: Callable[[], None], failed: list[str]) -> None:
        """One window that is broken, by a bug or a zone that is gone, must not keep the others from running."""
        try:
            work()
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("maintenance window: %s could not be brought forward", what)
            failed.append(what)


def _next_look(tx: Tx, now: datetime) -> datetime | None:
    looks = [windows.next_start(tx), window_executions.next_cutoff(tx, now)]
    return min((look for look in looks if look is not None), default=None)
