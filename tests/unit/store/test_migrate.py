"""Migrations: their sum is the schema of tables.py; a newer schema is refused; a SQLite file is copied first."""

import sqlite3
import uuid
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from patchwright.store import migrate as module
from patchwright.store.engine import Engine
from patchwright.store.migrate import HEAD, SchemaTooNew, current_revision, migrate
from patchwright.store.postgres import PostgresEngine
from patchwright.store.sqlite import SqliteEngine
from patchwright.store.tables import metadata


def _schema(connection: object) -> dict[str, object]:
    seen = inspect(connection)
    found: dict[str, object] = {}
    for table in sorted(set(seen.get_table_names()) - {"alembic_version"}):
        found[table] = (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)),
            sorted((i["name"] or "", tuple(i["column_names"]), bool(i["unique"])) for i in seen.get_indexes(table)),
            sorted(tuple(sorted(u["column_names"])) for u in seen.get_unique_constraints(table)),
            sorted((c["name"] or "") for c in seen.get_check_constraints(table)),
            seen.get_pk_constraint(table)["constrained_columns"],
            sorted((tuple(f["constrained_columns"]), f["referred_table"]) for f in seen.get_foreign_keys(table)),
        )
    return found


def test_the_migrations_add_up_to_the_tables(store: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    migrated = store.read(lambda tx: _schema(tx.connection))
    if store.dialect == "sqlite":
        fresh: SqliteEngine | PostgresEngine = SqliteEngine(tmp_path / "fresh.db")
    else:
        import psycopg

        url = request.getfixturevalue("postgres_url")
        name = f"pw_fresh_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        fresh = PostgresEngine(url.replace("/postgres?", f"/{name}?"))
    with fresh.connection() as connection:
        metadata.create_all(connection)
        connection.commit()
        assert _schema(connection) == migrated
    fresh.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "new.db")
    with engine.connection() as connection:
        migrate(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(SchemaTooNew, match="9999"):
            migrate(connection)
        assert current_revision(connection) == "9999"
    engine.close()


def test_a_right_schema_is_recognised_without_alembic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SqliteEngine(tmp_path / "right.db")
    with engine.connection() as connection:
        assert migrate(connection)

        def forbidden(_connection: object) -> None:
            raise AssertionError("a right schema must not be upgraded")

        monkeypatch.setattr(module, "_upgrade", forbidden)
        assert not migrate(connection)
        assert current_revision(connection) == HEAD
    engine.close()


def test_an_older_file_is_copied_before_it_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.db"
    engine = SqliteEngine(path)
    with engine.connection() as connection:
        migrate(connection)
        connection.execute(text("INSERT INTO meta VALUES ('kept', 'yes')"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        monkeypatch.setattr(module, "KNOWN", ("0000", HEAD))
        monkeypatch.setattr(module, "_upgrade", lambda _connection: None)
        migrate(connection, sqlite_file=path)
    engine.close()
    copy = tmp_path / f"old.db.before-{HEAD}"
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'kept'").fetchone() == ("yes",)
