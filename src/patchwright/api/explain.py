"""Why a patch is, or is not, there: ExplainPatch and DescribeNodePatches, our own operations."""

from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.patch_states import wire_baseline_id
from patchwright.api.registry import registry
from patchwright.core.explain import Explanation, explain
from patchwright.core.explain_lines import explain_lines
from patchwright.core.groups import BaselineSource
from patchwright.core.judgement import Counts, Judgement, PatchLine, Unjudged
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import PatchState
from patchwright.flows.judge_node import JudgedNode, judge_node, with_catalogue
from patchwright.flows.plan_view import left_out
from patchwright.store import facts, nodes


def _judged(ctx: Context, req: Request) -> JudgedNode:
    node = nodes.get(ctx.tx, ctx.scope, req["NodeId"])
    require_node(ctx, node.id)
    return judge_node(ctx.tx, node, ctx.now, ctx.service.apt_delays)


@registry.serves("ExplainPatch", service="patchwright", reads=True)
def explain_patch(ctx: Context, req: Request) -> Answer:
    """Why the patch named is in its state on the node: one explanation per package that the name stands for."""
    judged = _judged(ctx, req)
    found = explain(
        judged.facts,
        judged.history,
        judged.governed.baseline,
        with_catalogue(ctx.tx, judged),
        ctx.now,
        req["Patch"],
        apt_delays=ctx.service.apt_delays,
        left_out=left_out(ctx.tx, judged),
    )
    lines = {line.patch_id: line for line in judged.outcome.lines} if isinstance(judged.outcome, Judgement) else {}
    baseline = judged.governed.baseline
    return {
        "NodeId": judged.node.id,
        "BaselineId": wire_baseline_id(baseline.id, ctx.scope.region),
        "BaselineName": baseline.name,
        "Explanations": [_explanation_to(e, lines) for e in found],
        "FactsCollectedAt": facts.seen_at(ctx.tx, judged.node.id),
        "JudgedAt": ctx.now,
    }


def _explanation_to(found: Explanation, lines: dict[str, PatchLine]) -> dict[str, Any]:
    line = lines.get(found.slot.patch_id) if found.slot else None
    return {
        "PatchId": found.slot.patch_id if found.slot else None,
        "Title": line.title if line else None,
        "State": found.state,
        "Code": found.code,
        "Summary": found.sentence,
        "InstalledVersion": line.installed.version if line and line.installed else None,
        "TargetVersion": line.target.version if line and line.target else None,
        "ComplianceLevel": line.level if line else None,
        "RuleNumber": found.reason.rule,
        "ApprovalDate": found.reason.approved_at,
        "Remedy": found.remedy or None,
        "Details": list(found.details),
    }


@registry.serves("DescribeNodePatches", service="patchwright", reads=True)
def describe_node_patches(ctx: Context, req: Request) -> Answer:
    """One node at a glance: its baseline and compliance, what is on offer, what is missing and why, its problems."""
    judged = _judged(ctx, req)
    outcome = judged.outcome
    state = judged.facts.state if judged.facts else None
    return {
        "NodeId": judged.node.id,
        "Name": judged.node.label,
        "Baseline": _baseline_to(judged, ctx.scope.region),
        "Compliance": judged.status,
        "UnjudgedReason": outcome.reason if isinstance(outcome, Unjudged) else None,
        "Counts": counts_to(judged.counts),
        "Offered": _offered(judged),
        "Missing": _missing(ctx, judged),
        "Problems": [{"Code": p.code, "Message": p.message, "Remedy": p.remedy} for p in state.problems]
        if state
        else [],
        "Reboot": {
            "Required": state.reboot_required if state else False,
            "Evidence": list(state.reboot_evidence) if state else [],
        },
        "FactsCollectedAt": facts.seen_at(ctx.tx, judged.node.id),
        "ClockOffsetSeconds": _offset(judged.node),
    }


def _offset(node: ManagedNode) -> int:
    return node.clock_offset_seconds or 0


def _baseline_to(judged: JudgedNode, region: str) -> dict[str, Any]:
    baseline, resolution = judged.governed.baseline, judged.governed.resolution
    by_group = resolution.source is BaselineSource.PATCH_GROUP
    return {
        "BaselineId": wire_baseline_id(baseline.id, region),
        "Name": baseline.name,
        "OperatingSystem": baseline.operating_system,
        "PatchGroup": resolution.patch_group or None,
        "Source": "PatchGroup" if by_group else "Default",
    }


def counts_to(c: Counts) -> dict[str, int]:
    """Counts as PatchCounts."""
    return {
        "Installed": c.installed,
        "InstalledOther": c.installed_other,
        "InstalledPendingReboot": c.installed_pending_reboot,
        "InstalledRejected": c.installed_rejected,
        "Missing": c.missing,
        "Failed": c.failed,
        "CriticalNonCompliant": c.critical_non_compliant,
        "SecurityNonCompliant": c.security_non_compliant,
        "OtherNonCompliant": c.other_non_compliant,
        "PendingApproval": c.pending_approval,
    }


def _offered(judged: JudgedNode) -> list[dict[str, Any]]:
    """Every update that the package manager itself would take, and every newer version beside it."""
    if judged.facts is None:
        return []
    holds = judged.facts.state.holds
    return [
        {
            "Name": line.installed.name,
            "Arch": line.installed.arch,
            "Installed": line.installed.version,
            "Candidate": line.candidate,
            "Offers": [o.version for o in line.offers],
            "Held": line.installed.slot in holds,
        }
        for line in judged.facts.upgradable
    ]


def _missing(ctx: Context, judged: JudgedNode) -> list[dict[str, Any]]:
    if not isinstance(judged.outcome, Judgement) or judged.facts is None:
        return []
    wanted = [line for line in judged.outcome.lines if line.state in (PatchState.MISSING, PatchState.FAILED)]
    reasons = explain_lines(
        judged.facts,
        judged.history,
        judged.governed.baseline,
        judged.catalogue,
        ctx.now,
        frozenset(line.slot for line in wanted),
        apt_delays=ctx.service.apt_delays,
        left_out=left_out(ctx.tx, judged),
    )
    return [_missing_to(line, reasons[line.slot]) for line in wanted]


def _missing_to(line: PatchLine, why: Explanation) -> dict[str, Any]:
    return {
        "PatchId": line.patch_id,
        "Title": line.title,
        "Name": line.slot.name,
        "Arch": line.slot.arch,
        "Installed": line.installed.version if line.installed else None,
        "Target": line.target.version if line.target else None,
        "Severity": line.severity,
        "Classification": line.classification,
        "ComplianceLevel": line.level,
        "Cves": list(line.cves),
        "Code": why.code,
        "Reason": why.sentence,
    }
