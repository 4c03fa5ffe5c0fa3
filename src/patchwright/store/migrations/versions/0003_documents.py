"""documents of the accounts, their versions and shares"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _scope() -> list[sa.Column[str]]:
    return [
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "document",
        *_scope(),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("default_version", sa.Integer(), nullable=False),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("next_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("account", "region", "name", name=op.f("uq_document_account_region_name")),
    )
    op.create_table(
        "document_version",
        *_scope(),
        sa.Column("document_name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_name", sa.String(length=128), nullable=True),
        sa.Column("display_name", sa.String(length=1024), nullable=True),
        sa.Column("target_type", sa.String(length=200), nullable=True),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("schema_version", sa.String(length=8), nullable=False),
        sa.Column("platform_types", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("account", "region", "document_name", "version", name="uq_document_version_number"),
        sa.UniqueConstraint("account", "region", "document_name", "version_name", name="uq_document_version_name"),
        sa.CheckConstraint("format IN ('JSON', 'YAML')", name=op.f("ck_document_version_format")),
    )
    op.create_table(
        "document_share",
        *_scope(),
        sa.Column("document_name", sa.String(length=128), nullable=False),
        sa.Column("shared_with", sa.String(length=12), nullable=False),
        sa.Column("shared_version", sa.String(length=8), nullable=False),
        sa.UniqueConstraint("account", "region", "document_name", "shared_with", name="uq_document_share"),
    )
    op.create_index("ix_document_share_with", "document_share", ["region", "shared_with"])
