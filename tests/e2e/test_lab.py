"""The road on real hosts: baselines, tags, scan, install by tag, reboot, comply; by the aws CLI and boto3 alone."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.e2e.booted import BootedRoot
from tests.e2e.lab import WORKLOAD, Lab, lab
from tests.e2e.lab_packages import AMZN, BASELINES, DEB_1, DEB_2, EXPECTED, HOSTS, KEPT_BESIDE, ROCKY
from tests.e2e.roots import CannotRun
from tests.e2e.servers import eventually

pytestmark = pytest.mark.root

GROUP = "Critical"
BY_TAG = ("--targets", f"Key=tag:{WORKLOAD[0]},Values={WORKLOAD[1]}")
ENDED = ("Success", "Failed", "Cancelled", "TimedOut")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    try:
        with lab(tmp_path_factory.mktemp("lab")) as made:
            yield made
    except CannotRun as reason:
        pytest.skip(f"NO LAB, the road is not tested for real: {reason}")


def test_the_road_from_a_scan_to_compliance(hosts: Lab) -> None:
    baselines = _govern(hosts)

    # Scan by tag: exactly the right nodes miss something critical, and exactly the right patches.
    _run(hosts, "Scan")
    for name in HOSTS:
        assert _patches(hosts, name, "Missing") == {_title(name, e.name, e.target, e.arch) for e in EXPECTED[name]}, (
            name
        )
    assert _critical(hosts) == {DEB_1, AMZN}
    group = hosts.aws("ssm", "describe-patch-group-state", "--patch-group", GROUP)
    assert (group["Instances"], group["InstancesWithMissingPatches"]) == (4, 4)
    assert group["InstancesWithCriticalNonCompliantPatches"] == 2
    items = hosts.aws("ssm", "list-compliance-items", "--resource-ids", hosts.nodes[AMZN], "--resource-types",
                      "ManagedInstance", "--filters", "Key=Status,Values=NON_COMPLIANT")["ComplianceItems"]  # fmt: skip
    assert {(i["Title"], i["Severity"], i["Details"].get("CVEIds", "")) for i in items} == {
        (_title(AMZN, e.name, e.target, e.arch), e.level, e.cves) for e in EXPECTED[AMZN]
    }

    # Install by tag, one after the other: what is approved is there, what is blocked is not, and what needs it is not.
    command = _run(hosts, "Install", "RebootOption=NoReboot", options=("--max-concurrency", "1", "--max-errors", "1"))
    assert (command["Status"], command["CompletedCount"], command["ErrorCount"]) == ("Failed", 4, 1), _said(
        hosts, command
    )
    assert _statuses(hosts, command) == {DEB_1: "Failed", DEB_2: "Success", AMZN: "Success", ROCKY: "Success"}
    _check_installed(hosts)
    assert hosts.versions(DEB_1, "lab-telemetry") == hosts.versions(DEB_1, "system-release") == set()
    assert hosts.versions(DEB_1, "lab-old") == {"1.0-1"}, "a plan removes nothing"
    assert hosts.versions(DEB_2, "lab-tool") == {"1.0-1"}, "no rule approves it"
    for name in HOSTS:
        changed = {_title(name, p, v, a) for p, v, a in _arrived(name)}
        assert _patches(hosts, name, "InstalledPendingReboot") == changed, name
    failed = {_title(DEB_1, e.name, e.target, e.arch) for e in EXPECTED[DEB_1] if e.blocked}
    assert _patches(hosts, DEB_1, "Failed") == failed
    for expected in EXPECTED[DEB_1]:
        if expected.blocked:
            why = hosts.patchwright.explain_patch(NodeId=hosts.nodes[DEB_1], Patch=expected.name)
            assert expected.blocked in str(why["Explanations"]), why

    # The three others boot anew; what waited for it is cleared by the facts that a node sends after a boot.
    for name in (DEB_2, AMZN, ROCKY):
        hosts.reboot(name)
    for name in (DEB_2, AMZN, ROCKY):
        eventually(lambda name=name: _patches(hosts, name, "InstalledPendingReboot"), lambda left: left == set(), 30.0)
        assert _state(hosts, name)["MissingCount"] == 0

    # With ALLOW_AS_DEPENDENCY rejected packages may come in, though not by themselves; no scan is needed to say so.
    ended_at = _state(hosts, DEB_1)["OperationEndTime"]
    allow = ("--rejected-patches-action", "ALLOW_AS_DEPENDENCY", "--rejected-patches", "system-release.*")
    hosts.aws(
        "ssm", "update-patch-baseline", "--baseline-id", baselines["DEBIAN"], *allow, "lab-telemetry", "lab-conflict"
    )
    allowed = {
        _title(DEB_1, e.name, e.target, e.arch) for e in EXPECTED[DEB_1] if e.blocked and e.name != "lab-conflict"
    }
    eventually(
        lambda: _patches(hosts, DEB_1, "Missing") | _patches(hosts, DEB_1, "Failed"), lambda seen: seen == allowed
    )
    assert _state(hosts, DEB_1)["OperationEndTime"] == ended_at
    root = hosts.roots[DEB_1]
    assert isinstance(root, BootedRoot)
    boots = root.boots
    command = _run(hosts, "Install", where=("--instance-ids", hosts.nodes[DEB_1]))
    assert command["Status"] == "Success", _said(hosts, command)
    assert root.boots == boots + 1, "the host rebooted once"
    assert hosts.versions(DEB_1, "lab-agentd") == hosts.versions(DEB_1, "lab-cloud") == {"1.0-1+deb12u1"}
    assert hosts.versions(DEB_1, "lab-telemetry") == {"1.0-1"}
    assert hosts.versions(DEB_1, "lab-conflict") == {"1.0-1"}
    assert _state(hosts, DEB_1)["InstalledPendingRebootCount"] == 0

    _run(hosts, "Scan")
    summary = hosts.aws("ssm", "list-compliance-summaries")["ComplianceSummaryItems"]
    (patch,) = [row for row in summary if row["ComplianceType"] == "Patch"]
    assert patch["CompliantSummary"]["CompliantCount"] == 4, {name: _state(hosts, name) for name in HOSTS}
    assert patch["NonCompliantSummary"]["NonCompliantCount"] == 0

    # A changed baseline alters compliance with no new scan.
    ended_at = _state(hosts, DEB_2)["OperationEndTime"]
    rules = json.loads(json.dumps(BASELINES["DEBIAN"]["ApprovalRules"]))
    rules["PatchRules"][1]["PatchFilterGroup"]["PatchFilters"][0]["Values"] = ["net", "utils"]
    hosts.aws(
        "ssm", "update-patch-baseline", "--baseline-id", baselines["DEBIAN"], "--approval-rules", json.dumps(rules)
    )
    eventually(lambda: _patches(hosts, DEB_2, "Missing"), lambda seen: seen == {"lab-tool.all:2.0-1"})
    assert _state(hosts, DEB_2)["OperationEndTime"] == ended_at
    assert all(hosts.database_is_sound(name) for name in HOSTS)


def _govern(hosts: Lab) -> dict[str, str]:
    """One baseline per system, all registered for the patch group, and every node tagged with it."""
    made = {}
    for system, request in BASELINES.items():
        answer = hosts.aws("ssm", "create-patch-baseline", "--cli-input-json", json.dumps(request))
        made[system] = answer["BaselineId"]
        hosts.aws(
            "ssm", "register-patch-baseline-for-patch-group", "--baseline-id", made[system], "--patch-group", GROUP
        )
    for node_id in hosts.nodes.values():
        group = {"Key": "Patch Group", "Value": GROUP}
        hosts.ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=node_id, Tags=[group])
    return made


def _run(
    hosts: Lab, operation: str, *parameters: str, where: Sequence[str] = BY_TAG, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Send AWS-RunPatchBaseline and wait for its end; the command as ListCommands shows it then."""
    given = ",".join((f"Operation={operation}", *parameters))
    sent = hosts.aws(
        "ssm", "send-command", "--document-name", "AWS-RunPatchBaseline", "--parameters", given, *where, *options
    )
    command_id = sent["Command"]["CommandId"]
    return eventually(
        lambda: hosts.ssm.list_commands(CommandId=command_id)["Commands"][0],
        lambda command: command["Status"] in ENDED,
        120.0,
    )


def _statuses(hosts: Lab, command: dict[str, Any]) -> dict[str, str]:
    listed = hosts.ssm.list_command_invocations(CommandId=command["CommandId"])["CommandInvocations"]
    names = {node_id: name for name, node_id in hosts.nodes.items()}
    return {names[invocation["InstanceId"]]: invocation["Status"] for invocation in listed}


def _said(hosts: Lab, command: dict[str, Any]) -> str:
    listed = hosts.ssm.list_command_invocations(CommandId=command["CommandId"], Details=True)
    return "\n".join(p["Output"] for i in listed["CommandInvocations"] for p in i["CommandPlugins"])


def _state(hosts: Lab, name: str) -> dict[str, Any]:
    states = hosts.ssm.describe_instance_patch_states(InstanceIds=[hosts.nodes[name]])["InstancePatchStates"]
    state: dict[str, Any] = states[0]
    return state


def _critical(hosts: Lab) -> set[str]:
    return {name for name in HOSTS if _state(hosts, name)["CriticalNonCompliantCount"]}


def _patches(hosts: Lab, name: str, state: str) -> set[str]:
    """The titles of a node's patches in one state."""
    pages = hosts.ssm.get_paginator("describe_instance_patches")
    found = pages.paginate(InstanceId=hosts.nodes[name], Filters=[{"Key": "State", "Values": [state]}])
    return {patch["Title"] for page in found for patch in page["Patches"]}


def _title(name: str, package: str, version: str, arch: str) -> str:
    return f"{package}.{arch}:{version}"


def _arrived(name: str) -> list[tuple[str, str, str]]:
    """(package, version, architecture) of all that an install under BLOCK brings to a host."""
    taken = [expected for expected in EXPECTED[name] if not expected.blocked]
    return [(e.name, e.target, e.arch) for e in taken] + [(p, v, e.arch) for e in taken for p, v in e.brings]


def _check_installed(hosts: Lab) -> None:
    """Ask the hosts themselves: the exact versions that were approved, and nothing of what was blocked."""
    for name in HOSTS:
        for expected in EXPECTED[name]:
            wanted = {expected.before} if expected.blocked else {expected.target}
            if expected.name in KEPT_BESIDE:
                wanted.add(expected.before)
            assert hosts.versions(name, expected.name) == wanted, (name, expected.name)
            for package, version in expected.brings:
                assert hosts.versions(name, package) == {version}, (name, package)
        assert hosts.database_is_sound(name), name
