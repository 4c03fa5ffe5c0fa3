"""The judging loop beside everything else that goes on. Source: decisions.md 12, 24; judging.md 11.6."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.synthetic_facts import usual_host
from tests.contract.worker_door import digest_of
from tests.unit.counting import CountingIds
from tests.unit.fleet import HERE, NOW, Fleet, due

from patchwright.core.values import NodeId, OperatingSystem
from patchwright.flows.facts_document import Part, document_digest, read_report
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.receive_facts import accept_facts
from patchwright.flows.register_node import deregister_node
from patchwright.loops import judging
from patchwright.loops.judging import JudgingLoop
from patchwright.store import facts, judgements, nodes
from patchwright.store.engine import Engine, Tx


def _report(store: Engine, node: NodeId, ids: CountingIds) -> None:
    bodies = usual_host().parts()
    digests = {n: digest_of(t) for n, t in bodies.items()}
    parts = [Part(name=n, digest=digests[n], body=t) for n, t in bodies.items()]
    report = read_report(1, document_digest(digests), NOW, parts, None)
    store.write(lambda tx: accept_facts(tx, nodes.get_active(tx, node), report, NOW, ids))


@pytest.fixture
def judged(store: Engine) -> tuple[Engine, NodeId, CountingIds]:
    node, ids = Fleet(store).add(system=OperatingSystem.DEBIAN), CountingIds()
    _report(store, node, ids)
    return store, node, ids


def _meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen between the loop's judging and its write."""
    read = judging.judge_node

    def judge(*args: Any, **more: Any) -> Any:
        outcome = read(*args, **more)
        happens()
        return outcome

    monkeypatch.setattr(judging, "judge_node", judge)


def test_new_facts_are_judged_in_the_next_turn(judged: tuple[Engine, NodeId, CountingIds]) -> None:
    store, node, _ = judged
    assert list(due(store)) == [node]
    assert JudgingLoop(store, "honour").turn(NOW) is None
    assert due(store) == {}
    verdict = store.read(lambda tx: judgements.find(tx, node))
    assert verdict is not None
    assert (verdict.counts.missing, verdict.counts.installed_other, verdict.judged_at) == (1, 2, NOW)


def test_a_node_that_is_deregistered_meanwhile_gets_no_verdict_back(
    judged: tuple[Engine, NodeId, CountingIds], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be judged for ever: nobody takes it off the list again."""
    store, node, _ = judged
    _meanwhile(monkeypatch, lambda: store.write(lambda tx: deregister_node(tx, HERE, node, NOW)))
    assert JudgingLoop(store, "honour").turn(NOW) is None
    assert store.read(lambda tx: judgements.find(tx, node)) is None
    assert due(store) == {}


def test_a_mark_that_was_renewed_meanwhile_stays(
    judged: tuple[Engine, NodeId, CountingIds], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, node, ids = judged
    later = NOW + timedelta(seconds=1)

    def renew() -> None:
        store.write(lambda tx: mark_due(tx, HERE, node_ids=[node], cause="TEST", now=later, ids=ids))

    _meanwhile(monkeypatch, renew)
    JudgingLoop(store, "honour").turn(NOW)
    assert due(store)[node][:2] == ("TEST", later)


def test_a_killed_report_leaves_nothing_and_can_be_sent_again(judged: tuple[Engine, NodeId, CountingIds]) -> None:
    """What a rolled-back transaction interned must not be believed to be there."""
    store, _, ids = judged
    other = Fleet.add(_later_fleet(store))

    class Killed(Exception):
        pass

    host = usual_host()
    host.packages["only-here"] = host.packages.pop("vim")
    bodies = host.parts()
    digests = {n: digest_of(t) for n, t in bodies.items()}
    report = read_report(
        1, document_digest(digests), NOW, [Part(name=n, digest=digests[n], body=t) for n, t in bodies.items()], None
    )

    def die(tx: Tx) -> None:
        accept_facts(tx, nodes.get_active(tx, other), report, NOW, ids)
        raise Killed

    with pytest.raises(Killed):
        store.write(die)
    assert store.read(lambda tx: facts.current(tx, other)) is None
    store.write(lambda tx: accept_facts(tx, nodes.get_active(tx, other), report, NOW, ids))
    record = store.read(lambda tx: facts.current(tx, other))
    assert record is not None
    names = [p.package.name for p in store.read(lambda tx: facts.installed(tx, record))]
    assert names == ["bash", "only-here", "openssl"]


def _later_fleet(store: Engine) -> Fleet:
    """A fleet whose next node does not take the first one's id, nor its activation's."""
    fleet = Fleet(store)
    fleet._count = 50
    fleet._scopes[HERE] = "00000000-0000-4000-9000-000000000001"
    return fleet


def test_one_node_that_can_not_be_judged_holds_up_nobody(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, ids = Fleet(store), CountingIds()
    node, broken = (fleet.add(system=OperatingSystem.DEBIAN) for _ in range(2))
    store.write(lambda tx: mark_due(tx, HERE, node_ids=[node, broken], cause="facts", now=NOW, ids=ids))
    judge = judging.judge_node

    def judge_or_fail(tx: Tx, found: Any, *rest: Any) -> Any:
        if found.id == broken:
            raise ValueError("planted")
        return judge(tx, found, *rest)

    monkeypatch.setattr(judging, "judge_node", judge_or_fail)
    with pytest.raises(judging.NotJudged, match=broken):
        JudgingLoop(store, "honour").turn(NOW)
    assert list(due(store)) == [broken]
    assert store.read(lambda tx: judgements.find(tx, node)) is not None
