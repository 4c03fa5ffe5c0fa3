"""How many nodes run a command at once, when errors stop it, and what becomes of the whole.

Source: operations.md 3, 13 (2 to 5, 7, 17).
"""

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, wait_for


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def test_at_most_max_concurrency_are_started_and_a_slot_is_handed_on(fleet: Fleet) -> None:
    nodes = fleet.add(5)
    command = fleet.send(nodes, MaxConcurrency="2", MaxErrors="100%")
    assert fleet.details(command) == ["Pending"] * 5
    order = sorted(nodes, key=lambda n: nodes.index(n))
    first, second = order[0].take(), order[1].take()
    assert fleet.details(command) == ["InProgress"] * 2 + ["Pending"] * 3
    order[0].finish(first)
    third = wait_for(lambda: order[2].poll(), "the third start")[0]
    assert fleet.details(command) == ["InProgress"] * 2 + ["Pending"] * 2 + ["Success"]
    order[1].finish(second, "Failed")
    order[2].finish(third)
    for node in order[3:]:
        node.run()
    ended = fleet.ended(command)
    assert (ended["CompletedCount"], ended["ErrorCount"]) == (5, 1)
    assert (ended["Status"], ended["StatusDetails"]) == ("Failed", "Incomplete")


def test_of_fifty_one_after_another_the_sixth_error_stops_the_rest(fleet: Fleet) -> None:
    nodes = [*fleet.add(6), *fleet.add(44, ping=False)]
    command = fleet.send(nodes, MaxConcurrency="1", MaxErrors="10%")
    for node in nodes[:6]:
        node.run("Failed")
    ended = fleet.ended(command)
    assert (ended["Status"], ended["StatusDetails"], ended["ErrorCount"]) == ("Failed", "Failed", 6)
    assert (ended["TargetCount"], ended["CompletedCount"]) == (50, 50)
    assert fleet.details(command) == ["Failed"] * 6 + ["Terminated"] * 44
    terminated = fleet.ssm.list_command_invocations(
        CommandId=command, Filters=[{"key": "Status", "value": "Terminated"}]
    )["CommandInvocations"]
    assert len(terminated) == 44
    assert {i["Status"] for i in terminated} == {"Cancelled"}
    last = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=nodes[49].id)
    assert (last["Status"], last["StatusDetails"]) == ("Cancelled", "Terminated")


def test_platforms_that_the_document_cannot_serve(fleet: Fleet) -> None:
    strange = fleet.add(4, platform="Plan9")
    linux = fleet.node()
    patch = {"DocumentName": "AWS-RunPatchBaseline", "Parameters": {"Operation": ["Scan"]}}
    command = fleet.send(strange, **patch)
    ended = fleet.ended(command)
    assert (ended["Status"], ended["CompletedCount"], ended["ErrorCount"]) == ("Failed", 4, 0)
    assert fleet.details(command) == ["InvalidPlatform"] * 4
    mixed = fleet.send([*strange, linux], **patch)
    message = linux.take()
    linux.accept(message)
    fleet.end(linux, message)
    assert fleet.ended(mixed)["Status"] == "Success"
    assert fleet.details(mixed) == ["InvalidPlatform"] * 4 + ["Success"]


def test_an_offline_node_is_delayed_and_runs_when_it_is_back(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    command = fleet.send([node])
    delayed = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)
    assert (delayed["Status"], delayed["StatusDetails"]) == ("Delayed", "Delayed")
    assert fleet.command(command)["Status"] == "InProgress"
    node.heartbeat()
    node.run()
    assert fleet.ended(command)["Status"] == "Success"
