"""Imports every module that serves operations, and checks them against the models at start."""

from patchwright.api import (
    access_keys,
    activations,
    available_patches,
    baselines,
    commands,
    compliance,
    compliance_groups,
    compliance_items,
    document_list,
    document_shares,
    documents,
    explain,
    inventory,
    inventory_deletions,
    inventory_put,
    node_list,
    nodes,
    patch_groups,
    patch_plans,
    patch_snapshots,
    patch_states,
    tags,
    window_executions,
    window_schedules,
    window_targets,
    window_tasks,
    windows,
)
from patchwright.api.registry import registry
from patchwright.gateway import compliance as own_compliance
from patchwright.gateway import credentials, messages, snapshots, worker
from patchwright.gateway import documents as sent_documents
from patchwright.gateway import inventory as own_inventory
from patchwright.gateway.context import doors
from patchwright.wire.model import Models, Operation

MODULES = (
    access_keys,
    activations,
    available_patches,
    baselines,
    commands,
    compliance,
    compliance_groups,
    compliance_items,
    document_list,
    document_shares,
    documents,
    explain,
    inventory,
    inventory_deletions,
    inventory_put,
    node_list,
    nodes,
    patch_groups,
    patch_plans,
    patch_snapshots,
    patch_states,
    tags,
    window_executions,
    window_schedules,
    window_targets,
    window_tasks,
    windows,
    credentials,
    messages,
    own_compliance,
    own_inventory,
    sent_documents,
    snapshots,
    worker,
)


def check(models: Models) -> None:
    """Raise ValueError if a handler serves an operation that no model has."""
    operations = {(o.service, o.name) for s in models.services.values() for o in s.operations.values()}
    registry.check(lambda service, name: (service, name) in operations)
    for target in doors:
        if not isinstance(models.lookup(target), Operation):
            raise ValueError(f"{target} has a handler but is in no model")
