"""Commands, their invocations and steps, and replies."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import metadata, one_of, partial, scope

_OPEN = "ended_at IS NULL"
_UNANSWERED = f"{_OPEN} AND acknowledged_at IS NULL AND dispatched_at IS NOT NULL"

command = Table(
    "command",
    metadata,
    Column("id", String(36), primary_key=True),
    *scope(),
    Column("document_name", String(200), nullable=False),
    Column("document_version", String(16), nullable=False),
    Column("content", Json, nullable=False),
    Column("request", Json, nullable=False),
    Column("requested_by", String(256), nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", String(32), nullable=False),
    Column("target_count", Integer, nullable=False),
    Column("completed_count", Integer, nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("delivery_timed_out_count", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("cancelled_at", Instant, nullable=True),
    Column("fast_start", Boolean, nullable=False, server_default="0"),
    one_of("status", ["Pending", "InProgress", "Success", "Cancelled", "Failed", "TimedOut", "Cancelling"]),
    Index("ix_command_scope", "account", "region", "requested_at"),
    Index("ix_command_open", "open", "expires_at"),
)

invocation = Table(
    "invocation",
    metadata,
    Column("command_id", String(36), ForeignKey("command.id"), nullable=False),
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("node_name", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", String(32), nullable=False),
    Column("trace", Text, nullable=False),
    Column("dispatched_at", Instant, nullable=True),
    Column("visible_at", Instant, nullable=True),
    Column("delivered_at", Instant, nullable=True),
    Column("acknowledged_at", Instant, nullable=True),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    Column("requested_at", Instant, nullable=False),
    Column("cancel_requested_at", Instant, nullable=True),
    Column("cancel_acknowledged_at", Instant, nullable=True),
    UniqueConstraint("command_id", "node_id"),
    Index("ix_invocation_node", "node_id", "requested_at"),
    partial("ix_invocation_of_node", "node_id", where=_OPEN),
    partial("ix_invocation_open", "command_id", "status_details", "ordinal", where=_OPEN),
    partial("ix_invocation_acknowledged", "command_id", where="acknowledged_at IS NOT NULL"),
    partial("ix_invocation_flying", "command_id", where=f"{_OPEN} AND visible_at IS NOT NULL"),
    partial("ix_invocation_unanswered", "command_id", "dispatched_at", where=_UNANSWERED),
    one_of(
        "status",
        ["Pending", "InProgress", "Delayed", "Success", "Cancelled", "TimedOut", "Failed", "Cancelling"],
    ),
)

invocation_step = Table(
    "invocation_step",
    metadata,
    Column("command_id", String(36), ForeignKey("command.id"), nullable=False),
    Column("node_id", String(20), nullable=False),
    Column("name", String(128), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("plugin", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", String(32), nullable=False),
    Column("response_code", Integer, nullable=False),
    Column("output", Text, nullable=False),
    Column("standard_output", Text, nullable=False),
    Column("standard_error", Text, nullable=False),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    UniqueConstraint("command_id", "node_id", "name"),
)

reply_seen = Table(
    "reply_seen",
    metadata,
    Column("node_id", String(20), nullable=False),
    Column("reply_id", String(64), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    UniqueConstraint("node_id", "reply_id"),
)
