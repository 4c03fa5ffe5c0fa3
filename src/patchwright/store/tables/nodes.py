"""Activations and the nodes that they made."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import metadata, scope

activation = Table(
    "activation",
    metadata,
    Column("id", String(36), primary_key=True),
    *scope(),
    Column("code_hash", String(64), nullable=False),
    Column("iam_role", String(64), nullable=False),
    Column("description", String(256), nullable=True),
    Column("default_instance_name", String(256), nullable=True),
    Column("registration_limit", Integer, nullable=True),
    Column("registrations_count", Integer, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("tags", Json, nullable=False),
    Column("deleted_at", Instant, nullable=True),
    CheckConstraint("registrations_count <= registration_limit", name="limit"),
    Index("ix_activation_scope", "account", "region"),
)

node = Table(
    "node",
    metadata,
    Column("id", String(20), primary_key=True),
    *scope(),
    Column("activation_id", String(36), ForeignKey("activation.id"), nullable=False),
    Column("iam_role", String(64), nullable=False),
    Column("name", String(256), nullable=True),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(256), nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("deregistered_at", Instant, nullable=True),
    Column("last_ping_at", Instant, nullable=True),
    Column("agent_name", String(64), nullable=True),
    Column("agent_version", String(64), nullable=True),
    Column("platform_type", String(16), nullable=True),
    Column("platform_name", String(256), nullable=True),
    Column("platform_version", String(64), nullable=True),
    Column("computer_name", String(255), nullable=True),
    Column("ip_address", String(64), nullable=True),
    Column("operating_system", String(32), nullable=True),
    Column("clock_offset_seconds", Integer, nullable=True),
    Column("scan_only", Boolean, nullable=False, default=False),
    Index("ix_node_scope", "account", "region", "id"),
)
