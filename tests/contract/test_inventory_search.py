"""What is asked of inventory: filters, counts, and the types that the server answers itself.

Source: operations.md 7.1.
"""

from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.inventory_lab import APPLICATION, app, by, count, entries, item, put, who
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.synthetic_facts import usual_host


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def test_every_filter(fleet: Fleet) -> None:
    nodes = sorted(fleet.add(3), key=lambda n: n.id)
    a, b, c = (n.id for n in nodes)
    nodes[2].heartbeat(PlatformType="Windows")
    put(nodes[0], item(APPLICATION, [app("openssl", "3.0.1"), app("bash", "5.2")]))
    put(nodes[1], item(APPLICATION, [app("openssl", "3.0.2"), app("zsh", "5.9")]))
    put(nodes[0], item("AWS:File", [{"Name": "a", "Size": "9"}]))
    put(nodes[1], item("AWS:File", [{"Name": "a", "Size": "10"}]))
    name, version = f"{APPLICATION}.Name", f"{APPLICATION}.Version"
    platform = "AWS:InstanceInformation.PlatformType"
    cases: list[tuple[list[dict[str, Any]], list[str]]] = [
        ([by(name, "openssl")], [a, b]),
        ([by(name, "bash", "zsh")], [a, b]),
        ([{"Key": name, "Values": ["zsh"]}], [b]),
        ([by(name, "open", how="BeginWith")], [a, b]),
        ([by(name, "bash", how="NotEqual")], [b]),
        ([by(name, "c", how="LessThan")], [a]),
        ([by(name, "y", how="GreaterThan")], [b]),
        ([by(name, "OPENSSL")], []),
        ([by(name, "openssl"), by(version, "3.0.2")], [b]),
        ([by(name, "openssl"), by(version, "5.2")], []),  # one row has to fulfil both
        ([by(name, "openssl"), by(version, "3.0.2", how="NotEqual")], [a]),
        ([by("AWS:File.Size", "10", how="LessThan")], [a]),
        ([by("AWS:File.Size", "9", how="GreaterThan")], [b]),
        ([by(APPLICATION, "", how="Exists")], [a, b]),
        ([by(platform, "Windows")], [c]),
        ([by(platform, "Windows", how="NotEqual")], [a, b]),
        ([by(platform, "Linux"), by(name, "bash")], [a]),
        ([by("AWS:InstanceInformation.InstanceId", a, c)], [a, c]),
        ([by(f"{APPLICATION}.URL", "x", how="NotEqual")], [a, b]),
    ]
    for filters, found in cases:
        assert who(fleet, *filters) == found, filters
    for bad in (by("Colour", "x"), by(f"{APPLICATION}.Colour", "x"), by("AWS:File.Size", "big", how="LessThan"),
                by("AWS:PatchCompliance.State", "x"), by("AWS:PatchSummary.SnapshotId", "x")):  # fmt: skip
        assert refused(lambda bad=bad: who(fleet, bad))[0] == "InvalidFilter"
    assert refused(lambda: who(fleet, type_name="AWS:Nonsense"))[0] == "InvalidTypeNameException"
    own = fleet.ssm.list_inventory_entries
    of_a = {"InstanceId": a, "TypeName": APPLICATION}
    for wanted, names in (
        (by("Name", "b", how="BeginWith"), ["bash"]),
        (by(name, "bash", how="NotEqual"), ["openssl"]),
        (by(version, "4", how="LessThan"), ["openssl"]),
    ):
        assert [e["Name"] for e in own(**of_a, Filters=[wanted])["Entries"]] == names
    assert refused(lambda: own(**of_a, Filters=[by("AWS:File.Name", "a")]))[0] == "InvalidFilter"
    assert refused(lambda: own(**of_a, Filters=[by(APPLICATION, "", how="Exists")]))[0] == "InvalidFilter"


def test_what_is_asked_for_is_never_a_pattern_and_long_values_are_found(fleet: Fleet) -> None:
    node = fleet.node()
    long = "é" * 300
    hostile = ["100%", "a_b", "'; DROP TABLE node; --", '"', "\\", "\N{SNOWMAN}", long]
    put(node, item(APPLICATION, [app(name) for name in [*hostile, "1000", "axb", "bell\x07\x00end"]]))
    for name in hostile:
        assert who(fleet, by(f"{APPLICATION}.Name", name)) == [node.id]
    names = {e["Name"] for e in entries(fleet, node)}
    assert "bell  end" in names
    assert long in names
    for how in ("Equal", "BeginWith"):
        wanted = fleet.ssm.list_inventory_entries(
            InstanceId=node.id, TypeName=APPLICATION, Filters=[by("Name", "a_", "100%", how=how)]
        )["Entries"]
        assert {e["Name"] for e in wanted} == ({"100%"} if how == "Equal" else {"100%", "a_b"})


def test_counts_by_values_by_groups_and_within_one_another(fleet: Fleet) -> None:
    nodes = fleet.add(3)
    nodes[2].heartbeat(PlatformType="Windows", PlatformName="Windows Server")
    for node in nodes[:2]:
        put(node, item(APPLICATION, [app("bash", "5.2"), app("bash", "5.2", Architecture="i386")]))
    put(nodes[2], item(APPLICATION, [app("bash", "5.3")]))
    platform = {"Expression": "AWS:InstanceInformation.PlatformType"}
    assert count(fleet, platform) == [
        [{"PlatformType": "Linux", "Count": "2"}, {"PlatformType": "Windows", "Count": "1"}]
    ]
    by_name = {"Expression": f"{APPLICATION}.Name"}
    assert count(fleet, by_name) == [[{"Name": "bash", "Count": "3"}]]
    by_version = by_name | {"Aggregators": [{"Expression": f"{APPLICATION}.Version"}]}
    assert count(fleet, by_version) == [
        [{"Name": "bash", "Version": "5.2", "Count": "2"}, {"Name": "bash", "Version": "5.3", "Count": "1"}]
    ]
    only = [by("AWS:InstanceInformation.PlatformType", "Linux")]
    assert count(fleet, by_name, Filters=only) == [[{"Name": "bash", "Count": "2"}]]
    mixed = platform | {"Aggregators": [{"Expression": f"{APPLICATION}.Version"}]}
    assert count(fleet, mixed) == [
        [
            {"PlatformType": "Linux", "Version": "5.2", "Count": "2"},
            {"PlatformType": "Windows", "Version": "5.3", "Count": "1"},
        ]
    ]
    group = {"Groups": [{"Name": "new", "Filters": [by(f"{APPLICATION}.Version", "5.3")]}]}
    assert count(fleet, group) == [[{"Name": "new", "matchingCount": "1", "notMatchingCount": "2"}]]
    (both,) = count(fleet, platform | group)
    assert both == [
        {"PlatformType": "Linux", "Name": "new", "matchingCount": "0", "notMatchingCount": "2"},
        {"PlatformType": "Windows", "Name": "new", "matchingCount": "1", "notMatchingCount": "0"},
    ]
    lacks = {"Groups": [{"Name": "files", "Filters": [by("AWS:File", "", how="Exists")]}]}
    assert count(fleet, lacks) == [[{"Name": "files", "matchingCount": "0", "notMatchingCount": "3"}]]
    bad = {
        "InvalidAggregatorException": [{}, {"Expression": "AWS:Nonsense.Name"}, {"Expression": f"{APPLICATION}.Colour"},
                                       by_name | {"Aggregators": [{"Expression": "AWS:Network.Name"}]}],
        "InvalidInventoryGroupException": [{"Groups": [{"Name": "g", "Filters": [by("Colour", "x")]}]}],
    }  # fmt: skip
    for code, aggregators in bad.items():
        for one in aggregators:
            assert refused(lambda one=one: count(fleet, one))[0] == code
    both_asked = {"ResultAttributes": [{"TypeName": APPLICATION}]}
    assert refused(lambda: count(fleet, platform, **both_asked))[0] == "InvalidAggregatorException"


def test_what_the_server_knows_itself_is_answered_by_it(fleet: Fleet) -> None:
    node, unjudged = fleet.node(Patch_Group="prod"), fleet.node()
    fleet.scan(node, usual_host())
    said = put(node, item("AWS:InstanceInformation", [{"ComputerName": "liar"}]),
                item("AWS:PatchSummary", [{"MissingCount": "0"}]))  # fmt: skip
    assert "AWS:PatchSummary" in said["Message"]

    def rows(type_name: str) -> dict[str, list[dict[str, str]]]:
        found = fleet.ssm.get_inventory(ResultAttributes=[{"TypeName": type_name}])["Entities"]
        return {e["Id"]: e["Data"][type_name]["Content"] for e in found}

    (summary,) = rows("AWS:PatchSummary")[node.id]
    assert (summary["PatchGroup"], summary["MissingCount"], summary["OperationType"]) == ("prod", "1", "Scan")
    assert unjudged.id not in rows("AWS:PatchSummary")
    patches = rows("AWS:PatchCompliance")[node.id]
    assert [(p["KBId"], p["State"]) for p in patches if p["State"] == "MISSING"] == [("openssl.amd64", "MISSING")]
    items = entries(fleet, node, "AWS:ComplianceItem", Filters=[by("Status", "NON_COMPLIANT")])
    assert [(i["ComplianceType"], i["Id"], i["PatchState"]) for i in items] == [("Patch", "openssl.amd64", "Missing")]
    assert rows("AWS:InstanceInformation")[node.id][0]["ComputerName"] == "web01"
    assert who(fleet, by("AWS:PatchSummary.MissingCount", "0", how="GreaterThan")) == [node.id]
    assert count(fleet, {"Expression": "AWS:PatchSummary.PatchGroup"}) == [[{"PatchGroup": "prod", "Count": "1"}]]


def test_a_full_upload_of_a_real_host_and_the_largest_one(fleet: Fleet) -> None:
    node = fleet.node()
    rows = [app(f"package-{n}", Summary="s" * 250, Publisher="p" * 60) for n in range(10_000)]
    put(node, item(APPLICATION, rows, ContentHash="h"))
    assert len(entries(fleet, node, Filters=[by("Name", "package-99", how="BeginWith")])) == 111
    put(node, item(APPLICATION, rows[:-1], ContentHash="h2"))
    assert who(fleet, by(f"{APPLICATION}.Name", "package-9999")) == []
