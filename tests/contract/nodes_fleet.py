"""The nodes of one test with the operator's clients beside them, and what contract tests ask of both."""

import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from patchwright.wire.model import DATA_DIRECTORY
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Message, Node, step_result
from tests.contract.synthetic_facts import DebianHost, usual_host
from tests.contract.worker_door import Worker


@cache
def _session(key_id: str, secret: str) -> boto3.Session:
    """One session for all tests of a server: it keeps the parsed model, which takes longer to read than most tests."""
    session = botocore.session.Session()
    session.set_config_variable("data_path", str(DATA_DIRECTORY))
    session.set_credentials(key_id, secret)
    return boto3.Session(botocore_session=session, region_name="local-1")


def wait_for(until: Callable[[], Any], what: str) -> Any:
    """Loops run in the background: give them a few seconds."""
    deadline = time.monotonic() + 8
    while not (found := until()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return found


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Code and message of the error that the call must end in."""
    with pytest.raises(ClientError) as refusal:
        call()
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"]


class Fleet:
    """Nodes of one test's region, with the operator's clients beside them."""

    def __init__(self, server: RunningServer, region: str) -> None:
        self.server = server
        self.region = region
        self.ssm = self.client("ssm", region)

    def client(self, service: str, region: str) -> Any:
        """A client as administrator."""
        return _session(self.server.key_id, self.server.secret).client(
            service,
            region_name=region,
            endpoint_url=self.server.url,
            config=Config(retries={"max_attempts": 0}, parameter_validation=False),
        )

    @cached_property
    def patchwright(self) -> Any:
        return self.client("patchwright", self.region)

    def activation(self, limit: int = 1, **more: Any) -> dict[str, str]:
        made = self.ssm.create_activation(IamRole="service-role", RegistrationLimit=limit, **more)
        return {k: made[k] for k in ("ActivationId", "ActivationCode")}

    def add(
        self, count: int = 1, *, ping: bool = True, platform: str = "Linux", name: str | None = None, **tags: str
    ) -> list[Node]:
        """Registered nodes that have said hello, unless `ping` is off; `_` in a tag's key stands for a space."""
        more: dict[str, Any] = {"Tags": [{"Key": k.replace("_", " "), "Value": v} for k, v in tags.items()]}
        if name:
            more["DefaultInstanceName"] = name
        activation = self.activation(count, **{k: v for k, v in more.items() if v})
        nodes = [Node(self.server.url, self.region).register(activation) for _ in range(count)]
        for node in nodes if ping else ():
            node.heartbeat(PlatformType=platform)
        return nodes

    def node(self, **more: Any) -> Node:
        (node,) = self.add(**more)
        return node

    def send(self, nodes: list[Node] | None = None, **more: Any) -> str:
        """AWS-RunShellScript on the nodes, or on Targets given. Returns the command's id."""
        where = {"InstanceIds": [n.id for n in nodes]} if nodes is not None else {}
        request = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}, **where, **more}
        return str(self.ssm.send_command(**request)["Command"]["CommandId"])

    def order(self, node: Node, operation: str = "Scan", **more: str) -> Message:
        """Send AWS-RunPatchBaseline to the node, which accepts it."""
        parameters = {"Operation": [operation], **{k: [v] for k, v in more.items()}}
        self.send([node], DocumentName="AWS-RunPatchBaseline", Parameters=parameters)
        message = node.take()
        node.accept(message)
        return message

    def worker(self, node: Node, operation: str = "Scan", **more: str) -> tuple[Worker, Message]:
        """A worker that was started by a fresh command and has said hello."""
        message = self.order(node, operation, **more)
        worker = Worker(self.server.url, message.token())
        worker.start()
        return worker, message

    def scan(self, node: Node, host: DebianHost, operation: str = "Scan", **more: str) -> dict[str, Any]:
        """A whole run from command to final reply; FinishPatchRun's answer."""
        worker, message = self.worker(node, operation, **more)
        worker.report(host.parts())
        answer = worker.finish()
        self.end(node, message, str(answer["Report"]))
        return answer

    def end(self, node: Node, message: Message, out: str = "") -> None:
        """The final replies of a patch command."""
        node.reply(message, "InProgress", {"PatchLinux": step_result(out=out)})
        node.reply(message, "Success", {})

    def scanned(self) -> tuple[Node, Worker, DebianHost]:
        """A node whose worker has reported once and goes on."""
        node, host = self.node(), usual_host()
        worker, _ = self.worker(node)
        worker.report(host.parts())
        return node, worker, host

    def titles(self, node: Node) -> list[tuple[str, str]]:
        """Title and state of every patch of the node."""
        found = self.ssm.describe_instance_patches(InstanceId=node.id)["Patches"]
        return [(p["Title"], p["State"]) for p in found]

    def command(self, command_id: str) -> dict[str, Any]:
        (command,) = self.ssm.list_commands(CommandId=command_id)["Commands"]
        return dict(command)

    def details(self, command_id: str) -> list[str]:
        """StatusDetails of every invocation, sorted."""
        pages = self.ssm.get_paginator("list_command_invocations").paginate(CommandId=command_id)
        return sorted(i["StatusDetails"] for p in pages for i in p["CommandInvocations"])

    def ended(self, command_id: str) -> dict[str, Any]:
        """The command, once it is over."""

        def finished() -> dict[str, Any] | None:
            command = self.command(command_id)
            return command if command["Status"] not in ("Pending", "InProgress", "Cancelling") else None

        return dict(wait_for(finished, "the end of the command"))

    def read(self, work: Callable[[Any], Any]) -> Any:
        """`work` on the server's own store."""
        return self.server.application.state.store.read(work)

    def write(self, work: Callable[[Any], Any]) -> Any:
        """`work` on the server's own store, kept."""
        return self.server.application.state.store.write(work)
