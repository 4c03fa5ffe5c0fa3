"""What all tables have in common."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    text,
)

from patchwright.core.values import OperatingSystem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def scope() -> list[Column[Any]]:
    return [Column("account", String(12), nullable=False), Column("region", String(100), nullable=False)]


def one_of(name: str, values: list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


def partial(name: str, *columns: str, where: str) -> Index:
    """An index of the few rows that matter; it serves only statements that say its condition in the same words."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


SYSTEMS = [str(s) for s in OperatingSystem]
BIG_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite only numbers INTEGER keys by itself
