"""maintenance windows, their targets, tasks and executions"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATUSES = "'PENDING', 'IN_PROGRESS', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELLING', 'CANCELLED'"


def _scope() -> list[sa.Column[str]]:
    return [
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
    ]


def _partial(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    _windows()
    _executions()


def _windows() -> None:
    op.create_table(
        "maintenance_window",
        sa.Column("id", sa.String(length=20), nullable=False),
        *_scope(),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.String(length=128), nullable=True),
        sa.Column("schedule", sa.String(length=256), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=True),
        sa.Column("offset_days", sa.Integer(), nullable=True),
        sa.Column("start_date", sa.String(length=64), nullable=True),
        sa.Column("end_date", sa.String(length=64), nullable=True),
        sa.Column("duration_hours", sa.Integer(), nullable=False),
        sa.Column("cutoff_hours", sa.Integer(), nullable=False),
        sa.Column("allow_unassociated", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("schedule_since", sa.BigInteger(), nullable=False),
        sa.Column("next_start_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_window")),
    )
    op.create_index("ix_maintenance_window_scope", "maintenance_window", ["account", "region", "created_at"])
    _partial("ix_maintenance_window_next", "maintenance_window", "next_start_at", "next_start_at IS NOT NULL")
    op.create_table(
        "window_target",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("window_id", sa.String(length=20), nullable=False),
        sa.Column("resource_type", sa.String(length=16), nullable=False),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("owner_information", sa.String(length=128), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("description", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["window_id"], ["maintenance_window.id"], name=op.f("fk_window_target_window_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_target")),
    )
    op.create_index(op.f("ix_window_target_window_id"), "window_target", ["window_id"])
    op.create_table(
        "window_task",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("window_id", sa.String(length=20), nullable=False),
        sa.Column("task_arn", sa.String(length=1600), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("max_concurrency", sa.String(length=7), nullable=True),
        sa.Column("max_errors", sa.String(length=7), nullable=True),
        sa.Column("service_role_arn", sa.Text(), nullable=True),
        sa.Column("task_parameters", sa.Text(), nullable=True),
        sa.Column("invocation_parameters", sa.Text(), nullable=True),
        sa.Column("logging_info", sa.Text(), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("description", sa.String(length=128), nullable=True),
        sa.Column("cutoff_behavior", sa.String(length=16), nullable=True),
        sa.Column("alarm_configuration", sa.Text(), nullable=True),
        sa.Column("registered_by", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["window_id"], ["maintenance_window.id"], name=op.f("fk_window_task_window_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_task")),
    )
    op.create_index(op.f("ix_window_task_window_id"), "window_task", ["window_id"])


def _executions() -> None:
    op.create_table(
        "window_execution",
        sa.Column("id", sa.String(length=36), nullable=False),
        *_scope(),
        sa.Column("window_id", sa.String(length=20), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("cutoff_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("details", sa.String(length=250), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_execution")),
        sa.UniqueConstraint("window_id", "due_at", name="uq_window_execution_start"),
        sa.CheckConstraint(f"status IN ({_STATUSES}, 'SKIPPED_OVERLAPPING')", name=op.f("ck_window_execution_status")),
    )
    _partial("ix_window_execution_open", "window_execution", "window_id", "ended_at IS NULL")
    op.create_index("ix_window_execution_ended", "window_execution", ["ended_at"])
    op.create_table(
        "window_task_execution",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("execution_id", sa.String(length=36), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("cutoff_behavior", sa.String(length=16), nullable=True),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("details", sa.String(length=250), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["window_execution.id"], name=op.f("fk_window_task_execution_execution_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_task_execution")),
        sa.UniqueConstraint("execution_id", "task_id", name="uq_window_task_execution_task"),
        sa.CheckConstraint(
            f"status IN ({_STATUSES}, 'SKIPPED_OVERLAPPING')", name=op.f("ck_window_task_execution_status")
        ),
    )
    op.create_table(
        "window_invocation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("task_execution_id", sa.String(length=36), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("window_target_id", sa.String(length=36), nullable=True),
        sa.Column("owner_information", sa.String(length=128), nullable=True),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("command_id", sa.String(length=36), nullable=True),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("details", sa.String(length=250), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_execution_id"], ["window_task_execution.id"], name=op.f("fk_window_invocation_task_execution_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_invocation")),
        sa.UniqueConstraint("task_execution_id", "ordinal", name="uq_window_invocation_ordinal"),
        sa.CheckConstraint(f"status IN ({_STATUSES})", name=op.f("ck_window_invocation_status")),
    )
