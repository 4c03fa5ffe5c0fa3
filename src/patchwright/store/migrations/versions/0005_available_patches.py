"""patches on offer, by product, with the words by which they are found; frozen baselines"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "available_patch",
        sa.Column("id", _BIG_ID, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("operating_system", sa.String(length=32), nullable=False),
        sa.Column("product", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("arch", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("classification", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_available_patch")),
        sa.UniqueConstraint(
            "account", "region", "product", "digest", name=op.f("uq_available_patch_account_region_product_digest")
        ),
    )
    op.create_index(
        "ix_available_patch_listed", "available_patch", ["account", "region", "product", "released_at", "id"]
    )
    op.create_index(
        "ix_available_patch_system", "available_patch", ["account", "region", "operating_system", "noted_at"]
    )
    op.create_table(
        "available_word",
        sa.Column("patch_id", _BIG_ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(["patch_id"], ["available_patch.id"], name=op.f("fk_available_word_patch_id")),
        sa.PrimaryKeyConstraint("patch_id", "kind", "value", name=op.f("pk_available_word")),
    )
    op.create_table(
        "patch_snapshot",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("patch_group", sa.String(length=256), nullable=False),
        sa.Column("operating_system", sa.String(length=32), nullable=False),
        sa.Column("snapshot_id", sa.String(length=36), nullable=False),
        sa.Column("baseline", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("overridden", sa.Boolean(), nullable=False),
        sa.Column("frozen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "region", "patch_group", "operating_system", "snapshot_id", name=op.f("pk_patch_snapshot")
        ),
    )
    op.create_index("ix_patch_snapshot_frozen", "patch_snapshot", ["frozen_at"])
    op.create_index("ix_available_word_value", "available_word", ["kind", "value"])
