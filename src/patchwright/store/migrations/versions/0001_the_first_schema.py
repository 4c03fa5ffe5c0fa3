"""the first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
    )
    op.create_table(
        "activation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("iam_role", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=256), nullable=True),
        sa.Column("default_instance_name", sa.String(length=256), nullable=True),
        sa.Column("registration_limit", sa.Integer(), nullable=True),
        sa.Column("registrations_count", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("registrations_count <= registration_limit", name=op.f("ck_activation_limit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activation")),
    )
    with op.batch_alter_table("activation", schema=None) as batch_op:
        batch_op.create_index("ix_activation_scope", ["account", "region"], unique=False)

    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("resource", sa.String(length=512), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_at"), ["at"], unique=False)

    op.create_table(
        "baseline",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("operating_system", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "operating_system IN ('WINDOWS', 'AMAZON_LINUX', 'AMAZON_LINUX_2', 'AMAZON_LINUX_2022', 'AMAZON_LINUX_2023', 'UBUNTU', 'REDHAT_ENTERPRISE_LINUX', 'SUSE', 'CENTOS', 'ORACLE_LINUX', 'DEBIAN', 'MACOS', 'RASPBIAN', 'ROCKY_LINUX', 'ALMA_LINUX')",
            name=op.f("ck_baseline_operating_system"),
        ),
        sa.UniqueConstraint("account", "region", "id", name=op.f("uq_baseline_account_region_id")),
    )
    op.create_table(
        "baseline_version",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("baseline_id", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint(
            "account",
            "region",
            "baseline_id",
            "version",
            name=op.f("uq_baseline_version_account_region_baseline_id_version"),
        ),
    )
    op.create_table(
        "client_token",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint(
            "account", "region", "operation", "token", name=op.f("uq_client_token_account_region_operation_token")
        ),
    )
    with op.batch_alter_table("client_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_client_token_created_at"), ["created_at"], unique=False)

    op.create_table(
        "command",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("document_name", sa.String(length=200), nullable=False),
        sa.Column("document_version", sa.String(length=16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(length=256), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_details", sa.String(length=32), nullable=False),
        sa.Column("target_count", sa.Integer(), nullable=False),
        sa.Column("completed_count", sa.Integer(), nullable=False),
        sa.Column("error_count", sa.Integer(), nullable=False),
        sa.Column("delivery_timed_out_count", sa.Integer(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "status IN ('Pending', 'InProgress', 'Success', 'Cancelled', 'Failed', 'TimedOut', 'Cancelling')",
            name=op.f("ck_command_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command")),
    )
    with op.batch_alter_table("command", schema=None) as batch_op:
        batch_op.create_index("ix_command_open", ["open", "expires_at"], unique=False)
        batch_op.create_index("ix_command_scope", ["account", "region", "requested_at"], unique=False)

    op.create_table(
        "default_baseline",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("operating_system", sa.String(length=32), nullable=False),
        sa.Column("baseline_id", sa.String(length=20), nullable=False),
        sa.CheckConstraint(
            "operating_system IN ('WINDOWS', 'AMAZON_LINUX', 'AMAZON_LINUX_2', 'AMAZON_LINUX_2022', 'AMAZON_LINUX_2023', 'UBUNTU', 'REDHAT_ENTERPRISE_LINUX', 'SUSE', 'CENTOS', 'ORACLE_LINUX', 'DEBIAN', 'MACOS', 'RASPBIAN', 'ROCKY_LINUX', 'ALMA_LINUX')",
            name=op.f("ck_default_baseline_operating_system"),
        ),
        sa.UniqueConstraint(
            "account", "region", "operating_system", name=op.f("uq_default_baseline_account_region_operating_system")
        ),
    )
    op.create_table(
        "first_seen",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("identity", sa.String(length=512), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("arch", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("by_release_date", sa.Boolean(), nullable=False),
        sa.UniqueConstraint(
            "account",
            "identity",
            "name",
            "arch",
            "version",
            name=op.f("uq_first_seen_account_identity_name_arch_version"),
        ),
    )
    with op.batch_alter_table("first_seen", schema=None) as batch_op:
        batch_op.create_index("ix_first_seen_name", ["account", "name"], unique=False)

    op.create_table(
        "hoststate",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_hoststate")),
    )
    op.create_table(
        "instset",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instset")),
        sa.UniqueConstraint("digest", name=op.f("uq_instset_digest")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "patch_group",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("patch_group", sa.String(length=256), nullable=False),
        sa.Column("operating_system", sa.String(length=32), nullable=False),
        sa.Column("baseline_id", sa.String(length=20), nullable=False),
        sa.CheckConstraint(
            "operating_system IN ('WINDOWS', 'AMAZON_LINUX', 'AMAZON_LINUX_2', 'AMAZON_LINUX_2022', 'AMAZON_LINUX_2023', 'UBUNTU', 'REDHAT_ENTERPRISE_LINUX', 'SUSE', 'CENTOS', 'ORACLE_LINUX', 'DEBIAN', 'MACOS', 'RASPBIAN', 'ROCKY_LINUX', 'ALMA_LINUX')",
            name=op.f("ck_patch_group_operating_system"),
        ),
        sa.UniqueConstraint(
            "account",
            "region",
            "patch_group",
            "operating_system",
            name=op.f("uq_patch_group_account_region_patch_group_operating_system"),
        ),
    )
    with op.batch_alter_table("patch_group", schema=None) as batch_op:
        batch_op.create_index("ix_patch_group_baseline", ["account", "region", "baseline_id"], unique=False)

    op.create_table(
        "pkgver",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pkgver")),
        sa.UniqueConstraint("digest", name=op.f("uq_pkgver_digest")),
    )
    op.create_table(
        "reply_seen",
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("reply_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("node_id", "reply_id", name=op.f("uq_reply_seen_node_id_reply_id")),
    )
    with op.batch_alter_table("reply_seen", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reply_seen_at"), ["at"], unique=False)

    op.create_table(
        "repository",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("identity", sa.String(length=512), nullable=False),
        sa.Column("first_release_at", sa.BigInteger(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("account", "identity", name=op.f("uq_repository_account_identity")),
    )
    op.create_table(
        "tag",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("resource_type", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.UniqueConstraint(
            "account",
            "region",
            "resource_type",
            "resource_id",
            "key",
            name=op.f("uq_tag_account_region_resource_type_resource_id_key"),
        ),
    )
    with op.batch_alter_table("tag", schema=None) as batch_op:
        batch_op.create_index("ix_tag_lookup", ["account", "region", "resource_type", "key", "value"], unique=False)

    op.create_table(
        "upset",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upset")),
        sa.UniqueConstraint("digest", name=op.f("uq_upset_digest")),
    )
    op.create_table(
        "access_key",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_access_key_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_key")),
    )
    with op.batch_alter_table("access_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_key_account"), ["account"], unique=False)

    op.create_table(
        "invocation_step",
        sa.Column("command_id", sa.String(length=36), nullable=False),
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("plugin", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_details", sa.String(length=32), nullable=False),
        sa.Column("response_code", sa.Integer(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("standard_output", sa.Text(), nullable=False),
        sa.Column("standard_error", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["command_id"], ["command.id"], name=op.f("fk_invocation_step_command_id")),
        sa.UniqueConstraint("command_id", "node_id", "name", name=op.f("uq_invocation_step_command_id_node_id_name")),
    )
    op.create_table(
        "line",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("inst", sa.BigInteger(), nullable=False),
        sa.Column("offers", sa.LargeBinary(), nullable=False),
        sa.Column("candidate", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["inst"], ["pkgver.id"], name=op.f("fk_line_inst")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line")),
        sa.UniqueConstraint("digest", name=op.f("uq_line_digest")),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("activation_id", sa.String(length=36), nullable=False),
        sa.Column("iam_role", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=True),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=256), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("deregistered_at", sa.BigInteger(), nullable=True),
        sa.Column("last_ping_at", sa.BigInteger(), nullable=True),
        sa.Column("agent_name", sa.String(length=64), nullable=True),
        sa.Column("agent_version", sa.String(length=64), nullable=True),
        sa.Column("platform_type", sa.String(length=16), nullable=True),
        sa.Column("platform_name", sa.String(length=256), nullable=True),
        sa.Column("platform_version", sa.String(length=64), nullable=True),
        sa.Column("computer_name", sa.String(length=255), nullable=True),
        sa.Column("ip_address", sa.String(length=64), nullable=True),
        sa.Column("operating_system", sa.String(length=32), nullable=True),
        sa.Column("clock_offset_seconds", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["activation_id"], ["activation.id"], name=op.f("fk_node_activation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
    )
    with op.batch_alter_table("node", schema=None) as batch_op:
        batch_op.create_index("ix_node_scope", ["account", "region", "id"], unique=False)

    op.create_table(
        "due_judgement",
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("caused_at", sa.BigInteger(), nullable=False),
        sa.Column("ticket", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_due_judgement_node_id")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_due_judgement")),
    )
    op.create_table(
        "invocation",
        sa.Column("command_id", sa.String(length=36), nullable=False),
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("node_name", sa.String(length=256), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_details", sa.String(length=32), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("dispatched_at", sa.BigInteger(), nullable=True),
        sa.Column("visible_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('Pending', 'InProgress', 'Delayed', 'Success', 'Cancelled', 'TimedOut', 'Failed', 'Cancelling')",
            name=op.f("ck_invocation_status"),
        ),
        sa.ForeignKeyConstraint(["command_id"], ["command.id"], name=op.f("fk_invocation_command_id")),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_invocation_node_id")),
        sa.UniqueConstraint("command_id", "node_id", name=op.f("uq_invocation_command_id_node_id")),
    )
    with op.batch_alter_table("invocation", schema=None) as batch_op:
        batch_op.create_index("ix_invocation_node", ["node_id", "requested_at"], unique=False)

    op.create_table(
        "node_facts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("facts_version", sa.Integer(), nullable=False),
        sa.Column("report_digest", sa.String(length=64), nullable=False),
        sa.Column("instset", sa.BigInteger(), nullable=False),
        sa.Column("upset", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("times", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["instset"], ["instset.id"], name=op.f("fk_node_facts_instset")),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_facts_node_id")),
        sa.ForeignKeyConstraint(["state"], ["hoststate.digest"], name=op.f("fk_node_facts_state")),
        sa.ForeignKeyConstraint(["upset"], ["upset.id"], name=op.f("fk_node_facts_upset")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_facts")),
    )
    with op.batch_alter_table("node_facts", schema=None) as batch_op:
        batch_op.create_index("ix_node_facts_history", ["node_id", "valid_from"], unique=False)
        batch_op.create_index("ix_node_facts_instset", ["instset"], unique=False)
        batch_op.create_index("ix_node_facts_upset", ["upset"], unique=False)
        batch_op.create_index(
            "ux_node_facts_current",
            ["node_id"],
            unique=True,
            sqlite_where=sa.text("valid_to IS NULL"),
            postgresql_where=sa.text("valid_to IS NULL"),
        )

    op.create_table(
        "node_seen",
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("facts_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_seen_node_id")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_seen")),
    )
    op.create_table(
        "overlay",
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("arch", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('FAILED', 'INSTALLED_PENDING_REBOOT')", name=op.f("ck_overlay_state")),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_overlay_node_id")),
        sa.UniqueConstraint(
            "node_id", "name", "arch", "version", "state", name=op.f("uq_overlay_node_id_name_arch_version_state")
        ),
    )
    op.create_table(
        "patch_run",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("command_id", sa.String(length=36), nullable=True),
        sa.Column("step", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=16), nullable=False),
        sa.Column("reboot_option", sa.String(length=32), nullable=False),
        sa.Column("snapshot_id", sa.String(length=36), nullable=False),
        sa.Column("override_list", sa.String(length=256), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("facts_at", sa.BigInteger(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.CheckConstraint("operation IN ('Scan', 'Install')", name=op.f("ck_patch_run_operation")),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_patch_run_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patch_run")),
        sa.UniqueConstraint("node_id", "command_id", "step", name=op.f("uq_patch_run_node_id_command_id_step")),
    )
    with op.batch_alter_table("patch_run", schema=None) as batch_op:
        batch_op.create_index("ix_patch_run_latest", ["node_id", "ended_at"], unique=False)

    op.create_table(
        "verdict",
        sa.Column("node_id", sa.String(length=20), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("baseline_id", sa.String(length=20), nullable=False),
        sa.Column("baseline_version", sa.Integer(), nullable=False),
        sa.Column("baseline_source", sa.String(length=16), nullable=False),
        sa.Column("patch_group", sa.String(length=256), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("unjudged_reason", sa.Text(), nullable=True),
        sa.Column("overall_level", sa.String(length=16), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("facts_id", sa.BigInteger(), nullable=True),
        sa.Column("judged_at", sa.BigInteger(), nullable=False),
        sa.Column("next_change_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status IN ('COMPLIANT', 'NON_COMPLIANT', 'UNJUDGED')", name=op.f("ck_verdict_status")),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_verdict_node_id")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_verdict")),
    )
    with op.batch_alter_table("verdict", schema=None) as batch_op:
        batch_op.create_index("ix_verdict_baseline", ["account", "region", "baseline_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_verdict_next_change_at"), ["next_change_at"], unique=False)
        batch_op.create_index("ix_verdict_scope", ["account", "region", "node_id"], unique=False)
