"""DescribeNodes: the fleet with its compliance, a page at a time. Our own operation."""

from datetime import datetime
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.explain import counts_to
from patchwright.api.node_fields import ping_status
from patchwright.api.patch_states import wire_baseline_id
from patchwright.api.registry import registry
from patchwright.core.exit_codes import shown_code
from patchwright.core.nodes import ManagedNode
from patchwright.core.targets import Target, TargetKey, targets_from
from patchwright.core.unjudged import NEVER_REPORTED
from patchwright.core.values import ComplianceStatus
from patchwright.store import facts, judgements, nodes, runs
from patchwright.store.judgements import Verdict
from patchwright.store.nodes import NodeFilter
from patchwright.store.runs import PatchRun

MAX_PAGE = 50
EVERY = "*"


@registry.serves("DescribeNodes", service="patchwright", reads=True)
def describe_nodes(ctx: Context, req: Request) -> Answer:
    """Registered nodes in id order. Ids that are not here are left out: who watches a fleet meets nodes that leave."""
    ctx.require("*")
    wanted = [NodeFilter(ids=tuple(req["NodeIds"]))] if "NodeIds" in req else []
    wanted += [_filter(target) for target in targets_from(req.get("Targets", ()))]
    limit = req.get("MaxResults", MAX_PAGE)
    found = nodes.page(ctx.tx, ctx.scope, filters=wanted, after=ctx.cursor(req) or "", limit=limit + 1, now=ctx.now)
    page = found[:limit]
    ids = [n.id for n in page]
    verdicts = {v.node_id: v for v in judgements.find_many(ctx.tx, ids)}
    seen, latest = facts.seen_at_many(ctx.tx, ids), runs.latest(ctx.tx, list(ids))
    summaries = [_summary(ctx, n, verdicts.get(n.id), seen.get(n.id), latest.get(n.id)) for n in page]
    return {"Nodes": summaries, "NextToken": ctx.page(req, page[-1].id if len(found) > limit else None)}


def _filter(target: Target) -> NodeFilter:
    """What a criterion of SendCommand selects, as a filter of the listing."""
    match target.key:
        case TargetKey.TAG:
            return NodeFilter(tag=target.tag, tag_values=target.values)
        case TargetKey.TAG_KEY:
            return NodeFilter(tag_keys=target.values)
        case TargetKey.INSTANCE_IDS:
            return NodeFilter() if EVERY in target.values else NodeFilter(ids=target.values)


def _summary(
    ctx: Context, node: ManagedNode, verdict: Verdict | None, seen_at: datetime | None, run: PatchRun | None
) -> dict[str, Any]:
    judged = verdict is not None and verdict.status is not ComplianceStatus.UNJUDGED
    reason = NEVER_REPORTED if verdict is None or seen_at is None else verdict.unjudged_reason
    return {
        "NodeId": node.id,
        "Name": node.label,
        "ComputerName": node.computer_name,
        "PlatformName": node.platform_name,
        "PlatformVersion": node.platform_version,
        "OperatingSystem": node.operating_system,
        "AgentVersion": node.agent_version,
        "PingStatus": ping_status(node, ctx.now),
        "LastPingAt": node.last_ping_at,
        "ScanOnly": node.scan_only,
        "ClockOffsetSeconds": node.clock_offset_seconds,
        "PatchGroup": (verdict.patch_group or None) if verdict else None,
        "BaselineId": wire_baseline_id(verdict.baseline_id, ctx.scope.region) if verdict else None,
        "Compliance": verdict.status if verdict else ComplianceStatus.UNJUDGED,
        "UnjudgedReason": None if judged else reason,
        "Counts": counts_to(verdict.counts) if judged and verdict else None,
        "FactsCollectedAt": seen_at,
        "LastOperation": _operation(run) if run else None,
    }


def _operation(run: PatchRun) -> dict[str, Any]:
    return {
        "Operation": run.operation,
        "RebootOption": run.reboot_option,
        "CommandId": run.command_id,
        "StartedAt": run.started_at,
        "EndedAt": run.ended_at,
        "ExitCode": None if run.exit_code is None else shown_code(run.exit_code),
    }
