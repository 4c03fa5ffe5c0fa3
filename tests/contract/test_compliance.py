"""Compliance of type Patch through boto3 and the aws command line, of nodes that a worker has scanned.

Source: patch-baselines.md 6, 7.3, 8, 9.1; operations.md 1.6, 7.2, 13 (17).
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from patchwright.core.values import NodeId
from patchwright.store import judgements
from patchwright.store.engine import Tx
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node
from tests.contract.nodes_fleet import Fleet, refused, wait_for
from tests.contract.synthetic_facts import DebianHost, Package, usual_host

NOTHING = "mi-0123456789abcdef0"
SNAPSHOT = "11111111-2222-3333-4444-555555555555"
HIGH = {
    "PatchRules": [
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
            "EnableNonSecurity": True,
            "ApproveAfterDays": 0,
            "ComplianceLevel": "HIGH",
        }
    ]
}


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _items(fleet: Fleet, node: Node, *filters: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    pages = fleet.ssm.get_paginator("list_compliance_items").paginate(
        ResourceIds=[node.id], ResourceTypes=["ManagedInstance"], Filters=list(filters), **more
    )
    return [item for page in pages for item in page["ComplianceItems"]]


def _by(key: str, *values: str, how: str = "EQUAL") -> dict[str, Any]:
    return {"Key": key, "Values": list(values), "Type": how}


def _judge_alike(tx: Tx, judged: Node, others: list[Node]) -> None:
    """What a scan of each would leave, without the scans."""
    verdict = judgements.find(tx, judged.id)
    assert verdict is not None
    for node in others:
        judgements.save(tx, replace(verdict, node_id=NodeId(node.id)))


def _large(count: int) -> DebianHost:
    host = usual_host()
    host.packages |= {f"lib{n:03}": Package("1.0-1") for n in range(count)}
    return host


def test_an_item_has_the_members_that_clients_read(fleet: Fleet) -> None:
    node = fleet.node(Patch_Group="prod")
    fleet.scan(node, usual_host(), SnapshotId=SNAPSHOT)
    items = _items(fleet, node)
    assert [i["Id"] for i in items] == ["bash.amd64", "openssl.amd64", "vim.amd64"]
    missing = items[1]
    when = missing["ExecutionSummary"].pop("ExecutionTime")
    assert missing == {
        "ComplianceType": "Patch",
        "ResourceType": "ManagedInstance",
        "ResourceId": node.id,
        "Id": "openssl.amd64",
        "Title": "openssl.amd64:3.0.13-1~deb12u1",
        "Status": "NON_COMPLIANT",
        "Severity": "UNSPECIFIED",
        "ExecutionSummary": {"ExecutionId": SNAPSHOT, "ExecutionType": "Command"},
        "Details": {
            "DocumentName": "AWS-RunPatchBaseline",
            "DocumentVersion": "1",
            "PatchBaselineId": f"arn:aws:ssm:{fleet.region}:000000000000:patchbaseline/pb-5dbf5f2d6e91c3251",
            "PatchGroup": "prod",
            "PatchState": "Missing",
            "PatchSeverity": "optional",
            "Classification": "Security",
            "InstalledTime": "2023-11-14T22:13:20Z",
        },
    }
    (state,) = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]
    assert when == state["OperationEndTime"]
    assert (items[0]["Status"], items[0]["Details"]["PatchState"]) == ("COMPLIANT", "InstalledOther")


def test_the_three_listings_agree_and_follow_a_changed_baseline_without_a_scan(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())

    def row() -> dict[str, Any]:
        (found,) = fleet.ssm.list_resource_compliance_summaries()["ResourceComplianceSummaryItems"]
        return dict(found)

    assert (row()["Status"], row()["OverallSeverity"]) == ("NON_COMPLIANT", "UNSPECIFIED")
    assert row()["CompliantSummary"]["CompliantCount"] == 2
    assert row()["NonCompliantSummary"]["SeveritySummary"]["UnspecifiedCount"] == 1
    baseline = fleet.ssm.create_patch_baseline(Name="all", OperatingSystem="DEBIAN", ApprovalRules=HIGH)["BaselineId"]
    fleet.ssm.register_default_patch_baseline(BaselineId=baseline)
    wait_for(lambda: row()["OverallSeverity"] == "HIGH", "the new judgement")
    assert row()["NonCompliantSummary"]["SeveritySummary"]["HighCount"] == 2
    items = _items(fleet, node, _by("Status", "NON_COMPLIANT"))
    assert {(i["Severity"], i["Details"]["PatchBaselineId"]) for i in items} == {("HIGH", baseline)}
    assert len(items) == row()["NonCompliantSummary"]["NonCompliantCount"]
    (summary,) = fleet.ssm.list_compliance_summaries()["ComplianceSummaryItems"]
    assert summary["NonCompliantSummary"]["SeveritySummary"]["HighCount"] == 1
    assert summary["CompliantSummary"]["CompliantCount"] == 0


def test_every_filter_of_items(fleet: Fleet) -> None:
    node = fleet.node(Patch_Group="prod")
    fleet.scan(node, usual_host(), SnapshotId=SNAPSHOT)
    everything = ["bash.amd64", "openssl.amd64", "vim.amd64"]
    cases = [
        (_by("Status", "COMPLIANT"), ["bash.amd64", "vim.amd64"]),
        (_by("Status", "COMPLIANT", how="NOT_EQUAL"), ["openssl.amd64"]),
        (_by("Id", "open", "vi", how="BEGIN_WITH"), ["openssl.amd64", "vim.amd64"]),
        (_by("Title", "openssl.amd64:3.0.13-1~deb12u1"), ["openssl.amd64"]),
        (_by("Title", "c", how="LESS_THAN"), ["bash.amd64"]),
        (_by("Title", "p", how="GreaterThan"), ["vim.amd64"]),
        (_by("Severity", "UNSPECIFIED"), everything),
        (_by("Severity", "LOW", how="LESS_THAN"), everything),
        (_by("Severity", "CRITICAL", "HIGH"), []),
        (_by("PatchState", "Missing"), ["openssl.amd64"]),
        (_by("PatchState", "INSTALLED_OTHER"), ["bash.amd64", "vim.amd64"]),
        (_by("PatchSeverity", "optional"), ["openssl.amd64"]),
        (_by("Classification", "Security"), ["openssl.amd64"]),
        (_by("PatchGroup", "prod", how="Equal"), everything),
        (_by("PatchGroup", "lab"), []),
        (_by("PatchBaselineId", "pb-5dbf5f2d6e91c3251"), everything),
        (_by("ComplianceType", "Patch"), everything),
        (_by("ComplianceType", "Association"), []),
        (_by("ResourceType", "ManagedInstance"), everything),
        (_by("ResourceId", node.id), everything),
        (_by("DocumentName", "AWS-RunPatchBaseline"), everything),
        (_by("DocumentVersion", "1"), everything),
        (_by("ExecutionId", SNAPSHOT), everything),
        (_by("ExecutionType", "Command"), everything),
        (_by("ExecutionTime", "2020-01-01T00:00:00Z", how="GREATER_THAN"), everything),
        (_by("ExecutionTime", "2020-01-01T00:00:00Z", how="LESS_THAN"), []),
    ]
    for wanted, found in cases:
        assert [i["Id"] for i in _items(fleet, node, wanted)] == found, wanted
    both = [_by("Status", "COMPLIANT"), _by("Id", "v", how="BEGIN_WITH")]
    assert [i["Id"] for i in _items(fleet, node, *both)] == ["vim.amd64"]
    for bad in (_by("Colour", "x"), _by("OverallSeverity", "HIGH"), _by("ExecutionTime", "soon"), {"Key": "Status"}):
        assert refused(lambda bad=bad: _items(fleet, node, bad))[0] == "InvalidFilter"


def test_botocores_paginators_run_through_three_pages(fleet: Fleet) -> None:
    nodes = fleet.add(5, Patch_Group="paged")
    for node in nodes:
        fleet.scan(node, usual_host())
    fleet.scan(nodes[0], _large(100))
    ids = [n.id for n in sorted(nodes, key=lambda n: n.id)]

    def pages(operation: str, result: str, size: int, **more: Any) -> list[list[Any]]:
        made = fleet.ssm.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **more)
        return [page[result] for page in made]

    rows = pages("list_resource_compliance_summaries", "ResourceComplianceSummaryItems", 2)
    assert [[r["ResourceId"] for r in page] for page in rows] == [ids[:2], ids[2:4], ids[4:]]
    items = pages("list_compliance_items", "ComplianceItems", 40, ResourceIds=[nodes[0].id])
    assert [len(page) for page in items] == [40, 40, 23]
    titles = [i["Title"] for page in items for i in page]
    assert titles == sorted(set(titles))
    (sums,) = pages("list_compliance_summaries", "ComplianceSummaryItems", 50)
    assert [s["ComplianceType"] for s in sums] == ["Patch"]
    more = fleet.add(16, ping=False, Patch_Group="paged")
    fleet.server.application.state.store.write(lambda tx: _judge_alike(tx, nodes[1], more))
    states = pages("describe_instance_patch_states_for_patch_group", "InstancePatchStates", 10, PatchGroup="paged")
    assert [len(page) for page in states] == [10, 10, 1]
    assert [s["InstanceId"] for page in states for s in page] == sorted(n.id for n in [*nodes, *more])
    state = fleet.ssm.describe_patch_group_state(PatchGroup="paged")
    assert (state["Instances"], state["InstancesWithMissingPatches"]) == (21, 21)


def test_a_token_of_another_listing_or_filter_is_refused(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    ssm = fleet.ssm
    token = ssm.list_compliance_items(ResourceIds=[node.id], MaxResults=1)["NextToken"]
    again = ssm.list_compliance_items(ResourceIds=[node.id], MaxResults=2, NextToken=token)["ComplianceItems"]
    assert [i["Id"] for i in again] == ["openssl.amd64", "vim.amd64"]
    other = fleet.node()
    for call in (
        lambda: ssm.list_resource_compliance_summaries(NextToken=token),
        lambda: ssm.list_compliance_summaries(NextToken=token),
        lambda: ssm.list_compliance_items(ResourceIds=[other.id], NextToken=token),
        lambda: ssm.list_compliance_items(ResourceIds=[node.id], Filters=[_by("Status", "COMPLIANT")], NextToken=token),
        lambda: ssm.list_compliance_items(ResourceIds=[node.id], NextToken=f"{token}x"),
        lambda: ssm.describe_instance_patch_states_for_patch_group(PatchGroup="g", NextToken="x"),
    ):
        assert refused(call)[0] == "InvalidNextToken"


def test_which_resource_is_meant(fleet: Fleet, server: RunningServer) -> None:
    node, other = fleet.add(2)
    fleet.scan(node, usual_host())
    items = fleet.ssm.list_compliance_items
    assert len(items(ResourceIds=[node.id, node.id])["ComplianceItems"]) == 3
    assert refused(lambda: items(ResourceIds=[node.id, other.id]))[0] == "InvalidResourceId"
    assert refused(lambda: items())[0] == "InvalidResourceId"
    assert refused(lambda: items(ResourceIds=[NOTHING]))[0] == "InvalidResourceId"
    assert refused(lambda: items(ResourceIds=["web-1"]))[0] == "InvalidResourceId"
    assert refused(lambda: items(ResourceIds=[node.id], ResourceTypes=["EC2"]))[0] == "InvalidResourceType"
    assert refused(lambda: items(ResourceIds=[node.id], MaxResults=51))[0] == "ValidationException"
    assert refused(lambda: items(ResourceIds=[]))[0] == "ValidationException"
    elsewhere = server.client(region=f"{fleet.region}-b")
    assert refused(lambda: elsewhere.list_compliance_items(ResourceIds=[node.id]))[0] == "InvalidResourceId"


def test_a_node_that_was_never_judged_has_no_compliance_and_is_counted_all_the_same(fleet: Fleet) -> None:
    node = fleet.node(Patch_Group="new")
    assert _items(fleet, node) == []
    assert fleet.ssm.list_compliance_summaries()["ComplianceSummaryItems"] == []
    assert fleet.ssm.list_resource_compliance_summaries()["ResourceComplianceSummaryItems"] == []
    assert fleet.ssm.describe_patch_group_state(PatchGroup="new")["Instances"] == 0
    (group,) = fleet.patchwright.describe_compliance_groups(GroupBy="PatchGroup")["Groups"]
    assert (group["Value"], group["Nodes"], group["NotScanned"], group["Compliant"]) == ("new", 1, 1, 0)


def test_facts_without_a_run_and_before_the_loop_have_items(fleet: Fleet) -> None:
    """The worker died after its facts: what it reported is judged, and the run is the one that reported."""
    node = fleet.node()
    worker, _ = fleet.worker(node)
    worker.report(usual_host().parts())
    assert [i["Id"] for i in _items(fleet, node, _by("Status", "NON_COMPLIANT"))] == ["openssl.amd64"]


def test_a_host_whose_names_are_as_long_as_they_may_be_is_listed_page_by_page(fleet: Fleet) -> None:
    long = "\N{PACKAGE}" * 63  # four bytes each
    host = DebianHost(packages={f"{long}{n}": Package(f"1{long}") for n in range(12)})
    node = fleet.node()
    fleet.scan(node, host)
    items, token = [], {}
    while len(items) < 12:
        page = fleet.ssm.list_compliance_items(ResourceIds=[node.id], MaxResults=5, **token)
        items += page["ComplianceItems"]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert token == {}
    assert [i["Id"] for i in items] == sorted(f"{name}.amd64" for name in host.packages)
    first = fleet.ssm.describe_instance_patches(InstanceId=node.id, MaxResults=10)
    rest = fleet.ssm.describe_instance_patches(InstanceId=node.id, MaxResults=10, NextToken=first["NextToken"])
    assert [p["KBId"] for p in first["Patches"] + rest["Patches"]] == [i["Id"] for i in items]


@pytest.mark.parametrize("allow", [True, False])
def test_a_policy_by_tags_speaks_of_everything_that_is_shown_of_a_node(
    fleet: Fleet, server: RunningServer, allow: bool
) -> None:
    ours, theirs = fleet.node(Team="a"), fleet.node(Team="b")
    by_tag = {
        "Effect": "Allow" if allow else "Deny",
        "Action": ["ssm:DescribeInstancePatches", "patchwright:*"],
        "Resource": "*",
        "Condition": {"StringEquals": {"ssm:resourceTag/Team": "a" if allow else "b"}},
    }
    all_else = [] if allow else [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [by_tag, *all_else]})
    made = fleet.patchwright.create_access_key(UserName="team-a", Policy=policy)
    ssm, own = (
        server.client(service, region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
        for service in ("ssm", "patchwright")
    )
    asked = (
        lambda node: ssm.describe_instance_patches(InstanceId=node.id),
        lambda node: own.describe_node_patches(NodeId=node.id),
        lambda node: own.explain_patch(NodeId=node.id, Patch="openssl"),
    )
    for ask in asked:
        ask(ours)
        assert refused(lambda ask=ask: ask(theirs))[0] == "AccessDeniedException"
    assert refused(lambda: own.get_patch_plan(NodeId=ours.id))[0] == "DoesNotExistException"  # there is none yet
    assert refused(lambda: own.get_patch_plan(NodeId=theirs.id))[0] == "AccessDeniedException"


def test_a_policy_for_some_nodes_shows_items_of_no_other(fleet: Fleet, server: RunningServer) -> None:
    ours, theirs = fleet.node(Team="a"), fleet.node(Team="b")
    for node in (ours, theirs):
        fleet.scan(node, usual_host())
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": "ssm:ListComplianceItems",
            "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/Team": "a"}},
        },
    }
    made = fleet.patchwright.create_access_key(UserName="team-a", Policy=json.dumps(policy))
    mine = server.client(region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    assert len(mine.list_compliance_items(ResourceIds=[ours.id])["ComplianceItems"]) == 3
    assert refused(lambda: mine.list_compliance_items(ResourceIds=[theirs.id]))[0] == "AccessDeniedException"
    assert refused(lambda: mine.list_resource_compliance_summaries())[0] == "AccessDeniedException"


def test_the_plain_aws_command_lists_and_filters(
    fleet: Fleet, aws: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    node = fleet.node(Patch_Group="prod")
    fleet.scan(node, usual_host())

    def said(*words: str) -> Any:
        done = aws("ssm", *words, "--region", fleet.region)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    old = "Key=PatchState,Values=Missing,Type=Equal"
    items = said("list-compliance-items", "--resource-ids", node.id, "--resource-types", "ManagedInstance",
                 "--filters", old)["ComplianceItems"]  # fmt: skip
    assert [i["Id"] for i in items] == ["openssl.amd64"]
    one = "Key=Status,Values=NON_COMPLIANT,Type=EQUAL"
    rows = said("list-resource-compliance-summaries", "--filters", one)["ResourceComplianceSummaryItems"]
    assert [r["ResourceId"] for r in rows] == [node.id]
