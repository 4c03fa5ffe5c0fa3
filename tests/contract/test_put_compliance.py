"""PutComplianceItems and the listings over all types together, through boto3, both engines.

Source: operations.md 7.2, 13 (15, 17); patch-baselines.md 7.2, 7.3; agent-protocol.md 11.
"""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node, Refusal
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.synthetic_facts import usual_host

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
AUDIT = "Custom:Audit"
NOTHING = "mi-0123456789abcdef0"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _finding(id: str, status: str = "NON_COMPLIANT", severity: str = "HIGH", **details: str) -> dict[str, Any]:
    return {"Id": id, "Title": f"title of {id}", "Status": status, "Severity": severity, "Details": details}


def _put(fleet: Fleet, node: Node, items: list[dict[str, Any]], kind: str = AUDIT, **more: Any) -> None:
    request = {"ResourceId": node.id, "ResourceType": "ManagedInstance", "ComplianceType": kind,
               "ExecutionSummary": {"ExecutionTime": AT, "ExecutionId": "run-1", "ExecutionType": "Audit"},
               "Items": items}  # fmt: skip
    assert fleet.ssm.put_compliance_items(**request | more)["ResponseMetadata"]["HTTPStatusCode"] == 200


def _items(fleet: Fleet, node: Node, *filters: dict[str, Any]) -> list[dict[str, Any]]:
    pages = fleet.ssm.get_paginator("list_compliance_items").paginate(
        ResourceIds=[node.id], ResourceTypes=["ManagedInstance"], Filters=list(filters)
    )
    return [item for page in pages for item in page["ComplianceItems"]]


def _ids(fleet: Fleet, node: Node, *filters: dict[str, Any]) -> list[str]:
    return [item["Id"] for item in _items(fleet, node, *filters)]


def _by(key: str, *values: str, how: str = "EQUAL") -> dict[str, Any]:
    return {"Key": key, "Values": list(values), "Type": how}


def _rows(fleet: Fleet, *filters: dict[str, Any]) -> list[dict[str, Any]]:
    pages = fleet.ssm.get_paginator("list_resource_compliance_summaries").paginate(Filters=list(filters))
    return [row for page in pages for row in page["ResourceComplianceSummaryItems"]]


def test_what_was_put_is_listed_beside_the_patches(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    _put(fleet, node, [_finding("b", Rule="r\x07"), _finding("a", "COMPLIANT", "LOW")])
    items = _items(fleet, node)
    assert [(i["ComplianceType"], i["Id"]) for i in items] == [
        (AUDIT, "a"), (AUDIT, "b"), ("Patch", "bash.amd64"), ("Patch", "openssl.amd64"), ("Patch", "vim.amd64"),
    ]  # fmt: skip
    assert items[1] == {
        "ComplianceType": AUDIT,
        "ResourceType": "ManagedInstance",
        "ResourceId": node.id,
        "Id": "b",
        "Title": "title of b",
        "Status": "NON_COMPLIANT",
        "Severity": "HIGH",
        "ExecutionSummary": {"ExecutionTime": items[1]["ExecutionSummary"]["ExecutionTime"], "ExecutionId": "run-1",
                             "ExecutionType": "Audit"},
        "Details": {"Rule": "r "},
    }  # fmt: skip
    assert items[1]["ExecutionSummary"]["ExecutionTime"] == AT
    cases = [
        (_by("ComplianceType", AUDIT), ["a", "b"]),
        (_by("ComplianceType", "Custom:", how="BEGIN_WITH"), ["a", "b"]),
        (_by("Status", "NON_COMPLIANT"), ["b", "openssl.amd64"]),
        (_by("Severity", "MEDIUM", how="GREATER_THAN"), ["b"]),
        (_by("ExecutionId", "run-1"), ["a", "b"]),
        (_by("ExecutionTime", "2030-01-02T03:04:05Z"), ["a", "b"]),
        (_by("PatchState", "Missing"), ["openssl.amd64"]),
    ]
    for wanted, found in cases:
        assert _ids(fleet, node, wanted) == found, wanted


def test_summaries_count_items_of_nodes_and_nodes_of_types(fleet: Fleet) -> None:
    good, bad = sorted(fleet.add(2), key=lambda n: n.id)
    for node in (good, bad):
        fleet.scan(node, usual_host())
    _put(fleet, good, [_finding(f"c{n}", "COMPLIANT") for n in range(3)])
    _put(fleet, bad, [_finding("x", "COMPLIANT"), _finding("y"), _finding("z", severity="CRITICAL")])
    rows = _rows(fleet)
    assert [(r["ResourceId"], r["ComplianceType"]) for r in rows] == [
        (good.id, AUDIT), (good.id, "Patch"), (bad.id, AUDIT), (bad.id, "Patch"),
    ]  # fmt: skip
    assert (rows[0]["Status"], rows[0]["OverallSeverity"]) == ("COMPLIANT", "UNSPECIFIED")
    assert rows[0]["CompliantSummary"]["SeveritySummary"]["HighCount"] == 3
    assert (rows[2]["Status"], rows[2]["OverallSeverity"]) == ("NON_COMPLIANT", "CRITICAL")
    assert rows[2]["CompliantSummary"]["CompliantCount"] == 1
    assert rows[2]["NonCompliantSummary"]["NonCompliantCount"] == 2
    assert rows[2]["NonCompliantSummary"]["SeveritySummary"]["CriticalCount"] == 1
    assert rows[2]["ExecutionSummary"] == {"ExecutionTime": AT, "ExecutionId": "run-1", "ExecutionType": "Audit"}
    audit, patch = fleet.ssm.list_compliance_summaries()["ComplianceSummaryItems"]
    assert (audit["ComplianceType"], patch["ComplianceType"]) == (AUDIT, "Patch")
    assert audit["CompliantSummary"]["CompliantCount"] == 1
    assert audit["NonCompliantSummary"]["SeveritySummary"]["CriticalCount"] == 1
    assert patch["NonCompliantSummary"]["NonCompliantCount"] == 2
    cases = [
        (_by("ComplianceType", AUDIT), 2),
        (_by("ComplianceType", "Patch", how="NOT_EQUAL"), 2),
        (_by("OverallSeverity", "HIGH", how="GREATER_THAN"), 1),
        (_by("Status", "COMPLIANT"), 1),
        (_by("ExecutionType", "Audit"), 2),
        (_by("ExecutionTime", "2029-01-01T00:00:00Z", how="GREATER_THAN"), 2),
        (_by("InstanceId", good.id), 2),
        (_by("AWS:InstanceInformation.PlatformType", "Linux"), 4),
        (_by("AWS:InstanceInformation.InstanceId", bad.id), 2),
        (_by("PatchGroup", "prod"), 0),
    ]
    for wanted, count in cases:
        assert len(_rows(fleet, wanted)) == count, wanted
    (only,) = fleet.ssm.list_compliance_summaries(Filters=[_by("ComplianceType", AUDIT)])["ComplianceSummaryItems"]
    assert only == audit


def test_complete_replaces_partial_adds_and_an_equal_hash_changes_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    _put(fleet, node, [_finding("a"), _finding("b")], ItemContentHash="h1")
    _put(fleet, node, [], ItemContentHash="h1")
    assert _ids(fleet, node) == ["a", "b"]
    _put(fleet, node, [_finding("c")], ItemContentHash="h1")
    assert _ids(fleet, node) == ["a", "b"]
    _put(fleet, node, [_finding("b", "COMPLIANT"), _finding("c")], UploadType="PARTIAL")
    assert [(i["Id"], i["Status"]) for i in _items(fleet, node)] == [
        ("a", "NON_COMPLIANT"), ("b", "COMPLIANT"), ("c", "NON_COMPLIANT"),
    ]  # fmt: skip
    _put(fleet, node, [_finding("d")], ItemContentHash="h1", UploadType="COMPLETE")
    assert _ids(fleet, node) == ["d"]
    _put(fleet, node, [])
    assert _ids(fleet, node) == []
    assert fleet.ssm.list_compliance_summaries()["ComplianceSummaryItems"] == []


def test_a_node_puts_its_own_association_items_as_the_real_agent_does(fleet: Fleet) -> None:
    node, other = fleet.add(2)
    request = {
        "ResourceId": node.id,
        "ResourceType": "ManagedInstance",
        "ComplianceType": "Association",
        "ExecutionSummary": {"ExecutionTime": AT.timestamp(), "ExecutionId": "", "ExecutionType": ""},
        "ItemContentHash": "m1",
        "Items": [_finding("0d7b7f0e", "COMPLIANT", "UNSPECIFIED", DocumentName="Echo") | {"Title": ""}],
    }
    assert node.ssm("PutComplianceItems", request) == {}
    node.ssm("PutComplianceItems", request | {"Items": []})
    (item,) = _items(fleet, node)
    assert (item["ComplianceType"], item["Details"]) == ("Association", {"DocumentName": "Echo"})
    assert item["ExecutionSummary"] == {"ExecutionTime": AT}
    with pytest.raises(Refusal) as refusal:
        node.ssm("PutComplianceItems", request | {"ResourceId": other.id})
    assert refusal.value.code == "AccessDeniedException"
    with pytest.raises(Refusal) as refusal:
        node.ssm("PutComplianceItems", request | {"ComplianceType": "Patch"})
    assert refusal.value.code == "InvalidItemContentException"


def test_each_error(fleet: Fleet, server: RunningServer) -> None:
    node = fleet.node()
    _put(fleet, node, [_finding("kept")])
    twice, large = [_finding("a"), _finding("a")], [_finding("a" * 301)]
    many = [_finding(f"i{n}", **{f"k{m}": "x" * 4000 for m in range(40)}) for n in range(60)]
    cases: list[tuple[str, dict[str, Any]]] = [
        ("InvalidResourceId", {"ResourceId": NOTHING}),
        ("InvalidResourceType", {"ResourceType": "EC2"}),
        ("InvalidItemContentException", {"kind": "Patch"}),
        ("ValidationException", {"kind": "Weather"}),
        ("ValidationException", {"kind": "Custom:"}),
        ("InvalidItemContentException", {"items": twice}),
        ("InvalidItemContentException", {"items": [_finding("")], "UploadType": "PARTIAL"}),
        ("ItemSizeLimitExceededException", {"items": large}),
        ("TotalSizeLimitExceededException", {"items": many}),
        ("ValidationException", {"items": [{"Id": "a", "Status": "COMPLIANT"}]}),
        ("ValidationException", {"items": [_finding("a", "MAYBE")]}),
        ("ValidationException", {"ExecutionSummary": {}}),
    ]
    for code, more in cases:
        values = {"items": [_finding("a")], **more}
        assert refused(lambda values=values: _put(fleet, node, **values))[0] == code, more
    assert _ids(fleet, node) == ["kept"]
    for n in range(9):
        _put(fleet, node, [_finding("a")], f"Custom:T{n}x")
    full = refused(lambda: _put(fleet, node, [_finding("a")], "Custom:Another"))
    assert full[0] == "ComplianceTypeCountLimitExceededException"
    _put(fleet, node, [_finding("a")], "Association")
    _put(fleet, node, [], "Custom:T0x")
    _put(fleet, node, [_finding("a")], "Custom:Another")
    made = fleet.patchwright.create_access_key(UserName="eve", Policy="auditor")
    auditor = server.client(region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    put = {"ResourceId": node.id, "ResourceType": "ManagedInstance", "ComplianceType": AUDIT, "Items": [],
           "ExecutionSummary": {"ExecutionTime": AT}}  # fmt: skip
    assert refused(lambda: auditor.put_compliance_items(**put))[0] == "AccessDeniedException"


def test_paginators_run_through_three_pages_of_all_types(fleet: Fleet) -> None:
    nodes = sorted(fleet.add(3), key=lambda n: n.id)
    for node in nodes:
        fleet.scan(node, usual_host())
        for kind in ("Association", "Custom:Zz", AUDIT):
            _put(fleet, node, [_finding("a")], kind)
    _put(fleet, nodes[0], [_finding(f"i{n:03}" + "\N{PACKAGE}" * 250) for n in range(110)])

    def pages(operation: str, result: str, size: int, **more: Any) -> list[list[Any]]:
        made = fleet.ssm.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **more)
        return [page[result] for page in made]

    rows = pages("list_resource_compliance_summaries", "ResourceComplianceSummaryItems", 5)
    assert [len(page) for page in rows] == [5, 5, 2]
    keys = [(r["ResourceId"], r["ComplianceType"]) for page in rows for r in page]
    assert keys == sorted((n.id, kind) for n in nodes for kind in ("Association", AUDIT, "Custom:Zz", "Patch"))
    sums = pages("list_compliance_summaries", "ComplianceSummaryItems", 50)
    assert [[s["ComplianceType"] for s in page] for page in sums] == [["Association", AUDIT, "Custom:Zz", "Patch"]]
    items = pages("list_compliance_items", "ComplianceItems", 50, ResourceIds=[nodes[0].id])
    assert [len(page) for page in items] == [50, 50, 15]
    assert len({(i["ComplianceType"], i["Id"]) for page in items for i in page}) == 115


def test_a_deregistered_node_leaves_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    _put(fleet, node, [_finding("a")])
    fleet.ssm.deregister_managed_instance(InstanceId=node.id)
    assert _rows(fleet) == []


def test_the_plain_aws_command_puts_and_lists(
    fleet: Fleet, aws: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    node = fleet.node()

    def said(*words: str) -> Any:
        done = aws("ssm", *words, "--region", fleet.region)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "{}")

    said("put-compliance-items", "--resource-id", node.id, "--resource-type", "ManagedInstance",
         "--compliance-type", AUDIT, "--execution-summary", "ExecutionTime=2030-01-02T03:04:05Z",
         "--items", "Id=cis-1,Title=Firewall,Severity=CRITICAL,Status=NON_COMPLIANT")  # fmt: skip
    items = said("list-compliance-items", "--resource-ids", node.id, "--resource-types", "ManagedInstance")
    assert [(i["Id"], i["Severity"]) for i in items["ComplianceItems"]] == [("cis-1", "CRITICAL")]
    sums = said("list-compliance-summaries")["ComplianceSummaryItems"]
    assert sums[0]["NonCompliantSummary"]["SeveritySummary"]["CriticalCount"] == 1
