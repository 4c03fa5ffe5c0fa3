"""Maintenance windows with their targets and tasks, and what was made of each start.

Executions name their window without a foreign key: history outlives it.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from patchwright.core.window_runs import RunStatus
from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import metadata, one_of, partial, scope

_STATUSES = [str(s) for s in RunStatus]
_OPEN = "ended_at IS NULL"

maintenance_window = Table(
    "maintenance_window",
    metadata,
    Column("id", String(20), primary_key=True),
    *scope(),
    Column("name", String(128), nullable=False),
    Column("description", String(128), nullable=True),
    Column("schedule", String(256), nullable=False),
    Column("zone", String(64), nullable=True),
    Column("offset_days", Integer, nullable=True),
    Column("start_date", String(64), nullable=True),
    Column("end_date", String(64), nullable=True),
    Column("duration_hours", Integer, nullable=False),
    Column("cutoff_hours", Integer, nullable=False),
    Column("allow_unassociated", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("modified_at", Instant, nullable=False),
    Column("schedule_since", Instant, nullable=False),
    Column("next_start_at", Instant, nullable=True),
    Index("ix_maintenance_window_scope", "account", "region", "created_at"),
    partial("ix_maintenance_window_next", "next_start_at", where="next_start_at IS NOT NULL"),
)

window_target = Table(
    "window_target",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("window_id", String(20), ForeignKey("maintenance_window.id"), nullable=False, index=True),
    Column("resource_type", String(16), nullable=False),
    Column("targets", Json, nullable=False),
    Column("owner_information", String(128), nullable=True),
    Column("name", String(128), nullable=True),
    Column("description", String(128), nullable=True),
    Column("created_at", Instant, nullable=False),
)

window_task = Table(
    "window_task",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("window_id", String(20), ForeignKey("maintenance_window.id"), nullable=False, index=True),
    Column("task_arn", String(1600), nullable=False),
    Column("type", String(16), nullable=False),
    Column("targets", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("max_concurrency", String(7), nullable=True),
    Column("max_errors", String(7), nullable=True),
    Column("service_role_arn", Text, nullable=True),
    Column("task_parameters", Json, nullable=True),
    Column("invocation_parameters", Json, nullable=True),
    Column("logging_info", Json, nullable=True),
    Column("name", String(128), nullable=True),
    Column("description", String(128), nullable=True),
    Column("cutoff_behavior", String(16), nullable=True),
    Column("alarm_configuration", Json, nullable=True),
    Column("registered_by", String(256), nullable=False),
    Column("created_at", Instant, nullable=False),
)

window_execution = Table(
    "window_execution",
    metadata,
    Column("id", String(36), primary_key=True),
    *scope(),
    Column("window_id", String(20), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("cutoff_at", Instant, nullable=False),
    Column("status", String(20), nullable=False),
    Column("details", String(250), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    UniqueConstraint("window_id", "due_at", name="uq_window_execution_start"),
    one_of("status", _STATUSES),
    partial("ix_window_execution_open", "window_id", where=_OPEN),
    Index("ix_window_execution_ended", "ended_at"),
)

window_task_execution = Table(
    "window_task_execution",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("execution_id", String(36), ForeignKey("window_execution.id"), nullable=False),
    Column("task_id", String(36), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("cutoff_behavior", String(16), nullable=True),
    Column("task", Json, nullable=False),
    Column("status", String(20), nullable=False),
    Column("details", String(250), nullable=False),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    UniqueConstraint("execution_id", "task_id", name="uq_window_task_execution_task"),
    one_of("status", _STATUSES),
)

window_invocation = Table(
    "window_invocation",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("task_execution_id", String(36), ForeignKey("window_task_execution.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("window_target_id", String(36), nullable=True),
    Column("owner_information", String(128), nullable=True),
    Column("targets", Json, nullable=False),
    Column("command_id", String(36), nullable=True),
    Column("parameters", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("details", String(250), nullable=False),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    UniqueConstraint("task_execution_id", "ordinal", name="uq_window_invocation_ordinal"),
    one_of("status", [s for s in _STATUSES if s != RunStatus.SKIPPED_OVERLAPPING]),
)
