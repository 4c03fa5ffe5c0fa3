"""A node's own inventory. Source: agent-protocol.md 11, decisions.md 2."""

from collections.abc import Callable, Iterable

from patchwright.flows.put_inventory import ReadItem, check_put, parts, put_inventory, read_items
from patchwright.gateway.context import Answer, NodeContext, Proof, Request, door
from patchwright.gateway.credentials import own
from patchwright.store.engine import Tx


def _read(ctx: NodeContext, request: Request) -> list[ReadItem]:
    """Everything about the items that needs no lock."""
    node = own(ctx, request, "InstanceId")
    read = read_items(request["Items"])
    check_put(ctx.tx, node, read)
    return read


def _parts(ctx: NodeContext, prepared: list[ReadItem]) -> Iterable[Callable[[Tx], None]]:
    return parts(ctx.tx, prepared, ctx.now)


@door("AmazonSSM.PutInventory", Proof.NODE_SESSION, prepare=_read, parts=_parts)
def put_own_inventory(ctx: NodeContext, request: Request, prepared: list[ReadItem]) -> Answer:
    """The operation of the operator's door, for a node and what is on it."""
    said = put_inventory(ctx.tx, own(ctx, request, "InstanceId"), prepared, ctx.now)
    return {"Message": said or None}
