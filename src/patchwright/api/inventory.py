"""GetInventory and ListInventoryEntries. Source: operations.md 7.1."""

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.inventory_counts import aggregated
from patchwright.api.inventory_filters import conditions_from, row_conditions
from patchwright.api.inventory_rows import NodeRows, derived_rows, in_order, stored_rows
from patchwright.api.node_access import require_node
from patchwright.api.registry import registry
from patchwright.core.errors import Invalid, Kind
from patchwright.core.inventory import holds, known_types
from patchwright.core.inventory_types import INSTANCE_INFORMATION, Schema
from patchwright.store import inventory, inventory_search, inventory_sets, nodes
from patchwright.wire.errors import InvalidNextTokenError

MAX_PAGE = 50
MAX_ROWS = 10_000
"""Of one page: a node with more is a page of its own, so that no answer has ten thousand rows for each of 50 nodes."""


@registry.serves("GetInventory", reads=True)
def get_inventory(ctx: Context, req: Request) -> Answer:
    """Nodes in id order with what they have of one type, AWS:InstanceInformation unless asked; or counts of nodes.

    Nodes that have nothing of the type are left out.
    """
    ctx.require("*")
    schemas = _schemas(ctx)
    conditions = conditions_from(req.get("Filters", ()), schemas)
    if "Aggregators" in req:
        if "ResultAttributes" in req:
            raise Invalid(Kind.AGGREGATOR, "Aggregators and ResultAttributes can't be used together.")
        ctx.cursor(req)  # counts are one page: no token was ever given, so any is foreign
        return {"Entities": aggregated(ctx, req["Aggregators"], conditions, schemas)}
    schema = schemas[INSTANCE_INFORMATION]
    for wanted in req.get("ResultAttributes", ()):
        if wanted["TypeName"] not in schemas:
            raise Invalid(
                Kind.INVENTORY_TYPE, f"{wanted['TypeName']} is not an inventory type: GetInventorySchema lists all."
            )
        schema = schemas[wanted["TypeName"]]
    limit = req.get("MaxResults", MAX_PAGE)
    having = schema.type_name if schema.searchable else INSTANCE_INFORMATION
    found = inventory_search.node_page(
        ctx.tx, ctx.scope, conditions, having=having, after=ctx.cursor(req) or "", limit=limit + 1
    )
    page: list[NodeRows] = []
    rows, last = 0, ""
    for node_id in found[:limit]:
        has = _of_nodes(ctx, [node_id], schema)
        rows += sum(len(one.rows) for one in has)
        if rows > MAX_ROWS and page:
            break
        page += has
        last = node_id
    more = last if last and last != found[-1] else None
    return {"Entities": [_entity_to(one, schema) for one in page], "NextToken": ctx.page(req, more)}


@registry.serves("ListInventoryEntries", reads=True)
def list_inventory_entries(ctx: Context, req: Request) -> Answer:
    """The rows of one type of one node that fulfil all filters, in the order of their values.

    Pages are those of one upload: a later one is shown from the first page on.
    """
    node = nodes.get(ctx.tx, ctx.scope, req["InstanceId"])
    require_node(ctx, node.id)
    schemas = _schemas(ctx)
    schema = schemas.get(req["TypeName"])
    if schema is None:
        raise Invalid(Kind.INVENTORY_TYPE, f"{req['TypeName']} is not an inventory type: GetInventorySchema lists all.")
    conditions = row_conditions(req.get("Filters", ()), schema)
    answer: Answer = {"TypeName": schema.type_name, "InstanceId": node.id, "Entries": []}
    has = next(iter(_of_nodes(ctx, [node.id], schema)), None)
    cursor = ctx.cursor(req)
    if has is None:
        return answer
    rows, set_id, start = has.rows, has.set_id, 0
    if cursor is not None:
        before, start = cursor
        if before != set_id and before is not None:
            rows, set_id = _rows_then(ctx, before, schema), before
    fitting = [row for row in rows if all(holds(c, row) for c in conditions)]
    end = start + req.get("MaxResults", MAX_PAGE)
    return answer | {
        "SchemaVersion": has.version,
        "CaptureTime": has.captured_at,
        "Entries": fitting[start:end],
        "NextToken": ctx.page(req, [set_id, end] if end < len(fitting) else None),
    }


def _rows_then(ctx: Context, set_id: int, schema: Schema) -> Sequence[Mapping[str, str]]:
    """The rows of the upload that the first page was of. Raises InvalidNextTokenError once it was swept."""
    found = inventory_sets.rows_of(ctx.tx, [set_id])
    if set_id not in found:
        raise InvalidNextTokenError
    return in_order(found[set_id], schema)


def _schemas(ctx: Context) -> dict[str, Schema]:
    return known_types(inventory.schemas(ctx.tx, ctx.scope))


def _of_nodes(ctx: Context, node_ids: Sequence[str], schema: Schema) -> list[NodeRows]:
    if not schema.derived:
        return stored_rows(ctx, node_ids, schema)
    found = (derived_rows(ctx, node, schema) for node in nodes.get_many(ctx.tx, ctx.scope, node_ids))
    return [one for one in found if one is not None]


def _entity_to(one: NodeRows, schema: Schema) -> dict[str, Any]:
    item = {
        "TypeName": schema.type_name,
        "SchemaVersion": one.version,
        "CaptureTime": one.captured_at,
        "ContentHash": one.content_hash,
        "Content": list(one.rows),
    }
    return {"Id": one.node_id, "Data": {schema.type_name: item}}
