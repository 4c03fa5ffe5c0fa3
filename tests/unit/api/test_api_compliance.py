"""Compliance of the fleet on both engines: what is counted, in which order, by which filters.

Source: patch-baselines.md 7.3, 8, 9.1; operations.md 1.6, 7.2.
"""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import NOW
from tests.unit.judged import UBUNTU, Judged

import patchwright.api.compliance
import patchwright.api.compliance_groups
import patchwright.api.patch_states  # noqa: F401  importing the modules registers their handlers
from patchwright.core.compliance import Operator, condition_of, holds
from patchwright.core.judgement import Levels
from patchwright.core.values import ComplianceLevel, ComplianceStatus, NodeId, Scope
from patchwright.flows.register_node import deregister_node
from patchwright.store import nodes
from patchwright.store.compliance import SUMMARY_KEYS
from patchwright.store.engine import Engine

L = ComplianceLevel
ROWS, SUMS = "ListResourceComplianceSummaries", "ListComplianceSummaries"
GROUP_STATES, GROUP_STATE = "DescribeInstancePatchStatesForPatchGroup", "DescribePatchGroupState"
NONE = {f"{level}Count": 0 for level in ("Critical", "High", "Medium", "Low", "Informational", "Unspecified")}


@pytest.fixture
def fleet(store: Engine) -> Judged:
    return Judged(store)


def _rows(api: Api, *filters: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api(ROWS, Filters=list(filters))["ResourceComplianceSummaryItems"]
    return found


def _ids(api: Api, *filters: dict[str, Any]) -> list[str]:
    return [row["ResourceId"] for row in _rows(api, *filters)]


def _by(key: str, *values: str, how: str = "EQUAL") -> dict[str, Any]:
    return {"Key": key, "Values": list(values), "Type": how}


def test_the_worked_example(api: Api, fleet: Judged) -> None:
    """Node A 397 compliant; node B 100 compliant, and two that are not, HIGH and CRITICAL."""

    a = fleet.add(compliant=397)
    b = fleet.add()
    levels = Levels(compliant=(0, 0, 0, 0, 0, 100), non_compliant=(1, 1, 0, 0, 0, 0))
    fleet.judge(b, status=ComplianceStatus.NON_COMPLIANT, overall_level=L.CRITICAL, levels=levels)
    run = fleet.run(a, NOW)
    fleet.seen(b, NOW - timedelta(hours=1))
    one, other = _rows(api)
    assert one == {
        "ComplianceType": "Patch",
        "ResourceType": "ManagedInstance",
        "ResourceId": a,
        "Status": "COMPLIANT",
        "OverallSeverity": "UNSPECIFIED",
        "ExecutionSummary": {
            "ExecutionTime": NOW.timestamp(),
            "ExecutionId": run.snapshot_id,
            "ExecutionType": "Command",
        },
        "CompliantSummary": {"CompliantCount": 397, "SeveritySummary": {**NONE, "UnspecifiedCount": 397}},
        "NonCompliantSummary": {"NonCompliantCount": 0, "SeveritySummary": NONE},
    }
    assert (other["Status"], other["OverallSeverity"]) == ("NON_COMPLIANT", "CRITICAL")
    assert other["ExecutionSummary"] == {"ExecutionTime": (NOW - timedelta(hours=1)).timestamp()}
    assert other["NonCompliantSummary"] == {
        "NonCompliantCount": 2,
        "SeveritySummary": {**NONE, "CriticalCount": 1, "HighCount": 1},
    }
    assert api(SUMS)["ComplianceSummaryItems"] == [
        {
            "ComplianceType": "Patch",
            "CompliantSummary": {"CompliantCount": 1, "SeveritySummary": {**NONE, "UnspecifiedCount": 1}},
            "NonCompliantSummary": {"NonCompliantCount": 1, "SeveritySummary": {**NONE, "CriticalCount": 1}},
        }
    ]


def test_a_node_that_was_never_judged_or_can_not_be_is_neither_compliant_nor_not(api: Api, fleet: Judged) -> None:
    assert api(SUMS)["ComplianceSummaryItems"] == []
    fleet.fleet.add()
    fleet.unjudged()
    fleet.unjudged(reported=False)
    assert api(SUMS)["ComplianceSummaryItems"] == []
    assert _rows(api) == []
    judged = fleet.add()
    assert _ids(api) == [judged]


def test_other_regions_and_deregistered_nodes_are_not_counted(api: Api, fleet: Judged) -> None:
    fleet.add(scope=Scope(account="000000000001", region="elsewhere-1"))
    fleet.add(scope=Scope(account="000000000002", region="local-1"))
    gone, here = fleet.add(), fleet.add()

    fleet.store.write(lambda tx: deregister_node(tx, api.scope, gone, NOW))
    assert _ids(api) == [here]
    (row,) = api(SUMS)["ComplianceSummaryItems"]
    assert row["CompliantSummary"]["CompliantCount"] == 1


def test_the_execution_is_the_latest_that_reported_facts(api: Api, fleet: Judged) -> None:
    node = fleet.add()
    fleet.run(node, NOW - timedelta(days=2))
    latest = fleet.run(node, NOW, ended_at=None, facts_at=NOW)
    fleet.run(node, NOW + timedelta(days=1), facts_at=None)  # still on its way to the host
    fleet.run(node, NOW + timedelta(days=1), plan_only=True)
    (row,) = _rows(api)
    assert row["ExecutionSummary"]["ExecutionId"] == latest.snapshot_id
    assert row["ExecutionSummary"]["ExecutionTime"] == NOW.timestamp()


FILTERED: dict[str, list[str]] = {
    "Status": ["NON_COMPLIANT", "compliant", "Non-Compliant"],
    "OverallSeverity": ["HIGH", "low", "UNSPECIFIED"],
    "Severity": ["CRITICAL", "MEDIUM"],
    "PatchGroup": ["prod", "", "Prod", "über", "p"],
    "PatchBaselineId": [UBUNTU, f"arn:aws:ssm:r:a:patchbaseline/{UBUNTU}", "pb-"],
    "ComplianceType": ["Patch", "Association", "P"],
    "ResourceType": ["ManagedInstance", "EC2"],
    "ResourceId": ["mi-00000000000000002", "mi-0000"],
    "InstanceId": ["mi-00000000000000003"],
    "ExecutionId": ["00000000-0000-4000-c000-000000000001", "", "0000"],
    "ExecutionType": ["Command", ""],
    "ExecutionTime": ["2026-01-10T12:00:00Z", "2026-01-10T11:59:59.5Z", "2026-01-10T13:00:00+01:00"],
    "AWS:InstanceInformation.InstanceId": ["mi-00000000000000004"],
    "AWS:InstanceInformation.PlatformType": ["Linux", "Windows", ""],
    "AWS:InstanceInformation.PlatformName": ["Debian", "Deb"],
    "AWS:InstanceInformation.PlatformVersion": ["12", "9"],
    "AWS:InstanceInformation.ComputerName": ["web"],
    "AWS:InstanceInformation.AgentVersion": ["0.1"],
}


@pytest.fixture
def mixed(fleet: Judged) -> dict[NodeId, dict[str, str]]:
    """Nodes that differ in everything that can be filtered, and what each is to a filter."""

    made = {}
    levels = (None, L.HIGH, L.LOW, L.CRITICAL, L.MEDIUM, None)
    groups = ("prod", "", "über", "Prod", "prod/eu", "z")
    for number, (level, group) in enumerate(zip(levels, groups, strict=True)):
        node = fleet.add(level=level, group=group, platform="Windows" if number == 3 else "Linux")
        run = fleet.run(node, NOW + timedelta(seconds=number - 1, microseconds=250_000)) if number % 2 else None
        fleet.seen(node, NOW - timedelta(seconds=number))
        at = run.ended_at if run else NOW - timedelta(seconds=number)
        if number == 2:
            fleet.store.write(
                lambda tx, node=node: nodes.touch(
                    tx, node, NOW, platform_name="Debian", platform_version="12", computer_name="web"
                )
            )
        assert at is not None
        made[node] = {
            "Status": "NON_COMPLIANT" if level else "COMPLIANT",
            "OverallSeverity": level or "UNSPECIFIED",
            "Severity": level or "UNSPECIFIED",
            "PatchGroup": group,
            "PatchBaselineId": UBUNTU,
            "ComplianceType": "Patch",
            "ResourceType": "ManagedInstance",
            "ResourceId": node,
            "InstanceId": node,
            "ExecutionId": run.snapshot_id if run else "",
            "ExecutionType": "Command" if run else "",
            "ExecutionTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "AWS:InstanceInformation.InstanceId": node,
            "AWS:InstanceInformation.PlatformType": "Windows" if number == 3 else "Linux",
            "AWS:InstanceInformation.PlatformName": "Debian" if number == 2 else "",
            "AWS:InstanceInformation.PlatformVersion": "12" if number == 2 else "",
            "AWS:InstanceInformation.ComputerName": "web" if number == 2 else "",
            "AWS:InstanceInformation.AgentVersion": "",
        }
    return made


def test_the_database_and_the_rule_agree_on_every_key_operator_and_value(
    api: Api, mixed: dict[NodeId, dict[str, str]]
) -> None:
    assert set(FILTERED) == set(SUMMARY_KEYS)
    selective = 0
    for key, operator in product(SUMMARY_KEYS, Operator):
        if key == "ExecutionTime" and operator is Operator.BEGIN_WITH:
            continue
        for values in ([FILTERED[key][0]], FILTERED[key]):
            condition = condition_of(key, values, operator)
            wanted = [node for node, mine in mixed.items() if holds(condition, mine[key])]
            assert _ids(api, _by(key, *values, how=operator)) == wanted, (key, operator, values)
            selective += 0 < len(wanted) < len(mixed)
    assert selective > 60, "filters that admit all or none prove little"


def test_filters_are_and_ed_and_summaries_count_what_rows_list(api: Api, mixed: dict[NodeId, dict[str, str]]) -> None:
    both = [_by("Status", "NON_COMPLIANT"), _by("PatchGroup", "p", "P", how="BEGIN_WITH")]
    assert len(_ids(api, *both)) == 2
    (row,) = api(SUMS, Filters=both)["ComplianceSummaryItems"]
    assert row["NonCompliantSummary"]["NonCompliantCount"] == 2
    assert row["CompliantSummary"]["CompliantCount"] == 0
    for level in L:
        by_level = [_by("OverallSeverity", level)]
        counted = api(SUMS, Filters=by_level)["ComplianceSummaryItems"]
        sides = [c[side][f"{side[:-7]}Count"] for c in counted for side in ("CompliantSummary", "NonCompliantSummary")]
        assert sum(sides) == len(_ids(api, *by_level))


def test_filter_types_as_older_examples_spell_them(api: Api, mixed: dict[NodeId, dict[str, str]]) -> None:
    for new in Operator:
        old = "".join(word.capitalize() for word in new.split("_"))
        assert _ids(api, _by("PatchGroup", "prod", how=old)) == _ids(api, _by("PatchGroup", "prod", how=new)), old


BAD_FILTERS = [
    _by("Colour", "red"),
    _by("status", "COMPLIANT"),
    {"Key": "Status"},
    {"Values": ["COMPLIANT"]},
    _by("ExecutionTime", "yesterday"),
    _by("ExecutionTime", "0001-01-01"),
    _by("ExecutionTime", "2026", how="BEGIN_WITH"),
    _by("OverallSeverity", "TERRIBLE", how="LESS_THAN"),
]


def test_a_filter_that_can_not_be_meant_is_refused(api: Api) -> None:
    for operation, bad in product((ROWS, SUMS), BAD_FILTERS):
        with pytest.raises(AnswerError) as refused:
            api(operation, Filters=[bad])
        assert refused.value.code == "InvalidFilter", bad


def test_too_many_filters_and_shapes_of_filters(api: Api) -> None:
    with pytest.raises(AnswerError, match="InvalidFilter"):
        api(ROWS, Filters=[_by("Status", "COMPLIANT")] * 21)
    for bad in ({"Key": "Status", "Values": []}, _by("Status", "x", how="LIKE"), _by("Status", *(["x"] * 21))):
        with pytest.raises(AnswerError, match="ValidationException"):
            api(ROWS, Filters=[bad])
    for limit in (0, 51):
        for operation in (ROWS, SUMS):
            with pytest.raises(AnswerError, match="ValidationException"):
                api(operation, MaxResults=limit)


def test_pages_are_whole_in_id_order_and_bound_to_their_filters(api: Api, fleet: Judged) -> None:
    made = [fleet.add(level=L.LOW if n % 2 else None) for n in range(7)]
    pages = [p["ResourceComplianceSummaryItems"] for p in api.pages(ROWS, MaxResults=3)]
    assert [len(p) for p in pages] == [3, 3, 1]
    assert [row["ResourceId"] for page in pages for row in page] == made
    exact = [len(p["ResourceComplianceSummaryItems"]) for p in api.pages(ROWS, MaxResults=7)]
    assert exact == [7]
    low = [_by("OverallSeverity", "LOW")]
    paged = [r["ResourceId"] for p in api.pages(ROWS, MaxResults=1, Filters=low) for r in
             p["ResourceComplianceSummaryItems"]]  # fmt: skip
    assert paged == made[1::2]
    token = api(ROWS, MaxResults=3)["NextToken"]
    for wrong in (
        lambda: api(ROWS, Filters=low, NextToken=token),
        lambda: api(SUMS, NextToken=token),
        lambda: api(SUMS, NextToken="x"),
        lambda: api(GROUP_STATES, PatchGroup="g", NextToken=token),
        lambda: api(ROWS, NextToken="garbage"),
    ):
        with pytest.raises(AnswerError) as refused:
            wrong()
        assert refused.value.code == "InvalidNextToken"
    assert api(ROWS, MaxResults=2, NextToken=token)["ResourceComplianceSummaryItems"][0]["ResourceId"] == made[3]


def test_only_who_may_see_all_may_list_all(api: Api, fleet: Judged) -> None:
    fleet.add(group="g")
    narrow = {"Effect": "Allow", "Action": "ssm:*", "Resource": "arn:aws:ssm:*:*:managed-instance/*"}
    api.policy = {"Version": "2012-10-17", "Statement": [narrow]}
    for call in (
        lambda: api(ROWS),
        lambda: api(SUMS),
        lambda: api(GROUP_STATE, PatchGroup="g"),
        lambda: api(GROUP_STATES, PatchGroup="g"),
    ):
        with pytest.raises(AnswerError, match="AccessDenied"):
            call()


def test_times_of_filters_may_have_any_offset(api: Api, fleet: Judged) -> None:
    node = fleet.add()
    fleet.run(node, datetime(2026, 1, 10, 12, 0, 0, 400_000, tzinfo=UTC))
    for text in ("2026-01-10T12:00:00Z", "2026-01-10T14:00:00+02:00", "2026-01-10T12:00:00.9", "2026-01-10 12:00:00"):
        assert _ids(api, _by("ExecutionTime", text)) == [node]
    assert _ids(api, _by("ExecutionTime", "2026-01-10", how="GREATER_THAN")) == [node]
