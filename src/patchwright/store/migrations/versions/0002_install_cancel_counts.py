"""plans of patch runs, cancels of commands, and a verdict's counts as columns that can be filtered and added up"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COUNTS = (
    "installed",
    "installed_other",
    "installed_pending_reboot",
    "installed_rejected",
    "missing",
    "failed",
    "not_applicable",
    "unreported_not_applicable",
    "available_security_update",
    "critical_non_compliant",
    "security_non_compliant",
    "other_non_compliant",
    "pending_approval",
)

_PARTIAL = (
    ("ix_invocation_of_node", ["node_id"], "ended_at IS NULL"),
    ("ix_invocation_open", ["command_id", "status_details", "ordinal"], "ended_at IS NULL"),
    ("ix_invocation_acknowledged", ["command_id"], "acknowledged_at IS NOT NULL"),
    ("ix_invocation_flying", ["command_id"], "ended_at IS NULL AND visible_at IS NOT NULL"),
    (
        "ix_invocation_unanswered",
        ["command_id", "dispatched_at"],
        "ended_at IS NULL AND acknowledged_at IS NULL AND dispatched_at IS NOT NULL",
    ),
)


def upgrade() -> None:
    # Verdicts are made again from the facts: every node that had one is due.
    op.execute(
        "INSERT INTO due_judgement (node_id, cause, caused_at, ticket) "
        "SELECT node_id, 'baseline', judged_at, 'migration-0002' FROM verdict "
        "WHERE node_id NOT IN (SELECT node_id FROM due_judgement)"
    )
    op.execute("DELETE FROM verdict")
    with op.batch_alter_table("verdict", schema=None) as batch_op:
        batch_op.drop_column("counts")
        for name in _COUNTS:
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False))
        batch_op.add_column(sa.Column("levels", sa.LargeBinary(length=48), nullable=False))
        batch_op.create_index("ix_verdict_group", ["account", "region", "patch_group", "node_id"], unique=False)

    op.create_table(
        "due_change",
        sa.Column("ticket", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("baseline_id", sa.String(length=20), nullable=True),
        sa.Column("operating_system", sa.String(length=32), nullable=True),
        sa.Column("patch_group", sa.String(length=256), nullable=True),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("caused_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", name=op.f("pk_due_change")),
    )

    with op.batch_alter_table("patch_run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("boot_id", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("plan_only", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("draft", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("plan", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("plan_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("planned_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("plans", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("reboots_asked", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("reboot_asked_at", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("patch_run", schema=None) as batch_op:
        for name in ("boot_id", "plan_only", "plans", "reboots_asked"):
            batch_op.alter_column(name, server_default=None)
        batch_op.create_index("ix_patch_run_facts", ["node_id", "facts_at"], unique=False)
        installs = sa.text("operation = 'Install' AND reboot_option = 'NoReboot'")
        batch_op.create_index(
            "ix_patch_run_no_reboot", ["node_id", "ended_at"], sqlite_where=installs, postgresql_where=installs
        )

    # Only what SQLite does in place: a table that others refer to can't be made anew under them.
    with op.batch_alter_table("node", schema=None) as batch_op:
        batch_op.add_column(sa.Column("scan_only", sa.Boolean(), nullable=False, server_default="0"))

    with op.batch_alter_table("command", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cancelled_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("fast_start", sa.Boolean(), nullable=False, server_default="0"))
    # What is open was sent when every command started fast.
    op.execute("UPDATE command SET fast_start = true")

    with op.batch_alter_table("invocation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cancel_requested_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("cancel_acknowledged_at", sa.BigInteger(), nullable=True))
        for name, columns, where in _PARTIAL:
            condition = sa.text(where)
            batch_op.create_index(name, columns, sqlite_where=condition, postgresql_where=condition)
