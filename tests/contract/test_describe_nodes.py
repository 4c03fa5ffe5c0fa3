"""DescribeNodes: a page of the fleet with compliance, what nodes say of themselves, and ways to choose among them."""

from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.synthetic_facts import usual_host

NOBODY = "mi-0123456789abcdef0"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _described(fleet: Fleet, **request: Any) -> dict[str, dict[str, Any]]:
    return {n["NodeId"]: n for n in fleet.patchwright.describe_nodes(**request)["Nodes"]}


def test_a_scanned_node_has_its_compliance_and_its_last_operation(fleet: Fleet) -> None:
    node = fleet.node(name="web", Patch_Group="front")
    fleet.scan(node, usual_host())
    found = _described(fleet)[node.id]
    state = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"][0]
    assert (found["Name"], found["ComputerName"], found["PatchGroup"]) == ("web", "web01", "front")
    assert (found["Compliance"], found["Counts"]["Missing"]) == ("NON_COMPLIANT", state["MissingCount"])
    assert found["Counts"]["Missing"] == 1
    assert (found["BaselineId"], found["OperatingSystem"]) == (state["BaselineId"], "DEBIAN")
    assert (found["PingStatus"], found["ScanOnly"]) == ("Online", False)
    assert found["LastOperation"]["Operation"] == "Scan"
    assert found["LastOperation"]["ExitCode"] == 0
    assert found["LastOperation"]["EndedAt"] == state["OperationEndTime"]
    assert abs(found["ClockOffsetSeconds"]) > 0  # its facts are of 2026-01-01
    assert "UnjudgedReason" not in found


def test_a_node_without_facts_says_so(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    found = _described(fleet)[node.id]
    assert (found["Compliance"], found["PingStatus"]) == ("UNJUDGED", "ConnectionLost")
    assert found["UnjudgedReason"] == "the node has not reported its packages yet"
    assert not {"Counts", "FactsCollectedAt", "LastOperation", "LastPingAt"} & set(found)


def test_a_heartbeat_tells_whether_the_node_is_scan_only(fleet: Fleet) -> None:
    node = fleet.node()
    node.ssm("UpdateInstanceInformation", {"InstanceId": node.id, "ScanOnly": True})
    node.heartbeat()  # one that says nothing of it changes nothing
    assert _described(fleet)[node.id]["ScanOnly"] is True
    node.ssm("UpdateInstanceInformation", {"InstanceId": node.id, "ScanOnly": False})
    assert _described(fleet)[node.id]["ScanOnly"] is False


def test_ids_and_targets_choose_and_pages_go_to_the_end(fleet: Fleet) -> None:
    web, db = fleet.node(tier="web", ping=False), fleet.node(tier="db", stage="test", ping=False)
    ids = sorted([web.id, db.id])
    tag = {"Key": "tag:tier", "Values": ["web", "db"]}
    assert sorted(_described(fleet, Targets=[tag])) == ids
    assert list(_described(fleet, Targets=[tag, {"Key": "tag-key", "Values": ["stage"]}])) == [db.id]
    assert list(_described(fleet, NodeIds=[web.id, NOBODY])) == [web.id]
    assert sorted(_described(fleet, Targets=[{"Key": "InstanceIds", "Values": ["*"]}])) == ids
    assert list(_described(fleet, Targets=[{"Key": "InstanceIds", "Values": [db.id]}], NodeIds=[web.id])) == []
    pages = list(fleet.patchwright.get_paginator("describe_nodes").paginate(PaginationConfig={"PageSize": 1}))
    assert [[n["NodeId"] for n in p["Nodes"]] for p in pages] == [[i] for i in ids]


def test_bad_requests(fleet: Fleet) -> None:
    for request, code in (
        ({"NextToken": "garbage"}, "InvalidNextToken"),
        ({"MaxResults": 51}, "ValidationException"),
        ({"NodeIds": ["web"]}, "ValidationException"),
        ({"Targets": [{"Key": "colour", "Values": ["red"]}]}, "ValidationException"),
    ):
        assert refused(lambda request=request: fleet.patchwright.describe_nodes(**request))[0] == code, request


def test_nodes_of_others_are_not_seen(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    assert fleet.client("patchwright", "elsewhere-8").describe_nodes(NodeIds=[node.id])["Nodes"] == []
