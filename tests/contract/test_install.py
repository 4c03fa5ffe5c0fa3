"""An Install through the worker's door: settle, apply, compare, reboot. Nothing that the worker says is believed.

Source: patch-baselines.md 5.6, 6, 10; decisions.md 1 to 6, 12; docs/reference/worker-protocol.md.
"""

from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package, usual_host
from tests.contract.worker_door import Worker

OPENSSL = {"Name": "openssl", "Arch": "amd64", "FromVersion": "3.0.11-1", "Version": "3.0.13-1~deb12u1"}


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def installing(fleet: Fleet, host: DebianHost, **more: str) -> tuple[Node, Worker]:
    """A node whose worker has reported its facts within an Install."""
    node = fleet.node()
    worker, _ = fleet.worker(node, "Install", **more)
    worker.report(host.parts())
    return node, worker


def apply(host: DebianHost, plan: dict[str, Any], *, but: tuple[str, ...] = ()) -> None:
    """What a package manager does with a Plan; `but` do not go in."""
    for item in plan["Items"]:
        if item["Name"] not in but:
            host.packages[item["Name"]] = Package(item["ToVersion"], repos=(SECURITY,))


def states(fleet: Fleet, node: Node) -> dict[str, str]:
    return {title.partition(".")[0]: state for title, state in fleet.titles(node)}


def test_an_install_goes_from_plan_to_reboot_to_success(fleet: Fleet) -> None:
    host = usual_host()
    node, worker = installing(fleet, host)
    asked = worker.ask(host.parts())
    assert asked == {"State": "RESOLVE", "Mode": "TOGETHER", "Targets": [OPENSSL]}
    plan = worker.settle(host.parts())
    assert [(i["Name"], i["FromVersion"], i["ToVersion"], i["Role"]) for i in plan["Items"]] == [
        ("openssl", "3.0.11-1", "3.0.13-1~deb12u1", "target")
    ]
    assert (plan["Dropped"], plan["RebootOption"], plan["LifetimeSeconds"]) == ([], "RebootIfNeeded", 900)
    apply(host, plan)
    worker.report(host.parts())
    answer = worker.finish(PlanDigest=plan["Digest"], BootId="boot-1")
    assert answer["ExitCode"] == 194
    assert "Reboot: yes: packages were installed; the run ends with 0 after it" in answer["Report"]
    assert "INSTALLED: openssl.amd64 3.0.11-1 -> 3.0.13-1~deb12u1 (target)" in answer["Report"]
    assert states(fleet, node)["openssl"] == "INSTALLED"  # as if the reboot had happened
    assert worker.finish(PlanDigest=plan["Digest"], ExitCode=1) == answer
    again = worker.start(BootId="boot-2")
    assert (again["Ended"], again["ExitCode"]) == (True, 0)
    assert again["Report"].endswith(answer["Report"])
