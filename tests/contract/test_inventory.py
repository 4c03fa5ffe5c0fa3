"""Inventory through boto3 and the aws command line, put by nodes and by operators.

Source: operations.md 7.1, 13 (15, 17); agent-protocol.md 11.
"""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import RunningServer
from tests.contract.inventory_lab import APPLICATION, AT, app, by, count, entries, item, put, who
from tests.contract.nodes_door import Refusal
from tests.contract.nodes_fleet import Fleet, refused, wait_for

NOTHING = "mi-0123456789abcdef0"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def test_what_a_node_puts_is_read_back(fleet: Fleet) -> None:
    node = fleet.node()
    rows = [app("vim", "9"), app("bash", "5.2"), app("bash", "5.2")]
    assert put(node, item(APPLICATION, rows, ContentHash="h1")) == {}
    (entity,) = fleet.ssm.get_inventory(ResultAttributes=[{"TypeName": APPLICATION}])["Entities"]
    assert entity == {
        "Id": node.id,
        "Data": {
            APPLICATION: {
                "TypeName": APPLICATION,
                "SchemaVersion": "1.1",
                "CaptureTime": AT,
                "ContentHash": "h1",
                "Content": [app("bash", "5.2"), app("vim", "9")],
            }
        },
    }
    (known,) = fleet.ssm.get_inventory()["Entities"]
    (row,) = known["Data"]["AWS:InstanceInformation"]["Content"]
    assert (row["InstanceId"], row["ComputerName"], row["PlatformType"]) == (node.id, "web01", "Linux")
    listed = fleet.ssm.list_inventory_entries(InstanceId=node.id, TypeName=APPLICATION)
    assert (listed["SchemaVersion"], listed["CaptureTime"]) == ("1.1", AT)
    assert [e["Name"] for e in listed["Entries"]] == ["bash", "vim"]
    put(node, item(APPLICATION, [app("bash", "5.3")]))
    assert entries(fleet, node) == [app("bash", "5.3")]
    put(node, item(APPLICATION, []))
    assert entries(fleet, node) == []


def test_a_hash_alone_keeps_what_is_held_and_only_that(fleet: Fleet) -> None:
    node = fleet.node()
    later = "2030-02-02T03:04:05Z"

    def refusal(**more: Any) -> Refusal:
        with pytest.raises(Refusal) as refused_put:
            put(node, item(APPLICATION, None, **more))
        return refused_put.value

    assert refusal(ContentHash="h1").code == "ItemContentMismatchException"
    assert refusal().code == "InvalidItemContentException"
    put(node, item(APPLICATION, [app("bash")], ContentHash="h1"))
    put(node, item(APPLICATION, None, ContentHash="h1") | {"CaptureTime": later})
    shown = fleet.ssm.list_inventory_entries(InstanceId=node.id, TypeName=APPLICATION)
    assert (shown["CaptureTime"], shown["Entries"]) == (later, [app("bash")])
    put(node, item(APPLICATION, [app("other")], ContentHash="h1"))
    assert entries(fleet, node) == [app("bash")]  # an equal hash says that nothing has changed
    assert refusal(ContentHash="h2").code == "ItemContentMismatchException"
    assert entries(fleet, node) == [app("bash")]


def test_one_bad_item_keeps_all_others_out_and_the_error_names_its_type(fleet: Fleet) -> None:
    node = fleet.node()
    good = item("AWS:Network", [{"Name": "eth0"}])
    cases: list[tuple[dict[str, Any], str]] = [
        (item("AWS:Nonsense", []), "InvalidTypeNameException"),
        (item("Custom:a b", [{"A": "1"}]), "InvalidTypeNameException"),
        (item(APPLICATION, [{"Colour": "red"}]), "InvalidItemContentException"),
        (item(APPLICATION, []) | {"SchemaVersion": "9.0"}, "UnsupportedInventorySchemaVersionException"),
        (item(APPLICATION, [], Context={"ComplianceType": "x"}), "UnsupportedInventoryItemContextException"),
        (item("AWS:ComplianceItem", [], Context={"Colour": "x"}), "InvalidInventoryItemContextException"),
        (good, "InvalidItemContentException"),  # twice in one call
        (item("Custom:Dots", [{"a.b": "1"}]), "InvalidItemContentException"),
        (item("Custom:Big", [{f"A{i}": "x" * 4096 for i in range(n, n + 50)} for n in range(21)]),
         "ItemSizeLimitExceededException"),
        ({**item(APPLICATION, []), "CaptureTime": "yesterday"}, "ValidationException"),
        (item(APPLICATION, [{"Name": "x" * 4097}]), "ValidationException"),
        (item(APPLICATION, [{"Name": str(i)} for i in range(10_001)]), "ValidationException"),
    ]  # fmt: skip
    for bad, code in cases:
        with pytest.raises(Refusal) as refusal:
            put(node, good, bad)
        assert refusal.value.code == code, bad["TypeName"]
    assert refused(lambda: fleet.ssm.put_inventory(InstanceId=node.id, Items=[cases[2][0]]))[0] == cases[2][1]
    assert who(fleet, type_name="AWS:Network") == []
    many = [item(f"Custom:T{n}", [{"A": "x" * 4096}] + [{"A": f"{i} " * 1000} for i in range(800)]) for n in range(4)]
    with pytest.raises(Refusal) as refusal:
        put(node, *many)
    assert refusal.value.code == "TotalSizeLimitExceededException"


def test_the_error_carries_the_type(fleet: Fleet) -> None:
    node = fleet.node()
    with pytest.raises(ClientError) as refusal:
        fleet.ssm.put_inventory(InstanceId=node.id, Items=[item(APPLICATION, [{"Colour": "red"}])])
    assert refusal.value.response["TypeName"] == APPLICATION


def test_a_node_speaks_of_itself_alone_and_an_operator_of_the_nodes_it_may(fleet: Fleet, server: RunningServer) -> None:
    ours, theirs = fleet.node(Team="a"), fleet.node(Team="b")
    with pytest.raises(Refusal) as refusal:
        ours.ssm("PutInventory", {"InstanceId": theirs.id, "Items": [item(APPLICATION, [])]})
    assert refusal.value.code == "AccessDeniedException"
    with pytest.raises(Refusal) as refusal:
        ours.ssm("GetInventory", {})
    assert refusal.value.code == "AccessDeniedException"
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["ssm:PutInventory", "ssm:ListInventoryEntries"],
            "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/Team": "a"}},
        },
    }
    made = fleet.patchwright.create_access_key(UserName="team-a", Policy=json.dumps(policy))
    mine = server.client(region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    large = [item("Custom:Large", [{"A": str(i)} for i in range(900)])]
    mine.put_inventory(InstanceId=ours.id, Items=large)
    assert len(entries(fleet, ours, "Custom:Large")) == 900
    for call in (
        lambda: mine.put_inventory(InstanceId=theirs.id, Items=large),
        lambda: mine.list_inventory_entries(InstanceId=theirs.id, TypeName=APPLICATION),
        lambda: mine.get_inventory(),
        lambda: mine.delete_inventory(TypeName="Custom:Large"),
    ):
        assert refused(call)[0] == "AccessDeniedException"
    assert refused(lambda: fleet.ssm.put_inventory(InstanceId=NOTHING, Items=large))[0] == "InvalidInstanceId"
    listing = fleet.ssm.list_inventory_entries
    assert refused(lambda: listing(InstanceId=NOTHING, TypeName=APPLICATION))[0] == "InvalidInstanceId"
    elsewhere = server.client(region=f"{fleet.region}-b")
    assert elsewhere.get_inventory()["Entities"] == []
    assert refused(lambda: elsewhere.put_inventory(InstanceId=ours.id, Items=large))[0] == "InvalidInstanceId"


def test_a_custom_type_is_defined_by_its_first_row_and_deleted_as_asked(fleet: Fleet) -> None:
    one, other = fleet.add(2)
    racks = "Custom:Rack"
    put(one, item(racks, [{"Row": "7", "Unit": "3"}]))
    fleet.ssm.put_inventory(InstanceId=other.id, Items=[item(racks, [{"Row": "8"}])])
    with pytest.raises(Refusal) as refusal:
        put(one, item(racks, [{"row": "7"}]))
    assert refusal.value.code == "InvalidItemContentException"
    (schema,) = fleet.ssm.get_inventory_schema(TypeName=racks)["Schemas"]
    assert (schema["Version"], [a["Name"] for a in schema["Attributes"]]) == ("1.0", ["Row", "Unit"])
    assert who(fleet, by(f"{racks}.Row", "8")) == [other.id]
    dry = fleet.ssm.delete_inventory(TypeName=racks, DryRun=True)
    assert "DeletionId" not in dry
    assert dry["DeletionSummary"] == {
        "TotalCount": 2,
        "RemainingCount": 2,
        "SummaryItems": [{"Version": "1.0", "Count": 2, "RemainingCount": 2}],
    }
    token = "0f0e0d0c-0b0a-4909-8807-060504030201"
    made = fleet.ssm.delete_inventory(TypeName=racks, SchemaDeleteOption="DisableSchema", ClientToken=token)
    again = fleet.ssm.delete_inventory(TypeName=racks, SchemaDeleteOption="DisableSchema", ClientToken=token)
    assert again["DeletionId"] == made["DeletionId"]

    def ended(deletion_id: str) -> dict[str, Any] | None:
        (found,) = fleet.ssm.describe_inventory_deletions(DeletionId=deletion_id)["InventoryDeletions"]
        return dict(found) if found["LastStatus"] == "Complete" else None

    over = wait_for(lambda: ended(made["DeletionId"]), "the end of the deletion")
    assert over["DeletionSummary"]["RemainingCount"] == 0
    assert entries(fleet, one, racks) == []
    said = put(one, item(racks, [{"Row": "1"}]))
    assert "disabled" in said["Message"]
    assert entries(fleet, one, racks) == []
    put(one, item(racks, [{"Shelf": "1"}]) | {"SchemaVersion": "1.1"})
    assert entries(fleet, one, racks) == [{"Shelf": "1"}]
    gone = fleet.ssm.delete_inventory(TypeName=racks, SchemaDeleteOption="DeleteSchema")
    wait_for(lambda: ended(gone["DeletionId"]), "the end of the deletion")
    assert refused(lambda: fleet.ssm.get_inventory_schema(TypeName=racks))[0] == "InvalidTypeNameException"
    assert refused(lambda: fleet.ssm.delete_inventory(TypeName=racks))[0] == "InvalidTypeNameException"
    put(one, item(racks, [{"row": "1"}]))
    assert refused(lambda: fleet.ssm.delete_inventory(TypeName=APPLICATION))[0] == "InvalidTypeNameException"
    unknown = lambda: fleet.ssm.describe_inventory_deletions(DeletionId=token)  # noqa: E731
    assert refused(unknown)[0] == "InvalidDeletionIdException"


def test_there_is_an_end_to_custom_types(fleet: Fleet) -> None:
    node = fleet.node()
    put(node, *(item(f"Custom:T{n}", [{"A": "1"}]) for n in range(20)))
    with pytest.raises(Refusal) as refusal:
        put(node, item("Custom:T20", [{"A": "1"}]))
    assert refusal.value.code == "CustomSchemaCountLimitExceededException"
    put(node, item("Custom:T19", [{"A": "2"}]))


def test_botocores_paginators_run_through_three_pages(fleet: Fleet) -> None:
    nodes = sorted(fleet.add(5), key=lambda n: n.id)
    for node in nodes:
        put(node, item(APPLICATION, [app(f"lib{n:03}") for n in range(120)]))

    def pages(operation: str, result: str, size: int, **more: Any) -> list[list[Any]]:
        made = fleet.ssm.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **more)
        return [page[result] for page in made]

    found = pages("get_inventory", "Entities", 2, ResultAttributes=[{"TypeName": APPLICATION}])
    assert [[e["Id"] for e in page] for page in found] == [[n.id for n in nodes[i : i + 2]] for i in (0, 2, 4)]
    first = fleet.ssm.list_inventory_entries(InstanceId=nodes[0].id, TypeName=APPLICATION)
    put(nodes[0], item(APPLICATION, [app("new")]))
    more = {"InstanceId": nodes[0].id, "TypeName": APPLICATION}
    second = fleet.ssm.list_inventory_entries(**more, NextToken=first["NextToken"])
    third = fleet.ssm.list_inventory_entries(**more, NextToken=second["NextToken"])
    names = [e["Name"] for page in (first, second, third) for e in page["Entries"]]
    assert names == [f"lib{n:03}" for n in range(120)]  # pages of one upload, whatever came since
    assert entries(fleet, nodes[0]) == [app("new")]
    for version in range(6):
        items = [item(f"Custom:V{n:02}", [{"A": "1"}]) | {"SchemaVersion": f"1.{version}"} for n in range(20)]
        put(nodes[1], *items)
    schemas = pages("get_inventory_schema", "Schemas", 50)
    assert [len(page) for page in schemas][:2] == [50, 50]
    assert len(schemas) == 3
    keys = [(s["TypeName"], s["Version"]) for page in schemas for s in page]
    assert len(keys) == len(set(keys))
    ids = {fleet.ssm.delete_inventory(TypeName=f"Custom:V{n:02}")["DeletionId"] for n in range(5)}
    deletions = pages("describe_inventory_deletions", "InventoryDeletions", 2)
    assert [len(page) for page in deletions] == [2, 2, 1]
    assert {d["DeletionId"] for page in deletions for d in page} == ids
    token = fleet.ssm.get_inventory(MaxResults=1)["NextToken"]
    for call in (
        lambda: fleet.ssm.get_inventory(NextToken=token, ResultAttributes=[{"TypeName": APPLICATION}]),
        lambda: fleet.ssm.get_inventory_schema(NextToken=token),
        lambda: fleet.ssm.describe_inventory_deletions(NextToken=token),
        lambda: fleet.ssm.list_inventory_entries(**more, NextToken=token),
    ):
        assert refused(call)[0] == "InvalidNextToken"


def test_a_deregistered_node_leaves_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    put(node, item(APPLICATION, [app("bash")]))
    fleet.ssm.deregister_managed_instance(InstanceId=node.id)
    assert who(fleet, type_name=APPLICATION) == []
    assert count(fleet, {"Expression": f"{APPLICATION}.Name"}) == [[]]


def test_the_plain_aws_command_puts_lists_and_filters(
    fleet: Fleet, aws: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    node = fleet.node()

    def said(*words: str) -> Any:
        done = aws("ssm", *words, "--region", fleet.region)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "{}")

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    racks = {"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "CaptureTime": now, "Content": [{"Row": "7"}]}
    said("put-inventory", "--instance-id", node.id, "--items", json.dumps([racks]))
    found = said("get-inventory", "--filters", "Key=Custom:Rack.Row,Values=7,Type=Equal",
                 "--result-attributes", "TypeName=Custom:Rack")["Entities"]  # fmt: skip
    assert [e["Id"] for e in found] == [node.id]
    assert found[0]["Data"]["Custom:Rack"]["Content"] == [{"Row": "7"}]
    counts = said("get-inventory", "--aggregators", "Expression=AWS:InstanceInformation.PlatformType")
    assert counts["Entities"][0]["Data"]["AWS:InstanceInformation"]["Content"] == [
        {"PlatformType": "Linux", "Count": "1"}
    ]
