"""A fleet judged at once: the verdicts of the plain judge, whatever happens meanwhile. Source: judging.md 9, 11.6."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bench.many_nodes import SCOPE, ManyNodes
from sqlalchemy import select

from patchwright.core.tags import TaggedType
from patchwright.core.values import NodeId, Tag
from patchwright.flows.change_tags import add_tags
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.judge_node import judge_node, verdict_of
from patchwright.flows.register_node import deregister_node
from patchwright.loops import judging
from patchwright.loops.judging import JudgingLoop
from patchwright.store import due_judgements, facts, first_seen, judgements, nodes, standing_verdicts, verdict_rows
from patchwright.store.engine import Engine, Tx
from patchwright.store.judgements import Verdict
from patchwright.store.tables import due_judgement, node, node_facts, verdict

NODES = 12


@pytest.fixture
def fleet(store: Engine, monkeypatch: pytest.MonkeyPatch) -> ManyNodes:
    """A small fleet that is judged as a large one. One node has no facts, one a system that nobody knows."""
    monkeypatch.setattr(judging, "BULK_FROM", 1)
    monkeypatch.setattr(judging, "BULK_WRITE", {"sqlite": 5, "postgresql": 5})
    made = ManyNodes(store, nodes=NODES, distinct=5, names=700)
    made.make()

    def spoil(tx: Tx) -> None:
        some = list(tx.execute(select(node.c.id).order_by(node.c.id)).scalars())
        tx.execute(node_facts.delete().where(node_facts.c.node_id == some[0]))
        tx.execute(node.update().where(node.c.id == some[1]).values(operating_system=None))

    store.write(spoil)
    return made


def _ids(store: Engine) -> list[NodeId]:
    return store.read(lambda tx: [NodeId(i) for i in tx.execute(select(node.c.id).order_by(node.c.id)).scalars()])


def _verdicts(store: Engine) -> dict[str, Verdict]:
    return {v.node_id: v for v in store.read(lambda tx: judgements.find_many(tx, _ids(store)))}


def _plain(store: Engine, fleet: ManyNodes) -> dict[str, Verdict]:
    def judge(tx: Tx) -> dict[str, Verdict]:
        return {i: verdict_of(judge_node(tx, nodes.get_active(tx, i), fleet.now, "honour")) for i in _ids(store)}

    return store.read(judge)


def _due(store: Engine) -> int:
    rows = store.read(lambda tx: list(tx.execute(select(due_judgement))))
    return len(rows) + len(store.read(due_judgements.changes))


def _meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen once, between the snapshot and the first write."""
    write = JudgingLoop._in_parts

    def after(self: JudgingLoop, *what: Any) -> None:
        monkeypatch.setattr(JudgingLoop, "_in_parts", write)
        happens()
        write(self, *what)

    monkeypatch.setattr(JudgingLoop, "_in_parts", after)


def test_all_verdicts_are_those_of_the_plain_judge_again_and_again(store: Engine, fleet: ManyNodes) -> None:
    loop = JudgingLoop(store, "honour")
    loop.turn(fleet.now)
    assert _due(store) == 0
    assert _verdicts(store) == _plain(store, fleet)
    assert sum(v.counts.missing for v in _verdicts(store).values()) > NODES
    assert sum(v.counts.failed for v in _verdicts(store).values()) > 0
    for change in (1, 2):
        fleet.change_baselines(change)
        loop.turn(fleet.now)
        assert _judged(store, fleet) == _plain_judged(store, fleet)
    midnight = (fleet.now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    for _ in range(2):
        fleet.now = midnight
        loop.turn(midnight)
        found = {i: replace(v, judged_at=midnight) for i, v in _judged(store, fleet).items()}
        assert found == _plain_judged(store, fleet)
        midnight += timedelta(days=1)


def test_what_is_the_same_is_not_written_again(store: Engine, fleet: ManyNodes) -> None:
    loop = JudgingLoop(store, "honour")
    loop.turn(fleet.now)
    before = _verdicts(store)
    fleet.now += timedelta(seconds=1)
    store.write(lambda tx: _mark_all(tx, fleet))
    loop.turn(fleet.now)
    assert _due(store) == 0
    plain = _ids(store)[1]
    assert {i: v for i, v in _verdicts(store).items() if i != plain} == {i: v for i, v in before.items() if i != plain}


def _mark_all(tx: Tx, fleet: ManyNodes) -> None:
    mark_due(tx, SCOPE, cause="TEST", now=fleet.now, ids=fleet.ids)


def _report_again(store: Engine, fleet: ManyNodes, node_id: NodeId) -> None:
    """New facts, alike but for their id; they make the node due, as every report that brings something does."""

    def write(tx: Tx) -> None:
        record = facts.current(tx, node_id)
        assert record is not None
        names = ("facts_version", "report_digest", "instset", "upset", "state", "parts", "times")
        facts.replace(tx, node_id, fleet.now, **{name: getattr(record, name) for name in names})
        mark_due(tx, SCOPE, node_ids=[node_id], cause="facts", now=fleet.now, ids=fleet.ids)

    store.write(write)


def _facts_of(store: Engine, node_id: NodeId) -> int:
    record = store.read(lambda tx: facts.current(tx, node_id))
    assert record is not None
    return record.id


def test_a_first_verdict_is_not_given_for_facts_that_are_old_meanwhile(
    store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, moved = JudgingLoop(store, "honour"), _ids(store)[5]
    _meanwhile(monkeypatch, lambda: _report_again(store, fleet, moved))
    loop.turn(fleet.now)
    assert moved not in _verdicts(store)
    loop.turn(fleet.now)
    assert _verdicts(store)[moved].facts_id == _facts_of(store, moved)


def test_new_facts_meanwhile_are_judged_next(store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = JudgingLoop(store, "honour")
    loop.turn(fleet.now)
    moved = _ids(store)[5]
    fleet.change_baselines(1)
    before = _facts_of(store, moved)
    _meanwhile(monkeypatch, lambda: _report_again(store, fleet, moved))
    loop.turn(fleet.now)
    assert (_verdicts(store)[moved].facts_id, _due(store)) == (before, 1)
    others = [v.baseline_version for v in _verdicts(store).values() if v.facts_id is not None]
    assert others.count(2) >= NODES - 2
    loop.turn(fleet.now)
    assert (_verdicts(store)[moved].facts_id, _due(store)) == (_facts_of(store, moved), 0)
    assert _verdicts(store)[moved] == _plain(store, fleet)[moved]


def test_a_node_that_changes_its_group_meanwhile_ends_under_the_new_baseline(
    store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = JudgingLoop(store, "honour")
    loop.turn(fleet.now)
    moved = _ids(store)[5]
    before = _verdicts(store)[moved]
    other = next(v for v in _verdicts(store).values() if v.baseline_id != before.baseline_id and v.patch_group)
    fleet.change_baselines(1)

    def move() -> None:
        tags_then = [Tag(key="PatchGroup", value=other.patch_group)]
        store.write(
            lambda tx: add_tags(tx, SCOPE, TaggedType.MANAGED_INSTANCE, moved, tags_then, now=fleet.now, ids=fleet.ids)
        )

    _meanwhile(monkeypatch, move)
    loop.turn(fleet.now)
    loop.turn(fleet.now)
    assert _verdicts(store)[moved].baseline_id == other.baseline_id
    assert _due(store) == 0
    assert _verdicts(store)[moved] == _plain(store, fleet)[moved]


def test_a_verdict_that_somebody_else_gave_meanwhile_stays(
    store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = JudgingLoop(store, "honour")
    loop.turn(fleet.now)
    mine = _ids(store)[5]
    fleet.change_baselines(1)
    later = replace(_verdicts(store)[mine], judged_at=fleet.now + timedelta(seconds=5), patch_group="other")
    _meanwhile(monkeypatch, lambda: store.write(lambda tx: judgements.save(tx, later)))
    loop.turn(fleet.now)
    assert _verdicts(store)[mine] == later


def test_a_node_that_is_deregistered_meanwhile_gets_no_verdict(
    store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, also = _ids(store)[5:7]
    loop = JudgingLoop(store, "honour")
    _meanwhile(monkeypatch, lambda: store.write(lambda tx: deregister_node(tx, SCOPE, gone, fleet.now)))
    loop.turn(fleet.now)
    fleet.change_baselines(1)
    _meanwhile(monkeypatch, lambda: store.write(lambda tx: deregister_node(tx, SCOPE, also, fleet.now)))
    loop.turn(fleet.now)
    assert not {gone, also} & _verdicts(store).keys()
    assert len(_verdicts(store)) == NODES - 2


def test_a_kill_between_two_writes_loses_nothing(
    store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    write, calls = verdict_rows.write, []

    def die(tx: Tx, **what: Any) -> None:
        calls.append(1)
        if len(calls) >= 2:
            raise Killed
        write(tx, **what)

    monkeypatch.setattr(verdict_rows, "write", die)
    with pytest.raises(Killed):
        JudgingLoop(store, "honour").turn(fleet.now)
    assert 0 < len(_verdicts(store)) < NODES
    assert _due(store) == 1
    monkeypatch.setattr(verdict_rows, "write", write)
    JudgingLoop(store, "honour").turn(fleet.now)
    assert _verdicts(store) == _plain(store, fleet)
    assert _due(store) == 0


def test_a_kill_between_two_renewals_loses_nothing(
    store: Engine, fleet: ManyNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    JudgingLoop(store, "honour").turn(fleet.now)
    before = _verdicts(store)
    fleet.change_baselines(1)
    renewal, calls = standing_verdicts.renewal, []

    def die(*what: Any) -> Any:
        calls.append(1)
        if len(calls) >= 3:
            raise Killed
        return renewal(*what)

    monkeypatch.setattr(standing_verdicts, "renewal", die)
    with pytest.raises(Killed):
        JudgingLoop(store, "honour").turn(fleet.now)
    changed = {i for i, v in _verdicts(store).items() if v != before[i]}
    assert 0 < len(changed) < NODES
    assert _due(store) == 5
    monkeypatch.setattr(standing_verdicts, "renewal", renewal)
    JudgingLoop(store, "honour").turn(fleet.now)
    assert _due(store) == 0
    assert _judged(store, fleet) == _plain_judged(store, fleet)


def test_two_servers_renew_at_once(store: Engine, fleet: ManyNodes) -> None:
    JudgingLoop(store, "honour").turn(fleet.now)
    for change in (1, 2, 3):
        fleet.change_baselines(change)
        with ThreadPoolExecutor(3) as servers:
            for turn in [servers.submit(JudgingLoop(store, "honour").turn, fleet.now) for _ in range(3)]:
                turn.result()
        assert _due(store) == 0
        assert _judged(store, fleet) == _plain_judged(store, fleet)


def _plain_judged(store: Engine, fleet: ManyNodes) -> dict[str, Verdict]:
    """Of a node of no system, and one without a system's baseline, there is no reason to judge again."""
    return {i: v for i, v in _plain(store, fleet).items() if v.facts_id is not None and v.unjudged_reason is None}


def _judged(store: Engine, fleet: ManyNodes) -> dict[str, Verdict]:
    return {i: _verdicts(store)[i] for i in _plain_judged(store, fleet)}


def test_a_date_that_moves_earlier_reaches_those_who_waited(store: Engine, fleet: ManyNodes) -> None:
    loop = JudgingLoop(store, "honour")
    loop.turn(fleet.now)
    before = sum(v.counts.pending_approval for v in _verdicts(store).values())
    assert before > 0
    fleet.now += timedelta(seconds=1)

    def older_mirror(tx: Tx) -> bool:
        versions = {
            version
            for i in _ids(store)[2:]
            if (record := facts.current(tx, i)) is not None
            for line in facts.upgradable(tx, record)
            for version in line.offers
        }
        old = {r.identity: fleet.now - timedelta(days=301) for v in versions for r in v.repositories}
        return first_seen.record(tx, SCOPE.account, versions, old, fleet.now)

    assert store.write(older_mirror)
    store.write(lambda tx: _mark_all(tx, fleet))
    loop.turn(fleet.now)
    found, expected = _verdicts(store), _plain(store, fleet)
    assert {i: v.counts for i, v in found.items()} == {i: v.counts for i, v in expected.items()}
    assert sum(v.counts.pending_approval for v in found.values()) < before


def test_every_column_of_a_verdict_is_written() -> None:
    assert set(verdict_rows.COLUMNS) - {"seen_at"} == set(verdict.c.keys())


def test_a_server_without_a_fleet_never_loads_the_arrays() -> None:
    """They take 30 MB: a small server at rest stays small, and starts as fast as before."""
    script = "import sys, patchwright.server.app, patchwright.cli.main; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
