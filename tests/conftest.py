"""Fixtures that every folder of tests shares: a real store of each engine."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from patchwright.store.engine import Engine
from patchwright.store.migrate import migrate
from patchwright.store.postgres import PostgresEngine
from patchwright.store.sqlite import SqliteEngine

PG_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
REVISION = "alembic_version"
LONG_FOLDERS = ("e2e", "docs")


class EmptiedPostgres:
    """A copy of a migrated database that is as good as new after `empty`: a third of what a new copy takes."""

    def __init__(self, postgres_url: str, template: str) -> None:
        self._postgres_url, self._name = postgres_url, f"pw_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(sql.Identifier(self._name), sql.Identifier(template)))
        self.url = postgres_url.replace("/postgres?", f"/{self._name}?")
        self._connection = psycopg.connect(self.url, autocommit=True)
        named = self._connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        self._tables = sorted(str(name) for (name,) in named)
        assert self._with_rows() == [REVISION], "a migration brings rows: `empty` has to keep them"

    def _with_rows(self) -> list[str]:
        look = sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM {})")
        looks = sql.SQL(" UNION ALL ").join(look.format(sql.Literal(t), sql.Identifier(t)) for t in self._tables)
        return [str(name) for (name,) in self._connection.execute(looks).fetchall()]

    def empty(self) -> None:
        """Take all rows out; whoever is still connected is thrown out first."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        names = [sql.Identifier(name) for name in self._with_rows() if name != REVISION]
        if names:
            truncate = sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE")
            self._connection.execute(truncate.format(sql.SQL(", ").join(names)))

    def close(self) -> None:
        """Drop the database."""
        self._connection.close()
        with psycopg.connect(self._postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._name)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left alone with one at the end: those of real hosts and pages are long."""
    items.sort(key=lambda item: Path(item.path).parent.name not in LONG_FOLDERS)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A private PostgreSQL on a unix socket, ended with the session. PATCHWRIGHT_TEST_POSTGRES names another."""
    given = os.environ.get("PATCHWRIGHT_TEST_POSTGRES")
    if given:
        yield given
        return
    if not PG_BIN:
        pytest.skip("PostgreSQL is not installed, so half of the store's tests can't run: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pw-pg-", dir="/tmp"))  # a short path: socket names are limited
    folder.chmod(0o777)
    bin_dir = PG_BIN[0]
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    run = [*as_user, "env", f"HOME={folder}"]
    subprocess.run(
        [*run, bin_dir / "initdb", "-A", "trust", "-U", "pw", "--no-sync", "-D", folder / "d"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    server = subprocess.Popen(
        [
            *run,
            bin_dir / "postgres",
            "-D",
            folder / "d",
            "-k",
            folder,
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    url = f"postgresql://pw@/postgres?host={folder}"
    try:
        for _ in range(200):
            if subprocess.run([bin_dir / "pg_isready", "-h", folder, "-q"], check=False).returncode == 0:
                break
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated empty file that tests copy: a migration costs more than most tests."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    engine = SqliteEngine(path)
    with engine.connection() as connection:
        migrate(connection)
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> str:
    """The name of a migrated empty database that tests copy as a template."""
    name = f"pw_template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    engine = PostgresEngine(postgres_url.replace("/postgres?", f"/{name}?"))
    with engine.connection() as connection:
        migrate(connection)
    engine.close()
    return name


@pytest.fixture(scope="session")
def emptied_postgres(postgres_url: str, migrated_postgres: str) -> Iterator[EmptiedPostgres]:
    """One migrated database for all stores of this process, emptied after each test."""
    emptied = EmptiedPostgres(postgres_url, migrated_postgres)
    yield emptied
    emptied.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty migrated store, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "store.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        engine: Engine = SqliteEngine(path)
        yield engine
        engine.close()
        return
    emptied: EmptiedPostgres = request.getfixturevalue("emptied_postgres")
    engine = PostgresEngine(emptied.url)
    yield engine
    engine.close()
    emptied.empty()
