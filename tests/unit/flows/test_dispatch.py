"""Starting, timing out and ending commands under a virtual clock. Source: operations.md 3.2 to 3.4, decisions.md 29."""

from datetime import timedelta

import pytest
from tests.unit.command_lab import STEP, CommandLab
from tests.unit.fleet import HERE

from patchwright.core.commands import Details
from patchwright.flows.advance_command import advance_command
from patchwright.flows.register_node import deregister_node
from patchwright.loops.commands import CommandsLoop
from patchwright.store import commands
from patchwright.store.engine import Engine, Tx

D = Details


@pytest.fixture
def lab(store: Engine) -> CommandLab:
    return CommandLab(store)


def test_one_after_another_and_no_more_than_the_cap(lab: CommandLab) -> None:
    nodes = lab.add(4)
    command = lab.send(nodes, MaxConcurrency="50%", MaxErrors="100%")
    assert [i.in_flight for i in lab.invocations(command)] == [True, True, False, False]
    assert lab.take(nodes[3]) == []
    lab.finish(nodes[0], command)
    assert [i.in_flight for i in lab.invocations(command)] == [False, True, True, False]
    for node in nodes[1:]:
        lab.finish(node, command, "Failed")
    done = lab.command(command)
    assert (done.status, done.status_details, done.completed_count, done.error_count) == ("Failed", "Incomplete", 4, 3)


ALL_FAIL = [
    # n, MaxConcurrency, MaxErrors -> how many start when every one fails. The rows of 3.2, and 13 (3).
    (50, "10%", "10%", 10),
    (15, "10%", "10%", 2),
    (5, "10%", "10%", 1),
    (7, "50%", "50%", 6),
    (3, "100%", "100%", 3),
    (1, "1", "1", 1),
    (50, "1", "10%", 6),
]


def test_when_all_fail_sending_stops_above_the_threshold(lab: CommandLab) -> None:
    """Of those in flight when the threshold is passed each still ends by itself: at most cap - 1 more."""
    all_nodes = lab.add(50)
    for n, concurrency, errors, started in ALL_FAIL:
        command = lab.send(all_nodes[:n], MaxConcurrency=concurrency, MaxErrors=errors)
        while flying := [i.node_id for i in lab.invocations(command) if i.in_flight]:
            for node in flying:
                lab.finish(node, command, "Failed")
        assert lab.details(command) == [D.FAILED] * started + [D.TERMINATED] * (n - started), (n, concurrency, errors)
        assert not lab.command(command).open


def test_an_error_that_does_not_count_stops_nothing(lab: CommandLab) -> None:
    nodes = lab.add(3)
    command = lab.send(nodes, MaxConcurrency="1", MaxErrors="0")
    lab.finish(nodes[0], command, "Cancelled")
    lab.finish(nodes[1], command)
    lab.finish(nodes[2], command)
    assert lab.details(command) == [D.CANCELLED, D.SUCCESS, D.SUCCESS]
    assert lab.command(command).status_details == "Incomplete"


def test_a_message_comes_again_until_it_is_acknowledged(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node])
    assert [m.command.id for m in lab.take(node)] == [command]
    assert lab.details(command) == [D.IN_PROGRESS]
    assert lab.take(node) == []
    lab.tick(seconds=9.9)
    assert lab.take(node) == []
    lab.tick(seconds=0.1)
    assert [m.command.id for m in lab.take(node)] == [command]
    lab.acknowledge(node, command)
    lab.tick(seconds=60)
    assert lab.take(node) == []
    assert lab.invocations(command)[0].delivered_at == lab.invocations(command)[0].requested_at


def test_a_redelivered_command_that_had_ended_stays_ended(lab: CommandLab) -> None:
    """The real agent answers InProgress again, even after its final reply."""
    (node,) = lab.add()
    command = lab.send([node])
    lab.take(node)
    lab.reply(node, command, "Success", {})
    lab.reply(node, command, "InProgress")
    lab.acknowledge(node, command)
    assert lab.details(command) == [D.SUCCESS]


def test_delivery_times_out_by_each_ones_own_dispatch(lab: CommandLab) -> None:
    nodes = lab.add(2)
    command = lab.send(nodes, MaxConcurrency="1", TimeoutSeconds=600)
    lab.tick(seconds=500)
    lab.finish(nodes[0], command)
    lab.tick(seconds=599)
    lab.advance(command)
    assert lab.details(command) == [D.SUCCESS, D.PENDING]
    lab.tick(seconds=1)
    assert lab.advance(command) is None
    assert lab.details(command) == [D.SUCCESS, D.DELIVERY_TIMED_OUT]
    done = lab.command(command)
    assert (done.status, done.status_details, done.delivery_timed_out_count) == ("TimedOut", "DeliveryTimedOut", 1)


def test_an_acknowledged_command_lives_until_it_expires_and_late_word_is_for_the_record(lab: CommandLab) -> None:
    (node,) = lab.add()
    command = lab.send([node], TimeoutSeconds=600)
    lab.take(node)
    lab.acknowledge(node, command)
    lab.tick(seconds=4_199)
    assert lab.advance(command) == lab.command(command).expires_at
    assert lab.details(command) == [D.IN_PROGRESS]
    lab.tick(seconds=1)
    lab.advance(command)
    assert lab.details(command) == [D.DELIVERY_TIMED_OUT]
    lab.reply(node, command, "Success", {STEP: {"status": "Success", "code": 0, "standardOutput": "hi"}})
    assert lab.details(command) == [D.DELIVERY_TIMED_OUT]
    (step,) = lab.store.read(lambda tx: commands.steps(tx, command, node))
    assert (step.standard_output, step.response_code) == ("hi", 0)


def test_a_dead_node_gives_its_slot_up_after_five_minutes_and_queues_when_it_is_back(lab: CommandLab) -> None:
    dead, second, third = *lab.add(1, online=False), *lab.add(2)
    command = lab.send([dead, second, third], MaxConcurrency="1")
    assert lab.details(command) == [D.DELAYED, D.PENDING, D.PENDING]
    look = lab.advance(command)
    assert look == lab.now + timedelta(minutes=5)
    lab.tick(minutes=4, seconds=59)
    lab.advance(command)
    assert lab.take(second) == []
    lab.tick(seconds=1)
    lab.advance(command)
    assert [i.in_flight for i in lab.invocations(command)] == [False, True, False]
    assert len(lab.take(second)) == 1
    lab.beat(dead)
    lab.advance(command)
    assert lab.take(dead) == []  # the only slot is taken
    assert [i.in_flight for i in lab.invocations(command)] == [False, True, False]
    lab.acknowledge(second, command)
    lab.reply(second, command, "Success", {})
    lab.advance(command)
    assert [i.in_flight for i in lab.invocations(command)] == [True, False, False]
    lab.finish(dead, command)
    lab.beat(third)
    lab.finish(third, command)
    assert lab.command(command).status_details == "Success"


def test_a_dead_node_that_stays_away_times_out(lab: CommandLab) -> None:
    dead, alive = *lab.add(1, online=False), *lab.add()
    command = lab.send([dead, alive], MaxConcurrency="1", TimeoutSeconds=900)
    lab.tick(minutes=5)
    lab.advance(command)
    lab.finish(alive, command)
    lab.tick(minutes=10)
    assert lab.advance(command) is None
    assert lab.details(command) == [D.DELIVERY_TIMED_OUT, D.SUCCESS]


def test_a_delayed_node_is_not_started_once_the_threshold_is_passed(lab: CommandLab) -> None:
    sick, away = *lab.add(), *lab.add(1, online=False)
    command = lab.send([sick, away], MaxErrors="0")
    lab.finish(sick, command, "Failed")
    assert lab.details(command) == [D.FAILED, D.TERMINATED]
    lab.beat(away)
    assert lab.take(away) == []


def test_no_turn_of_the_loop_asks_to_be_run_again_at_once(lab: CommandLab) -> None:
    """Such a loop would spin."""
    nodes = [*lab.add(2, online=False), *lab.add(2)]
    command = lab.send(nodes, MaxConcurrency="3", TimeoutSeconds=600)
    loop = CommandsLoop(lab.store)
    for _ in range(60):
        look = loop.turn(lab.now)
        if look is None:
            break
        assert look > lab.now
        lab.now = look
    assert not lab.command(command).open


def test_what_a_turn_does_it_does_once(lab: CommandLab) -> None:
    nodes = lab.add(3)
    command = lab.send(nodes, MaxConcurrency="2")
    before = lab.invocations(command)
    for _ in range(3):
        lab.advance(command)
    assert lab.invocations(command) == before


def test_a_deregistered_node_ends_undeliverable_and_hands_its_slot_on(lab: CommandLab) -> None:
    gone, next_one = lab.add(2)
    command = lab.send([gone, next_one], MaxConcurrency="1")
    lab.take(gone)
    lab.store.write(lambda tx: deregister_node(tx, HERE, gone, lab.now))
    assert lab.details(command) == [D.UNDELIVERABLE, D.PENDING]
    lab.advance(command)
    lab.finish(next_one, command)
    assert lab.command(command).status == "Success"  # one Success and Undeliverable: documented


def test_a_platform_that_the_document_cannot_serve_takes_no_slot(lab: CommandLab) -> None:
    strange, fine = *lab.add(platform="Plan9"), *lab.add()
    command = lab.send(
        [strange, fine], document="AWS-RunPatchBaseline", MaxConcurrency="1", Parameters={"Operation": ["Scan"]}
    )
    assert lab.details(command) == [D.INVALID_PLATFORM, D.PENDING]
    assert [i.in_flight for i in lab.invocations(command)] == [False, True]


def test_more_open_commands_than_a_page_are_all_brought_forward(lab: CommandLab) -> None:
    (node,) = lab.add()
    sent = [lab.send([node], TimeoutSeconds=60) for _ in range(40)]
    lab.tick(hours=2)
    CommandsLoop(lab.store).turn(lab.now)
    assert [lab.command(c).open for c in sent] == [False] * 40


def test_the_loop_rests_while_an_invocation_waits_for_its_slot(lab: CommandLab) -> None:
    """A turn that woke its own loop would never end, and every other writer would conflict with it."""
    command = lab.send(lab.add(2), MaxConcurrency="1")
    wakes = []

    def turn(tx: Tx) -> None:
        advance_command(tx, command, lab.now)
        wakes.append(list(tx.wakes))

    lab.store.write(turn)
    assert wakes[-1] == []
