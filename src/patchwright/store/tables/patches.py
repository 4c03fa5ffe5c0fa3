"""Patches on offer, by product, as nodes of an account and region reported them; and frozen baselines."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from patchwright.store.columns import Instant
from patchwright.store.tables.base import BIG_ID, metadata, scope

available_patch = Table(
    "available_patch",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    *scope(),
    Column("operating_system", String(32), nullable=False),
    Column("product", String(128), nullable=False),
    Column("name", Text, nullable=False),
    Column("arch", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("classification", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("released_at", Instant, nullable=False),
    Column("noted_at", Instant, nullable=False),
    # What decides whether it is the same patch: names and versions of hosts are too long for a key of their own.
    Column("digest", LargeBinary(16), nullable=False),
    Column("record", LargeBinary, nullable=False),
    UniqueConstraint("account", "region", "product", "digest"),
    Index("ix_available_patch_listed", "account", "region", "product", "released_at", "id"),
    Index("ix_available_patch_system", "account", "region", "operating_system", "noted_at"),
)

patch_snapshot = Table(
    "patch_snapshot",
    metadata,
    *scope(),
    Column("patch_group", String(256), nullable=False),
    Column("operating_system", String(32), nullable=False),
    Column("snapshot_id", String(36), nullable=False),
    Column("baseline", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("overridden", Boolean, nullable=False),
    Column("frozen_at", Instant, nullable=False),
    PrimaryKeyConstraint("account", "region", "patch_group", "operating_system", "snapshot_id"),
    Index("ix_patch_snapshot_frozen", "frozen_at"),
)

available_word = Table(
    "available_word",
    metadata,
    Column("patch_id", BIG_ID, ForeignKey("available_patch.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", String(512), primary_key=True),
    Index("ix_available_word_value", "kind", "value"),
)
