"""Three real Debian hosts under one server: enrolled, scanned by tag, judged by a baseline each, explained.

Tests may come in any order, so each leaves hosts, baselines and tags as it found them.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.e2e.agents import Agent, build_zipapp
from tests.e2e.conftest import MakeRepository
from tests.e2e.fleet import GROUP, Fleet, Hosts, row_of
from tests.e2e.planted import BASELINES, COUNTS, DB, LONE, NODES, OLD, PLANTED, WEB, expected_rows
from tests.e2e.repository import Deb, SigningKey
from tests.e2e.roots import CommandFailed, LabNetwork
from tests.e2e.servers import ServerProcess, eventually, fresh_database

pytestmark = pytest.mark.root

HOLD_LOCK = """#!/usr/bin/python3
import fcntl, sys, time
lock = open("/var/lib/dpkg/lock-frontend", "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""
DIES_ONCE = "#!/bin/sh\n[ -e /var/tmp/died ] || { touch /var/tmp/died; kill -9 $PPID; }\n"
# What the host alone decides is the same on every engine.
ON_SQLITE = pytest.mark.parametrize(
    "fleet", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def hosts(
    apt_base: Path, lab_network: LabNetwork, signing_key: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    hosts = Hosts(apt_base, lab_network, tmp_path_factory.mktemp("repositories"), signing_key)
    yield hosts
    hosts.close()


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("agent") / "patchwright-agent.pyz")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def fleet(
    request: pytest.FixtureRequest,
    hosts: Hosts,
    zipapp: Path,
    lab_network: LabNetwork,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp(f"fleet-{request.param}")
    with ExitStack() as stack:
        url = None
        if request.param == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_url")))
        server = ServerProcess(folder, lab_network.address, database_url=url)
        stack.callback(server.kill)
        fleet = Fleet(server.start(), hosts, zipapp, folder)
        stack.callback(fleet.close)
        yield fleet


@pytest.fixture
def second_identity(fleet: Fleet, tmp_path: Path) -> Iterator[Agent]:
    """An agent beside the fleet's on the host `web`: not registered yet."""
    agent = Agent(fleet.hosts.roots[WEB], fleet.zipapp, tmp_path, "/var/lib/second-agent")
    yield agent
    agent.kill()
    agent.root.run(["rm", "-rf", agent.state_dir])


def test_tags_scan_exactly_their_nodes_and_every_line_of_each_is_right(fleet: Fleet) -> None:
    """The operator's side is the unmodified aws CLI, from the order to the last line."""
    aws, nodes = fleet.server.aws, fleet.nodes
    before = {name: fleet.evidence(name) for name in NODES}
    for group in (WEB, DB):
        sent = aws(
            "ssm", "send-command", "--document-name", "AWS-RunPatchBaseline", "--parameters", "Operation=Scan",
            "--targets", f"Key=tag:{GROUP},Values={group}",
        )["Command"]  # fmt: skip
        assert fleet.finished(sent["CommandId"])["Status"] == "Success"
        assert set(fleet.outputs(sent["CommandId"])) == {nodes[group]}
    assert {name: fleet.evidence(name)[1] - before[name][1] for name in NODES} == {WEB: 1, DB: 1, LONE: 0}

    states = aws("ssm", "describe-instance-patch-states", "--instance-ids", *nodes.values())["InstancePatchStates"]
    found = {state["InstanceId"]: state for state in states}
    for name in NODES:
        patches = aws("ssm", "describe-instance-patches", "--instance-id", nodes[name])["Patches"]
        rows = {row_of(patch) for patch in patches}
        expected = expected_rows(fleet.hosts.roots[name], name)
        assert rows == expected
        assert len(patches) == len(expected), "a line came twice"
        assert [patch["Title"] for patch in patches] == sorted(patch["Title"] for patch in patches)
        state = found[nodes[name]]
        by_state = {word: sum(row[2] == word for row in expected) for word in ("INSTALLED", "INSTALLED_OTHER")}
        assert {key: state[f"{key}Count"] for key in COUNTS[name]} == COUNTS[name]
        assert (state["InstalledCount"], state["InstalledOtherCount"]) == tuple(by_state.values())
        assert (state["PatchGroup"], state["BaselineId"]) == ("" if name == LONE else name, fleet.baselines[name])
        assert (state["Operation"], state["FailedCount"], state["InstalledPendingRebootCount"]) == ("Scan", 0, 0)


@pytest.mark.parametrize("name", NODES)
def test_every_planted_situation_is_explained_by_its_own_code(fleet: Fleet, name: str) -> None:
    explained = {package.name: fleet.why(name, package.name) for package in PLANTED}

    lines = {package.name: package.expected[name] for package in PLANTED}
    assert {p: why["Code"] for p, why in explained.items()} == {p: line.code for p, line in lines.items()}
    assert {p: why["State"] for p, why in explained.items()} == {p: line.state for p, line in lines.items()}
    for package, why in explained.items():
        assert package in why["Summary"]
        if lines[package].state == "MISSING":
            assert why["TargetVersion"] == lines[package].version
    assert fleet.why(name, "not-here")["Code"] == "NOT_INSTALLED"
    assert fleet.why(name, "CVE-2024-3094")["Code"] == "NO_CVE_SOURCE"


@ON_SQLITE
def test_the_aws_cli_explains_a_patch_in_an_operators_words(fleet: Fleet) -> None:
    answer = fleet.server.aws("patchwright", "explain-patch", "--node-id", fleet.nodes[WEB], "--patch", "lab-held")

    why = answer["Explanations"][0]
    assert (why["Code"], why["Remedy"], why["RuleNumber"]) == ("HELD", "apt-mark unhold lab-held", 1)
    assert "held on the node" in why["Summary"]
    assert answer["BaselineName"] == "web-security"


def test_a_changed_baseline_changes_the_states_without_a_scan(fleet: Fleet) -> None:
    before = fleet.evidence(WEB)
    try:
        fleet.server.aws(
            "ssm", "update-patch-baseline", "--baseline-id", fleet.baselines[WEB],
            "--rejected-patches-action", "BLOCK", "--approved-patches-enable-non-security",
        )  # fmt: skip
        state = eventually(lambda: fleet.state(WEB), lambda state: state["InstalledRejectedCount"] == 1)
        assert (state["MissingCount"], state["OtherNonCompliantCount"]) == (5, 2)
        assert fleet.row(WEB, "lab-bad")[2] == "INSTALLED_REJECTED"
        assert fleet.row(WEB, "lab-app")[::2] == ("lab-app.all:1.1-1", "MISSING", "optional")
        assert fleet.evidence(WEB) == before
    finally:
        fleet.ssm.update_patch_baseline(BaselineId=fleet.baselines[WEB], Replace=True, **_updatable(WEB))
    eventually(lambda: fleet.state(WEB), _has_counts_of(WEB))


def test_a_shorter_delay_approves_what_was_waiting_without_a_scan(fleet: Fleet) -> None:
    before = fleet.evidence(LONE)
    rule = BASELINES[LONE]["ApprovalRules"]["PatchRules"][0]
    waiting = fleet.why(LONE, "lab-new")
    assert "its repository's Release file is dated" in waiting["Summary"]
    assert (waiting["ApprovalDate"] - datetime.now(UTC)).days in (4, 5)
    try:
        fleet.ssm.update_patch_baseline(
            BaselineId=fleet.baselines[LONE], ApprovalRules={"PatchRules": [{**rule, "ApproveAfterDays": 0}]}
        )
        eventually(lambda: fleet.state(LONE), lambda state: state["MissingCount"] == COUNTS[LONE]["Missing"] + 1)
        assert fleet.row(LONE, "lab-new")[::2] == ("lab-new.all:1.1-1", "MISSING", "optional")
        cutoff = {k: v for k, v in rule.items() if k != "ApproveAfterDays"} | {"ApproveUntilDate": "2020-01-01"}
        fleet.ssm.update_patch_baseline(BaselineId=fleet.baselines[LONE], ApprovalRules={"PatchRules": [cutoff]})
        eventually(lambda: fleet.state(LONE), lambda state: state["MissingCount"] == 0)
        assert fleet.why(LONE, "lab-core")["Code"] == "AFTER_CUTOFF"
        assert fleet.evidence(LONE) == before
    finally:
        fleet.ssm.update_patch_baseline(BaselineId=fleet.baselines[LONE], Replace=True, **_updatable(LONE))
    eventually(lambda: fleet.state(LONE), _has_counts_of(LONE))


def test_a_changed_tag_and_a_changed_registration_move_nodes_between_baselines_without_a_scan(fleet: Fleet) -> None:
    before = fleet.evidence(WEB), fleet.evidence(DB)
    try:
        fleet.tag(WEB, GROUP, DB)
        moved = eventually(lambda: fleet.state(WEB), _has_counts_of(DB))
        assert (moved["PatchGroup"], moved["BaselineId"]) == (DB, fleet.baselines[DB])
        fleet.ssm.deregister_patch_baseline_for_patch_group(BaselineId=fleet.baselines[DB], PatchGroup=DB)
        fallen = eventually(lambda: fleet.state(DB), _has_counts_of(LONE))
        assert (fallen["PatchGroup"], fallen["BaselineId"]) == (DB, fleet.baselines[LONE])
        fleet.ssm.register_patch_baseline_for_patch_group(BaselineId=fleet.baselines[WEB], PatchGroup=DB)
        eventually(lambda: fleet.state(DB), _has_counts_of(WEB))
        assert (fleet.evidence(WEB), fleet.evidence(DB)) == before
    finally:
        fleet.tag(WEB, GROUP, WEB)
        fleet.ssm.deregister_patch_baseline_for_patch_group(BaselineId=fleet.baselines[WEB], PatchGroup=DB)
        fleet.ssm.register_patch_baseline_for_patch_group(BaselineId=fleet.baselines[DB], PatchGroup=DB)
    for name in (WEB, DB):
        eventually(lambda name=name: fleet.state(name), _has_counts_of(name))  # type: ignore[misc]


def _updatable(name: str) -> dict[str, Any]:
    """The baseline as it was, in the form of UpdatePatchBaseline."""
    return {key: value for key, value in BASELINES[name].items() if key != "OperatingSystem"}


def _has_counts_of(name: str) -> Any:
    return lambda state: {key: state[f"{key}Count"] for key in COUNTS[name]} == COUNTS[name]


def test_a_newly_published_version_is_missing_at_once_or_waits_from_its_first_report(
    fleet: Fleet, make_repository: MakeRepository
) -> None:
    later = make_repository("later", "Later")
    later.add("stable", Deb("later-tool", "1.0-1"))
    later.publish(OLD)
    both = [fleet.hosts.roots[name] for name in (DB, LONE)]
    where = {"InstanceIds": [fleet.nodes[DB], fleet.nodes[LONE]]}
    try:
        for root in both:
            later.enable(root, "stable")
            root.run(["apt-get", "update", "-q"])
            root.run(["apt-get", "install", "-y", "-q", "-o", "Dpkg::Options::=--force-unsafe-io", "later-tool"])
        fleet.scan(where)
        assert fleet.row(DB, "later-tool")[2] == fleet.row(LONE, "later-tool")[2] == "INSTALLED"
        later.add("stable", Deb("later-tool", "1.1-1"))
        later.publish(datetime.now(UTC))
        fleet.hosts.roots[LONE].run(["apt-get", "update", "-q"])  # a scan-only node fetches nothing by itself

        fleet.scan(where)

        assert fleet.row(DB, "later-tool")[::2] == ("later-tool.all:1.1-1", "MISSING", "optional")
        assert fleet.row(LONE, "later-tool")[::2] == ("later-tool.all:1.0-1", "INSTALLED", "optional")
        why = fleet.why(LONE, "later-tool")
        assert why["Code"] == "PENDING_APPROVAL"
        assert "a node first reported it" in why["Summary"]
        assert (why["ApprovalDate"] - datetime.now(UTC)).days in (5, 6)
    finally:
        for root in both:
            root.run(["rm", "-f", "/etc/apt/sources.list.d/later.list"])
            root.run(["dpkg", "--purge", "later-tool"])
            root.run(["apt-get", "update", "-q"])
        fleet.scan(where)


def test_a_script_runs_with_its_output_and_exit_codes(fleet: Fleet) -> None:
    good = fleet.send(
        {"Targets": [{"Key": f"tag:{GROUP}", "Values": [WEB]}]},
        "AWS-RunShellScript",
        commands=["echo running on $(hostname)", "pwd"],
        workingDirectory=["/var/tmp"],
    )
    bad = fleet.send(
        {"InstanceIds": [fleet.nodes[DB]]}, "AWS-RunShellScript", commands=["echo half", "echo broken >&2", "exit 3"]
    )

    assert (fleet.finished(good)["Status"], fleet.finished(bad)["Status"]) == ("Success", "Failed")
    (output,) = fleet.outputs(good).values()
    assert (output["ResponseCode"], output["StandardOutputContent"]) == (0, "running on web\n/var/tmp\n")
    (output,) = fleet.outputs(bad).values()
    assert (output["StatusDetails"], output["ResponseCode"]) == ("Failed", 3)
    assert (output["StandardOutputContent"], "broken" in output["StandardErrorContent"]) == ("half\n", True)


def test_a_scan_only_node_refuses_a_script_with_its_reason_and_still_scans(fleet: Fleet) -> None:
    lone = {"InstanceIds": [fleet.nodes[LONE]]}
    refused = fleet.send(lone, "AWS-RunShellScript", commands=["touch /var/tmp/was-here"])

    assert fleet.finished(refused)["Status"] == "Failed"
    (invocation,) = fleet.ssm.list_command_invocations(CommandId=refused)["CommandInvocations"]
    assert "scan-only" in invocation["TraceOutput"]
    shown = fleet.ssm.get_command_invocation(CommandId=refused, InstanceId=fleet.nodes[LONE])
    assert "scan-only" in shown["StandardOutputContent"] + shown["StandardErrorContent"]
    assert not fleet.hosts.roots[LONE].exists("/var/tmp/was-here")
    install = fleet.send(lone, "AWS-RunPatchBaseline", Operation=["Install"])
    assert fleet.finished(install)["Status"] == "Failed"
    assert fleet.row(LONE, "lab-core")[2] == "MISSING"
    fleet.scan(lone)


def test_a_second_scan_of_an_unchanged_host_sends_digests_and_no_facts(fleet: Fleet) -> None:
    web = {"InstanceIds": [fleet.nodes[WEB]]}
    fleet.scan(web)
    intervals, runs, ended = fleet.evidence(WEB)
    before = _answered(fleet, "PutFacts")

    fleet.scan(web)

    again = fleet.evidence(WEB)
    assert again[:2] == (intervals, runs + 1)
    assert again[2] > ended
    # A report with parts takes two calls: digests, then what the server asks for.
    assert _answered(fleet, "PutFacts") - before == 1


def _answered(fleet: Fleet, operation: str) -> int:
    """How many calls of an operation the server has answered, by its own metrics."""
    lines = fleet.server.get("/metrics").splitlines()
    counted = [line for line in lines if line.startswith("patchwright_requests_total") and f'"{operation}"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in counted)


@ON_SQLITE
def test_a_locked_package_manager_is_reported_with_its_remedy(fleet: Fleet) -> None:
    root = fleet.hosts.roots[DB]
    root.write("/usr/local/bin/nightly-upgrade", HOLD_LOCK, 0o755)
    with root.popen(["/usr/local/bin/nightly-upgrade"]) as rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "locked\n"
        try:
            command_id = fleet.send({"InstanceIds": [fleet.nodes[DB]]}, "AWS-RunPatchBaseline", Operation=["Scan"])
            fleet.finished(command_id)
        finally:
            root.run(["sh", "-c", "kill $(cat /proc/[0-9]*/stat | grep nightly | cut -d' ' -f1)"])

    (output,) = fleet.outputs(command_id).values()
    assert "LOCKED" in output["StandardOutputContent"]
    assert "/var/lib/dpkg/lock-frontend is held by nightly-upgrade" in output["StandardOutputContent"]
    _is_reported(fleet, DB, "LOCKED", "fuser -v /var/lib/dpkg/lock-frontend")
    fleet.scan({"InstanceIds": [fleet.nodes[DB]]})
    assert _problems(fleet, DB) == {}


@ON_SQLITE
def test_an_interrupted_dpkg_is_reported_with_its_remedy_which_works(fleet: Fleet) -> None:
    root = fleet.hosts.roots[DB]
    try:
        with pytest.raises(CommandFailed):
            fleet.hosts.repositories[0].install(root, Deb("cut-short", "1.0", scripts={"postinst": DIES_ONCE}))
        command_id = fleet.send({"InstanceIds": [fleet.nodes[DB]]}, "AWS-RunPatchBaseline", Operation=["Scan"])
        fleet.finished(command_id)

        (output,) = fleet.outputs(command_id).values()
        assert "DPKG_INTERRUPTED" in output["StandardOutputContent"]
        remedy = _is_reported(fleet, DB, "DPKG_INTERRUPTED", "dpkg --configure -a")
        assert remedy in output["StandardOutputContent"]
        root.run(remedy.split())
        fleet.scan({"InstanceIds": [fleet.nodes[DB]]})
        assert _problems(fleet, DB) == {}
    finally:
        root.run(["dpkg", "--force-all", "--purge", "cut-short"])
        root.run(["rm", "-f", "/var/tmp/died"])
        fleet.scan({"InstanceIds": [fleet.nodes[DB]]})


def _problems(fleet: Fleet, name: str) -> dict[str, dict[str, str]]:
    answer = fleet.patchwright.describe_node_patches(NodeId=fleet.nodes[name])
    return {problem["Code"]: problem for problem in answer["Problems"]}


def _is_reported(fleet: Fleet, name: str, code: str, remedy: str) -> str:
    """See that `aws patchwright describe-node-patches` has the problem; its remedy."""
    answer = fleet.server.aws("patchwright", "describe-node-patches", "--node-id", fleet.nodes[name])
    found = {problem["Code"]: problem for problem in answer["Problems"]}
    assert found[code]["Remedy"] == remedy
    return remedy


@ON_SQLITE
def test_a_wrong_pin_is_refused_before_anything_is_sent(fleet: Fleet, second_identity: Agent) -> None:
    activation = fleet.activation()
    wrong = "0" * 63 + "1"

    refused = second_identity.try_register(fleet.server.url, activation, "--ca-sha256", wrong)
    unpinned = second_identity.try_register(fleet.server.url, activation)

    assert (refused.returncode, unpinned.returncode) == (1, 1)
    assert fleet.pin in refused.stderr
    assert "certificate" in unpinned.stderr
    left = second_identity.root.run(["find", second_identity.state_dir, "-type", "f"], check=False).stdout.split()
    assert left == []
    listed = fleet.ssm.describe_activations(
        Filters=[{"FilterKey": "ActivationIds", "FilterValues": [activation["ActivationId"]]}]
    )["ActivationList"]
    assert listed[0].get("RegistrationsCount", 0) == 0


def test_a_deregistered_node_is_ended(fleet: Fleet, second_identity: Agent) -> None:
    node_id = second_identity.register(fleet.server.url, fleet.activation(), fleet.pin)
    second_identity.start()
    eventually(fleet.online, lambda online: node_id in online)
    unjudged = fleet.patchwright.explain_patch(NodeId=node_id, Patch="dpkg")["Explanations"]
    assert [why["Code"] for why in unjudged] == ["UNJUDGED"]

    fleet.server.aws("ssm", "deregister-managed-instance", "--instance-id", node_id)

    assert fleet.online() == set(fleet.nodes.values())
    for call in (
        lambda: fleet.send({"InstanceIds": [node_id]}, "AWS-RunShellScript", commands=["true"]),
        lambda: fleet.patchwright.describe_node_patches(NodeId=node_id),
    ):
        with pytest.raises(ClientError) as refusal:
            call()
        assert refusal.value.response["Error"]["Code"] == "InvalidInstanceId"
    eventually(lambda: second_identity.log, lambda log: "not registered here any more" in log)
