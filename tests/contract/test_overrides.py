"""InstallOverrideList, BaselineOverride and shared SnapshotIds, through the worker's door.

Source: patch-baselines.md 2.4, 5.4 to 5.6, 10 (18 to 20, 25); decisions.md 8, 13.
"""

import json
import uuid
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node, Refusal
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package
from tests.contract.test_install import ANY, apply, baseline, host_of, install, installing, shown, states
from tests.contract.worker_door import Manager, Worker

LIST = {"InstallOverrideList": "https://a.example/list.yaml"}
OVERRIDE = {"BaselineOverride": "https://a.example/baselines.json"}
BOTH = LIST | OVERRIDE
ACCESS_DENIED = "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def listed(*entries: tuple[str, str | None]) -> str:
    """An override list, in the form of the documentation."""
    lines = ["patches:"]
    for id, title in entries:
        lines += ["    -", f"        id: '{id}'"] + ([] if title is None else [f"        title: '{title}'"])
    return "\n".join(lines) + "\n"


def baselines(*systems: str, **more: Any) -> str:
    """A baseline override: everything is approved, but for what `more` says."""
    return json.dumps([{"OperatingSystem": s, "ApprovalRules": ANY, "Unknown": 1, **more} for s in systems])


def given(fleet: Fleet, node: Node, document: str, operation: str = "Install", **more: str) -> Worker:
    worker, _ = fleet.worker(node, operation, **more)
    assert worker.give(document) == {"Ended": False}
    return worker


def planned(worker: Worker, host: DebianHost, manager: Manager | None = None) -> dict[str, Any]:
    worker.report(host.parts())
    return worker.settle(host.parts(), manager)


def names(plan: dict[str, Any]) -> dict[str, str]:
    return {item["Name"]: item["ToVersion"] for item in plan["Items"]}


def test_an_install_by_a_list_takes_what_the_list_names_whatever_the_baseline_says(fleet: Fleet) -> None:
    baseline(fleet, RejectedPatches=["alpha"], RejectedPatchesAction="BLOCK")
    host, node = host_of("alpha", "beta", "gamma"), fleet.node()
    host.packages["gamma"] = Package("1", offers=(("2", (SECURITY,)), ("3", (SECURITY,))))
    worker, _ = fleet.worker(node, "Install", **LIST)
    assert worker.start()["FetchUrl"] == LIST["InstallOverrideList"]
    assert worker.give(listed(("alpha*", None), ("gamma.amd64", "*:2"), ("absent.amd64", None))) == {"Ended": False}
    assert "FetchUrl" not in worker.start()
    plan = planned(worker, host)
    assert names(plan) == {"alpha": "2", "gamma": "2"}
    apply(host, plan)
    worker.report(host.parts())
    assert worker.finish(PlanDigest=plan["Digest"], BootId="boot-1")["ExitCode"] == 194
    assert shown(fleet, node)["InstallOverrideList"] == LIST["InstallOverrideList"]
    # The report follows the baseline: beta is missing still, alpha is rejected still.
    assert states(fleet, node) == {"alpha": "INSTALLED_REJECTED", "beta": "MISSING", "gamma": "INSTALLED"}


def test_example_18_a_title_that_no_offer_fits_installs_nothing_and_fails_nothing(fleet: Fleet) -> None:
    baseline(fleet)
    host, node = host_of("bash"), fleet.node()
    worker = given(fleet, node, listed(("bash.amd64", "*4.2.46-30*")), **LIST)
    plan = planned(worker, host)
    assert plan["Items"] == []
    worker.report(host.parts())
    assert worker.finish(PlanDigest=plan["Digest"])["ExitCode"] == 0
    assert states(fleet, node) == {"bash": "MISSING"}


def test_a_package_whose_listed_version_is_another_comes_in_not_even_as_a_dependency(fleet: Fleet) -> None:
    baseline(fleet)
    host, node = host_of("alpha", "beta"), fleet.node()
    worker = given(fleet, node, listed(("alpha.amd64", None), ("beta.amd64", "*:9")), **LIST)
    brings = [{"Name": "beta", "Arch": "amd64", "FromVersion": "1", "Version": "2"}]
    plan = planned(worker, host, Manager(brings={"alpha": brings}))
    assert plan["Items"] == []
    assert [(d["Name"], d["Code"]) for d in plan["Dropped"]] == [("alpha", "OVERRIDE_LIST")]
    assert "beta.amd64:2, whose versions in the override list are others" in plan["Dropped"][0]["Reason"]


def test_a_scan_ignores_an_install_override_list(fleet: Fleet) -> None:
    worker, _ = fleet.worker(fleet.node(), **LIST)
    assert "FetchUrl" not in worker.start()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("- id: a\n", "must be a map with the key patches"),
        ("patches: [{title: x}]\n", "entry 1 of the override list has no usable id"),
        ("patches: [\n", "it is not YAML"),
        (ACCESS_DENIED, "access to it is denied"),
        ("", "it is empty"),
    ],
)
def test_a_list_that_cannot_be_used_ends_the_run_and_nothing_is_installed(
    fleet: Fleet, document: str, words: str
) -> None:
    node = fleet.node()
    worker, _ = fleet.worker(node, "Install", **LIST)
    answer = worker.give(document)
    assert (answer["Ended"], answer["ExitCode"]) == (True, 1)
    assert words in answer["Report"]
    assert worker.give(listed(("alpha", None))) == answer, "the first answer stands"
    assert worker.start()["Report"] == answer["Report"]
    with pytest.raises(Refusal):
        worker.ask({})


def test_an_old_worker_that_fetches_no_list_installs_nothing(fleet: Fleet) -> None:
    baseline(fleet)
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host, **LIST)
    with pytest.raises(Refusal) as refusal:
        worker.ask(host.parts())
    assert "did not fetch InstallOverrideList: update the agent" in str(refusal.value)
    answer = worker.finish(1)
    assert (answer["ExitCode"], "update the agent" in answer["Report"]) == (1, True)


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "words"),
    [
        ("Install", {"InstallOverrideList": "s3://bucket/list.yaml"}, 1, "must be at an https:// address"),
        ("Scan", {"BaselineOverride": "s3://bucket/baselines.json"}, 162, "must be at an https:// address"),
        ("Scan", BOTH, 167, "can't be given together"),
    ],
)
def test_an_override_that_cannot_be_served_is_refused_at_the_start(
    fleet: Fleet, operation: str, parameters: dict[str, str], code: int, words: str
) -> None:
    node = fleet.node()
    worker, _ = fleet.worker(node, operation, **parameters)
    hello = worker.start()
    assert (hello["Ended"], hello["ExitCode"]) == (True, code)
    assert words in hello["Report"]
    assert fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"] == []


def test_a_baseline_override_decides_a_run_and_the_node_is_judged_by_its_own_baseline(fleet: Fleet) -> None:
    baseline(fleet)
    host, node = host_of("alpha", "beta"), fleet.node()
    document = baselines("DEBIAN", "WINDOWS", RejectedPatches=["alpha"], Name="narrow")
    worker = given(fleet, node, document, **OVERRIDE)
    plan = planned(worker, host)
    assert names(plan) == {"beta": "2"}
    apply(host, plan)
    worker.report(host.parts())
    answer = worker.finish(PlanDigest=plan["Digest"], BootId="boot-1")
    assert answer["ExitCode"] == 194
    assert "Baseline: narrow" in answer["Report"]
    assert states(fleet, node) == {"alpha": "MISSING", "beta": "INSTALLED"}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{}", 161),
        ("[", 161),
        ('[{"OperatingSystem": "DEBIAN", "ApprovedPatches": [1]}]', 161),
        (baselines("UBUNTU"), 163),
        (baselines("DEBIAN", "DEBIAN"), 165),
        (ACCESS_DENIED, 160),
    ],
)
def test_example_20_a_baseline_override_that_cannot_be_used(fleet: Fleet, document: str, code: int) -> None:
    node, host = fleet.node(), host_of("alpha")
    fleet.scan(node, host)  # now its system is known
    before = shown(fleet, node)
    worker, _ = fleet.worker(node, **OVERRIDE)
    answer = worker.give(document)
    assert (answer["Ended"], answer["ExitCode"]) == (True, code)
    assert shown(fleet, node) == before, "nothing is recorded"


def test_a_node_whose_system_was_not_known_hears_of_its_missing_baseline_in_the_end(fleet: Fleet) -> None:
    node = fleet.node()
    worker = given(fleet, node, baselines("UBUNTU"), "Scan", **OVERRIDE)
    worker.report(host_of("alpha").parts())
    answer = worker.finish()
    assert (answer["ExitCode"], "no baseline for this node's operating system" in answer["Report"]) == (163, True)


@pytest.mark.parametrize(
    ("problem", "code"), [("DENIED", 160), ("NOT_FETCHED", 162), ("TOO_LARGE", 161), ("NOT_TEXT", 161)]
)
def test_what_the_worker_could_not_fetch_is_told_with_its_words(fleet: Fleet, problem: str, code: int) -> None:
    worker, _ = fleet.worker(fleet.node(), **OVERRIDE)
    answer = worker.give(Problem=problem, Message="name\nunknown")
    assert (answer["Ended"], answer["ExitCode"]) == (True, code)
    assert "name unknown" in answer["Report"]


def test_example_25_one_snapshot_means_one_content_whatever_becomes_of_the_baseline(fleet: Fleet) -> None:
    made = baseline(fleet)
    snapshot = str(uuid.uuid4())
    first, second, later = fleet.add(3)
    host = host_of("alpha", "beta")
    assert names(planned(fleet.worker(first, "Install", SnapshotId=snapshot)[0], host)) == {"alpha": "2", "beta": "2"}
    fleet.ssm.update_patch_baseline(BaselineId=made, RejectedPatches=["alpha"])
    # The second node, too, gets what the first had; the counts that stand for it are those of today's baseline.
    _, answer = install(fleet, second, host, SnapshotId=snapshot.upper())
    assert answer["ExitCode"] == 194
    assert "INSTALLED: alpha.amd64 1 -> 2 (target)" in answer["Report"]
    assert states(fleet, second)["alpha"] == "INSTALLED_OTHER"
    worker, _ = fleet.worker(later, "Install", SnapshotId=str(uuid.uuid4()))
    assert names(planned(worker, host_of("alpha", "beta"))) == {"beta": "2"}


def test_a_snapshot_freezes_an_override_likewise_and_never_mixes_it_with_a_baseline(fleet: Fleet) -> None:
    baseline(fleet)
    snapshot = {"SnapshotId": str(uuid.uuid4())}
    first, second, third = fleet.add(3)
    worker = given(fleet, first, baselines("DEBIAN"), **OVERRIDE, **snapshot)
    assert names(planned(worker, host_of("alpha", "beta"))) == {"alpha": "2", "beta": "2"}
    edited = baselines("DEBIAN", RejectedPatches=["alpha"])
    worker = given(fleet, second, edited, **OVERRIDE, **snapshot)
    assert names(planned(worker, host_of("alpha", "beta"))) == {"alpha": "2", "beta": "2"}
    host = host_of("alpha")
    worker = installing(fleet, third, host, **snapshot)
    with pytest.raises(Refusal) as refusal:
        worker.ask(host.parts())
    assert "first used with a BaselineOverride" in str(refusal.value)


def test_a_document_beyond_its_limit_is_refused_without_being_shown(fleet: Fleet) -> None:
    worker, _ = fleet.worker(fleet.node(), "Install", **LIST)
    with pytest.raises(Refusal) as refusal:
        worker.give("#" * 1_048_577)
    assert len(str(refusal.value)) < 1_000
    assert worker.give("#" * 1_048_576)["Ended"], "as large as it may be, and empty"
    other, _ = fleet.worker(fleet.node(), "Install", **LIST)
    # Fewer characters than the limit, but more bytes.
    assert "larger than 1048576 bytes" in other.give("é" * 600_000)["Report"]
