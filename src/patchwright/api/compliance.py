"""ListComplianceSummaries and ListResourceComplianceSummaries. Source: patch-baselines.md 7.3, operations.md 7.2.

Of type Patch the counts come from verdicts and are current; the execution is the node's latest patch operation. A node
that was never judged, or can't be, has no such row: it is neither compliant nor not, and our own
DescribeComplianceGroups counts it. Of other types the counts are of the reports that stand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.api.compliance_fields import conditions_from, execution_to, severity_summary
from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.core.compliance import COMPLIANCE_TYPE, RESOURCE_TYPE, Condition
from patchwright.core.judgement import Levels
from patchwright.core.values import LEVELS, ComplianceLevel, ComplianceStatus
from patchwright.store import compliance, compliance_reports
from patchwright.store.compliance import SUMMARY_KEYS, Execution
from patchwright.store.compliance_reports import ReportSummary
from patchwright.store.judgements import Verdict

MAX_PAGE = 50


@registry.serves("ListComplianceSummaries", reads=True)
def list_compliance_summaries(ctx: Context, req: Request) -> Answer:
    """One row per type that counts nodes, each on one side and in one bucket; none for a type of no node."""
    ctx.require("*")
    conditions = conditions_from(req, SUMMARY_KEYS)
    sums = compliance_reports.summary(ctx.tx, ctx.scope, conditions)
    patches = compliance.summary(ctx.tx, ctx.scope, conditions)
    if patches:
        sums[COMPLIANCE_TYPE] = patches
    after = ctx.cursor(req) or ""
    types = [name for name in sorted(sums) if name > after]
    limit = req.get("MaxResults", MAX_PAGE)
    page = types[:limit]
    more = page[-1] if len(types) > limit else None
    return {"ComplianceSummaryItems": [_sum_to(name, sums[name]) for name in page], "NextToken": ctx.page(req, more)}


def _sum_to(compliance_type: str, found: Mapping[tuple[ComplianceStatus, ComplianceLevel], int]) -> dict[str, Any]:
    sides = {
        status: {level: n for (s, level), n in found.items() if s is status}
        for status in (ComplianceStatus.COMPLIANT, ComplianceStatus.NON_COMPLIANT)
    }
    return {
        "ComplianceType": compliance_type,
        **_sides_to(sides[ComplianceStatus.COMPLIANT], sides[ComplianceStatus.NON_COMPLIANT]),
    }


@registry.serves("ListResourceComplianceSummaries", reads=True)
def list_resource_compliance_summaries(ctx: Context, req: Request) -> Answer:
    """One row per (node, type) in their order, which counts the node's items."""
    ctx.require("*")
    conditions = conditions_from(req, SUMMARY_KEYS)
    limit = req.get("MaxResults", MAX_PAGE)
    node_id, compliance_type = ctx.cursor(req) or ("", "")
    found = _page(ctx, conditions, (node_id, compliance_type), limit + 1)
    page = found[:limit]
    judged = [row.node_id for row in page if isinstance(row, Verdict)]
    executions = compliance.executions(ctx.tx, judged)
    more = list(_place(page[-1])) if len(found) > limit else None
    return {
        "ResourceComplianceSummaryItems": [
            _judged_to(row, executions[row.node_id]) if isinstance(row, Verdict) else _reported_to(row) for row in page
        ],
        "NextToken": ctx.page(req, more),
    }


def _page(
    ctx: Context, conditions: Sequence[Condition], after: tuple[str, str], limit: int
) -> list[Verdict | ReportSummary]:
    """What is behind `after` (node, type), from both places together."""
    node_id, compliance_type = after
    judged = compliance.resource_page(
        ctx.tx, ctx.scope, conditions, after=node_id, from_it=compliance_type < COMPLIANCE_TYPE, limit=limit
    )
    reported = compliance_reports.page(ctx.tx, ctx.scope, conditions, after=after, limit=limit)
    found: list[Verdict | ReportSummary] = [*judged, *reported]
    return sorted(found, key=_place)[:limit]


def _place(row: Verdict | ReportSummary) -> tuple[str, str]:
    return row.node_id, COMPLIANCE_TYPE if isinstance(row, Verdict) else row.compliance_type


def _judged_to(verdict: Verdict, execution: Execution) -> dict[str, Any]:
    return {
        "ComplianceType": COMPLIANCE_TYPE,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": verdict.node_id,
        "Status": verdict.status,
        "OverallSeverity": verdict.overall_level,
        "ExecutionSummary": execution_to(execution),
        **_levels_to(verdict.levels),
    }


def _reported_to(row: ReportSummary) -> dict[str, Any]:
    return {
        "ComplianceType": row.compliance_type,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": row.node_id,
        "Status": row.status,
        "OverallSeverity": row.overall_level,
        "ExecutionSummary": {
            "ExecutionTime": row.executed_at,
            "ExecutionId": row.execution_id or None,
            "ExecutionType": row.execution_type or None,
        },
        **_levels_to(row.levels),
    }


def _levels_to(levels: Levels) -> dict[str, Any]:
    compliant = dict(zip(LEVELS, levels.compliant, strict=True))
    return _sides_to(compliant, dict(zip(LEVELS, levels.non_compliant, strict=True)))


def _sides_to(compliant: Mapping[ComplianceLevel, int], non_compliant: Mapping[ComplianceLevel, int]) -> dict[str, Any]:
    return {
        "CompliantSummary": {
            "CompliantCount": sum(compliant.values()),
            "SeveritySummary": severity_summary(compliant),
        },
        "NonCompliantSummary": {
            "NonCompliantCount": sum(non_compliant.values()),
            "SeveritySummary": severity_summary(non_compliant),
        },
    }
