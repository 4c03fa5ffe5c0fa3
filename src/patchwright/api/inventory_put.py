"""PutInventory by an operator, and the schemas of types. Source: operations.md 7.1."""

from collections.abc import Callable, Iterable
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.registry import registry
from patchwright.core.errors import Invalid, Kind
from patchwright.core.inventory import is_custom, version_key
from patchwright.core.inventory_types import STANDARD, Schema
from patchwright.core.nodes import ManagedNode
from patchwright.flows.put_inventory import ReadItem, check_put, parts, put_inventory, read_items
from patchwright.store import inventory, nodes
from patchwright.store.engine import Tx

MIN_SCHEMA_PAGE = 50


def _node(ctx: Context, req: Request) -> ManagedNode:
    node = nodes.get(ctx.tx, ctx.scope, req["InstanceId"])
    require_node(ctx, node.id)
    return node


def _read(ctx: Context, req: Request) -> list[ReadItem]:
    node = _node(ctx, req)
    read = read_items(req["Items"])
    check_put(ctx.tx, node, read)
    return read


def _parts(ctx: Context, prepared: list[ReadItem]) -> Iterable[Callable[[Tx], None]]:
    return parts(ctx.tx, prepared, ctx.now)


@registry.serves("PutInventory", prepare=_read, parts=_parts)
def put_inventory_of(ctx: Context, req: Request) -> Answer:
    """Replace what the node has of the types given."""
    node = _node(ctx, req)
    return {"Message": put_inventory(ctx.tx, node, ctx.prepared, ctx.now) or None}


@registry.serves("GetInventorySchema", reads=True)
def get_inventory_schema(ctx: Context, req: Request) -> Answer:
    """Standard types, then own ones, by name and version; TypeName may be the beginning of a name."""
    ctx.require("*")
    begin = req.get("TypeName", "")
    found = [*STANDARD.values(), *(s for s in inventory.schemas(ctx.tx, ctx.scope) if not s.disabled)]
    found = [s for s in found if s.type_name.startswith(begin) and (s.searchable or not req.get("Aggregator"))]
    if begin and not found:
        raise Invalid(Kind.INVENTORY_TYPE, f"No inventory type begins with '{begin}'.")
    if req.get("SubType"):
        found = []  # no type has any here
    found.sort(key=_place)
    after = ctx.cursor(req)
    if after is not None:
        found = [s for s in found if _place(s) > _placed(after)]
    limit = req.get("MaxResults", MIN_SCHEMA_PAGE)
    page = found[:limit]
    more = [page[-1].type_name, page[-1].version] if len(found) > limit else None
    return {"Schemas": [_schema_to(s) for s in page], "NextToken": ctx.page(req, more)}


def _place(schema: Schema) -> tuple[bool, str, tuple[int, int]]:
    return is_custom(schema.type_name), schema.type_name, version_key(schema.version)


def _placed(cursor: list[str]) -> tuple[bool, str, tuple[int, int]]:
    type_name, version = cursor
    return is_custom(type_name), type_name, version_key(version)


def _schema_to(schema: Schema) -> dict[str, Any]:
    return {
        "TypeName": schema.type_name,
        "Version": schema.version,
        "Attributes": [
            {"Name": name, "DataType": "number" if name in schema.numbers else "string"} for name in schema.attributes
        ],
        "DisplayName": schema.type_name.partition(":")[2],
    }
