"""Documents of the accounts, their versions, and with whom they are shared. Built-in ones are not stored."""

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import metadata, one_of, scope

document = Table(
    "document",
    metadata,
    *scope(),
    Column("name", String(128), nullable=False),
    Column("type", String(32), nullable=False),
    Column("default_version", Integer, nullable=False),
    Column("latest_version", Integer, nullable=False),
    Column("next_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account", "region", "name"),
)

document_version = Table(
    "document_version",
    metadata,
    *scope(),
    Column("document_name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("version_name", String(128), nullable=True),
    Column("display_name", String(1024), nullable=True),
    Column("target_type", String(200), nullable=True),
    Column("format", String(8), nullable=False),
    Column("schema_version", String(8), nullable=False),
    Column("platform_types", Json, nullable=False),
    Column("source", Text, nullable=False),
    Column("content", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account", "region", "document_name", "version", name="uq_document_version_number"),
    UniqueConstraint("account", "region", "document_name", "version_name", name="uq_document_version_name"),
    one_of("format", ["JSON", "YAML"]),
)

document_share = Table(
    "document_share",
    metadata,
    *scope(),
    Column("document_name", String(128), nullable=False),
    Column("shared_with", String(12), nullable=False),
    Column("shared_version", String(8), nullable=False),
    UniqueConstraint("account", "region", "document_name", "shared_with", name="uq_document_share"),
    Index("ix_document_share_with", "region", "shared_with"),
)
