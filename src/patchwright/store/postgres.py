"""PostgreSQL: SERIALIZABLE with a bounded retry of the work; NOTIFY carries wake-ups between processes."""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from patchwright.store.engine import StoreUnavailable, Tx, Wakes, Work

T = TypeVar("T")
log = logging.getLogger(__name__)

ATTEMPTS = 30
ALONE_AFTER = 2
"""Conflicts after which a transaction waits for its turn instead of trying its luck."""
_TURN_LOCK = 0x7477
WORKERS = 8
CHANNEL = "patchwright"


class PostgresEngine:
    """Any number of identical server processes share one database."""

    dialect = "postgresql"

    def __init__(self, url: str, *, schema: str | None = None) -> None:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
        options = {"options": f"-c search_path={schema}"} if schema else {}
        self._schema = schema
        self._engine = create_engine(
            parsed, pool_size=WORKERS, max_overflow=WORKERS, pool_pre_ping=False, connect_args=options
        )
        self._serial = self._engine.execution_options(isolation_level="SERIALIZABLE")
        self._snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._conninfo = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        self._wakes = Wakes()
        self._caches: dict[str, dict[Any, Any]] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="store")
        self._random = random.SystemRandom()
        self._stopping = threading.Event()
        self._listener: threading.Thread | None = None

    def read(self, work: Work[T]) -> T:
        try:
            with self._snapshot.connect() as connection, connection.begin():
                tx = Tx(connection, self._caches)
                result = work(tx)
        except OperationalError as failure:
            raise StoreUnavailable(f"the database can't be read: {failure.orig}") from failure
        except psycopg.OperationalError as failure:
            raise StoreUnavailable(f"the database can't be read: {failure}") from failure
        for action in tx.deferred:
            action()
        return result

    def write(self, work: Work[T]) -> T:
        last = ""
        for attempt in range(ATTEMPTS):
            try:
                if attempt < ALONE_AFTER:
                    return self._attempt(work)
                with self._in_turn():
                    return self._attempt(work)
            except DBAPIError as failure:
                if not _is_conflict(failure):
                    if isinstance(failure, OperationalError):
                        raise StoreUnavailable(f"the database could not commit: {failure.orig}") from failure
                    raise
                last = str(failure.orig)
                if attempt < ALONE_AFTER:
                    time.sleep(self._random.uniform(0, 0.002 * 2**attempt))
        raise StoreUnavailable(f"the database refused the transaction {ATTEMPTS} times for conflicts, last: {last}")

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Transactions that conflicted more than once run one at a time, over all processes: else they may for ever.

        The lock is taken outside the transaction, whose snapshot would otherwise be older than the wait.
        """
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:k)"), {"k": _TURN_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:k)"), {"k": _TURN_LOCK})

    def _attempt(self, work: Work[T]) -> T:
        with self._serial.connect() as connection:
            with connection.begin():
                tx = Tx(connection, self._caches)
                try:
                    result = work(tx)
                except psycopg.Error as failure:
                    raise _as_others(failure) from failure
                for channel in tx.wakes:
                    connection.execute(text("SELECT pg_notify(:c, :p)"), {"c": self._channel, "p": channel})
            for action in tx.deferred:
                action()
        return result

    @property
    def _channel(self) -> str:
        return f"{CHANNEL}_{self._schema}" if self._schema else CHANNEL

    def submit_write(self, work: Work[T]) -> "Future[T]":
        return self._pool.submit(self.write, work)

    def submit_read(self, work: Work[T], *, short: bool = False) -> "Future[T]":  # noqa: ARG002
        # A network lies between: even a short read would keep the asking thread from others.
        return self._pool.submit(self.read, work)

    def on_wake(self, listener: Callable[[str], None]) -> None:
        self._wakes.add(listener)
        if self._listener is None:
            self._listener = threading.Thread(target=self._listen, name="store-listen", daemon=True)
            self._listener.start()

    def ping(self) -> None:
        self.write(lambda tx: tx.execute(text("UPDATE meta SET value = value WHERE key = 'ping'")))

    def connection(self) -> Connection:
        """A bare connection for migrations, before the server serves."""
        return self._engine.connect()

    def close(self) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True)
        if self._listener is not None:
            self._listener.join(timeout=5)
        self._engine.dispose()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f'LISTEN "{self._channel}"'.encode())
                    # Whatever was notified while nobody listened is made good by one wake of everybody.
                    self._wakes.tell(["*"])
                    while not self._stopping.is_set():
                        for notice in connection.notifies(timeout=0.5):
                            self._wakes.tell([notice.payload])
            except psycopg.Error as failure:
                log.warning("store: the wake-up connection was lost, connecting again: %s", failure)
                self._stopping.wait(1.0)


def _as_others(failure: psycopg.Error) -> BaseException:
    """A failure of a statement that went straight to the driver, as those are raised that go the long way."""
    return DBAPIError.instance("", None, failure, psycopg.Error)


def _is_conflict(failure: DBAPIError) -> bool:
    state = getattr(failure.orig, "sqlstate", None)
    # A unique key that two transactions raced for is a conflict as well: the second look finds the row.
    return state in ("40001", "40P01", "23505")
