"""inventory of nodes, and compliance that others put"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CURRENT = sa.text("valid_to IS NULL")


def _scope() -> list[sa.Column[str]]:
    return [
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
    ]


def upgrade() -> None:
    _inventory_rows()
    _inventory_of_nodes()
    op.create_table(
        "compliance_report",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("node_id", sa.String(length=20), sa.ForeignKey("node.id"), nullable=False),
        *_scope(),
        sa.Column("compliance_type", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("overall_level", sa.String(length=16), nullable=False),
        sa.Column("levels", sa.LargeBinary(length=48), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("execution_id", sa.String(length=100), nullable=False),
        sa.Column("execution_type", sa.String(length=50), nullable=False),
        sa.Column("executed_at", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(length=256), nullable=False),
        sa.Column("items", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status IN ('COMPLIANT', 'NON_COMPLIANT')", name=op.f("ck_compliance_report_status")),
    )
    op.create_index(
        "ux_compliance_report_current",
        "compliance_report",
        ["node_id", "compliance_type"],
        unique=True,
        sqlite_where=_CURRENT,
        postgresql_where=_CURRENT,
    )
    op.create_index(
        "ix_compliance_report_scope",
        "compliance_report",
        ["account", "region", "valid_to", "node_id", "compliance_type"],
    )
    op.create_index("ix_compliance_report_past", "compliance_report", ["valid_to"])


def _inventory_rows() -> None:
    op.create_table(
        "inventory_row",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False, unique=True),
        sa.Column("content", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "inventory_value",
        sa.Column("row_id", sa.BigInteger(), sa.ForeignKey("inventory_row.id"), nullable=False),
        sa.Column("key", sa.String(length=170), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("row_id", "key"),
    )
    op.create_index("ix_inventory_value_key", "inventory_value", ["key", "value"])
    op.create_table(
        "inventory_set",
        sa.Column("id", _BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, unique=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("row_ids", sa.LargeBinary(), nullable=True),
        sa.Column("wanted_at", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inventory_set_wanted_at", "inventory_set", ["wanted_at"])
    op.create_table(
        "inventory_member",
        sa.Column("set_id", sa.BigInteger(), sa.ForeignKey("inventory_set.id"), nullable=False),
        sa.Column("row_id", sa.BigInteger(), sa.ForeignKey("inventory_row.id"), nullable=False),
        sa.PrimaryKeyConstraint("set_id", "row_id"),
    )
    op.create_index("ix_inventory_member_row", "inventory_member", ["row_id"])


def _inventory_of_nodes() -> None:
    op.create_table(
        "inventory_schema",
        *_scope(),
        sa.Column("type_name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=13), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("account", "region", "type_name", "version", name="uq_inventory_schema_version"),
    )
    op.create_table(
        "inventory_item",
        sa.Column("node_id", sa.String(length=20), sa.ForeignKey("node.id"), nullable=False),
        *_scope(),
        sa.Column("type_name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=13), nullable=False),
        sa.Column("captured_at", sa.String(length=20), nullable=False),
        sa.Column("content_hash", sa.String(length=256), nullable=False),
        sa.Column("set_id", sa.BigInteger(), sa.ForeignKey("inventory_set.id"), nullable=False),
        sa.Column("put_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "type_name"),
    )
    op.create_index("ix_inventory_item_type", "inventory_item", ["account", "region", "type_name", "set_id"])
    op.create_index("ix_inventory_item_set", "inventory_item", ["set_id"])
    op.create_table(
        "inventory_deletion",
        sa.Column("id", sa.String(length=36), primary_key=True),
        *_scope(),
        sa.Column("type_name", sa.String(length=100), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('InProgress', 'Complete')", name=op.f("ck_inventory_deletion_status")),
    )
    op.create_index("ix_inventory_deletion_scope", "inventory_deletion", ["account", "region", "started_at", "id"])
