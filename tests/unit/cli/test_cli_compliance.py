"""`patchwright compliance`: what it asks, what it prints, and which exit code a gate gets."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub, Refusal

Run = Callable[..., tuple[int, str, str]]
WEB = "mi-0123456789abcdef0"


def group(value: str, nodes: int, compliant: int, **more: Any) -> dict[str, Any]:
    return {
        "Value": value, "Nodes": nodes, "Compliant": compliant, "NonCompliant": 0, "Unjudged": 0, "NotScanned": 0,
        "Missing": 0, "Failed": 0, "InstalledPendingReboot": 0, "InstalledRejected": 0, "CriticalNonCompliant": 0,
        "SecurityNonCompliant": 0, "OtherNonCompliant": 0, **more,
    }  # fmt: skip


def item(patch: str, status: str = "COMPLIANT", state: str = "Installed") -> dict[str, Any]:
    return {
        "ComplianceType": "Patch", "ResourceId": WEB, "Id": patch, "Title": f"{patch}:1\x1b[2J", "Status": status,
        "Severity": "HIGH", "ExecutionSummary": {"ExecutionTime": 1.0},
        "Details": {"PatchState": state, "Classification": "Security", "PatchSeverity": "", "InstalledTime": ""},
    }  # fmt: skip


def groups(api: ApiStub, *found: dict[str, Any]) -> None:
    api.answers["DescribeComplianceGroups"] = {"Groups": list(found)}


@pytest.mark.parametrize(
    ("option", "by", "head"),
    [
        ((), "PatchGroup", "PATCH GROUP"),
        (("--by", "patch-group"), "PatchGroup", "PATCH GROUP"),
        (("--by", "operating-system"), "OperatingSystem", "OPERATING SYSTEM"),
        (("--by", "baseline"), "Baseline", "BASELINE"),
        (("--by", "severity"), "Severity", "SEVERITY"),
    ],
)
def test_groups_and_what_is_asked(api: ApiStub, patchwright: Run, option: tuple[str, ...], by: str, head: str) -> None:
    groups(api, group("prod", 2, 2))
    code, out, errors = patchwright("compliance", *option)
    assert (code, errors) == (0, "")
    assert [r["GroupBy"] for r in api.requests("DescribeComplianceGroups")] == [by]
    assert out.startswith(head)


def test_a_table_of_groups_by_name_or_value_and_nothing_steers_the_terminal(api: ApiStub, patchwright: Run) -> None:
    groups(
        api,
        group("", 1, 0, NotScanned=1),
        group("prod\x1b[2J", 3, 1, NonCompliant=2, Missing=7, SecurityNonCompliant=6, OtherNonCompliant=1),
        group("arn:x/pb-1", 1, 1, Name="own baseline"),
    )
    code, out, _ = patchwright("compliance")
    head, none, prod, own = out.splitlines()
    assert code == 2
    assert none.split()[:6] == ["-", "1", "0", "0", "0", "1"]
    assert prod.split()[:8] == ["prod\\u001b[2J", "3", "1", "2", "0", "0", "7", "0"]
    assert own.startswith("own baseline ")
    assert head.index("SECURITY") <= prod.rindex("6") < head.index("OTHER")
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([group("a", 3, 3)], 0),
        ([group("a", 3, 3), group("b", 1, 0, NonCompliant=1)], 2),
        ([group("a", 3, 2, Unjudged=1)], 2),
        ([group("a", 3, 2, NotScanned=1)], 2),
    ],
)
def test_only_a_fleet_that_is_wholly_known_and_compliant_ends_with_0(
    api: ApiStub, patchwright: Run, found: list[dict[str, Any]], code: int
) -> None:
    groups(api, *found)
    assert patchwright("compliance")[0] == code


def test_an_empty_region_is_no_compliant_fleet(api: ApiStub, patchwright: Run) -> None:
    groups(api)
    code, out, errors = patchwright("compliance", "-o", "json")
    assert (code, json.loads(out)) == (1, [])
    assert "no node" in errors


def test_all_pages_are_read_and_json_and_csv_say_the_same(api: ApiStub, patchwright: Run) -> None:
    def pages(request: dict[str, Any]) -> dict[str, Any]:
        if "NextToken" in request:
            return {"Groups": [group("b", 2, 2)]}
        return {"Groups": [group("=a", 1, 1)], "NextToken": "t"}

    api.answers["DescribeComplianceGroups"] = pages
    code, out, _ = patchwright("compliance", "-o", "json")
    assert (code, [g["Value"] for g in json.loads(out)]) == (0, ["=a", "b"])
    rows = list(csv.DictReader(io.StringIO(patchwright("compliance", "-o", "csv")[1], newline="")))
    assert [(r["PATCH GROUP"], r["NODES"], r["NOT SCANNED"]) for r in rows] == [("'=a", "1", "0"), ("b", "2", "0")]


def test_the_patches_of_a_node(api: ApiStub, patchwright: Run) -> None:
    api.answers["ListComplianceItems"] = {
        "ComplianceItems": [item("bash.amd64"), item("openssl.amd64", "NON_COMPLIANT", "Missing")]
    }
    code, out, errors = patchwright("compliance", WEB)
    assert (code, errors) == (2, "")
    head, bash, openssl = out.splitlines()
    assert head.split()[:4] == ["TYPE", "ITEM", "STATE", "STATUS"]
    assert bash.split()[:5] == ["Patch", "bash.amd64", "Installed", "COMPLIANT", "HIGH"]
    assert openssl.split()[:5] == ["Patch", "openssl.amd64", "Missing", "NON_COMPLIANT", "HIGH"]
    assert "\x1b" not in out
    (asked,) = api.requests("ListComplianceItems")
    assert (asked["ResourceIds"], asked["ResourceTypes"], asked["Filters"]) == ([WEB], ["ManagedInstance"], [])
    rows = list(csv.DictReader(io.StringIO(patchwright("compliance", WEB, "-o", "csv")[1], newline="")))
    assert [r["STATE"] for r in rows] == ["Installed", "Missing"]
    assert len(json.loads(patchwright("compliance", WEB, "-o", "json")[1])) == 2


def test_a_compliant_node_ends_with_0(api: ApiStub, patchwright: Run) -> None:
    api.answers["ListComplianceItems"] = {"ComplianceItems": [item("bash.amd64")]}
    assert patchwright("compliance", WEB)[0] == 0


@pytest.mark.parametrize(("status", "code"), [("COMPLIANT", 0), ("UNJUDGED", 2)])
def test_no_items_may_mean_two_things(api: ApiStub, patchwright: Run, status: str, code: int) -> None:
    api.answers["ListComplianceItems"] = {"ComplianceItems": []}
    why = {"UnjudgedReason": "it has not reported\x1b"} if status == "UNJUDGED" else {}
    api.answers["DescribeNodePatches"] = {"NodeId": WEB, "Compliance": status, **why}
    ended, _, errors = patchwright("compliance", WEB, "--non-compliant")
    assert ended == code
    assert ("it has not reported\\u001b" in errors) == (status == "UNJUDGED")
    assert api.requests("ListComplianceItems")[0]["Filters"] == [
        {"Key": "Status", "Values": ["NON_COMPLIANT"], "Type": "EQUAL"}
    ]


def test_a_name_stands_for_a_node(api: ApiStub, patchwright: Run) -> None:
    api.answers["DescribeNodes"] = {"Nodes": [{"NodeId": WEB, "Name": "web"}]}
    api.answers["ListComplianceItems"] = {"ComplianceItems": [item("bash.amd64")]}
    assert patchwright("compliance", "web")[0] == 0
    assert api.requests("ListComplianceItems")[0]["ResourceIds"] == [WEB]
    assert patchwright("compliance", "nobody")[0] == 1


def test_wrong_usage_ends_with_64_and_a_refusal_with_1(api: ApiStub, patchwright: Run) -> None:
    assert patchwright("compliance", WEB, "--by", "severity")[0] == 64
    assert patchwright("compliance", "--non-compliant")[0] == 64
    with pytest.raises(SystemExit) as usage:
        patchwright("compliance", "--by", "colour")
    assert usage.value.code == 64

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("AccessDeniedException", "not you\x1b")

    api.answers["DescribeComplianceGroups"] = refuse
    code, out, errors = patchwright("compliance")
    assert (code, out) == (1, "")
    assert "AccessDeniedException: not you\\u001b" in errors


def _audit(status: str) -> dict[str, Any]:
    return item("cis-1", status) | {"ComplianceType": "Custom:Audit", "Details": {}}


def test_findings_of_others_count_and_do_not_stand_for_patches(api: ApiStub, patchwright: Run) -> None:
    items = [_audit("COMPLIANT"), item("openssl.amd64")]
    api.answers["ListComplianceItems"] = lambda _: {"ComplianceItems": items}
    code, out, _ = patchwright("compliance", WEB)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["Custom:Audit", "Patch"]
    items[0] = _audit("NON_COMPLIANT")
    assert patchwright("compliance", WEB)[0] == 2
    items[:] = [_audit("COMPLIANT")]
    api.answers["DescribeNodePatches"] = {"Compliance": "UNJUDGED", "UnjudgedReason": "never reported"}
    code, _, errors = patchwright("compliance", WEB)
    assert (code, "never reported" in errors) == (2, True)


def test_types_are_counted_with_the_levels_of_what_is_not_compliant(api: ApiStub, patchwright: Run) -> None:
    levels = dict.fromkeys(("CriticalCount", "HighCount", "MediumCount", "LowCount", "InformationalCount"), 0)

    def sums(kind: str, good: int, bad: int) -> dict[str, Any]:
        return {
            "ComplianceType": kind,
            "CompliantSummary": {"CompliantCount": good, "SeveritySummary": {**levels, "UnspecifiedCount": good}},
            "NonCompliantSummary": {"NonCompliantCount": bad, "SeveritySummary": {**levels, "UnspecifiedCount": bad}},
        }

    api.answers["ListComplianceSummaries"] = {"ComplianceSummaryItems": [sums("Custom:A", 2, 0), sums("Patch", 1, 1)]}
    code, out, _ = patchwright("compliance", "--by", "type")
    assert code == 2
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["Custom:A", "2", "0", "0", "0", "0", "0", "0", "0"],
        ["Patch", "1", "1", "0", "0", "0", "0", "0", "1"],
    ]
    api.answers["ListComplianceSummaries"] = {"ComplianceSummaryItems": [sums("Custom:A", 2, 0)]}
    assert patchwright("compliance", "--by", "type")[0] == 0
    api.answers["ListComplianceSummaries"] = {"ComplianceSummaryItems": []}
    assert patchwright("compliance", "--by", "type")[0] == 1
