"""GetDeployablePatchSnapshotForInstance for operators. Source: patch-baselines.md 2.4."""

from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.registry import registry
from patchwright.flows.deployable_snapshot import deployable_snapshot
from patchwright.store import nodes


@registry.serves("GetDeployablePatchSnapshotForInstance")
def get_deployable_patch_snapshot(ctx: Context, req: Request) -> Answer:
    """The frozen baseline of a node under a snapshot id; the first call for its group and system freezes it."""
    node = nodes.get(ctx.tx, ctx.scope, req["InstanceId"])
    require_node(ctx, node.id)
    return deployable_snapshot(ctx.tx, node, req, ctx.now, ctx.snapshot_urls)
