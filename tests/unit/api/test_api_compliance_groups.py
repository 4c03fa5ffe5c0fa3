"""DescribeComplianceGroups on both engines: every registered node is in one group, and no group is lost.

Source: docs/reference/operations.md; there is no such operation at AWS.
"""

from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import NOW
from tests.unit.judged import UBUNTU, Judged

import patchwright.api.compliance_groups  # noqa: F401  importing the module registers its handler
from patchwright.core.values import ComplianceLevel, OperatingSystem, Scope
from patchwright.store.compliance_groups import Grouping, page
from patchwright.store.engine import Engine

L = ComplianceLevel
OPERATION = "DescribeComplianceGroups"


@pytest.fixture
def fleet(store: Engine) -> Judged:
    return Judged(store)


def _groups(api: Api, by: str, **more: Any) -> dict[str, dict[str, Any]]:
    found = [g for p in api.pages(OPERATION, GroupBy=by, **more) for g in p["Groups"]]
    assert len({g["Value"] for g in found}) == len(found)
    return {g["Value"]: g for g in found}


def _nodes(group: dict[str, Any]) -> tuple[int, ...]:
    return tuple(group[m] for m in ("Nodes", "Compliant", "NonCompliant", "Unjudged", "NotScanned"))


def test_by_patch_group(api: Api, fleet: Judged) -> None:
    fleet.add(group="prod")
    fleet.add(group="prod", level=L.HIGH, missing=3, security_non_compliant=3)
    fleet.add(group="prod", level=L.LOW, missing=1, failed=2, other_non_compliant=3)
    fleet.unjudged(group="prod")
    fleet.unjudged(group="prod", reported=False)
    fleet.fleet.add(Patch_Group="prod")
    fleet.fleet.add(PatchGroup="lab", Patch_Group="prod")
    fleet.fleet.add()
    fleet.add(scope=Scope(account="000000000001", region="elsewhere-1"), group="prod")
    groups = _groups(api, "PatchGroup")
    assert list(groups) == ["", "lab", "prod"]
    assert _nodes(groups["prod"]) == (6, 1, 2, 1, 2)
    assert _nodes(groups["lab"]) == (1, 0, 0, 0, 1)
    assert _nodes(groups[""]) == (1, 0, 0, 0, 1)
    sums = {m: n for m, n in groups["prod"].items() if isinstance(n, int) and n and m not in ("Nodes", "NotScanned")}
    assert sums == {
        "Compliant": 1,
        "NonCompliant": 2,
        "Unjudged": 1,
        "Missing": 4,
        "Failed": 2,
        "SecurityNonCompliant": 3,
        "OtherNonCompliant": 3,
    }


def test_by_system_baseline_and_severity(api: Api, fleet: Judged) -> None:
    fleet.add(system=OperatingSystem.DEBIAN)
    fleet.add(level=L.CRITICAL)
    fleet.add(level=L.CRITICAL)
    fleet.add(level=L.UNSPECIFIED)
    fleet.fleet.add(system=None)
    systems = _groups(api, "OperatingSystem")
    assert {name: g["Nodes"] for name, g in systems.items()} == {"": 1, "DEBIAN": 1, "UBUNTU": 3}
    baselines = _groups(api, "Baseline")
    (mine,) = [name for name in baselines if name]
    assert mine.endswith(f":patchbaseline/{UBUNTU}")
    assert (baselines[mine]["Name"], baselines[mine]["Nodes"]) == ("AWS-UbuntuDefaultPatchBaseline", 4)
    severities = _groups(api, "Severity")
    assert {name: g["Nodes"] for name, g in severities.items()} == {"": 2, "CRITICAL": 2, "UNSPECIFIED": 1}


def test_pages_of_groups_in_the_order_of_code_points(api: Api, fleet: Judged) -> None:
    names = ["", "B", "Z", "a", "b", "prod", "prod/eu", "ä"]
    for name in names:
        fleet.add(group=name)
    assert list(_groups(api, "PatchGroup", MaxResults=1)) == names
    assert list(_groups(api, "PatchGroup", MaxResults=3)) == names
    token = api(OPERATION, GroupBy="PatchGroup", MaxResults=3)["NextToken"]
    with pytest.raises(AnswerError, match="InvalidNextToken"):
        api(OPERATION, GroupBy="Severity", NextToken=token)
    for bad in ({}, {"GroupBy": "Colour"}, {"GroupBy": "Severity", "MaxResults": 51}):
        with pytest.raises(AnswerError, match="ValidationException"):
            api(OPERATION, **bad)


def test_no_node_no_group(api: Api, store: Engine) -> None:
    assert api(OPERATION, GroupBy="Baseline")["Groups"] == []
    gone = Judged(store)
    gone.fleet.deregister(gone.add(), NOW)
    for grouping in Grouping:
        assert store.read(lambda tx, g=grouping: page(tx, api.scope, g, after=None, limit=10)) == []
