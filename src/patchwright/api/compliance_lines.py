"""The compliance items of one node, of all types, as they are listed. Source: patch-baselines.md 7.1, 7.3."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from patchwright.api.compliance_fields import execution_to
from patchwright.api.context import Context
from patchwright.api.patch_states import patch_lines, place_of, wire_baseline_id
from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.compliance import COMPLIANCE_TYPE, EXECUTION_TYPE, RESOURCE_TYPE, instant_text
from patchwright.core.compliance_reports import Report
from patchwright.core.judgement import PatchLine
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import PatchState
from patchwright.flows.judge_node import JudgedNode, judge_node
from patchwright.store import compliance, compliance_reports
from patchwright.store.compliance import Execution

_MAX_TITLE = 500
_UPLOADED = {state: "".join(word.capitalize() for word in state.split("_")) for state in PatchState}
"""States as an agent uploads them: `InstalledOther`. Source: patch-baselines.md 6.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceLine:
    """One item: where it stands in the list, what filters see of it, and as it goes out."""

    place: tuple[str, list[Any]]
    """Its type, and its place among the items of that type."""
    texts: Mapping[str, str]
    wire: dict[str, Any]


def compliance_lines(ctx: Context, node: ManagedNode) -> list[ComplianceLine]:
    """By type, and within a type by title. No patches for a node that can't be judged."""
    found = [*_patches(ctx, node)]
    for report in compliance_reports.of_node(ctx.tx, node.id):
        found += _put_items(node.id, report)
    return sorted(found, key=lambda line: line.place)


def _put_items(node_id: str, report: Report) -> Iterator[ComplianceLine]:
    execution = {
        "ExecutionTime": report.executed_at,
        "ExecutionId": report.execution_id or None,
        "ExecutionType": report.execution_type or None,
    }
    common = {
        "ComplianceType": report.compliance_type,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": node_id,
    }
    of_execution = {
        "ExecutionTime": instant_text(report.executed_at),
        "ExecutionId": report.execution_id,
        "ExecutionType": report.execution_type,
    }
    for index, item in enumerate(report.items):
        own = {"Id": item.id, "Title": item.title, "Status": item.status, "Severity": item.severity}
        yield ComplianceLine(
            # By its number: an id may be too long for a token.
            place=(report.compliance_type, [index]),
            texts={**item.details, **common, **of_execution, **own},
            wire={**common, **own, "ExecutionSummary": execution, "Details": dict(item.details)},
        )


def _patches(ctx: Context, node: ManagedNode) -> Iterator[ComplianceLine]:
    judged = judge_node(ctx.tx, node, ctx.now, ctx.service.apt_delays)
    # A node whose first facts are not judged by the loop yet has no verdict, but its judgement is this one.
    execution = compliance.executions(ctx.tx, [node.id]).get(node.id) or Execution(id=None, at=ctx.now)
    common = _common(ctx, judged, execution)
    for line in patch_lines(judged):
        yield ComplianceLine(
            place=(COMPLIANCE_TYPE, place_of(line)),
            texts=_texts(line, common),
            wire=_item_to(node.id, line, common, execution),
        )


def _common(ctx: Context, judged: JudgedNode, execution: Execution) -> dict[str, str]:
    """What is the same for all patches of the node, under the names that filters use."""
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


def _texts(line: PatchLine, common: Mapping[str, str]) -> dict[str, str]:
    return {
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
