"""Patch states of nodes and patch groups, and a node's patches. Source: patch-baselines.md 6.2, 8; decisions.md 13."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.node_access import require_node
from patchwright.api.registry import registry
from patchwright.core.compliance import Operator, folded
from patchwright.core.errors import Invalid, Kind
from patchwright.core.judgement import Judgement, PatchLine
from patchwright.core.nodes import ManagedNode
from patchwright.core.predefined import BY_ID, arn_of
from patchwright.core.values import BaselineId, PatchOperation
from patchwright.flows.judge_node import JudgedNode, judge_node
from patchwright.store import compliance, facts, judgements, nodes, runs
from patchwright.store.judgements import Verdict
from patchwright.store.runs import PatchRun

DEFAULT_STATES_PAGE = 10
DEFAULT_PATCHES_PAGE = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DIGITS = 9
"""No count is larger, and no integer column of an engine is smaller."""
_FILTERED_COUNTS = {
    "InstalledCount": "installed",
    "InstalledOtherCount": "installed_other",
    "InstalledPendingRebootCount": "installed_pending_reboot",
    "InstalledRejectedCount": "installed_rejected",
    "MissingCount": "missing",
    "FailedCount": "failed",
    "UnreportedNotApplicableCount": "unreported_not_applicable",
    "NotApplicableCount": "not_applicable",
}
_COUNT_OPERATORS = {
    "Equal": Operator.EQUAL,
    "NotEqual": Operator.NOT_EQUAL,
    "LessThan": Operator.LESS_THAN,
    "GreaterThan": Operator.GREATER_THAN,
}
_GROUP_MEMBERS = {
    "InstancesWithInstalledPatches": "installed",
    "InstancesWithInstalledOtherPatches": "installed_other",
    "InstancesWithInstalledPendingRebootPatches": "installed_pending_reboot",
    "InstancesWithInstalledRejectedPatches": "installed_rejected",
    "InstancesWithMissingPatches": "missing",
    "InstancesWithFailedPatches": "failed",
    "InstancesWithNotApplicablePatches": "not_applicable",
    "InstancesWithUnreportedNotApplicablePatches": "unreported_not_applicable",
    "InstancesWithCriticalNonCompliantPatches": "critical_non_compliant",
    "InstancesWithSecurityNonCompliantPatches": "security_non_compliant",
    "InstancesWithOtherNonCompliantPatches": "other_non_compliant",
    "InstancesWithAvailableSecurityUpdates": "available_security_update",
}
_FILTER_KEYS = ("Classification", "KBId", "Severity", "State")


@registry.serves("DescribeInstancePatchStates", reads=True)
def describe_instance_patch_states(ctx: Context, req: Request) -> Answer:
    """Counts of the nodes named, by id; a node that was never judged, or is not here, is left out."""
    ctx.require("*")
    after = ctx.cursor(req) or ""
    limit = req.get("MaxResults", DEFAULT_STATES_PAGE)
    wanted = [i for i in sorted(set(req["InstanceIds"])) if i > after]
    here = {n.id for n in nodes.get_many(ctx.tx, ctx.scope, wanted)}
    verdicts = [v for v in judgements.find_many(ctx.tx, sorted(here)) if v.facts_id is not None]
    page = verdicts[:limit]
    more = page[-1].node_id if len(verdicts) > limit else None
    return {"InstancePatchStates": _states_to(ctx, page), "NextToken": ctx.page(req, more)}


@registry.serves("DescribeInstancePatchStatesForPatchGroup", reads=True)
def describe_instance_patch_states_for_patch_group(ctx: Context, req: Request) -> Answer:
    """The same for the nodes whose verdict carries the group, by id; a filter compares one count with one number."""
    ctx.require("*")
    counts = [_count_filter(entry) for entry in req.get("Filters", ())]
    limit = req.get("MaxResults", DEFAULT_STATES_PAGE)
    after = ctx.cursor(req) or ""
    found = compliance.group_page(ctx.tx, ctx.scope, req["PatchGroup"], counts, after=after, limit=limit + 1)
    page = found[:limit]
    more = page[-1].node_id if len(found) > limit else None
    return {"InstancePatchStates": _states_to(ctx, page), "NextToken": ctx.page(req, more)}


@registry.serves("DescribePatchGroupState", reads=True)
def describe_patch_group_state(ctx: Context, req: Request) -> Answer:
    """How many nodes of the group have patches in which state; zeros for a group that no node names."""
    ctx.require("*")
    state = compliance.group_state(ctx.tx, ctx.scope, req["PatchGroup"])
    return {"Instances": state.nodes, **{member: state.nodes_with[name] for member, name in _GROUP_MEMBERS.items()}}


def _count_filter(entry: Request) -> tuple[str, Operator, int]:
    """{Key, Values, Type} -> a count's name, how it is compared, and with which number. Raises Invalid(FILTER)."""
    key, value = entry["Key"], "".join(entry["Values"])
    if key not in _FILTERED_COUNTS:
        raise Invalid(Kind.FILTER, f"The filter key '{key[:128]}' is not valid: {', '.join(_FILTERED_COUNTS)}.")
    if not (value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS):
        raise Invalid(Kind.FILTER, f"'{value[:100]}' is not a value of {key}: a whole number from 0.")
    return _FILTERED_COUNTS[key], _COUNT_OPERATORS[entry["Type"]], int(value)


def _states_to(ctx: Context, page: list[Verdict]) -> list[dict[str, Any]]:
    ids = [v.node_id for v in page]
    latest, without_reboot = runs.latest(ctx.tx, ids), runs.last_no_reboot_installs(ctx.tx, ids)
    return [state_to(ctx, v, latest.get(v.node_id), without_reboot.get(v.node_id)) for v in page]


def state_to(
    ctx: Context, verdict: Verdict, run: PatchRun | None, no_reboot_install_at: datetime | None
) -> dict[str, Any]:
    """Counts and states are current; operation fields speak of the latest operation. Source: decisions.md 13."""
    counts = verdict.counts
    seen = verdict.judged_at if run else facts.seen_at(ctx.tx, verdict.node_id) or verdict.judged_at
    return {
        "InstanceId": verdict.node_id,
        "PatchGroup": verdict.patch_group,
        "BaselineId": wire_baseline_id(verdict.baseline_id, ctx.scope.region),
        "SnapshotId": run.snapshot_id if run else None,
        "InstallOverrideList": (run.override_list or None) if run else None,
        "OwnerInformation": "",
        "InstalledCount": counts.installed,
        "InstalledOtherCount": counts.installed_other,
        "InstalledPendingRebootCount": counts.installed_pending_reboot,
        "InstalledRejectedCount": counts.installed_rejected,
        "MissingCount": counts.missing,
        "FailedCount": counts.failed,
        "UnreportedNotApplicableCount": counts.unreported_not_applicable,
        "NotApplicableCount": counts.not_applicable,
        "AvailableSecurityUpdateCount": counts.available_security_update,
        "OperationStartTime": run.started_at if run else seen,
        "OperationEndTime": (run.ended_at or run.facts_at or run.started_at) if run else seen,
        "Operation": run.operation if run else PatchOperation.SCAN,
        "LastNoRebootInstallOperationTime": no_reboot_install_at,
        "RebootOption": run.reboot_option if run else None,
        "CriticalNonCompliantCount": counts.critical_non_compliant,
        "SecurityNonCompliantCount": counts.security_non_compliant,
        "OtherNonCompliantCount": counts.other_non_compliant,
    }


def wire_baseline_id(baseline_id: BaselineId, region: str) -> str:
    """Predefined baselines go by their ARN, own ones by their bare id."""
    return arn_of(baseline_id, region) if baseline_id in BY_ID else baseline_id


@registry.serves("DescribeInstancePatches", reads=True)
def describe_instance_patches(ctx: Context, req: Request) -> Answer:
    """Every patch of one node in the order of titles: judged now, from the facts that it last reported."""
    node = nodes.get(ctx.tx, ctx.scope, req["InstanceId"])
    require_node(ctx, node.id)
    wanted = _filters_from(req)
    lines = [line for line in patch_lines(_judged(ctx, node)) if _matches(line, wanted)]
    page, token = page_of_lines(ctx, req, lines, DEFAULT_PATCHES_PAGE)
    return {"Patches": [_patch_to(line) for line in page], "NextToken": token}


def _judged(ctx: Context, node: ManagedNode) -> JudgedNode:
    return judge_node(ctx.tx, node, ctx.now, ctx.service.apt_delays)


def patch_lines(judged: JudgedNode) -> list[PatchLine]:
    """The node's patches in the order in which they are listed: by title, then by id. None for an unjudged node."""
    if not isinstance(judged.outcome, Judgement):
        return []
    return sorted(judged.outcome.lines, key=place_of)


def place_of(line: PatchLine) -> list[Any]:
    """Where the line stands. An id that its title begins with is left out: a host's names may be long, a token not."""
    begins = line.title.startswith(line.patch_id)
    return [line.title, len(line.patch_id) if begins else 0, "" if begins else line.patch_id]


def page_of_lines(
    ctx: Context, req: Request, lines: Sequence[PatchLine], default: int
) -> tuple[Sequence[PatchLine], str | None]:
    """The page of `lines`, which are in their order, that the request asks for, and the token of the next one."""
    after = ctx.cursor(req)
    if after is not None:
        lines = [line for line in lines if place_of(line) > after]
    limit = req.get("MaxResults", default)
    page = lines[:limit]
    return page, ctx.page(req, place_of(page[-1]) if len(lines) > limit else None)


def _patch_to(line: PatchLine) -> dict[str, Any]:
    return {
        "Title": line.title,
        "KBId": line.patch_id,
        "Classification": line.classification,
        "Severity": line.severity,
        "State": line.state,
        "InstalledTime": line.installed_at or EPOCH,
        "CVEIds": ",".join(line.cves) or None,
    }


def _filters_from(req: Request) -> dict[str, set[str]]:
    """Values of one key are OR-ed, keys AND-ed; compared in any case, states in either spelling."""
    wanted: dict[str, set[str]] = {}
    for entry in req.get("Filters", ()):
        key = entry.get("Key", "")
        if key not in _FILTER_KEYS:
            raise Invalid(Kind.FILTER, f"The filter key '{key[:128]}' is not valid: {', '.join(_FILTER_KEYS)}.")
        values = {folded(v) for v in entry.get("Values", ())}
        if key in wanted:
            values &= wanted[key]
        wanted[key] = values
    return wanted


def _matches(line: PatchLine, wanted: dict[str, set[str]]) -> bool:
    values = {
        "Classification": line.classification,
        "KBId": line.patch_id,
        "Severity": line.severity,
        "State": line.state,
    }
    return all(folded(values[key]) in allowed for key, allowed in wanted.items())
