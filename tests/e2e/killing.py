"""A server that is killed and the hosts that must not notice: what the kill tests share.

with world(base, network, zipapp, folder) as it:
    it.kill_at("AmazonSSM.SendCommand", Moment.BEFORE_ANSWER, provoke)
    it.check_commands()                                  # all that were acknowledged: ended well, once
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError
from tests.e2e.agents import Agent
from tests.e2e.cutting_proxy import CuttingProxy, Moment
from tests.e2e.fleet import in_parallel
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.servers import ServerProcess, eventually

LOOPBACK = "127.0.0.1"
POLL = ("--poll-seconds", "2")
"""Idle polls end soon, so that agents look after what they could not send before."""
RAN = "/var/tmp/ran"
UNANSWERED = (HTTPClientError, NotConnected)
"""What boto3 raises when no answer came; whether the call was carried out is not known then."""
OVER = ("Success", "Failed", "Cancelled", "TimedOut")


class World:
    """A server on loopback, the proxy that hosts call, and an agent on each host."""

    def __init__(self, server: ServerProcess, proxy: CuttingProxy, roots: list[Root]) -> None:
        self.server, self.proxy, self.roots = server, proxy, roots
        self.ssm = server.client("ssm")
        self.agents: list[Agent] = []
        self.commands: dict[str, tuple[str, Agent]] = {}

    def activation(self) -> dict[str, str]:
        made: dict[str, str] = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=50)
        return made

    def order(self, agent: Agent, document: str, why: str, **parameters: list[str]) -> str:
        """Send a command to one node and remember it once it is acknowledged; `why` names it if it goes wrong."""
        sent = self.ssm.send_command(InstanceIds=[agent.node_id], DocumentName=document, Parameters=parameters)
        command_id: str = sent["Command"]["CommandId"]
        self.commands[command_id] = (why, agent)
        return command_id

    def scan(self, agent: Agent, why: str) -> str:
        return self.order(agent, "AWS-RunPatchBaseline", why, Operation=["Scan"])

    def script(self, agent: Agent, why: str) -> str:
        """A script that leaves one line on the host each time it runs."""
        return self.order(agent, "AWS-RunShellScript", why, commands=[f'echo "$SSM_COMMAND_ID" >> {RAN}'])

    def long_script(self, agent: Agent, why: str) -> str:
        """The same, but it runs until `let_long_scripts_end`."""
        lines = [f'echo "$SSM_COMMAND_ID" >> {RAN}', f"until [ -e {RAN}.enough ]; do sleep 0.1; done"]
        return self.order(agent, "AWS-RunShellScript", why, commands=lines)

    def let_long_scripts_end(self) -> None:
        """Wait until every message was delivered again and acknowledged while its script still ran; then end them."""
        unacknowledged = "SELECT count(*) FROM invocation WHERE ended_at IS NULL AND acknowledged_at IS NULL"
        eventually(lambda: self.server.rows(unacknowledged), lambda rows: rows == [(0,)], 40.0)
        for root in self.roots:
            root.write(f"{RAN}.enough", "")

    def kill_at(
        self, target: str, moment: Moment, provoke: Callable[[], Any], nth: int = 1, answer: bytes = b""
    ) -> None:
        """Provoke a request, kill the server at it, start the server again.

        Another agent's request of that kind may be the one; then the provoking call itself may find the server dead.
        """
        cut = self.proxy.cut(target, moment, self.server.kill, nth, answer)
        with contextlib.suppress(*UNANSWERED):
            provoke()
        cut.wait()
        self.server.start()

    def invocation(self, command_id: str) -> dict[str, Any]:
        """The command's only invocation."""
        invocations = self.ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
        assert len(invocations) == 1, invocations
        invocation: dict[str, Any] = invocations[0]
        return invocation

    def ended(self, command_id: str, seconds: float = 20.0) -> dict[str, Any]:
        """The command's invocation when it is over."""
        return eventually(lambda: self.invocation(command_id), lambda seen: seen["Status"] in OVER, seconds)

    def check_commands(self) -> None:
        """Every acknowledged command is there and has ended well, with one run; no script ran twice."""
        eventually(self.open_commands, lambda still: not still, 40.0)
        for command_id, (why, agent) in self.commands.items():
            invocation = self.invocation(command_id)
            assert invocation["Status"] == "Success", (why, invocation, agent.log[-2000:])
        ran = [line for root in self.roots if root.exists(RAN) for line in root.read(RAN).splitlines()]
        assert len(ran) == len(set(ran)), "a script ran twice"
        runs = self.server.rows("SELECT command_id FROM patch_run GROUP BY command_id HAVING count(*) > 1")
        assert runs == []

    def open_commands(self) -> dict[str, str]:
        """What is still going on. Commands whose acknowledgement was lost in a kill have to end as well."""
        pages = self.ssm.get_paginator("list_commands").paginate()
        seen = {command["CommandId"]: command["Status"] for page in pages for command in page["Commands"]}
        lost = [why for command_id, (why, _) in self.commands.items() if command_id not in seen]
        assert lost == [], "acknowledged commands are gone"
        return {
            self.commands[key][0] if key in self.commands else key: status
            for key, status in seen.items()
            if status not in OVER
        }

    def node_ids(self) -> set[str]:
        listed = self.ssm.describe_instance_information(MaxResults=50)["InstanceInformationList"]
        return {node["InstanceId"] for node in listed}


@contextlib.contextmanager
def world(
    base: Path, network: LabNetwork, zipapp: Path, folder: Path, hosts: int, database_url: str | None = None
) -> Iterator[World]:
    """A running server with `hosts` enrolled hosts, in the usual way."""
    with ExitStack() as stack:
        roots = [Root(base, network, f"kill-{number}") for number in range(hosts)]
        for root in roots:
            stack.callback(root.close)
        yield stack.enter_context(world_of(roots, network, zipapp, folder, database_url))


@contextlib.contextmanager
def world_of(
    roots: list[Root], network: LabNetwork, zipapp: Path, folder: Path, database_url: str | None = None
) -> Iterator[World]:
    """A running server with these hosts, enrolled in the usual way."""
    with ExitStack() as stack:
        proxy = CuttingProxy(network.address)
        stack.callback(proxy.close)
        server = ServerProcess(
            folder, LOOPBACK, tls=False, public_url=proxy.url, database_url=database_url, options=POLL
        )
        stack.callback(server.kill)
        proxy.upstream = server.start()
        made = World(server, proxy, roots)
        made.agents = [Agent(root, zipapp, folder) for root in roots]
        activation = made.activation()
        in_parallel(lambda agent: agent.register(proxy.url, activation), made.agents)
        for agent in made.agents:
            agent.start()
            stack.callback(agent.kill)
        yield made
