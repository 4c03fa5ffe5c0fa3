"""SQLite: WAL, one writer thread that commits in groups, readers on snapshots of their own."""

import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from patchwright.store.engine import StoreUnavailable, Tx, Wakes, Work

T = TypeVar("T")
log = logging.getLogger(__name__)

GROUP_SECONDS = 0.008
"""A group takes no further request after this long: nobody holds the write lock over 10 ms (decisions.md 26)."""
GROUP_SIZE = 256
READERS = 8
CHECKPOINT_SECONDS = 0.2
"""How often what was committed is carried over from the log to the database file, by a thread that holds no lock."""
MAX_LOG_PAGES = 16_384
"""A log that grows to this (64 MB) all the same is carried over by the writer, whoever waits for it."""
MIN_FREE_BYTES = 1_048_576


class _Job:
    __slots__ = ("error", "future", "result", "tx", "work")

    def __init__(self, work: Work[Any], future: "Future[Any]") -> None:
        self.work = work
        self.future = future
        self.tx: Tx | None = None
        self.result: Any = None
        self.error: BaseException | None = None


class SqliteEngine:
    """A savepoint for each request inside a group commit; the answer comes after the group's commit."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o600)
        self._engine = create_engine(
            f"sqlite:///{path}",
            poolclass=QueuePool,
            pool_size=READERS + 4,
            # Never a wait for a connection: a short read is done where the whole server waits with it.
            max_overflow=-1,
            isolation_level="AUTOCOMMIT",
            connect_args={"check_same_thread": False, "timeout": 30},
        )
        event.listen(self._engine, "connect", _prepare)
        self._wakes = Wakes()
        self._caches: dict[str, dict[Any, Any]] = {}
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._committed = threading.Event()
        self._writer = threading.Thread(target=self._write_groups, name="store-write", daemon=True)
        self._writer.start()
        self._ended = threading.Event()
        self._carrier = threading.Thread(target=self._carry_over, name="store-checkpoint", daemon=True)
        self._carrier.start()

    def read(self, work: Work[T]) -> T:
        with self._engine.connect() as connection:
            _say(connection, "BEGIN")
            tx = Tx(connection, self._caches)
            try:
                result = work(tx)
            finally:
                _say(connection, "ROLLBACK")
        for action in tx.deferred:
            action()
        return result

    def write(self, work: Work[T]) -> T:
        return self.submit_write(work).result()

    def submit_write(self, work: Work[T]) -> "Future[T]":
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(StoreUnavailable("the store is closed"))
        else:
            self._jobs.put(_Job(work, future))
        return future

    def submit_read(self, work: Work[T], *, short: bool = False) -> "Future[T]":
        """A short read is done here and now: to hand it to another thread takes longer, and readers wait for nobody."""
        if not short:
            return self._readers.submit(self.read, work)
        future: Future[T] = Future()
        try:
            future.set_result(self.read(work))
        except Exception as failure:
            future.set_exception(failure)
        return future

    def on_wake(self, listener: Callable[[str], None]) -> None:
        self._wakes.add(listener)

    def ping(self) -> None:
        # A tiny write may still find room in a page that is there already, so the room itself is asked for as well.
        room = os.statvfs(self.path.parent)
        if room.f_bavail * room.f_frsize < MIN_FREE_BYTES:
            raise StoreUnavailable(f"the disk of the data folder has less than {MIN_FREE_BYTES >> 20} MiB left")
        self.write(lambda tx: tx.connection.exec_driver_sql("UPDATE meta SET value = value WHERE key = 'ping'"))

    def connection(self) -> Connection:
        """A bare connection for migrations, before the server serves."""
        return self._engine.connect()

    def close(self) -> None:
        self._closed = True
        self._jobs.put(None)
        self._writer.join(timeout=10)
        self._ended.set()
        self._committed.set()
        self._carrier.join(timeout=10)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    def _write_groups(self) -> None:
        with self._engine.connect() as connection:
            while True:
                job = self._jobs.get()
                if job is None:
                    return
                if not self._run_group(connection, job):
                    return

    def _run_group(self, connection: Connection, first: _Job) -> bool:
        """Run one group. False when the queue said stop."""
        group: list[_Job] = []
        go_on = True
        try:
            _say(connection, "BEGIN IMMEDIATE")
            deadline = time.monotonic() + GROUP_SECONDS
            job: _Job | None = first
            while job is not None:
                group.append(job)
                self._run_job(connection, job)
                if len(group) >= GROUP_SIZE or time.monotonic() > deadline:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                go_on = job is not None
            _say(connection, "COMMIT")
        except DBAPIError as failure:
            self._give_up(connection, group or [first], failure)
            return go_on
        self._committed.set()
        for done in group:
            _answer(done, self._wakes)
        return go_on

    def _carry_over(self) -> None:
        """Checkpoints that wait for nobody and for which nobody waits: a writer's own would keep all others waiting."""
        while self._committed.wait() and not self._ended.is_set():
            self._committed.clear()
            try:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").close()
            except DBAPIError as failure:
                log.info("store: the log was not carried over, the next time it will be: %s", failure.orig)
            self._ended.wait(CHECKPOINT_SECONDS)

    def _run_job(self, connection: Connection, job: _Job) -> None:
        job.tx = Tx(connection, self._caches)
        _say(connection, "SAVEPOINT request")
        try:
            job.result = job.work(job.tx)
        except DBAPIError as failure:
            if _is_storage_failure(failure):
                raise
            job.error = failure
        except Exception as failure:
            job.error = failure
        if job.error is not None:
            _say(connection, "ROLLBACK TO request")
        _say(connection, "RELEASE request")

    def _give_up(self, connection: Connection, group: list[_Job], failure: DBAPIError) -> None:
        log.error("store: a group of %d was not committed: %s", len(group), failure.orig)
        try:
            _say(connection, "ROLLBACK")
        except DBAPIError:
            log.info("store: the failed transaction had already ended")
        for job in group:
            lost = StoreUnavailable(f"the store could not commit: {failure.orig}")
            lost.__cause__ = failure
            job.future.set_exception(lost)


def _answer(job: _Job, wakes: Wakes) -> None:
    if job.error is not None:
        job.future.set_exception(job.error)
        return
    if job.tx is not None:
        for action in job.tx.deferred:
            action()
    job.future.set_result(job.result)
    if job.tx is not None and job.tx.wakes:
        wakes.tell(job.tx.wakes)


def _say(connection: Connection, statement: str) -> None:
    """Run one of the words that open and close transactions, straight at the driver: five of them frame each request.

    Raises DBAPIError, as a statement does that goes the long way.
    """
    driver = connection.connection.driver_connection
    try:
        driver.execute(statement)  # type: ignore[union-attr]  # an open connection has its driver's
    except sqlite3.Error as failure:
        raise DBAPIError(statement, None, failure) from failure


def _is_storage_failure(failure: DBAPIError) -> bool:
    text = str(failure.orig).lower()
    return any(word in text for word in ("disk is full", "disk i/o", "readonly", "malformed", "unable to open"))


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "cache_size=-16000",
        "temp_store=MEMORY",
        f"wal_autocheckpoint={MAX_LOG_PAGES}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
