"""A host with another agent than ours: the worker comes through the document, scans, installs, and goes.

The agent is a scripted one, which does with a step what amazon-ssm-agent does: `sh`, in the environment of the message.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.contract.nodes_door import Node, step_result
from tests.e2e.agents import build_zipapp
from tests.e2e.apt_hosts import prepared, republished, versions
from tests.e2e.conftest import MakeRepository
from tests.e2e.enrolled import EVERYTHING
from tests.e2e.repository import Deb
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.servers import ServerProcess

pytestmark = pytest.mark.root

WORKER = "/var/lib/patchwright-agent/worker"


class Stranger:
    """A host whose agent knows nothing of us."""

    def __init__(self, server: ServerProcess, root: Root) -> None:
        self.root, self.ssm = root, server.client("ssm")
        activation = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=1)
        self.node = Node(server.url, "local-1").register(activation)
        self.node.heartbeat()
        everything = self.ssm.create_patch_baseline(Name="all", OperatingSystem="DEBIAN", ApprovalRules=EVERYTHING)
        self.ssm.register_default_patch_baseline(BaselineId=everything["BaselineId"])

    def obey(self, document: str, **parameters: str) -> dict[str, Any]:
        """Send a command, carry out its Linux step as the agent would; the invocation's plugin."""
        sent = self.ssm.send_command(
            DocumentName=document,
            InstanceIds=[self.node.id],
            Parameters={name: [value] for name, value in parameters.items()},
        )
        message = self.node.take()
        self.node.accept(message)
        (step,) = (s for s in message.steps if "Linux" in s["precondition"]["StringEquals"])
        inputs = step["inputs"]
        environment = {"SSM_COMMAND_ID": message.command_id, **inputs.get("environment", {})}
        done = self.root.run(["sh", "-c", "\n".join(inputs["runCommand"])], env=environment, check=False)
        status = "Success" if done.returncode == 0 else "Failed"
        result = step_result(status, code=done.returncode, out=done.stdout, err=done.stderr)
        self.node.reply(message, "InProgress", {step["name"]: result})
        self.node.reply(message, status, {})
        answer: dict[str, Any] = self.ssm.get_command_invocation(
            CommandId=sent["Command"]["CommandId"], InstanceId=self.node.id, PluginName=step["name"]
        )
        return answer


@pytest.fixture
def stranger(
    apt_base: Path, lab_network: LabNetwork, make_repository: MakeRepository, tmp_path: Path
) -> Iterator[Stranger]:
    with ExitStack() as stack:
        zipapp = build_zipapp(tmp_path / "agent.pyz")
        # Plain HTTP, since the scripted agent has no TLS; the worker's own is tested with its script.
        options = ("--insecure-http", "--agent-file", str(zipapp))
        server = ServerProcess(tmp_path, lab_network.address, tls=False, options=options).start()
        stack.callback(server.kill)
        root = Root(apt_base, lab_network, "stranger-1")
        stack.callback(root.close)
        repository = make_repository()
        repository.add("stable", Deb("tb-doc", "1"))
        prepared(root, repository, "tb-doc=1")
        repository.add("stable", Deb("tb-doc", "2"))
        republished(repository)
        yield Stranger(server, root)


def test_a_host_with_another_agent_is_patched_by_the_document_alone(stranger: Stranger) -> None:
    scanned = stranger.obey("AWS-RunPatchBaseline", Operation="Scan")
    assert scanned["Status"] == "Success", scanned
    assert "MISSING: tb-doc.all 1 -> 2" in scanned["StandardOutputContent"]
    assert versions(stranger.root, "tb-doc") == {"tb-doc": "1"}

    installed = stranger.obey("AWS-RunPatchBaseline", Operation="Install", RebootOption="NoReboot")
    assert installed["Status"] == "Success", installed
    assert versions(stranger.root, "tb-doc") == {"tb-doc": "2"}
    (state,) = stranger.ssm.describe_instance_patch_states(InstanceIds=[stranger.node.id])["InstancePatchStates"]
    assert (state["MissingCount"], state["InstalledPendingRebootCount"]) == (0, 1)

    assert stranger.root.exists(WORKER)
    assert stranger.obey("Patchwright-RemoveWorker")["Status"] == "Success"
    assert not stranger.root.exists(WORKER)
