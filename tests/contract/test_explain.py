"""ExplainPatch and DescribeNodePatches: why a patch is, or is not, there. Source: decisions.md 15, 16."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import DebianHost, Package, Repo, usual_host


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _why(fleet: Fleet, node: Node, patch: str) -> list[dict[str, Any]]:
    return list(fleet.patchwright.explain_patch(NodeId=node.id, Patch=patch)["Explanations"])


def test_a_missing_patch_is_explained_with_its_versions_and_its_rule(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    answer = fleet.patchwright.explain_patch(NodeId=node.id, Patch="openssl")
    assert (answer["NodeId"], answer["BaselineName"]) == (node.id, "AWS-DebianDefaultPatchBaseline")
    assert answer["BaselineId"].endswith("/pb-5dbf5f2d6e91c3251")
    (why,) = answer["Explanations"]
    assert (why["PatchId"], why["State"], why["Code"]) == ("openssl.amd64", "MISSING", "APPROVED_BY_RULE")
    assert (why["InstalledVersion"], why["TargetVersion"]) == ("3.0.11-1", "3.0.13-1~deb12u1")
    assert why["Title"] == "openssl.amd64:3.0.13-1~deb12u1"
    assert "openssl" in why["Summary"]
    assert answer["FactsCollectedAt"] <= answer["JudgedAt"]
    assert _why(fleet, node, "openssl.amd64") == [why]


def test_each_situation_has_its_code(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    host.packages["held"] = Package("1", offers=(("2", host.packages["openssl"].offers[0][1]),))
    host.holds = ("held",)
    fleet.scan(node, host)
    codes = {name: _why(fleet, node, name)[0]["Code"] for name in ("vim", "bash", "held", "emacs", "CVE-2024-0001")}
    assert codes == {
        "vim": "NOT_SECURITY",
        "bash": "NO_UPDATE_ON_OFFER",
        "held": "HELD",
        "emacs": "NOT_INSTALLED",
        "CVE-2024-0001": "NO_CVE_SOURCE",
    }


def test_a_waiting_patch_says_until_when_and_by_whose_clock(fleet: Fleet) -> None:
    node = fleet.node()
    now = datetime.now(UTC)
    repo = Repo("lab-security", origin=f"Why-{fleet.region}", released_at=int((now - timedelta(days=2)).timestamp()))
    fleet.ssm.register_default_patch_baseline(
        BaselineId=fleet.ssm.create_patch_baseline(
            Name="waits",
            OperatingSystem="DEBIAN",
            ApprovalRules={
                "PatchRules": [
                    {"PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]}, "ApproveAfterDays": 7}
                ]
            },
        )["BaselineId"]
    )
    fleet.scan(node, DebianHost(packages={"alpha": Package("1", offers=(("2", (repo,)),), repos=())}, sources=(repo,)))
    (why,) = _why(fleet, node, "alpha")
    assert (why["Code"], why["State"]) == ("PENDING_APPROVAL", "INSTALLED_OTHER")
    released = now - timedelta(days=2)
    expected = datetime(released.year, released.month, released.day, tzinfo=UTC) + timedelta(days=7)
    assert why["ApprovalDate"] == expected
    counts = fleet.patchwright.describe_node_patches(NodeId=node.id)["Counts"]
    assert (counts["PendingApproval"], counts["Missing"]) == (1, 0)


def test_one_node_at_a_glance(fleet: Fleet) -> None:
    node, host = fleet.node(name="web-1", Patch_Group="prod"), usual_host()
    host.holds = ("vim",)
    host.reboot = True
    host.problems = ({"code": "LOCKED", "message": "held by apt", "remedy": "wait", "packages": []},)
    fleet.scan(node, host)
    seen = fleet.patchwright.describe_node_patches(NodeId=node.id)
    assert (seen["Name"], seen["Compliance"]) == ("web-1", "NON_COMPLIANT")
    assert (seen["Baseline"]["Source"], seen["Baseline"]["PatchGroup"]) == ("Default", "prod")
    assert [(o["Name"], o["Installed"], o["Candidate"], o["Offers"], o["Held"]) for o in seen["Offered"]] == [
        ("openssl", "3.0.11-1", "3.0.13-1~deb12u1", ["3.0.13-1~deb12u1"], False),
        ("vim", "2:9.0.1378-2", "2:9.0.1378-3", ["2:9.0.1378-3"], True),
    ]
    (missing,) = seen["Missing"]
    assert (missing["PatchId"], missing["Installed"], missing["Target"]) == (
        "openssl.amd64",
        "3.0.11-1",
        "3.0.13-1~deb12u1",
    )
    assert (missing["Code"], missing["Classification"]) == ("APPROVED_BY_RULE", "Security")
    assert seen["Problems"] == [{"Code": "LOCKED", "Message": "held by apt", "Remedy": "wait"}]
    assert seen["Reboot"]["Required"] is True
    assert seen["ClockOffsetSeconds"] < 0
    states = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"][0]
    assert (seen["Counts"]["Missing"], seen["Counts"]["InstalledOther"]) == (
        states["MissingCount"],
        states["InstalledOtherCount"],
    )


def test_a_node_without_facts_says_so_and_never_looks_compliant(fleet: Fleet) -> None:
    node = fleet.node()
    seen = fleet.patchwright.describe_node_patches(NodeId=node.id)
    assert (seen["Compliance"], seen["Offered"], seen["Missing"]) == ("UNJUDGED", [], [])
    assert "not reported" in seen["UnjudgedReason"]
    assert [w["Code"] for w in _why(fleet, node, "openssl")] == ["UNJUDGED"]


def test_an_operating_system_that_no_baseline_knows_is_unjudged(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    host.system = {**host.system, "id": "templeos", "id_like": ""}
    answer = fleet.scan(node, host)
    assert "Compliance: UNJUDGED" in answer["Report"]
    seen = fleet.patchwright.describe_node_patches(NodeId=node.id)
    assert (seen["Compliance"], bool(seen["UnjudgedReason"])) == ("UNJUDGED", True)


def test_each_bad_request_gets_its_error(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    nobody = "mi-0123456789abcdef0"
    for call, code in (
        (lambda: fleet.patchwright.explain_patch(NodeId=nobody, Patch="vim"), "InvalidInstanceId"),
        (lambda: fleet.patchwright.describe_node_patches(NodeId=nobody), "InvalidInstanceId"),
        (lambda: fleet.patchwright.explain_patch(NodeId=node.id, Patch=""), "ValidationException"),
        (lambda: fleet.patchwright.explain_patch(NodeId=node.id, Patch="vim\x00"), "ValidationException"),
        (lambda: fleet.patchwright.explain_patch(NodeId=node.id, Patch="v" * 257), "ValidationException"),
        (lambda: fleet.patchwright.explain_patch(NodeId="x", Patch="vim"), "ValidationException"),
        (lambda: fleet.client("patchwright", "elsewhere-4").describe_node_patches(NodeId=node.id), "InvalidInstanceId"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code
