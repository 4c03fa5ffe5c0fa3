"""What was judged, and what is due to be judged."""

from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from patchwright.core.judgement import Counts
from patchwright.store.columns import Instant
from patchwright.store.tables.base import metadata, one_of, scope


def _counts() -> list[Column[Any]]:
    """One column per count, under the name of core's Counts: groups of nodes are filtered and added up by them."""
    return [Column(field.name, Integer, nullable=False) for field in fields(Counts)]


verdict = Table(
    "verdict",
    metadata,
    Column("node_id", String(20), ForeignKey("node.id"), primary_key=True),
    *scope(),
    Column("baseline_id", String(20), nullable=False),
    Column("baseline_version", Integer, nullable=False),
    Column("baseline_source", String(16), nullable=False),
    Column("patch_group", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("unjudged_reason", Text, nullable=True),
    Column("overall_level", String(16), nullable=False),
    *_counts(),
    Column("levels", LargeBinary(48), nullable=False),
    Column("facts_id", BigInteger, nullable=True),
    Column("judged_at", Instant, nullable=False),
    Column("next_change_at", Instant, nullable=True, index=True),
    one_of("status", ["COMPLIANT", "NON_COMPLIANT", "UNJUDGED"]),
    Index("ix_verdict_scope", "account", "region", "node_id"),
    Index("ix_verdict_baseline", "account", "region", "baseline_id"),
    Index("ix_verdict_group", "account", "region", "patch_group", "node_id"),
    # A whole fleet's verdicts are renewed at once, and nothing that is indexed changes: with room in its page a row's
    # new version costs no index an entry.
    postgresql_with={"fillfactor": 45},
)

due_judgement = Table(
    "due_judgement",
    metadata,
    Column("node_id", String(20), ForeignKey("node.id"), primary_key=True),
    Column("cause", String(32), nullable=False),
    Column("caused_at", Instant, nullable=False),
    Column("ticket", String(36), nullable=False),
)

due_change = Table(
    "due_change",
    metadata,
    Column("ticket", String(36), primary_key=True),
    *scope(),
    Column("baseline_id", String(20), nullable=True),
    Column("operating_system", String(32), nullable=True),
    Column("patch_group", String(256), nullable=True),
    Column("cause", String(32), nullable=False),
    Column("caused_at", Instant, nullable=False),
)
