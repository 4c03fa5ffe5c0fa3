"""An Install through the worker's door: settle, apply, compare, reboot. Nothing that the worker says is believed.

Source: patch-baselines.md 5.6, 6, 10; decisions.md 1 to 6, 12; docs/reference/worker-protocol.md.
"""

from typing import Any

import pytest

from patchwright.core.boots import ONE_REQUEST
from patchwright.store import runs
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node, Refusal
from tests.contract.nodes_fleet import Fleet, wait_for
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package, usual_host
from tests.contract.worker_door import Manager, Worker, facts_body, report_facts

OPENSSL = {"Name": "openssl", "Arch": "amd64", "FromVersion": "3.0.11-1", "Version": "3.0.13-1~deb12u1"}
LIBSSL = {"Name": "libssl3", "Arch": "amd64", "FromVersion": "3.0.11-1", "Version": "3.0.13-1~deb12u1"}
ANY = {
    "PatchRules": [
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
            "EnableNonSecurity": True,
            "ApproveAfterDays": 0,
        }
    ]
}


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def host_of(*names: str) -> DebianHost:
    """Each package has a security fix, 1 -> 2."""
    return DebianHost(packages={name: Package("1", offers=(("2", (SECURITY,)),)) for name in names})


def baseline(fleet: Fleet, **more: Any) -> str:
    """The default baseline of the test's region: everything that is on offer, but for what `more` says."""
    made = fleet.ssm.create_patch_baseline(Name="lab", OperatingSystem="DEBIAN", ApprovalRules=ANY, **more)
    fleet.ssm.register_default_patch_baseline(BaselineId=made["BaselineId"])
    return str(made["BaselineId"])


def installing(fleet: Fleet, node: Node, host: DebianHost, **more: str) -> Worker:
    """A worker that has reported its facts within an Install."""
    worker, _ = fleet.worker(node, "Install", **more)
    worker.report(host.parts())
    return worker


def apply(host: DebianHost, plan: dict[str, Any], *, but: tuple[str, ...] = ()) -> None:
    """What a package manager does with a Plan; `but` do not go in."""
    for item in plan["Items"]:
        if item["Name"] not in but:
            host.packages[item["Name"]] = Package(item["ToVersion"], repos=(SECURITY,))


def install(
    fleet: Fleet,
    node: Node,
    host: DebianHost,
    *,
    but: tuple[str, ...] = (),
    manager: Manager | None = None,
    **more: Any,
) -> tuple[Worker, dict[str, Any]]:
    """A whole Install; the worker and FinishPatchRun's answer. Capitals of `more` go to the end's request."""
    ending = {k: more.pop(k) for k in list(more) if k in ("Failures", "ProblemCode", "Notes", "exit_code", "message")}
    worker = installing(fleet, node, host, **more)
    plan = worker.settle(host.parts(), manager)
    apply(host, plan, but=but)
    worker.report(host.parts())
    return worker, worker.finish(PlanDigest=plan["Digest"], BootId=host.boot_id, **ending)


def states(fleet: Fleet, node: Node) -> dict[str, str]:
    return {title.partition(".")[0]: state for title, state in fleet.titles(node)}


def why(fleet: Fleet, node: Node, name: str) -> dict[str, Any]:
    (found,) = fleet.patchwright.explain_patch(NodeId=node.id, Patch=name)["Explanations"]
    return dict(found)


def shown(fleet: Fleet, node: Node) -> dict[str, Any]:
    (found,) = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]
    return dict(found)


def counts(fleet: Fleet, node: Node) -> dict[str, int]:
    absent = ("NotApplicableCount", "UnreportedNotApplicableCount", "SecurityNonCompliantCount")
    return {k: v for k, v in shown(fleet, node).items() if k.endswith("Count") and v and k not in absent}


def test_an_install_goes_from_plan_to_reboot_to_success(fleet: Fleet) -> None:
    host, node = usual_host(), fleet.node()
    worker = installing(fleet, node, host)
    asked = worker.ask(host.parts())
    assert asked == {"State": "RESOLVE", "Mode": "TOGETHER", "Targets": [OPENSSL]}
    manager = Manager(brings={"openssl": [LIBSSL]})
    plan = worker.settle(host.parts(), manager)
    assert [(i["Name"], i["FromVersion"], i["ToVersion"], i["Role"]) for i in plan["Items"]] == [
        ("libssl3", "3.0.11-1", "3.0.13-1~deb12u1", "dependency"),
        ("openssl", "3.0.11-1", "3.0.13-1~deb12u1", "target"),
    ]
    assert (plan["Dropped"], plan["RebootOption"], plan["LifetimeSeconds"]) == ([], "RebootIfNeeded", 900)
    assert worker.start()["Plan"] == {**plan, "LifetimeSeconds": worker.start()["Plan"]["LifetimeSeconds"]}
    apply(host, plan)
    worker.report(host.parts())
    answer = worker.finish(PlanDigest=plan["Digest"], BootId="boot-1", Notes=["kept /etc/ssl/openssl.cnf"])
    assert answer["ExitCode"] == 194
    assert "Reboot: yes: packages were installed; the run ends with 0 after it" in answer["Report"]
    assert "INSTALLED: openssl.amd64 3.0.11-1 -> 3.0.13-1~deb12u1 (target)" in answer["Report"]
    assert "NOTE: kept /etc/ssl/openssl.cnf" in answer["Report"]
    # Judged as if the reboot had happened; what came in as a dependency stands beside the baseline.
    assert {k: v for k, v in states(fleet, node).items() if "ssl" in k} == {
        "openssl": "INSTALLED",
        "libssl3": "INSTALLED",
    }
    assert worker.finish(1, "something else", PlanDigest=plan["Digest"]) == answer
    again = worker.start(BootId="boot-2")
    assert (again["Ended"], again["ExitCode"]) == (True, 0)
    assert again["Report"].endswith(answer["Report"])
    assert "Plan" not in again
    assert worker.start(BootId="boot-3")["ExitCode"] == 0
    state = shown(fleet, node)
    assert (state["Operation"], state["RebootOption"]) == ("Install", "RebootIfNeeded")
    assert "LastNoRebootInstallOperationTime" not in state


def test_a_host_that_does_not_reboot_is_asked_again_and_then_given_up(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker, answer = install(fleet, node, host)
    assert answer["ExitCode"] == 194
    assert counts(fleet, node) == {"InstalledCount": 1}

    def hello_later(_: int) -> int:
        long_ago = fleet.server.application.state.clock.now() - ONE_REQUEST
        fleet.write(lambda tx: runs.update(tx, worker.run_id, reboot_asked_at=long_ago))
        # An answer that was lost is asked for once more: that is no further request.
        answers = [worker.start(BootId="boot-1")["ExitCode"] for _ in range(3)]
        assert answers == [answers[0]] * 3
        return int(answers[0])

    assert worker.start(BootId="boot-1")["ExitCode"] == 194
    assert [hello_later(n) for n in range(6)] == [194, 194, 194, 194, 3, 3]
    assert "did not" in worker.start(BootId="boot-1")["Report"].splitlines()[0]
    # It was shown as booted, and is not: the patch waits again, until the node says that it has booted.
    assert states(fleet, node) == {"alpha": "INSTALLED_PENDING_REBOOT"}
    host.boot_id = "boot-2"
    report_facts(node, host.parts())
    assert states(fleet, node) == {"alpha": "INSTALLED"}
    assert worker.start(BootId="boot-2")["ExitCode"] == 3


def test_nothing_to_install_ends_at_once_without_a_reboot(fleet: Fleet) -> None:
    host, node = usual_host(), fleet.node()
    host.packages["openssl"] = Package("3.0.13-1~deb12u1", repos=(SECURITY,))
    _, answer = install(fleet, node, host)
    assert answer["ExitCode"] == 0
    assert "Reboot: no: nothing was installed" in answer["Report"]


@pytest.mark.parametrize("others", [False, True])
def test_example_8_a_blocked_dependency_stops_the_target_that_needs_it(fleet: Fleet, others: bool) -> None:
    baseline(fleet, RejectedPatches=["libssl3"], RejectedPatchesAction="BLOCK")
    host, node = usual_host(), fleet.node()
    del host.packages["vim"]
    if others:
        host.packages["bash"].offers = (("5.2.15-3", (SECURITY,)),)
    worker, answer = install(fleet, node, host, manager=Manager(brings={"openssl": [LIBSSL]}))
    assert answer["ExitCode"] == (194 if others else 2)
    assert "libssl3" not in host.packages
    reason = "it would bring in libssl3.amd64:3.0.13-1~deb12u1, which the baseline's rejected list blocks"
    assert f"FAILED: openssl.amd64 3.0.11-1 -> 3.0.13-1~deb12u1 (BLOCKED_DEPENDENCY: {reason})" in answer["Report"]
    assert states(fleet, node) == {"bash": "INSTALLED", "openssl": "FAILED"}
    if others:
        assert worker.start(BootId="boot-2")["ExitCode"] == 2
    found = why(fleet, node, "openssl")
    assert (found["Code"], found["State"]) == ("FAILED_LAST_INSTALL", "FAILED")
    assert found["Summary"].endswith(f"the last Install could not bring it in: {reason}.")
    assert "off the rejected list" in found["Remedy"]
    # The next Scan shows it as missing again.
    fleet.scan(node, host)
    assert states(fleet, node)["openssl"] == "MISSING"


def test_example_16_no_reboot_leaves_patches_pending_until_the_node_has_booted(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta", "gamma"), fleet.node()
    worker, answer = install(fleet, node, host, RebootOption="NoReboot")
    assert answer["ExitCode"] == 0
    assert "Reboot: no: RebootOption is NoReboot" in answer["Report"]
    pending = {"InstalledPendingRebootCount": 3, "OtherNonCompliantCount": 0}
    wanted = {k: v for k, v in pending.items() if v}
    assert counts(fleet, node) == wanted
    installed_at = shown(fleet, node)["LastNoRebootInstallOperationTime"]
    assert worker.start()["ExitCode"] == 0
    fleet.scan(node, host)
    assert counts(fleet, node) == wanted
    state = shown(fleet, node)
    assert (state["Operation"], state["LastNoRebootInstallOperationTime"]) == ("Scan", installed_at)
    found = why(fleet, node, "alpha")
    assert found["Code"] == "PENDING_REBOOT"
    assert "the node has not been booted since" in found["Summary"]
    host.boot_id = "boot-2"
    assert report_facts(node, host.parts()) == ["state"]
    assert states(fleet, node) == {"alpha": "INSTALLED", "beta": "INSTALLED", "gamma": "INSTALLED"}
    wait_for(lambda: counts(fleet, node) == {"InstalledCount": 3}, "the loop's verdict after the boot")
    fleet.scan(node, host)
    assert counts(fleet, node) == {"InstalledCount": 3}


def test_example_17_pending_patches_make_an_install_reboot_though_nothing_is_to_install(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta", "gamma"), fleet.node()
    install(fleet, node, host, RebootOption="NoReboot")
    worker, answer = install(fleet, node, host)
    assert answer["ExitCode"] == 194
    assert "Reboot: yes: patches of an earlier run wait for it" in answer["Report"]
    assert counts(fleet, node) == {"InstalledCount": 3}
    host.boot_id = "boot-2"
    assert worker.start(BootId="boot-2")["ExitCode"] == 0


def test_a_worker_cannot_ask_for_a_reboot_by_itself(fleet: Fleet) -> None:
    worker, _ = fleet.worker(fleet.node())
    worker.report(usual_host().parts())
    assert worker.finish(194)["ExitCode"] == 1
    assert worker.start(BootId="boot-2")["ExitCode"] == 1


def test_a_scan_ignores_an_install_override_list(fleet: Fleet) -> None:
    node = fleet.node()
    answer = fleet.scan(node, usual_host(), InstallOverrideList="https://a.example/list.yaml")
    assert answer["ExitCode"] == 0
    assert shown(fleet, node)["InstallOverrideList"] == "https://a.example/list.yaml"


def test_example_26_one_failure_of_ten_fails_the_command_after_the_reboot(fleet: Fleet) -> None:
    names = [f"p{n}" for n in range(10)]
    host, node = host_of(*names), fleet.node()
    failures = [{"Name": "p9", "Arch": "amd64", "Message": "post-installation script \x1b[31mfailed"}]
    worker, answer = install(fleet, node, host, but=("p9",), Failures=failures, exit_code=1)
    assert answer["ExitCode"] == 194
    assert "the run ends with 1 after it" in answer["Report"]
    assert counts(fleet, node) == {"InstalledCount": 9, "FailedCount": 1}
    # 195 is the server's own word for it.
    (listed,) = fleet.patchwright.describe_nodes(NodeIds=[node.id])["Nodes"]
    plan = fleet.patchwright.get_patch_plan(NodeId=node.id)
    assert (listed["LastOperation"]["ExitCode"], plan["ExitCode"]) == (194, 194)
    assert "post-installation script  [31mfailed" in why(fleet, node, "p9")["Summary"]
    assert worker.start(BootId="boot-2")["ExitCode"] == 1


def test_a_worker_that_claims_success_is_not_believed(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    _, answer = install(fleet, node, host, but=("alpha", "beta"))
    assert answer["ExitCode"] == 1
    assert "the worker gave no reason" in answer["Report"]
    assert counts(fleet, node) == {"FailedCount": 2}


def test_an_install_without_facts_afterwards_has_failed(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host)
    plan = worker.settle(host.parts())
    assert worker.finish(PlanDigest=plan["Digest"])["ExitCode"] == 1
    assert states(fleet, node) == {"alpha": "FAILED"}


def test_another_plan_than_the_one_settled_fails_the_run(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host, RebootOption="NoReboot")
    apply(host, worker.settle(host.parts()))
    worker.report(host.parts())
    answer = worker.finish(PlanDigest="0" * 64)
    assert answer["ExitCode"] == 1
    assert "applied another Plan" in answer["Report"]
    assert states(fleet, node) == {"alpha": "INSTALLED_PENDING_REBOOT"}


@pytest.mark.parametrize("planned", [False, True])
def test_a_problem_fails_every_target_in_its_words(fleet: Fleet, planned: bool) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    worker = installing(fleet, node, host)
    if planned:
        worker.settle(host.parts())
    answer = worker.finish(1, "unattended-upgrades (pid 815)", ProblemCode="LOCKED")
    assert answer["ExitCode"] == 1
    assert counts(fleet, node) == {"FailedCount": 2}
    words = "another program held the package manager's lock: unattended-upgrades (pid 815)"
    assert f"LOCKED: {words}" in answer["Report"]
    found = why(fleet, node, "beta")
    assert words in found["Summary"]
    assert found["Remedy"].startswith("let the other program end")


def test_a_cancelled_run_does_not_reboot_and_what_went_in_waits(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    _, answer = install(fleet, node, host, but=("beta",), ProblemCode="CANCELLED", exit_code=1)
    assert answer["ExitCode"] == 1
    assert "Reboot: no: the run was cancelled" in answer["Report"]
    assert states(fleet, node) == {"alpha": "INSTALLED_PENDING_REBOOT", "beta": "FAILED"}


def test_a_refused_install_leaves_everything_as_it_is(fleet: Fleet) -> None:
    """A scan-only node says no: nothing was attempted, so nothing has failed, and pending patches cause no reboot."""
    host, node = host_of("alpha", "beta"), fleet.node()
    install(fleet, node, host, but=("beta",), RebootOption="NoReboot")
    worker, _ = fleet.worker(node, "Install")
    answer = worker.finish(1, "refused: this node only scans")
    assert answer["ExitCode"] == 1
    assert states(fleet, node) == {"alpha": "INSTALLED_PENDING_REBOOT", "beta": "FAILED"}
    worker, _ = fleet.worker(node, "Install")
    worker.report(host.parts())
    assert "the worker ended without a Plan" in worker.finish()["Report"]


def test_facts_after_a_boot_are_the_nodes_own_and_clear_no_failure(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker, _ = install(fleet, node, host, but=("alpha",))
    with pytest.raises(Refusal) as refused:
        worker.call("ReportFacts", facts_body(host.parts()))
    assert refused.value.code == "AccessDeniedException"
    host.boot_id = "boot-2"
    assert report_facts(node, host.parts()) == ["state"]
    assert report_facts(node, host.parts()) == []
    assert states(fleet, node) == {"alpha": "FAILED"}
    with pytest.raises(Refusal) as refused:
        report_facts(node, {**host.parts(), "state": "[]"})
    assert refused.value.code == "ValidationException"


def test_a_script_that_failed_is_told_of_a_package_that_is_there_until_the_next_scan(fleet: Fleet) -> None:
    """rpm keeps a package whose %post failed. Source: ADR 24."""
    host, node = host_of("alpha"), fleet.node()
    failures = [{"Name": "alpha", "Arch": "amd64", "Message": "its POSTIN script failed, exit status 3"}]
    _, answer = install(
        fleet, node, host, Failures=failures, ProblemCode="MANAGER_FAILED", exit_code=1, RebootOption="NoReboot"
    )
    assert answer["ExitCode"] == 1
    assert states(fleet, node) == {"alpha": "INSTALLED_PENDING_REBOOT"}
    found = why(fleet, node, "alpha")
    assert (found["Code"], found["State"]) == ("SCRIPT_FAILED", "INSTALLED_PENDING_REBOOT")
    assert found["Summary"].endswith("failed in the last Install: its POSTIN script failed, exit status 3.")
    fleet.scan(node, host)
    assert why(fleet, node, "alpha")["Code"] == "PENDING_REBOOT"
