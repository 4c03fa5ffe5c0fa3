"""Inventory of nodes. Rows and sets of rows by digest, as facts are: fleets are alike, and a set is kept once."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import BIG_ID, metadata, one_of, scope

inventory_schema = Table(
    "inventory_schema",
    metadata,
    *scope(),
    Column("type_name", String(100), nullable=False),
    Column("version", String(13), nullable=False),
    Column("attributes", Json, nullable=False),
    Column("disabled_at", Instant, nullable=True),
    UniqueConstraint("account", "region", "type_name", "version", name="uq_inventory_schema_version"),
)

inventory_row = Table(
    "inventory_row",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("content", Json, nullable=False),
    sqlite_autoincrement=True,  # an id is not given twice, though rows come and go: memories and tokens hold ids
)

# What filters and aggregators ask: `key` is `AWS:Application.Name`, `value` the beginning of what the row has there.
inventory_value = Table(
    "inventory_value",
    metadata,
    Column("row_id", BigInteger, ForeignKey("inventory_row.id"), nullable=False),
    Column("key", String(170), nullable=False),
    Column("value", String(255), nullable=False),
    Column("number", Float, nullable=True),
    PrimaryKeyConstraint("row_id", "key"),
    Index("ix_inventory_value_key", "key", "value"),
)

# `row_ids` is NULL while a set is being filled: nothing refers to such a one.
inventory_set = Table(
    "inventory_set",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("n", Integer, nullable=False),
    Column("row_ids", LargeBinary, nullable=True),
    Column("wanted_at", Instant, nullable=False, index=True),
    sqlite_autoincrement=True,
)

inventory_member = Table(
    "inventory_member",
    metadata,
    Column("set_id", BigInteger, ForeignKey("inventory_set.id"), nullable=False),
    Column("row_id", BigInteger, ForeignKey("inventory_row.id"), nullable=False),
    PrimaryKeyConstraint("set_id", "row_id"),
    Index("ix_inventory_member_row", "row_id"),
)

inventory_item = Table(
    "inventory_item",
    metadata,
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    *scope(),
    Column("type_name", String(100), nullable=False),
    Column("version", String(13), nullable=False),
    Column("captured_at", String(20), nullable=False),
    Column("content_hash", String(256), nullable=False),
    Column("set_id", BigInteger, ForeignKey("inventory_set.id"), nullable=False),
    Column("put_at", Instant, nullable=False),
    PrimaryKeyConstraint("node_id", "type_name"),
    Index("ix_inventory_item_type", "account", "region", "type_name", "set_id"),
    Index("ix_inventory_item_set", "set_id"),
)

inventory_deletion = Table(
    "inventory_deletion",
    metadata,
    Column("id", String(36), primary_key=True),
    *scope(),
    Column("type_name", String(100), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("status", String(16), nullable=False),
    Column("counts", Json, nullable=False),
    one_of("status", ["InProgress", "Complete"]),
    Index("ix_inventory_deletion_scope", "account", "region", "started_at", "id"),
)
