"""The store's promises that hold on both engines: all or nothing, groups, wakes, snapshots."""

import contextlib
import shutil
import sqlite3
import threading
from concurrent.futures import wait
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from patchwright.store.engine import Engine, Tx
from patchwright.store.sqlite import SqliteEngine
from patchwright.store.tables import meta


def _put(key: str, value: str):
    return lambda tx: tx.execute(meta.insert().values(key=key, value=value))


def _keys(tx: Tx) -> set[str]:
    return set(tx.execute(select(meta.c.key)).scalars())


def test_a_failed_work_leaves_nothing_and_its_neighbours_stay(store: Engine) -> None:
    def fails(tx: Tx) -> None:
        _put("lost", "x")(tx)
        raise RuntimeError("no")

    jobs = [store.submit_write(_put(f"k{i}", "v")) for i in range(20)]
    bad = store.submit_write(fails)
    jobs += [store.submit_write(_put(f"m{i}", "v")) for i in range(20)]
    wait([*jobs, bad])
    with pytest.raises(RuntimeError):
        bad.result()
    assert store.read(_keys) >= {f"k{i}" for i in range(20)} | {f"m{i}" for i in range(20)}
    assert "lost" not in store.read(_keys)


def test_a_wake_comes_after_the_commit_and_only_then(store: Engine) -> None:
    seen: list[tuple[str, bool]] = []
    heard = threading.Event()

    def listener(channel: str) -> None:
        if channel == "news":
            seen.append((channel, "told" in store.read(_keys)))
            heard.set()

    store.on_wake(listener)

    def fails(tx: Tx) -> None:
        tx.wake("news")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.write(fails)

    def works(tx: Tx) -> None:
        _put("told", "v")(tx)
        tx.wake("news")

    # PostgreSQL's listener needs a moment to connect; the wake is repeated as a loop's timer would.
    for attempt in range(50):
        store.write(works if attempt == 0 else lambda tx: tx.wake("news"))
        if heard.wait(0.2):
            break
    assert seen
    assert all(committed for _, committed in seen)


def test_two_hundred_increments_at_once_are_all_counted(store: Engine) -> None:
    store.write(_put("count", "0"))

    def increment(tx: Tx) -> None:
        row = tx.execute(select(meta.c.value).where(meta.c.key == "count")).scalar_one()
        tx.execute(meta.update().where(meta.c.key == "count").values(value=str(int(row) + 1)))

    jobs = [store.submit_write(increment) for _ in range(200)]
    wait(jobs)
    assert [job.exception() for job in jobs] == [None] * 200
    assert store.read(lambda tx: tx.execute(select(meta.c.value).where(meta.c.key == "count")).scalar_one()) == "200"


def test_a_read_sees_one_snapshot(store: Engine) -> None:
    def reads(tx: Tx) -> tuple[int, int]:
        first = len(_keys(tx))
        store.write(_put("later", "v"))
        return first, len(_keys(tx))

    first, second = store.read(reads)
    assert first == second
    assert "later" in store.read(_keys)


def test_a_read_leaves_nothing_behind(store: Engine) -> None:
    # PostgreSQL refuses the write, SQLite rolls it back: nothing of it is kept either way.
    refused = (
        pytest.raises(DBAPIError, match="read-only") if store.dialect == "postgresql" else contextlib.nullcontext()
    )
    with refused:
        store.read(_put("sneaky", "v"))
    assert "sneaky" not in store.read(_keys)


def test_statements_speak_to_the_engine_named(store: Engine) -> None:
    name = store.read(lambda tx: tx.connection.dialect.name)
    assert name == store.dialect
    assert store.read(lambda tx: tx.execute(text("SELECT 1")).scalar_one()) == 1


def test_a_conflict_of_a_statement_that_went_straight_to_the_driver_is_tried_again(store: Engine) -> None:
    store.write(_put("count", "0"))
    together = threading.Barrier(2, timeout=10)
    first_tries = []

    def increment(tx: Tx) -> None:
        driver = tx.connection.connection.driver_connection
        (value,) = driver.execute("SELECT value FROM meta WHERE key = 'count'").fetchone()
        if store.dialect == "postgresql" and len(first_tries) < 2:
            first_tries.append(value)
            together.wait()  # both have read before either writes
        mark = "?" if store.dialect == "sqlite" else "%s"
        driver.execute(f"UPDATE meta SET value = {mark} WHERE key = 'count'", (str(int(value) + 1),))  # noqa: S608

    jobs = [store.submit_write(increment) for _ in range(2)]
    wait(jobs)
    assert [job.exception() for job in jobs] == [None, None]
    assert store.read(lambda tx: tx.execute(select(meta.c.value).where(meta.c.key == "count")).scalar_one()) == "2"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # on PostgreSQL a short read is as any other
def test_a_short_read_waits_for_no_long_one(store: Engine) -> None:
    ended = threading.Event()
    begun = threading.Semaphore(0)

    def long(tx: Tx) -> None:
        _keys(tx)
        begun.release()
        ended.wait(20)

    beside = [threading.Thread(target=lambda: store.read(long)) for _ in range(24)]
    for thread in beside:
        thread.start()
    for _ in beside:
        assert begun.acquire(timeout=10)
    try:
        assert store.submit_read(_keys, short=True).done()
    finally:
        ended.set()
        for thread in beside:
            thread.join()


def test_the_log_is_carried_over_while_nobody_waits(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = tmp_path / "log.db"
    shutil.copyfile(migrated_sqlite, path)
    store = SqliteEngine(path)
    try:
        store.write(_put("carried", "over"))
        for _ in range(200):
            # The database file without its log.
            shutil.copyfile(path, tmp_path / "alone.db")
            with contextlib.closing(sqlite3.connect(f"file:{tmp_path}/alone.db?immutable=1", uri=True)) as alone:
                if alone.execute("SELECT value FROM meta WHERE key = 'carried'").fetchall() == [("over",)]:
                    break
            threading.Event().wait(0.05)
        else:
            raise AssertionError("what was committed stayed in the log")
    finally:
        store.close()
    assert not any(thread.name == "store-checkpoint" and thread.is_alive() for thread in threading.enumerate())
