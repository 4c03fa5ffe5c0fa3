"""Three hosts under one server: enrolled over TLS with a pinned authority, a baseline each, scanned.

hosts = Hosts(base, network, folder, key)       # the hosts with their packages: once, for all servers
fleet = Fleet(server, hosts, zipapp, folder)    # a server of one engine, and an identity on each host
fleet.scan({"InstanceIds": [fleet.nodes["web"]]})   # waits for the end; the command's id
fleet.close(); hosts.close()
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.e2e import planted
from tests.e2e.agents import Agent
from tests.e2e.planted import BASELINES, DB, LONE, NODES, WEB, Row
from tests.e2e.repository import AptRepository, FileServer, SigningKey
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.servers import ServerProcess, eventually

GROUP = "Patch Group"


class Hosts:
    """The hosts `web`, `db` and `lone`, and the two repositories that they read."""

    def __init__(self, base: Path, network: LabNetwork, folder: Path, key: SigningKey) -> None:
        with ExitStack() as stack:
            self.repositories = [self._repository(stack, network, folder, key, name) for name in ("lab", "fresh")]
            planted.publish(*self.repositories)
            self.roots = {name: Root(base, network, name) for name in NODES}
            for root in self.roots.values():
                stack.callback(root.close)
            in_parallel(lambda root: planted.plant(root, *self.repositories), list(self.roots.values()))
            self._stack = stack.pop_all()

    @staticmethod
    def _repository(stack: ExitStack, network: LabNetwork, folder: Path, key: SigningKey, name: str) -> AptRepository:
        files = FileServer(folder / name, network.address)
        stack.callback(files.close)
        return AptRepository(folder / name, key, files.url, name, name.capitalize())

    def close(self) -> None:
        self._stack.close()


class Fleet:
    """One server over the hosts. `nodes` are the node ids by host; `baselines` the baselines' ids."""

    def __init__(self, server: ServerProcess, hosts: Hosts, zipapp: Path, folder: Path) -> None:
        self.server, self.hosts, self.zipapp, self.folder = server, hosts, zipapp, folder
        self.ssm, self.patchwright = server.client("ssm"), server.client("patchwright")
        self.pin: str = self.patchwright.get_server_information()["CaSha256"]
        self.agents: dict[str, Agent] = {}
        self.baselines = {name: self._baseline(request) for name, request in BASELINES.items()}
        for group in (WEB, DB):
            self.ssm.register_patch_baseline_for_patch_group(BaselineId=self.baselines[group], PatchGroup=group)
        self.ssm.register_default_patch_baseline(BaselineId=self.baselines[LONE])
        self._enrol()
        self.scan({"InstanceIds": list(self.nodes.values())})

    def _baseline(self, request: Mapping[str, Any]) -> str:
        baseline_id: str = self.ssm.create_patch_baseline(**request)["BaselineId"]
        return baseline_id

    def _enrol(self) -> None:
        """`web` gets its group by its activation, `db` by AddTagsToResource, `lone` none; and `lone` only scans."""
        tagged = self.activation(Tags=[{"Key": GROUP, "Value": WEB}])
        plain = self.activation()
        state_dir = f"/var/lib/agent-{'postgresql' if self.server.database_url else 'sqlite'}"
        for name, root in self.hosts.roots.items():
            self.agents[name] = Agent(root, self.zipapp, self.folder, state_dir)
        in_parallel(
            lambda name: self.agents[name].register(self.server.url, tagged if name == WEB else plain, self.pin), NODES
        )
        self.tag(DB, GROUP, DB)
        for name, agent in self.agents.items():
            agent.start(*(("--scan-only",) if name == LONE else ()))
        eventually(self.online, lambda online: online == set(self.nodes.values()))

    @property
    def nodes(self) -> dict[str, str]:
        return {name: agent.node_id for name, agent in self.agents.items()}

    def online(self) -> set[str]:
        listed = self.ssm.describe_instance_information(MaxResults=50)["InstanceInformationList"]
        return {node["InstanceId"] for node in listed if node["PingStatus"] == "Online"}

    def activation(self, **members: Any) -> dict[str, str]:
        created: dict[str, str] = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=10, **members)
        return created

    def tag(self, name: str, key: str, value: str) -> None:
        self.ssm.add_tags_to_resource(
            ResourceType="ManagedInstance", ResourceId=self.nodes[name], Tags=[{"Key": key, "Value": value}]
        )

    def send(self, where: Mapping[str, Any], document: str, **parameters: Sequence[str]) -> str:
        """Send a command; its id."""
        sent = self.ssm.send_command(DocumentName=document, Parameters=parameters, **where)
        command_id: str = sent["Command"]["CommandId"]
        return command_id

    def finished(self, command_id: str, seconds: float = 40.0) -> dict[str, Any]:
        """The command when it is over."""
        return eventually(
            lambda: self.ssm.list_commands(CommandId=command_id)["Commands"][0],
            lambda command: command["Status"] not in ("Pending", "InProgress", "Cancelling"),
            seconds,
        )

    def scan(self, where: Mapping[str, Any]) -> str:
        """Scan, wait for the end, and see that it went well; the command's id."""
        command_id = self.send(where, "AWS-RunPatchBaseline", Operation=["Scan"])
        command = self.finished(command_id)
        assert command["Status"] == "Success", self.outputs(command_id)
        return command_id

    def outputs(self, command_id: str) -> dict[str, dict[str, Any]]:
        """By node id, the step that a Linux host runs, as GetCommandInvocation gives it."""
        listed = self.ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
        found = {}
        for invocation in listed:
            names = [plugin["Name"] for plugin in invocation["CommandPlugins"]]
            name = "PatchLinux" if "PatchLinux" in names else names[0]
            found[invocation["InstanceId"]] = self.ssm.get_command_invocation(
                CommandId=command_id, InstanceId=invocation["InstanceId"], PluginName=name
            )
        return found

    def state(self, name: str) -> dict[str, Any]:
        """The node's InstancePatchState."""
        states: list[dict[str, Any]] = self.ssm.describe_instance_patch_states(InstanceIds=[self.nodes[name]])[
            "InstancePatchStates"
        ]
        assert len(states) == 1, f"{name} has no patch state"
        return states[0]

    def rows(self, name: str) -> set[Row]:
        """The node's lines as DescribeInstancePatches gives them."""
        pages = self.ssm.get_paginator("describe_instance_patches").paginate(InstanceId=self.nodes[name])
        return {row_of(patch) for page in pages for patch in page["Patches"]}

    def row(self, name: str, package: str) -> Row:
        """One package's line."""
        found = [row for row in self.rows(name) if row[1].split(".")[0] == package]
        assert len(found) == 1, found
        return found[0]

    def why(self, name: str, patch: str) -> dict[str, Any]:
        """ExplainPatch's one explanation."""
        explanations = self.patchwright.explain_patch(NodeId=self.nodes[name], Patch=patch)["Explanations"]
        assert len(explanations) == 1, explanations
        explanation: dict[str, Any] = explanations[0]
        return explanation

    def evidence(self, name: str) -> tuple[Any, ...]:
        """What only a scan changes: how many intervals of facts and runs the node has, and when the last run ended."""
        intervals = self.server.rows("SELECT count(*) FROM node_facts WHERE node_id = ?", self.nodes[name])[0][0]
        runs = self.server.rows("SELECT count(*) FROM patch_run WHERE node_id = ?", self.nodes[name])[0][0]
        return intervals, runs, self.state(name)["OperationEndTime"]

    def close(self) -> None:
        for agent in self.agents.values():
            agent.kill()


def row_of(patch: Mapping[str, Any]) -> Row:
    return patch["Title"], patch["KBId"], patch["State"], patch["Classification"], patch["Severity"]


def in_parallel(work: Callable[[Any], Any], items: Sequence[Any]) -> None:
    """Do it for all at once; the first failure is raised."""
    with ThreadPoolExecutor(len(items)) as pool:
        list(pool.map(work, items))
