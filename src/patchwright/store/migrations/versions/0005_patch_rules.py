"""override documents, and the rules that runs of one SnapshotId share"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SYSTEMS = (
    "WINDOWS",
    "AMAZON_LINUX",
    "AMAZON_LINUX_2",
    "AMAZON_LINUX_2022",
    "AMAZON_LINUX_2023",
    "UBUNTU",
    "REDHAT_ENTERPRISE_LINUX",
    "SUSE",
    "CENTOS",
    "ORACLE_LINUX",
    "DEBIAN",
    "MACOS",
    "RASPBIAN",
    "ROCKY_LINUX",
    "ALMA_LINUX",
)


def upgrade() -> None:
    op.add_column(
        "patch_run", sa.Column("baseline_override", sa.String(256), nullable=False, server_default=sa.text("''"))
    )
    op.add_column("patch_run", sa.Column("override_digest", sa.String(64), nullable=True))
    op.add_column("patch_run", sa.Column("frozen", sa.Text, nullable=True))
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
    op.create_table(
        "patch_snapshot",
        sa.Column("account", sa.String(12), nullable=False),
        sa.Column("region", sa.String(100), nullable=False),
        sa.Column("patch_group", sa.String(256), nullable=False),
        sa.Column("operating_system", sa.String(32), nullable=False),
        sa.Column("snapshot_id", sa.String(36), nullable=False),
        sa.Column("baseline_id", sa.String(20), nullable=False),
        sa.Column("baseline_version", sa.Integer, nullable=False),
        sa.Column("baseline_source", sa.String(16), nullable=False),
        sa.Column("override_digest", sa.String(64), nullable=False),
        sa.Column("frozen_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint(
            "account",
            "region",
            "patch_group",
            "operating_system",
            "snapshot_id",
            name="uq_patch_snapshot",
        ),
        sa.CheckConstraint(
            f"operating_system IN ({', '.join(repr(system) for system in SYSTEMS)})",
            name=op.f("ck_patch_snapshot_operating_system"),
        ),
    )
    op.create_index("ix_patch_snapshot_frozen_at", "patch_snapshot", ["frozen_at"])
