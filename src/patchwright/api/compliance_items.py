"""ListComplianceItems of one node: its patches, judged now from the facts that it last reported. Source: 7.1, 7.3."""

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.api.compliance_fields import conditions_from, execution_to
from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.patch_states import page_of_lines, patch_lines, wire_baseline_id
from patchwright.api.registry import registry
from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.compliance import (
    COMPLIANCE_TYPE,
    EXECUTION_TYPE,
    RESOURCE_TYPE,
    Condition,
    holds,
    instant_text,
)
from patchwright.core.errors import Invalid, InvalidId, Kind
from patchwright.core.judgement import PatchLine
from patchwright.core.values import PatchState
from patchwright.flows.judge_node import JudgedNode, judge_node
from patchwright.store import compliance, nodes
from patchwright.store.compliance import Execution

MAX_PAGE = 50
_MAX_TITLE = 500
_UPLOADED = {state: "".join(word.capitalize() for word in state.split("_")) for state in PatchState}
"""States as an agent uploads them: `InstalledOther`. Source: patch-baselines.md 6.1."""
ITEM_KEYS = (
    "ComplianceType", "ResourceType", "ResourceId", "Id", "Title", "Status", "Severity", "DocumentName",
    "DocumentVersion", "ExecutionTime", "ExecutionId", "ExecutionType", "PatchState", "PatchGroup", "PatchSeverity",
    "Classification", "PatchBaselineId",
)  # fmt: skip


@registry.serves("ListComplianceItems", reads=True)
def list_compliance_items(ctx: Context, req: Request) -> Answer:
    """The node's patches by title, with the baseline's level as severity; none for a node that can't be judged."""
    node = nodes.get(ctx.tx, ctx.scope, _resource(req))
    require_node(ctx, node.id)
    conditions = conditions_from(req, ITEM_KEYS)
    judged = judge_node(ctx.tx, node, ctx.now, ctx.service.apt_delays)
    # A node whose first facts are not judged by the loop yet has no verdict, but its judgement is this one.
    execution = compliance.executions(ctx.tx, [node.id]).get(node.id) or Execution(id=None, at=ctx.now)
    common = _common(ctx, judged, execution)
    lines = [line for line in patch_lines(judged) if _fits(line, common, conditions)]
    page, token = page_of_lines(ctx, req, lines, MAX_PAGE)
    return {"ComplianceItems": [_item_to(node.id, line, common, execution) for line in page], "NextToken": token}


def _resource(req: Request) -> str:
    """The one node that is asked for. Raises Invalid for another resource type, InvalidId for no or several ids."""
    other = sorted(set(req.get("ResourceTypes", ())) - {RESOURCE_TYPE})
    if other:
        raise Invalid(Kind.RESOURCE, f"'{other[0]}' is not a resource type here: {RESOURCE_TYPE}.")
    wanted: Sequence[str] = sorted(set(req.get("ResourceIds", ())))
    if len(wanted) != 1:
        raise InvalidId(Kind.RESOURCE, f"ResourceIds names one node, not {len(wanted)}.")
    return wanted[0]


def _common(ctx: Context, judged: JudgedNode, execution: Execution) -> dict[str, str]:
    """What is the same for all items of the node, under the names that filters use."""
    return {
        "ComplianceType": COMPLIANCE_TYPE,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": judged.node.id,
        "DocumentName": execution.document,
        "DocumentVersion": BUILTIN[execution.document].version if execution.document in BUILTIN else "",
        "ExecutionTime": instant_text(execution.at),
        "ExecutionId": execution.id or "",
        "ExecutionType": EXECUTION_TYPE if execution.id is not None else "",
        "PatchGroup": judged.governed.resolution.patch_group,
        "PatchBaselineId": wire_baseline_id(judged.governed.baseline.id, ctx.scope.region),
    }


def _fits(line: PatchLine, common: Mapping[str, str], conditions: Sequence[Condition]) -> bool:
    mine = {
        **common,
        "PatchBaselineId": common["PatchBaselineId"].rpartition("/")[2],
        "Id": line.patch_id,
        "Title": line.title,
        "Status": line.status or "",
        "Severity": line.level,
        "PatchState": line.state,
        "PatchSeverity": line.severity,
        "Classification": line.classification,
    }
    return all(holds(condition, mine[condition.key]) for condition in conditions)


def _item_to(node_id: str, line: PatchLine, common: Mapping[str, str], execution: Execution) -> dict[str, Any]:
    details = {name: common[name] for name in ("DocumentName", "DocumentVersion", "PatchBaselineId", "PatchGroup")}
    details |= {
        "PatchState": _UPLOADED[line.state],
        "PatchSeverity": line.severity,
        "Classification": line.classification,
        "InstalledTime": instant_text(line.installed_at) if line.installed_at else "",
    }
    if line.cves:
        details["CVEIds"] = ",".join(line.cves)
    if execution.override_list:
        details["InstallOverrideList"] = execution.override_list
    return {
        "ComplianceType": COMPLIANCE_TYPE,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": node_id,
        "Id": line.patch_id,
        "Title": line.title[:_MAX_TITLE],
        "Status": line.status or "",
        "Severity": line.level,
        "ExecutionSummary": execution_to(execution),
        "Details": details,
    }
