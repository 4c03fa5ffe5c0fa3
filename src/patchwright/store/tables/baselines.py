"""Patch baselines, their versions, defaults and patch groups."""

from sqlalchemy import Column, Index, Integer, String, Table, UniqueConstraint

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import SYSTEMS, metadata, one_of, scope

baseline = Table(
    "baseline",
    metadata,
    *scope(),
    Column("id", String(20), nullable=False),
    Column("operating_system", String(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant, nullable=True),
    UniqueConstraint("account", "region", "id"),
    one_of("operating_system", SYSTEMS),
)

baseline_version = Table(
    "baseline_version",
    metadata,
    *scope(),
    Column("baseline_id", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Json, nullable=False),
    Column("modified_at", Instant, nullable=False),
    UniqueConstraint("account", "region", "baseline_id", "version"),
)

default_baseline = Table(
    "default_baseline",
    metadata,
    *scope(),
    Column("operating_system", String(32), nullable=False),
    Column("baseline_id", String(20), nullable=False),
    UniqueConstraint("account", "region", "operating_system"),
    one_of("operating_system", SYSTEMS),
)

patch_group = Table(
    "patch_group",
    metadata,
    *scope(),
    Column("patch_group", String(256), nullable=False),
    Column("operating_system", String(32), nullable=False),
    Column("baseline_id", String(20), nullable=False),
    UniqueConstraint("account", "region", "patch_group", "operating_system"),
    Index("ix_patch_group_baseline", "account", "region", "baseline_id"),
    one_of("operating_system", SYSTEMS),
)
