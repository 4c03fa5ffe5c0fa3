"""Which nodes a change makes due, and that the loop is told."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.unit.counting import CountingIds
from tests.unit.fleet import HERE, NOW, Fleet, due

from patchwright.core.values import BaselineId, OperatingSystem, Scope
from patchwright.flows.judge_fleet import mark_due
from patchwright.store import due_judgements
from patchwright.store.engine import Engine, Tx
from patchwright.store.tables import due_judgement

ELSEWHERE = Scope(account="000000000002", region="local-1")
_IDS = CountingIds()
ONE, TWO = BaselineId("pb-00000000000000001"), BaselineId("pb-00000000000000002")


def _mark(store: Engine, *, now=NOW, ids: CountingIds | None = None, **which) -> None:
    made = ids or _IDS
    store.write(lambda tx: mark_due(tx, HERE, cause="TEST", now=now, ids=made, **which))


def test_a_baseline_concerns_the_nodes_that_were_judged_by_it(store: Engine) -> None:
    fleet = Fleet(store)
    mine = [fleet.add(baseline=ONE) for _ in range(3)]
    fleet.deregister(mine.pop(), NOW)
    fleet.add(baseline=TWO)
    fleet.add()
    fleet.add(baseline=ONE, scope=ELSEWHERE)
    _mark(store, baseline_id=ONE)
    assert sorted(due(store)) == mine


def test_a_group_concerns_the_nodes_tagged_with_it_under_either_key(store: Engine) -> None:
    fleet = Fleet(store)
    spaced, joined, both = (
        fleet.add(Patch_Group="web"),
        fleet.add(PatchGroup="web"),
        fleet.add(PatchGroup="web", Patch_Group="web"),
    )
    debian = fleet.add(Patch_Group="web", system=OperatingSystem.DEBIAN)
    fleet.add(Patch_Group="Web")
    fleet.add(patchgroup="web")
    fleet.add(Patch_Group="web", scope=ELSEWHERE)
    _mark(store, patch_group="web", operating_system=OperatingSystem.UBUNTU)
    assert sorted(due(store)) == [spaced, joined, both]
    _mark(store, patch_group="web")
    assert debian in due(store)


def test_a_default_concerns_the_nodes_of_its_system(store: Engine) -> None:
    fleet = Fleet(store)
    fleet.add(), fleet.add(system=None)
    debian = fleet.add(system=OperatingSystem.DEBIAN)
    _mark(store, operating_system=OperatingSystem.DEBIAN)
    assert list(due(store)) == [debian]


@pytest.mark.parametrize("count", [0, 1, 700])
def test_nodes_can_be_named(store: Engine, count: int) -> None:
    fleet = Fleet(store)
    node, _ = fleet.add(), fleet.add()
    names = [node, *(f"mi-{n:017d}" for n in range(900, 899 + count))] if count else []
    _mark(store, node_ids=names)
    assert list(due(store)) == ([node] if count else [])


def test_a_mark_is_renewed_with_a_new_ticket_and_time(store: Engine) -> None:
    node = Fleet(store).add()
    ids = CountingIds()
    _mark(store, node_ids=[node], ids=ids)
    first = due(store)[node]
    later = NOW + timedelta(minutes=1)
    _mark(store, node_ids=[node], ids=ids, now=later)
    cause, caused_at, ticket = due(store)[node]
    assert (cause, caused_at) == ("TEST", later)
    assert ticket != first[2]


def test_the_loop_is_woken_by_a_change_and_by_a_node_that_is_registered(store: Engine) -> None:
    def wakes(**which) -> list[str]:
        def mark(tx: Tx) -> list[str]:
            mark_due(tx, HERE, cause="TEST", now=NOW, ids=_IDS, **which)
            return tx.wakes

        return store.write(mark)

    node = Fleet(store).add()
    assert wakes(node_ids=["mi-00000000000000999"]) == []
    assert wakes(node_ids=[node]) == ["judging"]
    assert wakes() == ["judging"]


def test_a_change_is_one_row_until_it_is_judged(store: Engine) -> None:
    """Marking a fleet must not hold the write lock: a node each would take a tenth of a second and more."""
    fleet = Fleet(store)
    nodes = [fleet.add(baseline=ONE) for _ in range(3)]
    _mark(store, baseline_id=ONE)
    assert store.read(lambda tx: list(tx.execute(select(due_judgement)))) == []
    (change,) = store.read(due_judgements.changes)
    assert store.read(lambda tx: due_judgements.count(tx, [change], NOW, limit=2)) == 2
    assert store.read(lambda tx: due_judgements.count(tx, [change], NOW, limit=9)) == 3
    store.write(lambda tx: due_judgements.expand(tx, change))
    assert store.read(due_judgements.changes) == []
    assert sorted(row.node_id for row in store.read(lambda tx: list(tx.execute(select(due_judgement))))) == nodes
