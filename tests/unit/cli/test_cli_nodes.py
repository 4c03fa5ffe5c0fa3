"""`patchwright nodes`: which nodes, in which order, with which columns, in the three forms of output."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub

from patchwright.cli.nodes import chosen, ordered

Run = Callable[..., tuple[int, str, str]]
WEB, DB, NEW, OLD = (f"mi-0123456789abcdef{n}" for n in range(4))
FULL: dict[str, Any] = {
    "ComputerName": "host", "PlatformName": "Debian GNU/Linux", "PlatformVersion": "12", "OperatingSystem": "DEBIAN",
    "PingStatus": "Online", "LastPingAt": 1795199177.5, "AgentVersion": "0.1.0", "ScanOnly": False,
    "ClockOffsetSeconds": -1, "FactsCollectedAt": 1795199177.5, "BaselineId": "pb-1",
    "LastOperation": {"Operation": "Install", "ExitCode": 0, "EndedAt": 1795199177.5},
}  # fmt: skip


def counts(missing: int = 0, failed: int = 0, pending: int = 0) -> dict[str, int]:
    return {"Missing": missing, "Failed": failed, "InstalledPendingReboot": pending}


NODES: list[dict[str, Any]] = [
    {**FULL, "NodeId": WEB, "Name": "web\x1b[2J", "Compliance": "NON_COMPLIANT", "Counts": counts(7, 1, 2),
     "PatchGroup": "web", "ScanOnly": True},
    {**FULL, "NodeId": DB, "Name": "=db", "Compliance": "COMPLIANT", "Counts": counts(), "ClockOffsetSeconds": 3700,
     "PlatformName": "Ubuntu", "PlatformVersion": "22.04", "OperatingSystem": "UBUNTU"},
    {"NodeId": NEW, "Name": "new", "PingStatus": "ConnectionLost", "Compliance": "UNJUDGED", "ScanOnly": False,
     "UnjudgedReason": "the node has not reported its packages yet"},
    {**FULL, "NodeId": OLD, "Name": "old", "Compliance": "UNJUDGED", "PingStatus": "ConnectionLost",
     "UnjudgedReason": "its manager is none of ours"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def fleet(api: ApiStub) -> ApiStub:
    api.answers["DescribeNodes"] = {"Nodes": NODES}
    return api


def ids(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_one_glance_shows_what_an_operator_must_know(patchwright: Run) -> None:
    code, out, _ = patchwright("nodes")
    assert code == 0
    head, web, db, new, old = out.splitlines()
    assert head.split() == ["NODE", "NAME", "PING", "COMPLIANCE", "MISSING", "FAILED", "NOTES"]
    assert web.split(maxsplit=6) == [
        WEB, "web\\u001b[2J", "Online", "NON_COMPLIANT", "7", "1", "scan-only, 2 wait for a reboot",
    ]  # fmt: skip
    assert db.endswith("clock 1 h ahead")
    assert new[head.index("PING") :].split("  ")[:2] == ["ConnectionLost", "no data"]
    assert old.split("UNJUDGED")[1].split() == ["its", "manager", "is", "none", "of", "ours"]
    assert "\x1b" not in out


def test_csv_and_json_say_the_same_words(patchwright: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(patchwright("nodes", "-o", "csv")[1], newline="")))
    nodes = json.loads(patchwright("nodes", "-o", "json")[1])
    expected = ["NON_COMPLIANT", "COMPLIANT", "no data", "UNJUDGED"]
    assert [r["COMPLIANCE"] for r in rows] == [n["Compliance"] for n in nodes] == expected
    assert [r["NAME"] for r in rows] == ["web\\u001b[2J", "'=db", "new", "old"]
    assert [(r["MISSING"], r["SCAN ONLY"], r["CLOCK OFFSET"]) for r in rows[:3]] == [
        ("7", "yes", "-1"), ("0", "no", "3700"), ("", "no", ""),
    ]  # fmt: skip
    assert rows[0]["ENDED"] == nodes[0]["LastOperation"]["EndedAt"] == "2026-11-20T18:26:17Z"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"group": "web"}, [WEB]),
        ({"group": ""}, [DB, NEW, OLD]),
        ({"system": "ubuntu 22"}, [DB]),
        ({"system": "debian"}, [WEB, OLD]),
        ({"status": ["no-data"]}, [NEW]),
        ({"status": ["offline"]}, [NEW, OLD]),
        ({"status": ["offline", "unjudged"]}, [OLD]),
        ({"status": ["non-compliant", "scan-only"]}, [WEB]),
        ({"status": ["compliant"]}, [DB]),
    ],
)
def test_filters(filters: dict[str, Any], expected: list[str]) -> None:
    assert [n["NodeId"] for n in chosen(NODES, **filters)] == expected


@pytest.mark.parametrize(
    ("column", "reverse", "expected"),
    [
        ("missing", False, [DB, WEB, NEW, OLD]),
        ("missing", True, [WEB, DB, NEW, OLD]),
        ("name", False, [DB, NEW, OLD, WEB]),
        (None, True, [OLD, NEW, DB, WEB]),
    ],
)
def test_order(column: str | None, reverse: bool, expected: list[str]) -> None:
    assert [n["NodeId"] for n in ordered(NODES, column, reverse)] == expected


def test_filters_and_order_of_the_command_line(patchwright: Run) -> None:
    words = ["--status", "online", "--os", "debian", "--group", "web", "--sort", "name", "--reverse"]
    assert ids(patchwright("nodes", *words)[1]) == [WEB]


def test_columns_are_chosen(patchwright: Run) -> None:
    _, out, _ = patchwright("nodes", "--columns", "name,pending-reboot", "--status", "scan-only")
    assert out == "NAME          PENDING REBOOT\nweb\\u001b[2J               2\n"


def test_targets_are_the_servers_business(api: ApiStub, patchwright: Run) -> None:
    patchwright("nodes", "--target", "tag:tier=web", "--target", "tag:tier=db", "--target", "tag:stage=a=b")
    (asked,) = api.requests("DescribeNodes")
    assert asked["Targets"] == [
        {"Key": "tag:tier", "Values": ["web", "db"]}, {"Key": "tag:stage", "Values": ["a=b"]},
    ]  # fmt: skip


def test_a_large_fleet_is_read_page_by_page(api: ApiStub, patchwright: Run) -> None:
    def page(request: dict[str, Any]) -> dict[str, Any]:
        start = int(request.get("NextToken", "0"))
        nodes = [{**FULL, "NodeId": f"mi-{start + i:017x}", "Name": "n"} for i in range(request["MaxResults"])]
        return {"Nodes": nodes, **({"NextToken": str(start + 50)} if start < 950 else {})}

    api.answers["DescribeNodes"] = page
    assert len(ids(patchwright("nodes")[1])) == 1000
    assert len(api.asked) == 20
