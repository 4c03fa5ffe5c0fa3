"""override documents of patch runs"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "patch_run", sa.Column("baseline_override", sa.String(256), nullable=False, server_default=sa.text("''"))
    )
    op.add_column("patch_run", sa.Column("override_digest", sa.String(64), nullable=True))
    given = sa.text("override_digest IS NOT NULL")
    op.create_index(
        "ix_patch_run_override", "patch_run", ["account", "override_digest"], sqlite_where=given, postgresql_where=given
    )
    op.create_table(
        "override_document",
        sa.Column("account", sa.String(12), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("account", "digest", name=op.f("uq_override_document_account_digest")),
    )
    op.create_index("ix_override_document_at", "override_document", ["at"])
