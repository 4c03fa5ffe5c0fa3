"""kill -9 of the server and of the agent, at chosen requests and at random: nothing lost, nothing stuck, nothing twice.

A proxy between hosts and server kills at a request: before the server has it, or after it acted and before its answer
arrives. Every server is started again on the same data folder, and nobody helps the agents to find it.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.e2e.agents import Agent, build_zipapp
from tests.e2e.conftest import MakeRoot
from tests.e2e.cutting_proxy import CuttingProxy, Moment
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.servers import ServerProcess, eventually, fresh_database

pytestmark = pytest.mark.root

LOOPBACK = "127.0.0.1"
POLL = ("--poll-seconds", "2")
SEED = 20261120
RANDOM_KILLS = 6
HOSTS = 3
BEFORE_SERVER, BEFORE_ANSWER = Moment.BEFORE_SERVER, Moment.BEFORE_ANSWER
MESSAGES = "EC2WindowsMessageDeliveryService."
OVER = ("Success", "Failed", "Cancelled", "TimedOut")


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("agent") / "patchwright-agent.pyz")


class World:
    """A server on loopback, the proxy that hosts call, and the agents on `HOSTS` hosts."""

    def __init__(self, server: ServerProcess, proxy: CuttingProxy, agents: list[Agent]) -> None:
        self.server, self.proxy, self.agents = server, proxy, agents
        self.commands: dict[str, tuple[str, Agent]] = {}

    @property
    def ssm(self) -> Any:
        return self.server.client("ssm")

    def activation(self) -> dict[str, str]:
        made: dict[str, str] = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=50)
        return made

    def order(self, agent: Agent, document: str, why: str, **parameters: list[str]) -> str:
        """Send a command to one node, and remember it: `why` names it when it goes wrong."""
        sent = self.ssm.send_command(InstanceIds=[agent.node_id], DocumentName=document, Parameters=parameters)
        command_id: str = sent["Command"]["CommandId"]
        self.commands[command_id] = (why, agent)
        return command_id

    def scan(self, agent: Agent, why: str) -> str:
        return self.order(agent, "AWS-RunPatchBaseline", why, Operation=["Scan"])

    def script(self, agent: Agent, why: str) -> str:
        """A script that leaves one line on the host each time it runs."""
        return self.order(agent, "AWS-RunShellScript", why, commands=['echo "$SSM_COMMAND_ID" >> /var/tmp/ran'])

    def kill_at(self, target: str, moment: Moment, provoke: Callable[[], Any], nth: int = 1) -> None:
        """Provoke a request, kill the server at it, start the server again."""
        cut = self.proxy.cut(target, moment, self.server.kill, nth)
        provoke()
        cut.wait()
        self.server.start()

    def check_commands(self) -> None:
        """Every command has ended well, with one result on its node, and its script has run once."""
        ended = eventually(self._open_commands, lambda still: not still, 40.0)
        assert ended == {}
        for command_id, (why, agent) in self.commands.items():
            (invocation,) = self.ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
            assert invocation["Status"] == "Success", (why, invocation, agent.log[-2000:])
        ran = [line for agent in self.agents for line in _lines(agent.root, "/var/tmp/ran")]
        assert len(ran) == len(set(ran)), "a script ran twice"
        runs = self.server.rows("SELECT command_id, count(*) FROM patch_run GROUP BY command_id HAVING count(*) > 1")
        assert runs == []

    def _open_commands(self) -> dict[str, str]:
        seen = {command["CommandId"]: command["Status"] for command in _commands(self.ssm)}
        lost = {why for command_id, (why, _) in self.commands.items() if command_id not in seen}
        assert not lost, f"acknowledged commands are gone: {lost}"
        return {self.commands[c][0]: status for c, status in seen.items() if c in self.commands and status not in OVER}


def _commands(ssm: Any) -> list[dict[str, Any]]:
    return [command for page in ssm.get_paginator("list_commands").paginate() for command in page["Commands"]]


def _lines(root: Root, path: str) -> list[str]:
    return root.read(path).splitlines() if root.exists(path) else []


@pytest.fixture
def world(make_root: MakeRoot, lab_network: LabNetwork, zipapp: Path, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        proxy = CuttingProxy(lab_network.address)
        stack.callback(proxy.close)
        server = ServerProcess(tmp_path, LOOPBACK, tls=False, public_url=proxy.url, options=POLL)
        stack.callback(server.kill)
        proxy.upstream = server.start()
        agents = [Agent(make_root(f"kill-{n}"), zipapp, tmp_path) for n in range(HOSTS)]
        for agent in agents:
            stack.callback(agent.kill)
        yield World(server, proxy, agents)


def test_a_server_killed_at_any_step_from_enrolment_to_result_loses_and_repeats_nothing(world: World) -> None:
    _enrol_under_kills(world)
    nodes = {agent.node_id for agent in world.agents}
    tokens = world.proxy.requests["AmazonSSM.RequestManagedInstanceRoleToken"]
    registrations = world.proxy.requests["AmazonSSM.RegisterManagedInstance"]
    first, second, third = world.agents

    def changed_host(agent: Agent) -> None:
        agent.root.run(["apt-mark", "hold", "dpkg"])  # so that the next scan has something to send

    stages: list[tuple[str, Moment, Agent, Callable[[Agent, str], Any], int]] = [
        (f"{MESSAGES}GetMessages", BEFORE_ANSWER, first, world.script, 1),
        (f"{MESSAGES}AcknowledgeMessage", BEFORE_SERVER, second, world.script, 1),
        (f"{MESSAGES}AcknowledgeMessage", BEFORE_ANSWER, third, world.script, 1),
        ("Patchwright.StartPatchRun", BEFORE_ANSWER, second, world.scan, 1),
        ("Patchwright.PutFacts", BEFORE_SERVER, third, world.scan, 1),
        ("Patchwright.PutFacts", BEFORE_ANSWER, first, world.scan, 2),
        ("Patchwright.FinishPatchRun", BEFORE_SERVER, second, world.scan, 1),
        ("Patchwright.FinishPatchRun", BEFORE_ANSWER, third, world.scan, 1),
        (f"{MESSAGES}SendReply", BEFORE_SERVER, first, world.script, 1),
        (f"{MESSAGES}SendReply", BEFORE_ANSWER, second, world.script, 2),
    ]
    for target, moment, agent, order, nth in stages:
        if nth == 2 and "PutFacts" in target:
            changed_host(agent)
        why = f"{target} cut {moment.value}"
        world.kill_at(target, moment, lambda order=order, agent=agent, why=why: order(agent, why), nth)  # type: ignore[misc]

    world.check_commands()
    listed = world.ssm.describe_instance_information(MaxResults=50)["InstanceInformationList"]
    assert nodes <= {node["InstanceId"] for node in listed}
    assert world.proxy.requests["AmazonSSM.RegisterManagedInstance"] == registrations
    assert world.proxy.requests["AmazonSSM.RequestManagedInstanceRoleToken"] == tokens, "issued keys did not survive"
    assert {agent.root.name: agent.log.count("registered") for agent in world.agents} == {a.root.name: 0 for a in world.agents}


def _enrol_under_kills(world: World) -> None:
    """Each host registers while the server dies at another step of it."""
    moments = (
        ("AmazonSSM.RegisterManagedInstance", BEFORE_SERVER),
        ("AmazonSSM.RequestManagedInstanceRoleToken", BEFORE_ANSWER),
        ("AmazonSSM.UpdateInstanceInformation", BEFORE_SERVER),
    )
    activation = world.activation()
    for agent, (target, moment) in zip(world.agents, moments, strict=True):
        cut = world.proxy.cut(target, moment, world.server.kill)
        enrolment = threading.Thread(target=_enrol, args=(agent, world.proxy.url, activation))
        enrolment.start()
        cut.wait()
        world.server.start()
        enrolment.join(timeout=30)
        assert agent.node_id, agent.log
    for agent in world.agents:
        world.scan(agent, f"the first scan of {agent.root.name}")
    world.check_commands()


def _enrol(agent: Agent, url: str, activation: dict[str, str]) -> None:
    agent.register(url, activation)
    agent.start()


def _online(ssm: Any) -> set[str]:
    listed = ssm.describe_instance_information(MaxResults=50)["InstanceInformationList"]
    return {node["InstanceId"] for node in listed if node["PingStatus"] == "Online"}
