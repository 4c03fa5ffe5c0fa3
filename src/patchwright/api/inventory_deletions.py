"""DeleteInventory and DescribeInventoryDeletions: custom types and their data. Source: operations.md 7.1, 1.7."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.core.errors import Invalid, Kind
from patchwright.core.inventory import is_custom, version_key
from patchwright.store import client_tokens, inventory, inventory_sweep
from patchwright.store.inventory_sweep import COMPLETE, Deletion

MAX_PAGE = 50
_SAID = {COMPLETE: "Deleted", "InProgress": "Deleting"}


@registry.serves("DeleteInventory")
def delete_inventory(ctx: Context, req: Request) -> Answer:
    """Delete a custom type's data, and the type itself as SchemaDeleteOption says; without one the type stays.

    Its schemas change at once, its data go in the background. A repeated ClientToken answers the first deletion.
    """
    ctx.require("*")
    type_name = req["TypeName"]
    if not is_custom(type_name):
        raise Invalid(Kind.INVENTORY_TYPE, f"{type_name} is not a custom type: only those can be deleted.")
    if req.get("DryRun"):
        _require_known(ctx, type_name)
        counts = {v: (n, n) for v, n in inventory.count_by_version(ctx.tx, ctx.scope, type_name).items()}
        return {"TypeName": type_name, "DeletionSummary": _summary_to(counts)}
    of_request = {name: value for name, value in req.items() if name != "ClientToken"}
    made = client_tokens.once(
        ctx.tx,
        ctx.scope,
        ctx.operation,
        req.get("ClientToken"),
        of_request,
        ctx.now,
        lambda: _delete(ctx, type_name, req.get("SchemaDeleteOption")),
    )
    deletion = inventory_sweep.get(ctx.tx, ctx.scope, made)
    return {"DeletionId": deletion.id, "TypeName": type_name, "DeletionSummary": _summary_to(deletion.counts)}


def _delete(ctx: Context, type_name: str, option: str | None) -> str:
    _require_known(ctx, type_name)
    if option == "DisableSchema":
        inventory.disable_schemas(ctx.tx, ctx.scope, type_name, ctx.now)
    elif option == "DeleteSchema":
        inventory.drop_schemas(ctx.tx, ctx.scope, type_name)
    return inventory_sweep.start(ctx.tx, ctx.scope, ctx.ids.uuid(), type_name, ctx.now).id


def _require_known(ctx: Context, type_name: str) -> None:
    if not inventory.schemas(ctx.tx, ctx.scope, type_name):
        raise Invalid(
            Kind.INVENTORY_TYPE, f"There is no inventory type {type_name} here: GetInventorySchema lists all."
        )


@registry.serves("DescribeInventoryDeletions", reads=True)
def describe_inventory_deletions(ctx: Context, req: Request) -> Answer:
    """One deletion, or all of them, the newest first."""
    ctx.require("*")
    if "DeletionId" in req:
        return {"InventoryDeletions": [_deletion_to(inventory_sweep.get(ctx.tx, ctx.scope, req["DeletionId"]))]}
    limit = req.get("MaxResults", MAX_PAGE)
    cursor = ctx.cursor(req)
    before = None if cursor is None else (datetime.fromisoformat(cursor[0]), str(cursor[1]))
    found = inventory_sweep.page(ctx.tx, ctx.scope, before=before, limit=limit + 1)
    page = found[:limit]
    more = [page[-1].started_at.isoformat(), page[-1].id] if len(found) > limit else None
    return {"InventoryDeletions": [_deletion_to(one) for one in page], "NextToken": ctx.page(req, more)}


def _deletion_to(deletion: Deletion) -> dict[str, Any]:
    return {
        "DeletionId": deletion.id,
        "TypeName": deletion.type_name,
        "DeletionStartTime": deletion.started_at,
        "LastStatus": deletion.status,
        "LastStatusMessage": _SAID[deletion.status],
        "LastStatusUpdateTime": deletion.updated_at,
        "DeletionSummary": _summary_to(deletion.counts),
    }


def _summary_to(counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    return {
        "TotalCount": sum(total for total, _ in counts.values()),
        "RemainingCount": sum(left for _, left in counts.values()),
        "SummaryItems": [
            {"Version": version, "Count": counts[version][0], "RemainingCount": counts[version][1]}
            for version in sorted(counts, key=version_key)
        ],
    }
