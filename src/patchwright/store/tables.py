"""The whole schema as it is today. A test proves that it equals the sum of the migrations.

Every row of an operator's belongs to an (account, region). Instants are integer microseconds UTC. Facts are
content-addressed: judging.md 4 gives the reasons for `pkgver`, `line`, `instset` and `upset`.
"""

from dataclasses import fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from patchwright.core.judgement import Counts
from patchwright.core.values import OperatingSystem
from patchwright.store.columns import Instant, Json

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _scope() -> list[Column[Any]]:
    return [Column("account", String(12), nullable=False), Column("region", String(100), nullable=False)]


def _one_of(name: str, values: list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of the few rows that matter; it serves only statements that say its condition in the same words."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def _counts() -> list[Column[Any]]:
    """One column per count, under the name of core's Counts: groups of nodes are filtered and added up by them."""
    return [Column(field.name, Integer, nullable=False) for field in fields(Counts)]


_OPEN = "ended_at IS NULL"
_UNANSWERED = f"{_OPEN} AND acknowledged_at IS NULL AND dispatched_at IS NOT NULL"
_NO_REBOOT = "operation = 'Install' AND reboot_option = 'NoReboot'"
_SYSTEMS = [str(s) for s in OperatingSystem]
_BIG_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite only numbers INTEGER keys by itself

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

account = Table(
    "account",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("created_at", Instant, nullable=False),
)

access_key = Table(
    "access_key",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account", String(12), ForeignKey("account.id"), nullable=False, index=True),
    Column("user_name", String(64), nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("policy", Json, nullable=True),
    Column("created_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    *_scope(),
    Column("at", Instant, nullable=False, index=True),
    Column("principal", String(256), nullable=False),
    Column("action", String(128), nullable=False),
    Column("request_id", String(36), nullable=False),
    Column("resource", String(512), nullable=False),
    Column("detail", Json, nullable=True),
)

client_token = Table(
    "client_token",
    metadata,
    *_scope(),
    Column("operation", String(64), nullable=False),
    Column("token", String(64), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("result", Json, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
    UniqueConstraint("account", "region", "operation", "token"),
)

tag = Table(
    "tag",
    metadata,
    *_scope(),
    Column("resource_type", String(32), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("key", String(128), nullable=False),
    Column("value", String(256), nullable=False),
    UniqueConstraint("account", "region", "resource_type", "resource_id", "key"),
    Index("ix_tag_lookup", "account", "region", "resource_type", "key", "value"),
)

baseline = Table(
    "baseline",
    metadata,
    *_scope(),
    Column("id", String(20), nullable=False),
    Column("operating_system", String(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant, nullable=True),
    UniqueConstraint("account", "region", "id"),
    _one_of("operating_system", _SYSTEMS),
)

baseline_version = Table(
    "baseline_version",
    metadata,
    *_scope(),
    Column("baseline_id", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Json, nullable=False),
    Column("modified_at", Instant, nullable=False),
    UniqueConstraint("account", "region", "baseline_id", "version"),
)

default_baseline = Table(
    "default_baseline",
    metadata,
    *_scope(),
    Column("operating_system", String(32), nullable=False),
    Column("baseline_id", String(20), nullable=False),
    UniqueConstraint("account", "region", "operating_system"),
    _one_of("operating_system", _SYSTEMS),
)

patch_group = Table(
    "patch_group",
    metadata,
    *_scope(),
    Column("patch_group", String(256), nullable=False),
    Column("operating_system", String(32), nullable=False),
    Column("baseline_id", String(20), nullable=False),
    UniqueConstraint("account", "region", "patch_group", "operating_system"),
    Index("ix_patch_group_baseline", "account", "region", "baseline_id"),
    _one_of("operating_system", _SYSTEMS),
)

activation = Table(
    "activation",
    metadata,
    Column("id", String(36), primary_key=True),
    *_scope(),
    Column("code_hash", String(64), nullable=False),
    Column("iam_role", String(64), nullable=False),
    Column("description", String(256), nullable=True),
    Column("default_instance_name", String(256), nullable=True),
    Column("registration_limit", Integer, nullable=True),
    Column("registrations_count", Integer, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("tags", Json, nullable=False),
    Column("deleted_at", Instant, nullable=True),
    CheckConstraint("registrations_count <= registration_limit", name="limit"),
    Index("ix_activation_scope", "account", "region"),
)

node = Table(
    "node",
    metadata,
    Column("id", String(20), primary_key=True),
    *_scope(),
    Column("activation_id", String(36), ForeignKey("activation.id"), nullable=False),
    Column("iam_role", String(64), nullable=False),
    Column("name", String(256), nullable=True),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(256), nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("deregistered_at", Instant, nullable=True),
    Column("last_ping_at", Instant, nullable=True),
    Column("agent_name", String(64), nullable=True),
    Column("agent_version", String(64), nullable=True),
    Column("platform_type", String(16), nullable=True),
    Column("platform_name", String(256), nullable=True),
    Column("platform_version", String(64), nullable=True),
    Column("computer_name", String(255), nullable=True),
    Column("ip_address", String(64), nullable=True),
    Column("operating_system", String(32), nullable=True),
    Column("clock_offset_seconds", Integer, nullable=True),
    Column("scan_only", Boolean, nullable=False, default=False),
    Index("ix_node_scope", "account", "region", "id"),
)

pkgver = Table(
    "pkgver",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("record", LargeBinary, nullable=False),
)

line = Table(
    "line",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("inst", BigInteger, ForeignKey("pkgver.id"), nullable=False),
    Column("offers", LargeBinary, nullable=False),
    Column("candidate", Text, nullable=False),
)

instset = Table(
    "instset",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("n", Integer, nullable=False),
    Column("ids", LargeBinary, nullable=False),
)

upset = Table(
    "upset",
    metadata,
    Column("id", _BIG_ID, primary_key=True, autoincrement=True),
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
    Column("id", _BIG_ID, primary_key=True, autoincrement=True),
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
    _one_of("state", ["FAILED", "INSTALLED_PENDING_REBOOT"]),
)

verdict = Table(
    "verdict",
    metadata,
    Column("node_id", String(20), ForeignKey("node.id"), primary_key=True),
    *_scope(),
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
    _one_of("status", ["COMPLIANT", "NON_COMPLIANT", "UNJUDGED"]),
    Index("ix_verdict_scope", "account", "region", "node_id"),
    Index("ix_verdict_baseline", "account", "region", "baseline_id"),
    Index("ix_verdict_group", "account", "region", "patch_group", "node_id"),
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
    *_scope(),
    Column("baseline_id", String(20), nullable=True),
    Column("operating_system", String(32), nullable=True),
    Column("patch_group", String(256), nullable=True),
    Column("cause", String(32), nullable=False),
    Column("caused_at", Instant, nullable=False),
)

patch_run = Table(
    "patch_run",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    *_scope(),
    Column("command_id", String(36), nullable=True),
    Column("step", String(128), nullable=False),
    Column("operation", String(16), nullable=False),
    Column("reboot_option", String(32), nullable=False),
    Column("snapshot_id", String(36), nullable=False),
    Column("override_list", String(256), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    Column("facts_at", Instant, nullable=True),
    Column("exit_code", Integer, nullable=True),
    Column("message", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("result", Json, nullable=True),
    Column("boot_id", String(64), nullable=False),
    Column("plan_only", Boolean, nullable=False),
    Column("draft", Json, nullable=True),
    Column("plan", Json, nullable=True),
    Column("plan_digest", String(64), nullable=True),
    Column("planned_at", Instant, nullable=True),
    Column("plans", Integer, nullable=False),
    Column("reboots_asked", Integer, nullable=False),
    Column("reboot_asked_at", Instant, nullable=True),
    UniqueConstraint("node_id", "command_id", "step"),
    Index("ix_patch_run_latest", "node_id", "ended_at"),
    Index("ix_patch_run_facts", "node_id", "facts_at"),
    _partial("ix_patch_run_no_reboot", "node_id", "ended_at", where=_NO_REBOOT),
    _one_of("operation", ["Scan", "Install"]),
)

command = Table(
    "command",
    metadata,
    Column("id", String(36), primary_key=True),
    *_scope(),
    Column("document_name", String(200), nullable=False),
    Column("document_version", String(16), nullable=False),
    Column("content", Json, nullable=False),
    Column("request", Json, nullable=False),
    Column("requested_by", String(256), nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", String(32), nullable=False),
    Column("target_count", Integer, nullable=False),
    Column("completed_count", Integer, nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("delivery_timed_out_count", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("cancelled_at", Instant, nullable=True),
    Column("fast_start", Boolean, nullable=False, server_default="0"),
    _one_of("status", ["Pending", "InProgress", "Success", "Cancelled", "Failed", "TimedOut", "Cancelling"]),
    Index("ix_command_scope", "account", "region", "requested_at"),
    Index("ix_command_open", "open", "expires_at"),
)

invocation = Table(
    "invocation",
    metadata,
    Column("command_id", String(36), ForeignKey("command.id"), nullable=False),
    Column("node_id", String(20), ForeignKey("node.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("node_name", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", String(32), nullable=False),
    Column("trace", Text, nullable=False),
    Column("dispatched_at", Instant, nullable=True),
    Column("visible_at", Instant, nullable=True),
    Column("delivered_at", Instant, nullable=True),
    Column("acknowledged_at", Instant, nullable=True),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    Column("requested_at", Instant, nullable=False),
    Column("cancel_requested_at", Instant, nullable=True),
    Column("cancel_acknowledged_at", Instant, nullable=True),
    UniqueConstraint("command_id", "node_id"),
    Index("ix_invocation_node", "node_id", "requested_at"),
    _partial("ix_invocation_of_node", "node_id", where=_OPEN),
    _partial("ix_invocation_open", "command_id", "status_details", "ordinal", where=_OPEN),
    _partial("ix_invocation_acknowledged", "command_id", where="acknowledged_at IS NOT NULL"),
    _partial("ix_invocation_flying", "command_id", where=f"{_OPEN} AND visible_at IS NOT NULL"),
    _partial("ix_invocation_unanswered", "command_id", "dispatched_at", where=_UNANSWERED),
    _one_of(
        "status",
        ["Pending", "InProgress", "Delayed", "Success", "Cancelled", "TimedOut", "Failed", "Cancelling"],
    ),
)

invocation_step = Table(
    "invocation_step",
    metadata,
    Column("command_id", String(36), ForeignKey("command.id"), nullable=False),
    Column("node_id", String(20), nullable=False),
    Column("name", String(128), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("plugin", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_details", String(32), nullable=False),
    Column("response_code", Integer, nullable=False),
    Column("output", Text, nullable=False),
    Column("standard_output", Text, nullable=False),
    Column("standard_error", Text, nullable=False),
    Column("started_at", Instant, nullable=True),
    Column("ended_at", Instant, nullable=True),
    UniqueConstraint("command_id", "node_id", "name"),
)

reply_seen = Table(
    "reply_seen",
    metadata,
    Column("node_id", String(20), nullable=False),
    Column("reply_id", String(64), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    UniqueConstraint("node_id", "reply_id"),
)
