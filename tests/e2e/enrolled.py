"""A host with its agent enrolled at a server over TLS, and what its operator asks: only by the API.

    node = Enrolled(server, agent)
    node.approve_everything("DEBIAN")
    output = node.ended(node.send(Operation="Install", RebootOption="NoReboot"), "Failed")
    node.states("tb-lib")                                        # {"tb-lib": "FAILED"}
    node.why("tb-lib")                                           # ExplainPatch's one answer

The agent is registered here, not started.
"""

from typing import Any

from tests.e2e.agents import Agent
from tests.e2e.servers import ServerProcess, eventually

EVERYTHING = {
    "PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0, "EnableNonSecurity": True}]
}
OVER = {"Success", "Failed", "TimedOut", "Cancelled"}


class Enrolled:
    """One node of a server's."""

    def __init__(self, server: ServerProcess, agent: Agent) -> None:
        self.server, self.agent = server, agent
        self.ssm = server.client("ssm")
        self.patchwright = server.client("patchwright")
        pin = self.patchwright.get_server_information()["CaSha256"]
        activation = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=1)
        agent.register(server.url, activation, pin)

    def approve_everything(self, system: str) -> None:
        """Register a baseline as the default that takes whatever is on offer, at once."""
        baseline = self.ssm.create_patch_baseline(
            Name="everything-at-once", OperatingSystem=system, ApprovalRules=EVERYTHING
        )
        self.ssm.register_default_patch_baseline(BaselineId=baseline["BaselineId"])

    def send(self, document: str = "AWS-RunPatchBaseline", **parameters: str) -> str:
        sent = self.ssm.send_command(
            DocumentName=document,
            InstanceIds=[self.agent.node_id],
            Parameters={name: [value] for name, value in parameters.items()},
        )
        return str(sent["Command"]["CommandId"])

    def output(self, command_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ssm.get_command_invocation(
            CommandId=command_id, InstanceId=self.agent.node_id, PluginName="PatchLinux"
        )
        return answer

    def ended(self, command_id: str, status: str = "Success") -> dict[str, Any]:
        """The step when the command is over, which must be in this way."""
        command = eventually(
            lambda: self.ssm.list_commands(CommandId=command_id)["Commands"][0], lambda c: c["Status"] in OVER, 60
        )
        output = self.output(command_id)
        assert command["Status"] == status, (output, self.agent.log[-3000:], self.server.log[-3000:])
        return output

    def states(self, *names: str) -> dict[str, str]:
        """Patch state by package name."""
        pages = self.ssm.get_paginator("describe_instance_patches").paginate(InstanceId=self.agent.node_id)
        patches = {patch["KBId"].split(".")[0]: patch["State"] for page in pages for patch in page["Patches"]}
        return {name: patches[name] for name in names}

    def why(self, patch: str) -> dict[str, Any]:
        """What ExplainPatch says of a package that is there once."""
        answers = self.patchwright.explain_patch(NodeId=self.agent.node_id, Patch=patch)["Explanations"]
        assert len(answers) == 1, answers
        answer: dict[str, Any] = answers[0]
        return answer

    def problems(self) -> dict[str, str]:
        """What the node's last facts say is wrong with it: remedy by code."""
        found = self.patchwright.describe_node_patches(NodeId=self.agent.node_id)["Problems"]
        return {problem["Code"]: problem["Remedy"] for problem in found}
