"""SnapshotId: one baseline for every node of a roll-out, whatever is edited meanwhile. Source: 2.4 of the rules."""

import json
import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Refusal
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.synthetic_facts import usual_host

GET = "GetDeployablePatchSnapshotForInstance"
SHARED = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _baseline(fleet: Fleet) -> str:
    """Of Debian by default: everything in the security archives."""
    filters = {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]}
    rules = {"PatchRules": [{"PatchFilterGroup": filters, "ApproveAfterDays": 0}]}
    made = fleet.ssm.create_patch_baseline(Name="own", OperatingSystem="DEBIAN", ApprovalRules=rules)["BaselineId"]
    fleet.ssm.register_default_patch_baseline(BaselineId=made)
    return str(made)


def _read(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return dict(json.load(answer))


def _targets(fleet: Fleet, snapshot: str) -> set[str]:
    """Names that an Install with that id would go for on a fresh node."""
    node = fleet.node()
    worker, message = fleet.worker(node, "Install", SnapshotId=snapshot)
    report = worker.report(usual_host().parts())
    assert report
    names = {row["Name"] for row in worker.ask(usual_host().parts()).get("Targets", ())}
    worker.finish()
    fleet.end(node, message)
    return names


def test_a_shared_id_means_the_baseline_that_the_first_node_had(fleet: Fleet) -> None:
    baseline = _baseline(fleet)
    assert _targets(fleet, SHARED) == {"openssl"}
    fleet.ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["openssl"])
    assert _targets(fleet, SHARED) == {"openssl"}, "the second node goes by what the first one had"
    assert _targets(fleet, str(uuid.uuid4())) == set()


def test_the_operation_tells_the_frozen_baseline_and_the_node_stands_by_the_live_one(fleet: Fleet) -> None:
    baseline = _baseline(fleet)
    fleet.scan(fleet.node(), usual_host(), SnapshotId=SHARED)
    fleet.ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["openssl"])
    node = fleet.node()
    report = fleet.scan(node, usual_host(), SnapshotId=SHARED)["Report"]
    assert "openssl" in report, "it was approved when the roll-out began"
    (state,) = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]
    assert (state["MissingCount"], state["SnapshotId"]) == (0, SHARED)
    plain = fleet.node()
    assert "openssl" not in fleet.scan(plain, usual_host())["Report"]


def test_the_document_behind_the_address_is_the_frozen_one_also_with_a_fresh_address(fleet: Fleet) -> None:
    baseline = _baseline(fleet)
    node = fleet.node()
    fleet.scan(node, usual_host())
    ask = {"InstanceId": node.id, "SnapshotId": SHARED}
    first = fleet.ssm.get_deployable_patch_snapshot_for_instance(**ask)
    assert (first["Product"], first["SnapshotId"], first["InstanceId"]) == ("Debian12", SHARED, node.id)
    assert first["SnapshotDownloadUrl"].endswith(f"/DEBIAN-{SHARED}")
    document = _read(first["SnapshotDownloadUrl"])
    assert document["patchBaseline"]["baselineId"] == baseline
    assert document["patchBaseline"]["approvalRules"]["rules"][0]["filterGroup"]["filters"] == [
        {"key": "PRODUCT", "values": ["*"]}
    ]
    assert (document["patchGroup"], document["patches"]) == (None, [])
    fleet.ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["openssl"])
    again = fleet.ssm.get_deployable_patch_snapshot_for_instance(**ask)
    assert _read(again["SnapshotDownloadUrl"]) == document
    other = fleet.ssm.get_deployable_patch_snapshot_for_instance(**{**ask, "SnapshotId": str(uuid.uuid4())})
    assert _read(other["SnapshotDownloadUrl"])["patchBaseline"]["rejectedPatches"] == ["openssl"]


def test_a_node_asks_for_its_own_snapshot_and_for_no_other(fleet: Fleet) -> None:
    node, stranger = fleet.add(2)
    fleet.scan(node, usual_host())
    answer = node.ssm(GET, {"InstanceId": node.id, "SnapshotId": SHARED})
    assert _read(answer["SnapshotDownloadUrl"])["patchBaseline"]["operatingSystem"] == "DEBIAN"
    with pytest.raises(Refusal, match="only speak of itself"):
        stranger.ssm(GET, {"InstanceId": node.id, "SnapshotId": SHARED})


def test_an_override_is_frozen_likewise_and_its_id_wins(fleet: Fleet) -> None:
    node = fleet.node()
    fleet.scan(node, usual_host())
    ask = {"InstanceId": node.id, "SnapshotId": SHARED}
    override = {"OperatingSystem": "DEBIAN", "ApprovedPatches": ["vim"], "ApprovedPatchesEnableNonSecurity": True}
    first = fleet.ssm.get_deployable_patch_snapshot_for_instance(**ask, BaselineOverride=override)
    assert _read(first["SnapshotDownloadUrl"])["patchBaseline"]["approvedPatches"] == ["vim"]
    other = fleet.ssm.get_deployable_patch_snapshot_for_instance(
        **ask, BaselineOverride={**override, "ApprovedPatches": ["bash"]}
    )
    assert _read(other["SnapshotDownloadUrl"])["patchBaseline"]["approvedPatches"] == ["vim"]
    report = fleet.scan(node, usual_host(), SnapshotId=SHARED)["Report"]
    assert "was first used with a BaselineOverride, and this run is without one" in report


def test_errors_and_addresses_that_nobody_gave_out(fleet: Fleet) -> None:
    node, silent = fleet.add(2)
    fleet.scan(node, usual_host())
    get = fleet.ssm.get_deployable_patch_snapshot_for_instance
    assert refused(lambda: get(InstanceId=silent.id, SnapshotId=SHARED))[0] == "UnsupportedOperatingSystem"
    windows = {"OperatingSystem": "WINDOWS"}
    assert refused(lambda: get(InstanceId=node.id, SnapshotId=SHARED, BaselineOverride=windows))[0] == (
        "UnsupportedOperatingSystem"
    )
    assert refused(lambda: get(InstanceId=node.id, SnapshotId="not-a-uuid"))[0] == "ValidationException"
    url = get(InstanceId=node.id, SnapshotId=SHARED)["SnapshotDownloadUrl"]
    head, token, name = url.rsplit("/", 2)
    for wrong in (f"{head}/{token[:-2]}AA/{name}", f"{head}/x/{name}", f"{head}/{token}"):
        with pytest.raises(urllib.error.HTTPError) as missing:
            _read(wrong)
        assert missing.value.code == 404
