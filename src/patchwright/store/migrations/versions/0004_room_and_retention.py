"""room for renewed verdicts on PostgreSQL; what finds patch runs of the past"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Pages that are written from now on have the room; a fleet that is judged again moves to such.
        op.execute("ALTER TABLE verdict SET (fillfactor = 45)")
    reported = text("ended_at IS NOT NULL AND report <> ''")
    op.create_index("ix_patch_run_started", "patch_run", ["started_at"])
    op.create_index(
        "ix_patch_run_reported", "patch_run", ["ended_at"], sqlite_where=reported, postgresql_where=reported
    )
