"""Whether the caller may do this to one node: policies speak of its id and of its tags. Source: decisions.md 22."""

from patchwright.api.context import Context
from patchwright.core.tags import TaggedType
from patchwright.core.values import NodeId
from patchwright.store import tags


def require_node(ctx: Context, node_id: NodeId) -> None:
    """Raises Refused unless the policy allows this action on the node, whose tags a condition may name."""
    own = {t.key: t.value for t in tags.of(ctx.tx, ctx.scope, TaggedType.MANAGED_INSTANCE, node_id)}
    ctx.require(ctx.arn(f"managed-instance/{node_id}"), own)
