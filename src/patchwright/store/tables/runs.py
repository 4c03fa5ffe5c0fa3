"""Runs of patch operations, and the override documents that they were given."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import metadata, one_of, partial, scope

REPORTED = "ended_at IS NOT NULL AND report <> ''"
_NO_REBOOT = "operation = 'Install' AND reboot_option = 'NoReboot'"

patch_run = Table(
    "patch_run",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    *scope(),
    Column("command_id", String(36), nullable=True),
    Column("step", String(128), nullable=False),
    Column("operation", String(16), nullable=False),
    Column("reboot_option", String(32), nullable=False),
    Column("snapshot_id", String(36), nullable=False),
    Column("override_list", String(256), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    Column("facts_at", Instant, nullable=True),
    Column("exit_code", Integer, nullable=True),
    Column("message", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("result", Json, nullable=True),
    Column("boot_id", String(64), nullable=False),
    Column("plan_only", Boolean, nullable=False),
    Column("draft", Json, nullable=True),
    Column("plan", Json, nullable=True),
    Column("plan_digest", String(64), nullable=True),
    Column("planned_at", Instant, nullable=True),
    Column("plans", Integer, nullable=False),
    Column("reboots_asked", Integer, nullable=False),
    Column("reboot_asked_at", Instant, nullable=True),
    Column("baseline_override", String(256), nullable=False, server_default=text("''")),
    Column("override_digest", String(64), nullable=True),
    UniqueConstraint("node_id", "command_id", "step"),
    Index("ix_patch_run_latest", "node_id", "ended_at"),
    Index("ix_patch_run_facts", "node_id", "facts_at"),
    partial("ix_patch_run_no_reboot", "node_id", "ended_at", where=_NO_REBOOT),
    Index("ix_patch_run_started", "started_at"),
    partial("ix_patch_run_reported", "ended_at", where=REPORTED),
    partial("ix_patch_run_override", "account", "override_digest", where="override_digest IS NOT NULL"),
    one_of("operation", ["Scan", "Install"]),
)

override_document = Table(
    "override_document",
    metadata,
    Column("account", String(12), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("account", "digest"),
    Index("ix_override_document_at", "at"),
)
