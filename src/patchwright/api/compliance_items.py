"""ListComplianceItems of one node, of all types, and PutComplianceItems. Source: operations.md 7.2, 7.3 of the patches.

Patches are judged now, from the facts that the node last reported; the others are as they were put.
"""

from collections.abc import Sequence
from typing import Any

from patchwright.api.compliance_fields import conditions_from
from patchwright.api.compliance_lines import ComplianceLine, compliance_lines
from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.registry import registry
from patchwright.core.compliance import RESOURCE_TYPE, holds, normal
from patchwright.core.compliance_reports import Report
from patchwright.core.errors import Invalid, InvalidId, Kind
from patchwright.core.nodes import ManagedNode
from patchwright.flows.put_compliance import PARTIAL, put_report, read_report
from patchwright.store import nodes

MAX_PAGE = 50
ITEM_KEYS = (
    "ComplianceType", "ResourceType", "ResourceId", "Id", "Title", "Status", "Severity", "DocumentName",
    "DocumentVersion", "ExecutionTime", "ExecutionId", "ExecutionType", "PatchState", "PatchGroup", "PatchSeverity",
    "Classification", "PatchBaselineId",
)  # fmt: skip


@registry.serves("ListComplianceItems", reads=True)
def list_compliance_items(ctx: Context, req: Request) -> Answer:
    """The node's items by type and title; no patches for a node that can't be judged."""
    node = nodes.get(ctx.tx, ctx.scope, _resource(req))
    require_node(ctx, node.id)
    conditions = conditions_from(req, ITEM_KEYS)
    found = compliance_lines(ctx, node)
    lines = [line for line in found if all(holds(c, normal(c.key, line.texts.get(c.key, ""))) for c in conditions)]
    after = ctx.cursor(req)
    if after is not None:
        lines = [line for line in lines if _place(line) > after]
    limit = req.get("MaxResults", MAX_PAGE)
    page = lines[:limit]
    more = _place(page[-1]) if len(lines) > limit else None
    return {"ComplianceItems": [line.wire for line in page], "NextToken": ctx.page(req, more)}


def _place(line: ComplianceLine) -> list[Any]:
    compliance_type, place = line.place
    return [compliance_type, place]


def _resource(req: Request) -> str:
    """The one node that is asked for. Raises Invalid for another resource type, InvalidId for no or several ids."""
    for other in sorted(set(req.get("ResourceTypes", ())) - {RESOURCE_TYPE}):
        raise _no_type(other)
    wanted: Sequence[str] = sorted(set(req.get("ResourceIds", ())))
    if len(wanted) != 1:
        raise InvalidId(Kind.RESOURCE, f"ResourceIds names one node, not {len(wanted)}.")
    return wanted[0]


def _no_type(other: str) -> Invalid:
    return Invalid(Kind.RESOURCE, f"'{other}' is not a resource type here: {RESOURCE_TYPE}.")


def _put_on(ctx: Context, req: Request) -> ManagedNode:
    if req["ResourceType"] != RESOURCE_TYPE:
        raise _no_type(req["ResourceType"])
    node = nodes.get(ctx.tx, ctx.scope, req["ResourceId"])
    require_node(ctx, node.id)
    return node


def _read(ctx: Context, req: Request) -> Report:
    _put_on(ctx, req)
    return read_report(req)


@registry.serves("PutComplianceItems", prepare=_read)
def put_compliance_items(ctx: Context, req: Request) -> Answer:
    """Replace the node's items of one type, or with UploadType PARTIAL those with the same ids."""
    put_report(ctx.tx, _put_on(ctx, req), ctx.prepared, partial=req.get("UploadType") == PARTIAL, now=ctx.now)
    return {}
