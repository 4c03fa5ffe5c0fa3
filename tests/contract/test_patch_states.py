"""DescribeInstancePatchStates and DescribeInstancePatches, live: what changes them, and that no scan is needed for it.

Source: patch-baselines.md 6, 8; decisions.md 12, 13, 15.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from patchwright.core.values import NodeId
from patchwright.store import judgements
from patchwright.store.tables import overlay
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import MAIN, SECURITY, UPDATES, DebianHost, Package, Repo, usual_host

NOTHING = "mi-0123456789abcdef0"
ANY = {
    "PatchRules": [
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
            "EnableNonSecurity": True,
            "ApproveAfterDays": 0,
            "ComplianceLevel": "CRITICAL",
        }
    ]
}


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _state(fleet: Fleet, node: Node) -> dict[str, Any]:
    (found,) = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]
    return dict(found)


def _counts(fleet: Fleet, node: Node) -> dict[str, int]:
    """The counts that are not zero, without the two that Linux does not have."""
    absent = ("NotApplicableCount", "UnreportedNotApplicableCount")
    return {k: v for k, v in _state(fleet, node).items() if k.endswith("Count") and v and k not in absent}


def _becomes(fleet: Fleet, node: Node, wanted: dict[str, int]) -> None:
    """The loop judges in the background: within seconds the counts are these."""
    deadline = time.monotonic() + 8
    while (got := _counts(fleet, node)) != wanted:
        assert time.monotonic() < deadline, f"still {got}"
        time.sleep(0.02)


def _patches(fleet: Fleet, node: Node, **filters: list[str]) -> dict[str, str]:
    wanted = {"Filters": [{"Key": k, "Values": v} for k, v in filters.items()]} if filters else {}
    found = fleet.ssm.describe_instance_patches(InstanceId=node.id, **wanted)["Patches"]
    return {p["KBId"]: p["State"] for p in found}


def _baseline(fleet: Fleet, **more: Any) -> str:
    return str(
        fleet.ssm.create_patch_baseline(Name="lab", OperatingSystem="DEBIAN", **{"ApprovalRules": ANY, **more})[
            "BaselineId"
        ]
    )


PREDEFINED = {"InstalledOtherCount": 2, "MissingCount": 1, "SecurityNonCompliantCount": 1}
"""The usual host under AWS-DebianDefaultPatchBaseline: only the security fix of openssl is asked for."""
EVERYTHING = {"InstalledCount": 1, "MissingCount": 2, "CriticalNonCompliantCount": 2, "SecurityNonCompliantCount": 1}
"""The same under ANY: vim's ordinary update counts, bash is what the baseline wants it to be."""


def test_a_scan_shows_counts_states_and_its_own_times(fleet: Fleet) -> None:
    node = fleet.node()
    snapshot = "11111111-2222-3333-4444-555555555555"
    before = datetime.now(UTC) - timedelta(seconds=1)
    answer = fleet.scan(node, usual_host(), SnapshotId=snapshot, RebootOption="NoReboot")
    state = _state(fleet, node)
    assert _counts(fleet, node) == PREDEFINED
    assert (state["NotApplicableCount"], state["UnreportedNotApplicableCount"]) == (0, -1)
    assert (state["Operation"], state["RebootOption"], state["SnapshotId"]) == ("Scan", "NoReboot", snapshot)
    assert (state["PatchGroup"], state["OwnerInformation"]) == ("", "")
    assert state["BaselineId"].endswith("/pb-5dbf5f2d6e91c3251")
    assert before < state["OperationStartTime"] <= state["OperationEndTime"]
    assert "InstallOverrideList" not in state
    assert _patches(fleet, node) == {
        "bash.amd64": "INSTALLED_OTHER",
        "openssl.amd64": "MISSING",
        "vim.amd64": "INSTALLED_OTHER",
    }
    assert answer["ExitCode"] == 0
    assert "MissingCount: 1" in answer["Report"]
    assert "MISSING: openssl.amd64 3.0.11-1 -> 3.0.13-1~deb12u1" in answer["Report"]


def test_every_line_has_all_members_and_lines_come_by_title(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    host.packages["aaa"] = Package("1", installed_at=0, priority="")
    fleet.scan(node, host)
    patches = fleet.ssm.describe_instance_patches(InstanceId=node.id)["Patches"]
    assert [p["Title"] for p in patches] == [
        "aaa.amd64:1",
        "bash.amd64:5.2.15-2+b2",
        "openssl.amd64:3.0.13-1~deb12u1",
        "vim.amd64:2:9.0.1378-2",
    ]
    for patch in patches:
        assert {"Title", "KBId", "Classification", "Severity", "State", "InstalledTime"} <= set(patch)
    by_id = {p["KBId"]: p for p in patches}
    assert by_id["aaa.amd64"]["InstalledTime"].timestamp() == 0
    assert by_id["bash.amd64"]["InstalledTime"].timestamp() == 1_700_000_000
    assert by_id["openssl.amd64"]["Classification"] == "Security"


def test_the_same_report_is_shown_before_the_run_ends(fleet: Fleet) -> None:
    """A worker that dies after its facts leaves counts all the same: the loop judges what came in."""
    node = fleet.node()
    worker, _ = fleet.worker(node)
    worker.report(usual_host().parts())
    assert _patches(fleet, node)["openssl.amd64"] == "MISSING"
    deadline = time.monotonic() + 8
    while not fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert _counts(fleet, node) == PREDEFINED


def test_a_changed_default_group_tag_or_baseline_needs_no_scan(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    assert _counts(fleet, node) == PREDEFINED
    baseline, predefined = _baseline(fleet), _state(fleet, node)["BaselineId"]

    fleet.ssm.register_default_patch_baseline(BaselineId=baseline)
    _becomes(fleet, node, EVERYTHING)
    assert _state(fleet, node)["BaselineId"] == baseline
    assert _patches(fleet, node)["vim.amd64"] == "MISSING"

    fleet.ssm.register_default_patch_baseline(BaselineId=predefined)
    _becomes(fleet, node, PREDEFINED)

    fleet.ssm.register_patch_baseline_for_patch_group(BaselineId=baseline, PatchGroup="prod")
    fleet.ssm.add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=node.id, Tags=[{"Key": "Patch Group", "Value": "prod"}]
    )
    _becomes(fleet, node, EVERYTHING)
    assert _state(fleet, node)["PatchGroup"] == "prod"

    fleet.ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["vim"], RejectedPatchesAction="BLOCK")
    _becomes(
        fleet,
        node,
        {
            "InstalledCount": 1,
            "InstalledRejectedCount": 1,
            "MissingCount": 1,
            "CriticalNonCompliantCount": 1,
            "SecurityNonCompliantCount": 1,
            "OtherNonCompliantCount": 1,
        },
    )
    assert _patches(fleet, node)["vim.amd64"] == "INSTALLED_REJECTED"

    fleet.ssm.deregister_patch_baseline_for_patch_group(BaselineId=baseline, PatchGroup="prod")
    _becomes(fleet, node, PREDEFINED)
    assert _state(fleet, node)["PatchGroup"] == "prod"  # reported though nothing is registered for it

    fleet.ssm.remove_tags_from_resource(ResourceType="ManagedInstance", ResourceId=node.id, TagKeys=["Patch Group"])
    deadline = time.monotonic() + 8
    while _state(fleet, node)["PatchGroup"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # The operation is still the one scan that was made.
    assert _state(fleet, node)["Operation"] == "Scan"


def test_the_usual_host_is_compliant_once_it_is_patched(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    fleet.scan(node, host)
    host.packages["openssl"] = Package("3.0.13-1~deb12u1", repos=(SECURITY,))
    host.boot_id = "boot-2"
    fleet.scan(node, host)
    assert _counts(fleet, node) == {"InstalledCount": 1, "InstalledOtherCount": 2}
    assert _patches(fleet, node)["openssl.amd64"] == "INSTALLED"


def test_a_delay_waits_from_the_repositorys_first_sight(fleet: Fleet) -> None:
    """Days count from the Release date for what was there at first sight, from the report for what came later."""
    node, origin = fleet.node(), f"Delay-{fleet.region}"
    old = int((datetime.now(UTC) - timedelta(days=30)).timestamp())
    repo = Repo("lab-security", origin=origin, released_at=old)
    host = DebianHost(packages={"alpha": Package("1", offers=(("2", (repo,)),), repos=())}, sources=(repo,))
    rules = {"PatchRules": [{**ANY["PatchRules"][0], "ApproveAfterDays": 7}]}
    fleet.ssm.register_default_patch_baseline(BaselineId=_baseline(fleet, ApprovalRules=rules))
    fleet.scan(node, host)
    assert _patches(fleet, node) == {"alpha.amd64": "MISSING"}
    fresh = Repo("lab-security", origin=origin, released_at=old + 1_000)
    host.sources = (fresh,)
    host.packages["beta"] = Package("1", offers=(("2", (fresh,)),), repos=())
    fleet.scan(node, host)
    assert _patches(fleet, node) == {"alpha.amd64": "MISSING", "beta.amd64": "INSTALLED"}


def test_failed_is_cleared_by_the_next_scan_even_when_nothing_else_changed(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    fleet.scan(node, host)
    row = {
        "node_id": node.id,
        "name": "openssl",
        "arch": "amd64",
        "version": "3.0.13-1~deb12u1",
        "state": "FAILED",
        "boot_id": "",
        "detail": "the archive was not reachable",
    }
    fleet.server.application.state.store.write(lambda tx: tx.execute(overlay.insert().values(**row)))
    assert _patches(fleet, node)["openssl.amd64"] == "FAILED"
    fleet.ssm.register_default_patch_baseline(BaselineId=_baseline(fleet))
    _becomes(fleet, node, {**EVERYTHING, "MissingCount": 1, "FailedCount": 1})
    # The worker dies after its facts: the counts follow all the same.
    worker, _ = fleet.worker(node)
    assert worker.report(host.parts()) == []
    assert _patches(fleet, node)["openssl.amd64"] == "MISSING"
    _becomes(fleet, node, EVERYTHING)
    found = fleet.server.application.state.store.read(lambda tx: judgements.history(tx, NodeId(node.id)))
    assert not found.failed


def test_holds_and_phased_updates_are_missing_all_the_same(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    host.holds = ("openssl",)
    fleet.scan(node, host)
    assert _counts(fleet, node) == PREDEFINED


def test_every_filter_of_the_patches_in_any_spelling(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    other = {"bash.amd64": "INSTALLED_OTHER", "vim.amd64": "INSTALLED_OTHER"}
    missing = {"openssl.amd64": "MISSING"}
    for filters, found in (
        ({"State": ["Missing"]}, missing),
        ({"State": ["MISSING"]}, missing),
        ({"State": ["InstalledOther"]}, other),
        ({"State": ["INSTALLED_OTHER", "Missing"]}, {**missing, **other}),
        ({"State": ["Installed"]}, {}),
        ({"Classification": ["Security"]}, missing),
        ({"KBId": ["vim.amd64", "bash.amd64"]}, other),
        ({"KBId": ["vim.amd64"], "State": ["Missing"]}, {}),
        ({"Severity": ["optional"], "State": ["Missing"]}, missing),
        ({"Severity": ["nonsense"]}, {}),
    ):
        assert _patches(fleet, node, **filters) == found, filters


def test_each_bad_request_gets_its_error(fleet: Fleet) -> None:
    node = fleet.node()
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: fleet.ssm.describe_instance_patches(InstanceId=NOTHING), "InvalidInstanceId"),
        (lambda: fleet.ssm.describe_instance_patches(InstanceId="x"), "ValidationException"),
        (lambda: _patches(fleet, node, Colour=["red"]), "InvalidFilter"),
        (lambda: fleet.ssm.describe_instance_patches(InstanceId=node.id, NextToken="garbage"), "InvalidNextToken"),
        (lambda: fleet.ssm.describe_instance_patches(InstanceId=node.id, MaxResults=9), "ValidationException"),
        (lambda: fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id], NextToken="x"), "InvalidNextToken"),
        (lambda: fleet.ssm.describe_instance_patch_states(InstanceIds=["x"]), "ValidationException"),
        (lambda: fleet.ssm.describe_instance_patch_states(InstanceIds=[NOTHING] * 51), "ValidationException"),
        (lambda: fleet.ssm.describe_instance_patch_states(), "ValidationException"),
    ]
    for number, (call, code) in enumerate(calls):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code, number


def test_a_node_without_facts_has_no_line_and_no_state(fleet: Fleet) -> None:
    node = fleet.node()
    assert _patches(fleet, node) == {}
    assert fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id, NOTHING])["InstancePatchStates"] == []
    fleet.order(node)
    assert _patches(fleet, node) == {}


def test_nodes_of_another_region_are_left_out(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    elsewhere = fleet.client("ssm", "elsewhere-3")
    assert elsewhere.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"] == []
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        elsewhere.describe_instance_patches(InstanceId=node.id)


def test_paginators_run_over_three_pages(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, DebianHost(packages={f"p{n:02d}": Package("1", repos=(MAIN, UPDATES)) for n in range(25)}))
    pages = list(
        fleet.ssm.get_paginator("describe_instance_patches").paginate(
            InstanceId=node.id, PaginationConfig={"PageSize": 10}
        )
    )
    assert [len(p["Patches"]) for p in pages] == [10, 10, 5]
    assert [x["KBId"] for p in pages for x in p["Patches"]] == [f"p{n:02d}.amd64" for n in range(25)]


def test_the_states_of_many_nodes_come_by_id_over_three_pages(fleet: Fleet) -> None:
    nodes = fleet.add(21)
    parts = usual_host().parts()
    for node in nodes:
        worker, _ = fleet.worker(node)
        worker.report(parts)
        worker.finish()
    ids = sorted(n.id for n in nodes)
    pages = list(
        fleet.ssm.get_paginator("describe_instance_patch_states").paginate(
            InstanceIds=ids[::-1], PaginationConfig={"PageSize": 10}
        )
    )
    assert [len(p["InstancePatchStates"]) for p in pages] == [10, 10, 1]
    assert [s["InstanceId"] for p in pages for s in p["InstancePatchStates"]] == ids
    assert len(fleet.ssm.describe_instance_patch_states(InstanceIds=ids)["InstancePatchStates"]) == 10
