"""AWS-RunPatchBaselineWithHooks through the worker's door: what each step does, and when the rest is skipped.

Source: patch-baselines.md 5.2, 5.3.
"""

from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Message
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package, usual_host
from tests.contract.worker_door import Worker

HOOKS = "AWS-RunPatchBaselineWithHooks"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _order(fleet: Fleet, **parameters: str) -> Message:
    node = fleet.node()
    fleet.send([node], DocumentName=HOOKS, Parameters={name: [text] for name, text in parameters.items()})
    message = node.take()
    node.accept(message)
    return message


def _scan(fleet: Fleet, message: Message, host: DebianHost) -> int:
    worker = Worker(fleet.server.url, message.token("Scan"))
    started = worker.start()
    assert started["Operation"] == "Scan"
    worker.report(host.parts())
    code = worker.finish()["ExitCode"]
    assert worker.start()["ExitCode"] == code, "a worker that is started again ends alike"
    return int(code)


def _patched() -> DebianHost:
    host = usual_host()
    host.packages["openssl"] = Package("3.0.13-1~deb12u1", repos=(SECURITY,))
    return host


def test_the_steps_with_a_worker_have_tokens_and_the_hooks_have_none(fleet: Fleet) -> None:
    message = _order(fleet, Operation="Install")
    tokens = {s["name"]: "PATCHWRIGHT_TOKEN" in s["inputs"].get("environment", {}) for s in message.steps}
    assert tokens == {
        "Scan": True, "PreInstallHook": False, "Install": True, "PostInstallHook": False, "InstallAndReboot": True,
        "OnExitHook": False,
    }  # fmt: skip
    assert message.payload["Parameters"]["PreInstallHookDocName"] == "AWS-Noop"


@pytest.mark.parametrize(
    ("operation", "host", "code"),
    [("Scan", usual_host, 168), ("Install", _patched, 168), ("Install", usual_host, 0)],
    ids=["a scan ends", "nothing to do", "there is something to do"],
)
def test_the_first_scan_decides_whether_to_go_on(fleet: Fleet, operation: str, host: Any, code: int) -> None:
    assert _scan(fleet, _order(fleet, Operation=operation), host()) == code


def test_a_failed_scan_is_no_reason_to_go_on(fleet: Fleet) -> None:
    message = _order(fleet, Operation="Install")
    worker = Worker(fleet.server.url, message.token("Scan"))
    worker.start()
    assert worker.finish(1, "no index")["ExitCode"] == 1


def test_the_install_leaves_the_reboot_to_a_step_after_the_hook(fleet: Fleet) -> None:
    message, host = _order(fleet, Operation="Install"), usual_host()
    assert _scan(fleet, message, host) == 0
    worker = Worker(fleet.server.url, message.token("Install"))
    assert {k: worker.start()[k] for k in ("Operation", "RebootOption")} == {
        "Operation": "Install", "RebootOption": "NoReboot",
    }  # fmt: skip
    worker.report(host.parts())
    worker.settle(host.parts())
    host = _patched()
    worker.report(host.parts())
    assert worker.finish()["ExitCode"] == 0
    worker = Worker(fleet.server.url, message.token("InstallAndReboot"))
    assert worker.start()["RebootOption"] == "RebootIfNeeded"
    worker.report(host.parts())
    worker.settle(host.parts())
    assert worker.finish(BootId="boot-1")["ExitCode"] == 194, "what was installed before waits for this reboot"
    assert worker.start(BootId="boot-2")["ExitCode"] == 0


def test_the_document_for_associations_scans_and_needs_its_association(fleet: Fleet) -> None:
    node = fleet.node()
    send = {"DocumentName": "AWS-RunPatchBaselineAssociation", "InstanceIds": [node.id]}
    with pytest.raises(fleet.ssm.exceptions.InvalidParameters):
        fleet.ssm.send_command(**send, Parameters={"Operation": ["Scan"]})
    association = {"AssociationId": ["6f0f4f2e-9a57-4d1b-8a3c-2f6f1f0f9b6d"]}
    for tags in ("web", "Key=a", "Key=a,Values=$(x)"):
        with pytest.raises(fleet.ssm.exceptions.InvalidParameters):
            fleet.ssm.send_command(**send, Parameters={"Operation": ["Scan"], "BaselineTags": [tags], **association})
    fleet.ssm.send_command(**send, Parameters={"Operation": ["Scan"], **association})
    message, host = node.take(), usual_host()
    worker = Worker(fleet.server.url, message.token())
    worker.start()
    worker.report(host.parts())
    assert worker.finish()["ExitCode"] == 0
    (state,) = fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"]
    assert (state["MissingCount"], state["Operation"]) == (1, "Scan")
