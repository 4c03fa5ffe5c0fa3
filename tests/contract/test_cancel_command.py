"""CancelCommand through boto3 and the aws command line, to nodes that speak the real protocol, and to the real agent.

Source: operations.md 3.4, 3.7; agent-protocol.md 8.
"""

import dataclasses
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from patchwright.store import commands
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Message, Node, Refusal
from tests.contract.nodes_fleet import Fleet, refused, wait_for
from tests.contract.synthetic_facts import usual_host
from tests.contract.worker_door import Worker

NOBODY = "mi-0123456789abcdef0"
AGENT = Path(__file__).resolve().parents[2] / "agent"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _running(fleet: Fleet, node: Node) -> Message:
    fleet.send([node])
    message = node.take()
    node.accept(message)
    return message


def test_a_running_command_is_asked_back_and_ends_by_the_nodes_word(fleet: Fleet) -> None:
    node = fleet.node()
    message = _running(fleet, node)
    answer = fleet.ssm.cancel_command(CommandId=message.command_id)
    assert set(answer) == {"ResponseMetadata"}
    assert fleet.details(message.command_id) == ["Cancelling"]
    command = fleet.command(message.command_id)
    assert (command["Status"], command["StatusDetails"]) == ("Cancelling", "Cancelling")
    cancel = node.take()
    assert cancel.raw["Topic"] == f"aws.ssm.cancelCommand.{fleet.region}"
    assert cancel.raw["Destination"] == node.id
    assert cancel.raw["CreatedDate"].endswith("Z")
    assert cancel.payload == {"CancelMessageId": message.id}
    prefix, service, own, name = cancel.id.split(".")
    assert (prefix, service, name) == ("aws", "ssm", node.id)
    assert own != message.command_id
    assert len(own) == 36
    node.accept(cancel)
    cancelling = [{"key": "Status", "value": "Cancelling"}]
    assert len(fleet.ssm.list_commands(Filters=cancelling)["Commands"]) == 1
    assert len(fleet.ssm.list_command_invocations(Filters=cancelling)["CommandInvocations"]) == 1
    node.reply(message, "Cancelled", {})
    assert fleet.ended(message.command_id)["StatusDetails"] == "Cancelled"
    shown = fleet.ssm.get_command_invocation(CommandId=message.command_id, InstanceId=node.id)
    assert (shown["Status"], shown["StatusDetails"]) == ("Cancelled", "Cancelled")


def test_what_is_not_sent_yet_is_cancelled_at_once_and_a_parked_poll_is_woken(fleet: Fleet) -> None:
    first, second = fleet.add(2)
    command = fleet.send([first, second], MaxConcurrency="1")
    message = first.take()
    first.accept(message)
    told: list[Message] = []
    waiting = threading.Thread(target=lambda: told.extend(first.poll()))
    waiting.start()
    wait_for(lambda: fleet.server.application.state.waits.count, "the parked poll")
    began = time.monotonic()
    fleet.ssm.cancel_command(CommandId=command)
    waiting.join(10)
    assert time.monotonic() - began < 1.5
    assert [m.payload for m in told] == [{"CancelMessageId": message.id}]
    assert fleet.details(command) == ["Cancelled", "Cancelling"]
    first.acknowledge(told[0])
    first.reply(message, "Success", {})
    ended = fleet.ended(command)
    assert (ended["Status"], ended["StatusDetails"]) == ("Cancelled", "Cancelled")
    assert fleet.details(command) == ["Cancelled", "Success"]


def test_a_part_of_a_command(fleet: Fleet) -> None:
    nodes = fleet.add(3)
    command = fleet.send(nodes)
    fleet.ssm.cancel_command(CommandId=command, InstanceIds=[nodes[0].id])
    assert fleet.details(command) == ["Cancelled", "Pending", "Pending"]
    assert fleet.command(command)["Status"] == "InProgress"
    for node in nodes[1:]:
        node.run()
    ended = fleet.ended(command)
    assert (ended["Status"], ended["StatusDetails"], ended["CompletedCount"]) == ("Failed", "Incomplete", 3)


def test_cancelling_what_is_over_or_cancelled_succeeds_and_changes_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node])
    node.run()
    before = fleet.ended(command)
    fleet.ssm.cancel_command(CommandId=command)
    fleet.ssm.cancel_command(CommandId=command, InstanceIds=[node.id])
    assert fleet.command(command) == before
    other = fleet.send([node])
    for _ in range(2):
        fleet.ssm.cancel_command(CommandId=other, InstanceIds=[])
    assert fleet.command(other)["Status"] == "Cancelled"


def test_every_error_and_nothing_is_cancelled_by_one(fleet: Fleet, server: RunningServer) -> None:
    node, other = fleet.add(2)
    command = fleet.send([node])
    cancel = fleet.ssm.cancel_command
    nowhere = "11111111-2222-4333-8444-555555555555"
    assert refused(lambda: cancel(CommandId=nowhere))[0] == "InvalidCommandId"
    assert refused(lambda: cancel(CommandId=command, InstanceIds=[node.id, NOBODY]))[0] == "InvalidInstanceId"
    code, said = refused(lambda: cancel(CommandId=command, InstanceIds=[node.id, other.id]))
    assert (code, other.id in said) == ("InvalidInstanceId", True)
    assert refused(lambda: cancel(CommandId=command, InstanceIds=[node.id, node.id]))[0] == "DuplicateInstanceId"
    assert refused(lambda: cancel(CommandId="short"))[0] == "ValidationException"
    assert refused(lambda: cancel(CommandId=command, InstanceIds=["web-1"]))[0] == "ValidationException"
    assert refused(lambda: cancel())[0] == "ValidationException"
    elsewhere = server.client(region=f"{fleet.region}-b")
    assert refused(lambda: elsewhere.cancel_command(CommandId=command))[0] == "InvalidCommandId"
    assert fleet.details(command) == ["Pending"]


def test_a_patch_run_that_has_not_begun_does_not_begin_after_a_cancel(fleet: Fleet) -> None:
    node = fleet.node()
    message = fleet.order(node)
    begun, other = Worker(fleet.server.url, message.token()), fleet.order(node)
    begun.start()
    for command in (message.command_id, other.command_id):
        fleet.ssm.cancel_command(CommandId=command)
    with pytest.raises(Refusal, match="being cancelled"):
        Worker(fleet.server.url, other.token()).start()
    begun.report(usual_host().parts())  # what runs may end in order


def test_a_policy_for_some_nodes_does_not_cancel_on_others(fleet: Fleet, server: RunningServer) -> None:
    ours, theirs = fleet.node(Team="a"), fleet.node(Team="b")
    command = fleet.send([ours, theirs])
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": "ssm:CancelCommand",
            "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/Team": "a"}},
        },
    }
    made = fleet.patchwright.create_access_key(UserName="team-a", Policy=json.dumps(policy))
    mine = server.client(region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    assert refused(lambda: mine.cancel_command(CommandId=command))[0] == "AccessDeniedException"
    assert fleet.details(command) == ["Pending", "Pending"]
    mine.cancel_command(CommandId=command, InstanceIds=[ours.id])
    assert fleet.details(command) == ["Cancelled", "Pending"]
    over = fleet.send([ours])
    ours.run()
    mine.cancel_command(CommandId=over)


def test_the_plain_aws_command_cancels(fleet: Fleet, aws: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    command = fleet.send([fleet.node()])
    done = aws("ssm", "cancel-command", "--command-id", command, "--region", fleet.region)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    assert fleet.command(command)["Status"] == "Cancelled"
    done = aws("ssm", "cancel-command", "--command-id", "x" * 36, "--region", fleet.region)
    assert "InvalidCommandId" in done.stderr


@pytest.fixture
def agent(fleet: Fleet, tmp_path: Path) -> Iterator[str]:
    """The product's own agent as a process of this machine, enrolled; its node id."""
    activation = fleet.activation()
    state = ["--state-dir", str(tmp_path / "state")]
    program = [sys.executable, "-m", "patchwright_agent"]
    enrolled = subprocess.run(
        [*program, "register", "--server", fleet.server.url, "--activation-id", activation["ActivationId"],
         "--activation-code", activation["ActivationCode"], *state],
        cwd=AGENT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    log = (tmp_path / "agent.log").open("wb")
    running = subprocess.Popen([*program, "run", "--reboot-command", "true", *state], cwd=AGENT, stdout=log, stderr=log)
    yield enrolled.stdout.strip()
    running.terminate()
    running.wait(timeout=15)
    log.close()


def test_the_real_agent_ends_a_running_script(fleet: Fleet, agent: str, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = [f"touch {begun}", "sleep 600"]
    command = str(
        fleet.ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[agent], Parameters={"commands": script})[
            "Command"
        ]["CommandId"]
    )
    wait_for(begun.exists, "the script")
    fleet.ssm.cancel_command(CommandId=command)
    assert wait_for(lambda: not fleet.command(command)["Status"].startswith("Cancelling"), "the end")
    shown = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=agent)
    assert (shown["Status"], shown["ResponseCode"]) == ("Cancelled", 137)


@pytest.fixture
def slow(fleet: Fleet) -> Iterator[Fleet]:
    """The server as it starts by default: without fast_start."""
    state = fleet.server.application.state
    before = state.service
    # Nothing in the state changes after start; a second server for one test would cost more than this.
    object.__setattr__(state, "service", dataclasses.replace(before, fast_start=False))
    yield fleet
    object.__setattr__(state, "service", before)


def test_a_command_starts_slowly_and_an_acknowledgement_lets_two_follow(slow: Fleet) -> None:
    nodes = slow.add(4)
    command = slow.send(nodes)

    def offered() -> Any:
        return slow.read(lambda tx: _offered(tx, command))

    assert offered() == 1
    message = nodes[0].take()
    assert offered() == 1
    nodes[0].accept(message)
    wait_for(lambda: offered() == 3, "the next two")
    nodes[0].reply(message, "Failed", {})
    wait_for(lambda: slow.details(command).count("Terminated") == 1, "the end of the last one")


def _offered(tx: Any, command: str) -> int:
    return sum(i.dispatched_at is not None for i in commands.invocations(tx, command))
