"""SQLite or PostgreSQL behind one face: transactions, group commit, wake-ups.

Work is a plain function of a `Tx`. It may be run again after a conflict, so it must have no effect but
through its transaction (and `Tx.after_commit`).
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Executable

T = TypeVar("T")
Work = Callable[["Tx"], T]


class StoreUnavailable(Exception):
    """The store could not commit (full disk, lost database). Nothing of the request was kept; try again."""


class Tx:
    """One transaction. What it wakes and defers happens after its commit, and only then."""

    def __init__(self, connection: Connection, caches: "dict[str, dict[Any, Any]] | None" = None) -> None:
        self.connection = connection
        self._caches = caches if caches is not None else {}
        self.wakes: list[str] = []
        self.deferred: list[Callable[[], None]] = []

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a statement; a list of parameters runs it once for each."""
        return self.connection.execute(statement, parameters)

    def cache(self, name: str, *, limit: int) -> dict[Any, Any]:
        """A dictionary of immutable committed values that lives as long as the engine; emptied above `limit` entries.

        Fill it through `after_commit` only: what a rolled-back transaction wrote must not stay in it.
        """
        found = self._caches.setdefault(name, {})
        if len(found) > limit:
            found.clear()
        return found

    def wake(self, channel: str) -> None:
        """Tell whoever waits on `channel` (all server processes) once this transaction is committed."""
        if channel not in self.wakes:
            self.wakes.append(channel)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` in this process once the transaction is committed (to fill a cache, say)."""
        self.deferred.append(action)


class Engine(Protocol):
    """What `sqlite.py` and `postgres.py` provide."""

    dialect: str

    def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent snapshot in the calling thread."""

    def write(self, work: Work[T]) -> T:
        """Run `work` and commit; returns after the commit. Raises what `work` raises, and StoreUnavailable."""

    def submit_write(self, work: Work[T]) -> "Future[T]":
        """The same without waiting, for the asynchronous edge."""

    def submit_read(self, work: Work[T], *, short: bool = False) -> "Future[T]":
        """A read without waiting, for the asynchronous edge. `short`: of a few rows by their keys."""

    def on_wake(self, listener: Callable[[str], None]) -> None:
        """`listener(channel)` is called, in some thread, after each commit that woke `channel`."""

    def ping(self) -> None:
        """Raises StoreUnavailable when the store can't be written now."""

    def close(self) -> None: ...


class Wakes:
    """Listeners of wake-ups, shared by both engines."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[str], None]] = []
        self._lock = threading.Lock()

    def add(self, listener: Callable[[str], None]) -> None:
        with self._lock:
            self._listeners.append(listener)

    def tell(self, channels: list[str]) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for channel in channels:
            for listener in listeners:
                listener(channel)
