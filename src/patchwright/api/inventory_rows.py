"""Rows of the types that the server derives: a node as it is known, and as it is judged. Source: operations.md 7.1."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchwright.api.compliance_lines import compliance_lines
from patchwright.api.context import Context
from patchwright.api.patch_states import patch_lines, state_to
from patchwright.core.compliance import instant_text
from patchwright.core.inventory import Row, clean
from patchwright.core.inventory_types import (
    COMPLIANCE_ITEM,
    INSTANCE_INFORMATION,
    PATCH_COMPLIANCE,
    PATCH_SUMMARY,
    STANDARD,
    Schema,
)
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import ComplianceStatus
from patchwright.flows.judge_node import judge_node
from patchwright.store import inventory, inventory_sets, judgements, runs
from patchwright.store.judgements import Verdict

_ACTIVE = "Active"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRows:
    """What one node has of one type. `set_id` is None where the rows are derived."""

    node_id: str
    version: str
    captured_at: str
    content_hash: str | None
    rows: Sequence[Row]
    set_id: int | None = None


def stored_rows(ctx: Context, node_ids: Sequence[str], schema: Schema) -> list[NodeRows]:
    """What these nodes have put of the type, in id order; those that have none are left out."""
    items = inventory.find_many(ctx.tx, node_ids, schema.type_name)
    rows = inventory_sets.rows_of(ctx.tx, [i.set_id for i in items])
    return [
        NodeRows(
            node_id=i.node_id,
            version=i.version,
            captured_at=i.captured_at,
            content_hash=i.content_hash or None,
            rows=in_order(rows[i.set_id], schema),
            set_id=i.set_id,
        )
        for i in items
    ]


def in_order(rows: Sequence[Row], schema: Schema) -> list[Row]:
    """Rows by their values, attribute by attribute: a set has no order of its own."""
    return sorted(rows, key=lambda row: [row.get(name, "") for name in schema.attributes])


def derived_rows(ctx: Context, node: ManagedNode, schema: Schema) -> NodeRows | None:
    """The node's rows of a derived type; None for what is of judged nodes, where it is not."""
    return _DERIVED[schema.type_name](ctx, node)


def _made(ctx: Context, node: ManagedNode, type_name: str, rows: Sequence[Mapping[str, Any]]) -> NodeRows:
    texts = [{k: clean(str(v)) for k, v in row.items() if v not in (None, "")} for row in rows]
    at = instant_text(node.last_ping_at or node.registered_at) if type_name == INSTANCE_INFORMATION else None
    return NodeRows(
        node_id=node.id,
        version=STANDARD[type_name].version,
        captured_at=at or instant_text(ctx.now),
        content_hash=None,
        rows=texts,
    )


def _instance(ctx: Context, node: ManagedNode) -> NodeRows:
    row = {
        "AgentType": node.agent_name,
        "AgentVersion": node.agent_version,
        "ComputerName": node.computer_name,
        "InstanceId": node.id,
        "IpAddress": node.ip_address,
        "PlatformName": node.platform_name,
        "PlatformType": node.platform_type,
        "PlatformVersion": node.platform_version,
        "ResourceType": "ManagedInstance",
        "AgentStatus": _ACTIVE,
        "InstanceStatus": _ACTIVE,
    }
    return _made(ctx, node, INSTANCE_INFORMATION, [row])


def _verdict(ctx: Context, node: ManagedNode) -> Verdict | None:
    verdict = judgements.find(ctx.tx, node.id)
    return None if verdict is None or verdict.status is ComplianceStatus.UNJUDGED else verdict


def _patch_summary(ctx: Context, node: ManagedNode) -> NodeRows | None:
    """One row, as DescribeInstancePatchStates has it."""
    verdict = _verdict(ctx, node)
    if verdict is None:
        return None
    run = runs.latest(ctx.tx, [node.id]).get(node.id)
    without_reboot = runs.last_no_reboot_installs(ctx.tx, [node.id]).get(node.id)
    state = state_to(ctx, verdict, run, without_reboot)
    times = ("OperationStartTime", "OperationEndTime", "LastNoRebootInstallOperationTime")
    row = {name: state.get(name) for name in STANDARD[PATCH_SUMMARY].attributes}
    row |= {name: instant_text(state[name]) for name in times if state.get(name) is not None}
    row["OperationType"] = state["Operation"]
    row["ExecutionId"] = run.command_id if run else None
    if verdict.status is ComplianceStatus.NON_COMPLIANT:
        row["NonCompliantSeverity"] = verdict.overall_level
    return _made(ctx, node, PATCH_SUMMARY, [row])


def _patch_compliance(ctx: Context, node: ManagedNode) -> NodeRows | None:
    if _verdict(ctx, node) is None:
        return None
    lines = patch_lines(judge_node(ctx.tx, node, ctx.now, ctx.service.apt_delays))
    rows = [
        {
            "Title": line.title,
            "KBId": line.patch_id,
            "Classification": line.classification,
            "Severity": line.severity,
            "State": line.state,
            "InstalledTime": instant_text(line.installed_at) if line.installed_at else "",
        }
        for line in lines
    ]
    return _made(ctx, node, PATCH_COMPLIANCE, rows)


def _compliance_items(ctx: Context, node: ManagedNode) -> NodeRows | None:
    """The items of every compliance type, flat."""
    rows = []
    for line in compliance_lines(ctx, node):
        execution = line.wire["ExecutionSummary"]
        rows.append(
            {
                **line.wire["Details"],
                **{name: line.wire[name] for name in ("ComplianceType", "Id", "Title", "Status", "Severity")},
                "ExecutionTime": instant_text(execution["ExecutionTime"]),
                "ExecutionId": execution["ExecutionId"],
                "ExecutionType": execution["ExecutionType"],
            }
        )
    return _made(ctx, node, COMPLIANCE_ITEM, rows) if rows else None


_DERIVED: Mapping[str, Callable[[Context, ManagedNode], NodeRows | None]] = {
    INSTANCE_INFORMATION: _instance,
    PATCH_SUMMARY: _patch_summary,
    PATCH_COMPLIANCE: _patch_compliance,
    COMPLIANCE_ITEM: _compliance_items,
}
