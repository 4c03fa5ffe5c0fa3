"""The whole schema as it is today, a module per noun. A test proves that it equals the sum of the migrations.

Every row of an operator's belongs to an (account, region). Instants are integer microseconds UTC.
"""

from patchwright.store.tables.accounts import access_key, account, audit, client_token, meta, tag
from patchwright.store.tables.base import metadata
from patchwright.store.tables.baselines import baseline, baseline_version, default_baseline, patch_group
from patchwright.store.tables.commands import command, invocation, invocation_step, reply_seen
from patchwright.store.tables.compliance import compliance_report
from patchwright.store.tables.documents import document, document_share, document_version
from patchwright.store.tables.facts import (
    first_seen,
    hoststate,
    instset,
    line,
    node_facts,
    node_seen,
    overlay,
    pkgver,
    repository,
    upset,
)
from patchwright.store.tables.inventory import (
    inventory_deletion,
    inventory_item,
    inventory_member,
    inventory_row,
    inventory_schema,
    inventory_set,
    inventory_value,
)
from patchwright.store.tables.nodes import activation, node
from patchwright.store.tables.patches import available_patch, available_word, patch_snapshot
from patchwright.store.tables.runs import override_document, patch_run
from patchwright.store.tables.verdicts import due_change, due_judgement, verdict
from patchwright.store.tables.windows import (
    maintenance_window,
    window_execution,
    window_invocation,
    window_target,
    window_task,
    window_task_execution,
)

__all__ = [
    "access_key",
    "account",
    "activation",
    "audit",
    "available_patch",
    "available_word",
    "baseline",
    "baseline_version",
    "client_token",
    "command",
    "compliance_report",
    "default_baseline",
    "document",
    "document_share",
    "document_version",
    "due_change",
    "due_judgement",
    "first_seen",
    "hoststate",
    "instset",
    "inventory_deletion",
    "inventory_item",
    "inventory_member",
    "inventory_row",
    "inventory_schema",
    "inventory_set",
    "inventory_value",
    "invocation",
    "invocation_step",
    "line",
    "maintenance_window",
    "meta",
    "metadata",
    "node",
    "node_facts",
    "node_seen",
    "overlay",
    "override_document",
    "patch_group",
    "patch_run",
    "patch_snapshot",
    "pkgver",
    "reply_seen",
    "repository",
    "tag",
    "upset",
    "verdict",
    "window_execution",
    "window_invocation",
    "window_target",
    "window_task",
    "window_task_execution",
]
