"""A node's own patch snapshot. Source: patch-baselines.md 2.4."""

from typing import Any

from patchwright.flows.deployable_snapshot import deployable_snapshot
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import own


@door("AmazonSSM.GetDeployablePatchSnapshotForInstance", Proof.NODE_SESSION)
def get_own_patch_snapshot(ctx: NodeContext, request: Request, prepared: Any) -> Answer:  # noqa: ARG001
    """The operation of the operator's door, for a node and its own baseline."""
    node = own(ctx, request, "InstanceId")
    return deployable_snapshot(ctx.tx, node, request, ctx.now, ctx.snapshot_urls)
