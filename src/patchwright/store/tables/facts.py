"""What nodes reported. Content-addressed; judging.md 4 says why `pkgver`, `line`, `instset`, `upset` are apart."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from patchwright.store.columns import Instant, Json
from patchwright.store.tables.base import BIG_ID, metadata, one_of

pkgver = Table(
    "pkgver",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("record", LargeBinary, nullable=False),
)

line = Table(
    "line",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("inst", BigInteger, ForeignKey("pkgver.id"), nullable=False),
    Column("offers", LargeBinary, nullable=False),
    Column("candidate", Text, nullable=False),
)

instset = Table(
    "instset",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("n", Integer, nullable=False),
    Column("ids", LargeBinary, nullable=False),
)

upset = Table(
    "upset",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("n", Integer, nullable=False),
    Column("ids", LargeBinary, nullable=False),
)

hoststate = Table(
    "hoststate",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

node_facts = Table(
    "node_facts",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=True),
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant, nullable=True),
    Column("facts_version", Integer, nullable=False),
    Column("report_digest", String(64), nullable=False),
    Column("instset", BigInteger, ForeignKey("instset.id"), nullable=False),
    Column("upset", BigInteger, ForeignKey("upset.id"), nullable=False),
    Column("state", String(64), ForeignKey("hoststate.digest"), nullable=False),
    Column("parts", Json, nullable=False),
    Column("times", LargeBinary, nullable=False),
    Index("ix_node_facts_history", "node_id", "valid_from"),
    # One current record per node: the schema says so, not the code alone.
    Index(
        "ux_node_facts_current",
        "node_id",
        unique=True,
        sqlite_where=Column("valid_to").is_(None),
        postgresql_where=Column("valid_to").is_(None),
    ),
    Index("ix_node_facts_upset", "upset"),
    Index("ix_node_facts_instset", "instset"),
)

node_seen = Table(
    "node_seen",
    metadata,
    Column("node_id", String(20), ForeignKey("node.id"), primary_key=True),
    Column("facts_at", Instant, nullable=False),
)

repository = Table(
    "repository",
    metadata,
    Column("account", String(12), nullable=False),
    Column("identity", String(512), nullable=False),
    Column("first_release_at", Instant, nullable=True),
    Column("first_seen_at", Instant, nullable=False),
    UniqueConstraint("account", "identity"),
)

first_seen = Table(
    "first_seen",
    metadata,
    Column("account", String(12), nullable=False),
    Column("identity", String(512), nullable=False),
    Column("name", String(255), nullable=False),
    Column("arch", String(32), nullable=False),
    Column("version", String(255), nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("by_release_date", Boolean, nullable=False),
    UniqueConstraint("account", "identity", "name", "arch", "version"),
    Index("ix_first_seen_name", "account", "name"),
)

overlay = Table(
    "overlay",
    metadata,
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("arch", String(32), nullable=False),
    Column("version", String(255), nullable=False),
    Column("state", String(32), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("node_id", "name", "arch", "version", "state"),
    one_of("state", ["FAILED", "INSTALLED_PENDING_REBOOT"]),
)
