"""ListComplianceSummaries and ListResourceComplianceSummaries, of type Patch. Source: patch-baselines.md 7.3.

Counts come from verdicts and are current; the execution is the node's latest patch operation. A node that was never
judged, or can't be, has no row: it is neither compliant nor not, and our own DescribeComplianceGroups counts it.
"""

from typing import Any

from patchwright.api.compliance_fields import conditions_from, execution_to, severity_summary
from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.core.compliance import COMPLIANCE_TYPE, RESOURCE_TYPE
from patchwright.core.values import LEVELS, ComplianceStatus
from patchwright.store import compliance
from patchwright.store.compliance import SUMMARY_KEYS, Execution
from patchwright.store.judgements import Verdict

MAX_PAGE = 50


@registry.serves("ListComplianceSummaries", reads=True)
def list_compliance_summaries(ctx: Context, req: Request) -> Answer:
    """One row for the type Patch that counts nodes, each on one side and in one bucket; none where no node counts."""
    ctx.require("*")
    conditions = conditions_from(req, SUMMARY_KEYS)
    # One type is one page: no token was ever given, so any is foreign.
    ctx.cursor(req)
    found = compliance.summary(ctx.tx, ctx.scope, conditions)
    sides = {
        status: {level: n for (s, level), n in found.items() if s is status}
        for status in (ComplianceStatus.COMPLIANT, ComplianceStatus.NON_COMPLIANT)
    }
    item = {
        "ComplianceType": COMPLIANCE_TYPE,
        "CompliantSummary": {
            "CompliantCount": sum(sides[ComplianceStatus.COMPLIANT].values()),
            "SeveritySummary": severity_summary(sides[ComplianceStatus.COMPLIANT]),
        },
        "NonCompliantSummary": {
            "NonCompliantCount": sum(sides[ComplianceStatus.NON_COMPLIANT].values()),
            "SeveritySummary": severity_summary(sides[ComplianceStatus.NON_COMPLIANT]),
        },
    }
    return {"ComplianceSummaryItems": [item] if found else []}


@registry.serves("ListResourceComplianceSummaries", reads=True)
def list_resource_compliance_summaries(ctx: Context, req: Request) -> Answer:
    """One row per judged node in id order, which counts its patches."""
    ctx.require("*")
    conditions = conditions_from(req, SUMMARY_KEYS)
    limit = req.get("MaxResults", MAX_PAGE)
    found = compliance.resource_page(ctx.tx, ctx.scope, conditions, after=ctx.cursor(req) or "", limit=limit + 1)
    page = found[:limit]
    executions = compliance.executions(ctx.tx, [v.node_id for v in page])
    more = page[-1].node_id if len(found) > limit else None
    return {
        "ResourceComplianceSummaryItems": [_resource_to(v, executions[v.node_id]) for v in page],
        "NextToken": ctx.page(req, more),
    }


def _resource_to(verdict: Verdict, execution: Execution) -> dict[str, Any]:
    compliant = dict(zip(LEVELS, verdict.levels.compliant, strict=True))
    non_compliant = dict(zip(LEVELS, verdict.levels.non_compliant, strict=True))
    return {
        "ComplianceType": COMPLIANCE_TYPE,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": verdict.node_id,
        "Status": verdict.status,
        "OverallSeverity": verdict.overall_level,
        "ExecutionSummary": execution_to(execution),
        "CompliantSummary": {
            "CompliantCount": sum(compliant.values()),
            "SeveritySummary": severity_summary(compliant),
        },
        "NonCompliantSummary": {
            "NonCompliantCount": sum(non_compliant.values()),
            "SeveritySummary": severity_summary(non_compliant),
        },
    }
