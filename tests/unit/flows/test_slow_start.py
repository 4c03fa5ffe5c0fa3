"""The slow start of a command under a virtual clock: 1, then 2, then 4, … after acknowledgements.

Source: operations.md 3.2.
"""

import pytest
from tests.unit.command_lab import CommandLab

from patchwright.core.commands import Details
from patchwright.core.rates import PATIENCE
from patchwright.core.values import CommandId, NodeId
from patchwright.flows.advance_command import HOLD_SLOT
from patchwright.flows.run_invocation import acknowledge, take_messages
from patchwright.store import commands, nodes
from patchwright.store.engine import Engine, Tx

D = Details


@pytest.fixture
def lab(store: Engine) -> CommandLab:
    return CommandLab(store)


def _flying(lab: CommandLab, command: CommandId) -> list[NodeId]:
    return [i.node_id for i in lab.invocations(command) if i.in_flight and i.acknowledged_at is None]


def _acknowledge_all(lab: CommandLab, command: CommandId) -> int:
    """Every node that was offered the command takes it and says so; then the loop has its turn. How many they were."""
    offered = _flying(lab, command)
    for node in offered:
        lab.take(node)
        lab.acknowledge(node, command)
    lab.advance(command)
    return len(offered)


@pytest.mark.parametrize(
    ("n", "concurrency", "steps"),
    [
        (40, "50", [1, 2, 4, 8, 16, 9]),
        (40, "5", [1, 2, 2]),  # 3 are in flight after two steps, and none ends
        (40, "1", [1]),
        (3, "100%", [1, 2]),
        (20, "50%", [1, 2, 4, 3]),
    ],
)
def test_each_acknowledgement_lets_two_follow_up_to_the_cap(
    lab: CommandLab, n: int, concurrency: str, steps: list[int]
) -> None:
    command = lab.send(lab.add(n), slow=True, MaxConcurrency=concurrency)
    seen = []
    while count := _acknowledge_all(lab, command):
        seen.append(count)
    assert seen == steps


def test_acknowledgement_and_not_completion_releases_the_next(lab: CommandLab) -> None:
    nodes = lab.add(4)
    command = lab.send(nodes, slow=True)
    lab.take(nodes[0])
    lab.advance(command)
    assert _flying(lab, command) == nodes[:1]
    lab.acknowledge(nodes[0], command)
    lab.advance(command)
    assert _flying(lab, command) == nodes[1:3]
    assert lab.details(command)[0] is D.IN_PROGRESS


def test_an_acknowledgement_wakes_the_loop_while_it_lets_others_start(lab: CommandLab) -> None:
    nodes_ = lab.add(3)
    command = lab.send(nodes_, slow=True)
    woken: list[list[str]] = []

    def acknowledged(tx: Tx, node: NodeId) -> None:
        mine = nodes.get_active(tx, node)
        take_messages(tx, mine, lab.now)
        before = list(tx.wakes)
        acknowledge(tx, mine, f"aws.ssm.{command}.{node}", lab.now)
        woken.append([w for w in tx.wakes if w not in before])

    lab.store.write(lambda tx: acknowledged(tx, nodes_[0]))
    lab.advance(command)
    lab.store.write(lambda tx: acknowledged(tx, nodes_[1]))
    assert woken == [["commands"], []]  # nobody waits any more


def test_an_error_of_the_first_stops_all_the_others(lab: CommandLab) -> None:
    """What the slow start is for: a command that breaks nodes breaks one."""
    nodes = lab.add(30)
    command = lab.send(nodes, slow=True)
    lab.finish(nodes[0], command, "Failed")
    assert lab.details(command) == [D.FAILED] + [D.TERMINATED] * 29


def test_an_offline_node_is_passed_by_and_keeps_its_slot_only(lab: CommandLab) -> None:
    away, first, second = *lab.add(1, online=False), *lab.add(2)
    command = lab.send([away, first, second], slow=True, MaxConcurrency="2")
    assert lab.details(command) == [D.DELAYED, D.PENDING, D.PENDING]
    assert _flying(lab, command) == [away, first]
    lab.finish(first, command)
    assert _flying(lab, command) == [away, second]


def test_a_node_that_never_acknowledges_holds_the_start_up_for_a_minute(lab: CommandLab) -> None:
    dead, *others = lab.add(4)
    command = lab.send([dead, *others], slow=True)
    assert lab.advance(command) == lab.now + PATIENCE
    lab.tick(seconds=59)
    lab.advance(command)
    assert _flying(lab, command) == [dead]
    lab.tick(seconds=1)
    lab.advance(command)
    assert _flying(lab, command) == [dead, others[0]]
    lab.finish(others[0], command)
    assert _flying(lab, command) == [dead, *others[1:]]


def test_a_roll_out_ends_though_half_of_it_is_offline(lab: CommandLab) -> None:
    away, there = lab.add(5, online=False), lab.add(5)
    command = lab.send([x for pair in zip(away, there, strict=True) for x in pair], slow=True, MaxConcurrency="2")
    for _ in range(60):
        for node in [i.node_id for i in lab.invocations(command) if i.in_flight and i.node_id in there]:
            lab.finish(node, command)
        if all(i.details is D.SUCCESS for i in lab.invocations(command) if i.node_id in there):
            break
        look = lab.advance(command)
        assert look is not None
        assert lab.now < look <= lab.now + HOLD_SLOT
        lab.now = look
        for node in there:
            lab.beat(node)
    assert lab.command(command).completed_count == 5


def test_the_way_of_starting_is_fixed_when_the_command_is_made(lab: CommandLab) -> None:
    nodes_ = lab.add(4)
    slow, fast = lab.send(nodes_, slow=True), lab.send(nodes_)
    assert [len(_flying(lab, c)) for c in (slow, fast)] == [1, 4]
    assert [lab.store.read(lambda tx, c=c: commands.get(tx, c)).fast_start for c in (slow, fast)] == [False, True]
