"""The baseline of runs that share a SnapshotId: what it was when the first of them asked. Source: 2.4."""

from datetime import datetime

from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Kind, Unsupported
from patchwright.core.nodes import ManagedNode
from patchwright.core.snapshots import Snapshot, SnapshotKey, freeze
from patchwright.flows.judge_node import Governed, governed_by
from patchwright.store import patch_snapshots
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun


def frozen(
    tx: Tx, node: ManagedNode, snapshot_id: str, now: datetime, override: PatchBaseline | None = None
) -> Snapshot:
    """The snapshot of the node's group and system under that id; the first caller's content is kept for three days.

    Raises Unsupported for a node of which nobody knows the system, and for an override that is for another one.
    """
    system = node.operating_system
    if system is None:
        raise Unsupported(
            Kind.BASELINE, "The operating system of the node is not known: no report of its facts came yet.", id=node.id
        )
    if override is not None and override.operating_system is not system:
        raise Unsupported(Kind.BASELINE, f"The override is for {override.operating_system}; the node runs {system}.")
    governed = governed_by(tx, node, system)
    key = _key(node, governed, snapshot_id)
    if override is None:
        baseline, version = governed.baseline, governed.version
    else:
        baseline, version = override, 0
    before = patch_snapshots.find(tx, key)
    found = freeze(before, key, baseline, now, version, overridden=override is not None)
    if found is not before:
        patch_snapshots.save(tx, found)
    return found


def is_shared(run: PatchRun) -> bool:
    """Whether the run was given a SnapshotId: one that it invented is of no other node."""
    return run.snapshot_id != run.id


def find_frozen(tx: Tx, node: ManagedNode, run: PatchRun, governed: Governed) -> Snapshot | None:
    """What was frozen for the run's SnapshotId, of which the node's group and system have a content."""
    if not is_shared(run) or node.operating_system is None:
        return None
    return patch_snapshots.find(tx, _key(node, governed, run.snapshot_id))


def _key(node: ManagedNode, governed: Governed, snapshot_id: str) -> SnapshotKey:
    if node.operating_system is None:
        raise LookupError("a node without a system has no snapshots")
    return SnapshotKey(
        scope=node.scope,
        patch_group=governed.resolution.patch_group,
        operating_system=node.operating_system,
        snapshot_id=snapshot_id,
    )
