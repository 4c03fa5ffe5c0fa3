"""Accounts, who may call, what was called, and tags."""

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, Text, UniqueConstraint

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import BIG_ID, metadata, scope

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

account = Table(
    "account",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("created_at", Instant, nullable=False),
)

access_key = Table(
    "access_key",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account", String(12), ForeignKey("account.id"), nullable=False, index=True),
    Column("user_name", String(64), nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("policy", Json, nullable=True),
    Column("created_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    *scope(),
    Column("at", Instant, nullable=False, index=True),
    Column("principal", String(256), nullable=False),
    Column("action", String(128), nullable=False),
    Column("request_id", String(36), nullable=False),
    Column("resource", String(512), nullable=False),
    Column("detail", Json, nullable=True),
)

client_token = Table(
    "client_token",
    metadata,
    *scope(),
    Column("operation", String(64), nullable=False),
    Column("token", String(64), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("result", Json, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
    UniqueConstraint("account", "region", "operation", "token"),
)

tag = Table(
    "tag",
    metadata,
    *scope(),
    Column("resource_type", String(32), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("key", String(128), nullable=False),
    Column("value", String(256), nullable=False),
    UniqueConstraint("account", "region", "resource_type", "resource_id", "key"),
    Index("ix_tag_lookup", "account", "region", "resource_type", "key", "value"),
)
