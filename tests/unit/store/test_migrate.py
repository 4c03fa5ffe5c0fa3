"""Migrations: their sum is the schema of tables.py; a newer schema is refused; a SQLite file is copied first."""

import sqlite3
import uuid
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
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
    fresh = _empty(store.dialect, tmp_path, request)
    with fresh.connection() as connection:
        metadata.create_all(connection)
        connection.commit()
        assert _schema(connection) == migrated
    fresh.close()


_OLD_ROWS = (
    "INSERT INTO activation (id, account, region, code_hash, iam_role, registrations_count, expires_at, created_at, "
    "tags) VALUES ('a', '000000000001', 'r', 'x', 'role', 0, 1, 1, '[]')",
    "INSERT INTO node (id, account, region, activation_id, iam_role, public_key, fingerprint, registered_at) "
    "VALUES ('mi-1', '000000000001', 'r', 'a', 'role', 'k', 'f', 1)",
    "INSERT INTO command (id, account, region, document_name, document_version, content, request, requested_by, "
    "requested_at, expires_at, status, status_details, target_count, completed_count, error_count, "
    "delivery_timed_out_count, open) VALUES ('c', '000000000001', 'r', 'd', '1', '{}', '{}', 'me', 1, 2, 'InProgress', "
    "'InProgress', 1, 0, 0, 0, true)",
    "INSERT INTO invocation (command_id, node_id, ordinal, node_name, status, status_details, trace, requested_at) "
    "VALUES ('c', 'mi-1', 0, 'n', 'Pending', 'Pending', '', 1)",
    "INSERT INTO patch_run (id, node_id, account, region, step, operation, reboot_option, snapshot_id, override_list, "
    "started_at, message, report) "
    "VALUES ('p', 'mi-1', '000000000001', 'r', 's', 'Scan', 'NoReboot', 's', '', 1, '', '')",
    "INSERT INTO verdict (node_id, account, region, baseline_id, baseline_version, baseline_source, patch_group, "
    "status, overall_level, counts, judged_at) "
    "VALUES ('mi-1', '000000000001', 'r', 'pb', 0, 'DEFAULT', '', 'COMPLIANT', 'UNSPECIFIED', '{}', 5)",
)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_rows_of_the_release_before_live_on(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What was open goes on as it began; verdicts are made again of their facts."""
    engine = _empty(dialect, tmp_path, request)
    with engine.connection() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for row in _OLD_ROWS:
            connection.execute(text(row))
        connection.commit()
        assert migrate(connection)
        assert connection.execute(text("SELECT open, fast_start, cancelled_at FROM command")).one() == (1, 1, None)
        told = "SELECT command_id, status, cancel_requested_at FROM invocation"
        assert connection.execute(text(told)).one() == ("c", "Pending", None)
        assert connection.execute(text("SELECT id, plans, plan_only, boot_id FROM patch_run")).one() == ("p", 0, 0, "")
        assert connection.execute(text("SELECT node_id, caused_at FROM due_judgement")).one() == ("mi-1", 5)
        assert connection.execute(text("SELECT count(*) FROM verdict")).scalar_one() == 0
        partial = [
            i["name"]
            for i in inspect(connection).get_indexes("invocation")
            if any("where" in option for option in i.get("dialect_options", {}))
        ]
        assert len(partial) == 5
    engine.close()


def _empty(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> SqliteEngine | PostgresEngine:
    if dialect == "sqlite":
        return SqliteEngine(tmp_path / "empty.db")
    import psycopg

    url = request.getfixturevalue("postgres_url")
    name = f"pw_old_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return PostgresEngine(url.replace("/postgres?", f"/{name}?"))


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
