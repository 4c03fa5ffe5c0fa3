"""Bring a database to this release's schema, forward only. Source: decisions.md 28.

The common case, a schema that is already right, costs one query and does not import Alembic.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, inspect, text

log = logging.getLogger(__name__)

HEAD = "0008"
KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
_LOCK = 0x70617463  # "patc": the advisory lock of a migration on PostgreSQL


class SchemaTooNew(Exception):
    """The database was written by a later release; nothing was changed. Start that release, or restore a copy."""


def migrate(connection: Connection, *, sqlite_file: Path | None = None) -> bool:
    """Upgrade to HEAD if needed. Returns whether anything was done. Copies a SQLite file before it touches it."""
    with _lock(connection):
        current = current_revision(connection)
        if current == HEAD:
            return False
        if current is not None and current not in KNOWN:
            raise SchemaTooNew(
                f"the database has schema {current}, this release knows up to {HEAD}; it was left as it is. "
                "Start the release that wrote it, or restore a copy from before that release."
            )
        if sqlite_file is not None and current is not None:
            _copy(connection, sqlite_file.with_name(f"{sqlite_file.name}.before-{HEAD}"))
        _upgrade(connection)
    log.info("store: schema %s is now %s", current or "(none)", HEAD)
    return True


def _copy(connection: Connection, target: Path) -> None:
    """A consistent copy, what is still in the write-ahead log included; 0600 from its first byte."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection.exec_driver_sql("VACUUM INTO ?", (str(target),))


def current_revision(connection: Connection) -> str | None:
    """The schema's revision, or None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextlib.contextmanager
def _lock(connection: Connection) -> Iterator[None]:
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(text("SELECT pg_advisory_lock(:k)"), {"k": _LOCK})
    try:
        yield
        connection.commit()
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:k)"), {"k": _LOCK})
        connection.commit()
