"""A roll-out costs what changes, however many nodes it has: measured in steps of SQLite's own machine, not in time."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.command_lab import STEP, CommandLab
from tests.unit.fleet import HERE, NOW

from patchwright.core.builtin_documents import BUILTIN
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import CommandId, NodeId
from patchwright.flows.advance_command import advance_command
from patchwright.flows.cancel_command import take_cancels
from patchwright.flows.run_invocation import accept_reply, acknowledge, take_messages
from patchwright.flows.send_command import send_command
from patchwright.store import nodes
from patchwright.store.engine import Tx
from patchwright.store.sqlite import SqliteEngine

SMALL, LARGE = 200, 3_000
GRAIN = 10
"""Steps of SQLite's machine between two calls of the counter."""


@pytest.fixture(params=[True, False], ids=["fast start", "slow start"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def lab(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[[int], CommandLab]]:
    engines = []

    def make(count: int) -> CommandLab:
        path = tmp_path / f"{count}.db"
        shutil.copyfile(migrated_sqlite, path)
        engines.append(SqliteEngine(path))
        lab = CommandLab(engines[-1])
        (first,) = lab.add()

        def more(tx: Tx) -> None:
            template = nodes.get_active(tx, first)
            for number in range(1_000, 999 + count):
                nodes.insert(tx, _node(template, number))
                nodes.touch(tx, NodeId(f"mi-{number:017x}"), NOW, platform_type="Linux")

        lab.store.write(more)
        return lab

    yield make
    for engine in engines:
        engine.close()


def _node(template: ManagedNode, number: int) -> ManagedNode:
    return ManagedNode(
        id=NodeId(f"mi-{number:017x}"),
        scope=HERE,
        activation_id=template.activation_id,
        iam_role="r",
        public_key="k",
        fingerprint="f",
        registered_at=NOW,
    )


def _sent(lab: CommandLab, fast: bool) -> CommandId:
    request = {"Parameters": {"commands": ["true"]}, "MaxConcurrency": "5", "MaxErrors": "100%"}

    def work(tx: Tx) -> CommandId:
        chosen = nodes.page(tx, HERE, limit=LARGE, now=lab.now)
        return send_command(
            tx,
            HERE,
            document=BUILTIN["AWS-RunShellScript"],
            request=request,
            chosen=chosen,
            requested_by="arn:x",
            now=lab.now,
            ids=lab.ids,
            fast_start=fast,
        ).id

    return lab.store.write(work)


def _cost(lab: CommandLab, command: CommandId, rounds: int) -> int:
    """Steps of the database for `rounds` invocations from the poll to the final reply, each with a turn of the loop."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def round_(tx: Tx) -> None:
        raw = tx.connection.connection.dbapi_connection
        assert raw is not None
        flying = _flying(tx, command)
        node = nodes.get_active(tx, flying)
        raw.set_progress_handler(count, GRAIN)
        take_messages(tx, node, NOW)
        message = f"aws.ssm.{command}.{flying}"
        acknowledge(tx, node, message, NOW)
        said = {"documentStatus": "Success", "runtimeStatus": {STEP: {"status": "Success", "code": 0}}}
        accept_reply(tx, node, message_id=message, reply_id=f"r{flying}", reply=said, now=NOW)
        advance_command(tx, command, NOW)
        raw.set_progress_handler(None, 0)

    for _ in range(rounds):
        lab.store.write(round_)
    return steps * GRAIN


def _flying(tx: Tx, command: CommandId) -> NodeId:
    """A node that was offered the command."""
    row = tx.connection.exec_driver_sql(
        "SELECT node_id FROM invocation WHERE command_id = ? AND ended_at IS NULL AND visible_at IS NOT NULL LIMIT 1",
        (command,),
    ).one()
    return NodeId(row.node_id)


def test_an_invocation_of_a_long_roll_out_costs_what_one_of_a_short_one_does(
    lab: Callable[[int], CommandLab], fast: bool
) -> None:
    costs = []
    for count in (SMALL, LARGE):
        here = lab(count)
        costs.append(_cost(here, _sent(here, fast), rounds=20))
    assert costs[1] < 1.5 * costs[0], f"{SMALL} nodes: {costs[0]} steps, {LARGE} nodes: {costs[1]} steps"


def test_a_cancel_that_comes_back_costs_the_same_however_many_nodes_the_command_has(
    lab: Callable[[int], CommandLab],
) -> None:
    costs = []
    for count in (SMALL, LARGE):
        here = lab(count)
        here.tick(hours=1)  # nobody is there any more: what is offered is Delayed
        command = _sent(here, True)
        here.advance(command)
        here.cancel(command)
        costs.append(_cancel_cost(here))
    assert costs[1] < 1.5 * costs[0], f"{SMALL} nodes: {costs[0]} steps, {LARGE} nodes: {costs[1]} steps"


def _cancel_cost(lab: CommandLab) -> int:
    """Steps of the database for all but one of the nodes that are told of a cancel and acknowledge it."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def all_but_one(tx: Tx) -> None:
        raw = tx.connection.connection.dbapi_connection
        assert raw is not None
        rows = tx.connection.exec_driver_sql("SELECT node_id FROM invocation WHERE ended_at IS NULL").all()
        assert len(rows) == 5
        for row in rows[1:]:
            node = nodes.get_active(tx, row.node_id)
            raw.set_progress_handler(count, GRAIN)
            (told,) = take_cancels(tx, node, lab.now, limit=1)
            acknowledge(tx, node, told.cancel_message_id, lab.now)
            raw.set_progress_handler(None, 0)

    lab.store.write(all_but_one)
    return steps * GRAIN
