"""Compliance that others put: the items of one type on one node together, every version of them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from patchwright.store.columns import Instant
from patchwright.store.tables.base import BIG_ID, metadata, one_of, scope

# One current report per (node, type): the schema says so, not the code alone.
compliance_report = Table(
    "compliance_report",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    *scope(),
    Column("compliance_type", String(100), nullable=False),
    Column("status", String(16), nullable=False),
    Column("overall_level", String(16), nullable=False),
    Column("levels", LargeBinary(48), nullable=False),
    Column("n", Integer, nullable=False),
    Column("execution_id", String(100), nullable=False),
    Column("execution_type", String(50), nullable=False),
    Column("executed_at", Instant, nullable=False),
    Column("content_hash", String(256), nullable=False),
    Column("items", LargeBinary, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant, nullable=True),
    one_of("status", ["COMPLIANT", "NON_COMPLIANT"]),
    Index(
        "ux_compliance_report_current",
        "node_id",
        "compliance_type",
        unique=True,
        sqlite_where=Column("valid_to").is_(None),
        postgresql_where=Column("valid_to").is_(None),
    ),
    Index("ix_compliance_report_scope", "account", "region", "valid_to", "node_id", "compliance_type"),
    Index("ix_compliance_report_past", "valid_to"),
)
