"""Cancelling commands under a virtual clock. Source: operations.md 3.4, 3.7; agent-protocol.md 8."""

from datetime import timedelta

import pytest
from tests.unit.command_lab import STEP, CommandLab
from tests.unit.fleet import HERE

from patchwright.core.commands import Details
from patchwright.core.errors import Duplicate, NotFound
from patchwright.core.values import CommandId, NodeId
from patchwright.flows.cancel_command import VISIBILITY, cancel_command, cancel_payload, cancellable
from patchwright.flows.register_node import deregister_node
from patchwright.store import commands
from patchwright.store.engine import Engine, Tx

D = Details


@pytest.fixture
def lab(store: Engine) -> CommandLab:
    return CommandLab(store)


def _running(lab: CommandLab, node: NodeId, command: CommandId) -> None:
    lab.take(node)
    lab.reply(node, command, "InProgress")
    lab.acknowledge(node, command)


def _status(lab: CommandLab, command: CommandId) -> tuple[str, str, bool]:
    found = lab.command(command)
    return found.status, found.status_details, found.open


def test_what_nobody_was_handed_is_cancelled_at_once(lab: CommandLab) -> None:
    nodes = lab.add(3)
    command = lab.send(nodes, MaxConcurrency="1")
    lab.cancel(command)
    assert lab.details(command) == [D.CANCELLED] * 3
    assert _status(lab, command) == ("Cancelled", "Cancelled", False)
    assert [lab.take(n) for n in nodes] == [[], [], []]
    assert [lab.take_cancels(n) for n in nodes] == [[], [], []]
    assert {i.ended_at for i in lab.invocations(command)} == {lab.now}
    assert all("before the node was handed" in i.trace for i in lab.invocations(command))


def test_a_running_one_is_told_until_it_acknowledges_and_ends_by_its_own_word(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node])
    _running(lab, node, command)
    lab.cancel(command)
    assert lab.details(command) == [D.CANCELLING]
    assert _status(lab, command) == ("Cancelling", "Cancelling", True)
    (told,) = lab.take_cancels(node)
    assert told.cancel_message_id.startswith("aws.ssm.")
    assert told.cancel_message_id.endswith(f".{node}")
    assert command not in told.cancel_message_id
    assert cancel_payload(told) == f'{{"CancelMessageId":"aws.ssm.{command}.{node}"}}'
    assert lab.take_cancels(node) == []
    lab.tick(seconds=VISIBILITY.total_seconds())
    (again,) = lab.take_cancels(node)
    assert again.cancel_message_id == told.cancel_message_id
    lab.acknowledge_cancel(node, again)
    lab.tick(seconds=60)
    assert lab.take_cancels(node) == []
    assert lab.details(command) == [D.CANCELLING]
    lab.reply(node, command, "Cancelled", {STEP: {"status": "Cancelled", "code": 137}})
    assert lab.details(command) == [D.CANCELLED]
    assert _status(lab, command) == ("Cancelled", "Cancelled", False)
    (step,) = lab.store.read(lambda tx: commands.steps(tx, command, node))
    assert (step.status, step.response_code) == ("Cancelled", 137)


@pytest.mark.parametrize(
    ("said", "becomes"), [("Success", D.SUCCESS), ("Failed", D.FAILED), ("TimedOut", D.EXECUTION_TIMED_OUT)]
)
def test_a_node_that_had_finished_or_finishes_first_is_believed(lab: CommandLab, said: str, becomes: Details) -> None:
    """A package transaction that runs is not broken off: the node ends it, and says how."""
    (node,) = lab.add()
    command = lab.send([node])
    _running(lab, node, command)
    lab.cancel(command)
    lab.reply(node, command, "InProgress")
    assert lab.details(command) == [D.CANCELLING]
    lab.reply(node, command, said, {})
    assert lab.details(command) == [becomes]
    assert lab.take_cancels(node) == []
    assert _status(lab, command) == ("Cancelled", "Cancelled", False)


def test_a_reply_for_the_cancel_message_itself_means_nothing(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node])
    _running(lab, node, command)
    lab.cancel(command)
    (told,) = lab.take_cancels(node)
    lab.reply(node, CommandId(told.cancel_message_id.split(".")[2]), "Success")
    assert lab.details(command) == [D.CANCELLING]


def test_a_silent_node_is_cancelled_when_the_command_expires(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node])
    _running(lab, node, command)
    lab.cancel(command)
    (told,) = lab.take_cancels(node)
    lab.acknowledge_cancel(node, told)
    expires = lab.command(command).expires_at
    assert lab.advance(command) == expires
    lab.now = expires
    assert lab.advance(command) is None
    assert lab.details(command) == [D.CANCELLED]
    assert "not confirmed" in lab.invocations(command)[0].trace


def test_one_that_was_handed_over_and_never_acknowledged_waits_no_longer_than_its_delivery(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node], TimeoutSeconds=600)
    lab.take(node)
    lab.cancel(command)
    assert lab.details(command) == [D.CANCELLING]
    lab.tick(seconds=30)
    assert lab.take(node) == []  # the command itself is not offered again
    assert lab.advance(command) == lab.command(command).requested_at + timedelta(seconds=600)
    lab.tick(seconds=570)
    lab.advance(command)
    assert lab.details(command) == [D.CANCELLED]


def test_a_delayed_node_hears_of_the_cancel_and_not_of_the_command(lab: CommandLab) -> None:
    (away,) = lab.add(1, online=False)
    command = lab.send([away])
    assert lab.details(command) == [D.DELAYED]
    lab.cancel(command)
    assert lab.details(command) == [D.CANCELLING]
    lab.tick(minutes=2)
    lab.beat(away)
    assert lab.take(away) == []
    (told,) = lab.take_cancels(away)
    lab.acknowledge_cancel(away, told)
    assert lab.details(command) == [D.CANCELLED]
    assert not lab.command(command).open


def test_a_cancel_before_delivery_holds_no_slot(lab: CommandLab) -> None:
    away, next_one = *lab.add(1, online=False), *lab.add()
    command = lab.send([away, next_one], MaxConcurrency="1")
    lab.cancel(command, away)
    lab.advance(command)
    assert [i.in_flight for i in lab.invocations(command)] == [False, True]


def test_a_part_leaves_the_command_in_progress_and_hands_its_slot_on(lab: CommandLab) -> None:
    first, second, third = lab.add(3)
    command = lab.send([first, second, third], MaxConcurrency="1")
    lab.cancel(command, first)
    assert lab.details(command) == [D.CANCELLED, D.PENDING, D.PENDING]
    assert _status(lab, command) == ("InProgress", "InProgress", True)
    lab.advance(command)
    assert len(lab.take(second)) == 1
    lab.reply(second, command, "Success", {})
    lab.advance(command)
    lab.finish(third, command)
    assert _status(lab, command) == ("Failed", "Incomplete", False)


def test_every_node_by_name_is_still_a_part(lab: CommandLab) -> None:
    nodes = lab.add(2)
    command = lab.send(nodes)
    lab.cancel(command, *nodes)
    assert _status(lab, command) == ("Failed", "Incomplete", False)


def test_whatever_others_say_a_cancelled_command_ends_as_cancelled(lab: CommandLab) -> None:
    first, second = lab.add(2)
    command = lab.send([first, second])
    lab.finish(first, command, "Failed")
    assert lab.details(command) == [D.FAILED, D.PENDING]
    lab.cancel(command)
    found = lab.command(command)
    assert (found.status, found.error_count, found.completed_count) == ("Cancelled", 1, 2)


def test_cancelling_twice_and_cancelling_what_is_over_changes_nothing(lab: CommandLab) -> None:
    done, running = lab.add(2)
    command = lab.send([done, running])
    lab.finish(done, command)
    _running(lab, running, command)
    lab.cancel(command, done)
    assert _status(lab, command)[0] == "InProgress"
    lab.cancel(command, running)
    before = lab.invocations(command)
    lab.tick(seconds=5)
    lab.cancel(command, running)
    assert lab.invocations(command) == before
    lab.cancel(command)
    assert lab.invocations(command) == before
    assert _status(lab, command)[0] == "Cancelling"
    lab.reply(running, command, "Cancelled", {})
    over = lab.command(command)
    lab.tick(seconds=5)
    lab.cancel(command)
    lab.cancel(command, done, running)
    assert lab.command(command) == over


def test_wrong_names_cancel_nothing(lab: CommandLab) -> None:
    node, other = lab.add(2)
    command = lab.send([node])
    with pytest.raises(Duplicate, match=node):
        lab.cancel(command, node, node)
    with pytest.raises(NotFound, match=other):
        lab.cancel(command, node, other)
    assert lab.details(command) == [D.PENDING]


def test_nodes_that_have_the_command_are_woken_and_others_are_not(lab: CommandLab) -> None:
    running, waiting = lab.add(2)
    command = lab.send([running, waiting], MaxConcurrency="1")
    _running(lab, running, command)
    wakes: list[str] = []

    def cancel(tx: Tx) -> None:
        found = commands.get(tx, command)
        cancel_command(tx, found, cancellable(tx, found, ()), whole=True, now=lab.now)
        wakes.extend(tx.wakes)

    lab.store.write(cancel)
    assert f"node:{running}" in wakes
    assert f"node:{waiting}" not in wakes


def test_a_node_that_refuses_the_cancel_is_not_asked_for_ever(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node])
    _running(lab, node, command)
    lab.cancel(command)
    (told,) = lab.take_cancels(node)
    lab.fail(node, CommandId(told.cancel_message_id.split(".")[2]))
    lab.tick(seconds=60)
    assert lab.take_cancels(node) == []
    lab.reply(node, command, "Success", {})
    assert lab.details(command) == [D.SUCCESS]


def test_another_nodes_acknowledgement_is_not_taken_for_this_ones(lab: CommandLab) -> None:
    one, other = lab.add(2)
    command = lab.send([one, other])
    _running(lab, one, command)
    lab.cancel(command, one)
    (told,) = lab.take_cancels(one)
    lab.acknowledge_cancel(other, told)
    lab.tick(seconds=10)
    assert len(lab.take_cancels(one)) == 1


def test_a_node_that_is_deregistered_meanwhile_is_undeliverable(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node])
    _running(lab, node, command)
    lab.cancel(command)
    lab.store.write(lambda tx: deregister_node(tx, HERE, node, lab.now))
    assert lab.details(command) == [D.UNDELIVERABLE]
    assert _status(lab, command) == ("Cancelled", "Cancelled", False)
