"""DescribeComplianceGroups, our own: how the nodes of each patch group, system, baseline or severity fare."""

from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.patch_states import wire_baseline_id
from patchwright.api.registry import registry
from patchwright.core.values import BaselineId
from patchwright.flows.find_baseline import all_baselines
from patchwright.store import compliance_groups
from patchwright.store.compliance_groups import SUMMED, ComplianceGroup, Grouping

MAX_PAGE = 50
_MEMBERS = {name: "".join(word.capitalize() for word in name.split("_")) for name in SUMMED}


@registry.serves("DescribeComplianceGroups", service="patchwright", reads=True)
def describe_compliance_groups(ctx: Context, req: Request) -> Answer:
    """Groups in the order of their values; nodes that have none are the first, under an empty value."""
    ctx.require("*")
    grouping = Grouping(req["GroupBy"])
    limit = req.get("MaxResults", MAX_PAGE)
    found = compliance_groups.page(ctx.tx, ctx.scope, grouping, after=ctx.cursor(req), limit=limit + 1)
    page = found[:limit]
    names: dict[str, str] = {}
    if grouping is Grouping.BASELINE:
        names = {i.baseline.id: i.baseline.name for i in all_baselines(ctx.tx, ctx.scope)}
    more = page[-1].value if len(found) > limit else None
    groups = [_group_to(ctx, group, grouping, names) for group in page]
    return {"Groups": groups, "NextToken": ctx.page(req, more)}


def _group_to(ctx: Context, group: ComplianceGroup, grouping: Grouping, names: dict[str, str]) -> dict[str, Any]:
    by_baseline = grouping is Grouping.BASELINE and group.value
    return {
        "Value": wire_baseline_id(BaselineId(group.value), ctx.scope.region) if by_baseline else group.value,
        "Name": names.get(group.value),
        "Nodes": group.nodes,
        "Compliant": group.compliant,
        "NonCompliant": group.non_compliant,
        "Unjudged": group.unjudged,
        "NotScanned": group.not_scanned,
        **{member: group.patches[name] for name, member in _MEMBERS.items()},
    }
