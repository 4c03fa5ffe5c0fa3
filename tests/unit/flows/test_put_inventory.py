"""Inventory in the store: written in parts that may be cut off anywhere, swept, deleted in steps, found as said.

Source: operations.md 7.1, decisions.md 26.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from tests.unit.fleet import HERE, NOW, Fleet

from patchwright.core.inventory import InventoryCondition, InventoryOperator, holds
from patchwright.core.values import NodeId
from patchwright.flows.put_inventory import parts, put_inventory, read_items
from patchwright.loops.inventory import InventoryLoop
from patchwright.store import inventory, inventory_search, inventory_sets, inventory_sweep, nodes
from patchwright.store.engine import Engine, Tx
from patchwright.store.tables import inventory_member, inventory_row, inventory_set, inventory_value

KIND = "AWS:Application"
LATER = NOW + timedelta(days=2)


def _item(names: Sequence[str], kind: str = KIND, **more: str) -> dict[str, Any]:
    version = "1.1" if kind == KIND else "1.0"
    rows = [{"Name": name} for name in names]
    return {"TypeName": kind, "SchemaVersion": version, "CaptureTime": "2030-01-02T03:04:05Z", "Content": rows, **more}


def _many(count: int, begin: str = "p") -> list[str]:
    return [f"{begin}{n:05}" for n in range(count)]


def _put(store: Engine, node_id: NodeId, *items: dict[str, Any], now: Any = NOW) -> None:
    """As the edge does it: the parts, each in a transaction of its own, then the items."""
    read = read_items(items)
    for part in store.read(lambda tx: list(parts(tx, read, now))):
        store.write(part)
    store.write(lambda tx: put_inventory(tx, nodes.get_active(tx, node_id), read, now))


def _names(store: Engine, node_id: NodeId, kind: str = KIND) -> list[str]:
    def read(tx: Tx) -> list[str]:
        item = inventory.find(tx, node_id, kind)
        rows = inventory_sets.rows_of(tx, [item.set_id])[item.set_id] if item else []
        return sorted(row["Name"] for row in rows)

    return store.read(read)


def _sizes(store: Engine) -> list[int]:
    tables = (inventory_set, inventory_member, inventory_row, inventory_value)
    return store.read(lambda tx: [tx.execute(select(func.count()).select_from(t)).scalar_one() for t in tables])


def test_a_put_that_is_cut_off_after_any_part_is_made_whole_by_the_next(store: Engine) -> None:
    node = Fleet(store).add()
    names = _many(3 * inventory_sets.PART + 1)
    read = read_items([_item(names)])
    steps = store.read(lambda tx: list(parts(tx, read, NOW)))
    assert len(steps) == 5
    for done in range(len(steps)):
        for part in steps[:done]:
            store.write(part)
        assert _names(store, node) == []  # nothing refers to an unfilled set
    _put(store, node, _item(names))
    assert _names(store, node) == names
    assert _sizes(store) == [1, len(names), len(names), len(names)]
    assert store.read(lambda tx: list(parts(tx, read, NOW))) == []  # what is there is not written again


def test_alike_nodes_share_rows_and_sets(store: Engine) -> None:
    fleet = Fleet(store)
    one, two, other = (fleet.add() for _ in range(3))
    for node in (one, two):
        _put(store, node, _item(_many(30)))
    _put(store, other, _item([*_many(29), "own"][::-1]))
    assert _sizes(store) == [2, 60, 31, 31]


def test_what_nobody_has_any_more_is_swept_after_a_day_and_what_is_shared_stays(store: Engine) -> None:
    fleet = Fleet(store)
    one, two = fleet.add(), fleet.add()
    _put(store, one, _item([*_many(500), "old"]))
    _put(store, two, _item(_many(500)))
    _put(store, one, _item(["new"]))
    InventoryLoop(store).turn(NOW + timedelta(hours=1))
    assert _sizes(store)[0] == 3
    InventoryLoop(store).turn(LATER)
    assert _sizes(store) == [2, 501, 501, 501]
    assert _names(store, two) == _many(500)
    _put(store, one, _item([*_many(500), "old"]), now=LATER)
    assert len(_names(store, one)) == 501


def test_a_set_that_is_wanted_again_while_it_is_swept_is_whole(store: Engine) -> None:
    node = Fleet(store).add()
    names = _many(700)
    _put(store, node, _item(names))
    _put(store, node, _item(["new"]))
    (set_id,) = store.read(lambda tx: inventory_sweep.unused_sets(tx, LATER, limit=9))
    assert store.write(lambda tx: inventory_sweep.sweep_set(tx, set_id, LATER))
    _put(store, node, _item(names), now=LATER)
    assert not store.write(lambda tx: inventory_sweep.sweep_set(tx, set_id, LATER))
    assert _names(store, node) == names
    found = store.read(
        lambda tx: inventory_search.node_page(tx, HERE, [_condition("p00699")], having=KIND, after="", limit=2)
    )
    assert found == [node]


def test_a_deletion_goes_in_steps_and_spares_what_came_after_it(store: Engine) -> None:
    fleet, kind = Fleet(store), "Custom:Rack"
    ids = [fleet.add() for _ in range(inventory_sweep.STEP + 5)]
    for node in ids:
        _put(store, node, _item(["a"], kind))
    deletion = store.write(lambda tx: inventory_sweep.start(tx, HERE, "d" * 36, kind, NOW))
    _put(store, ids[0], _item(["b"], kind), now=NOW + timedelta(seconds=1))
    assert store.write(lambda tx: inventory_sweep.delete_step(tx, deletion, NOW))  # then the server is killed
    (open_one,) = store.read(inventory_sweep.open_deletions)
    assert open_one.counts == {"1.0": (len(ids), 5)}
    InventoryLoop(store).turn(NOW + timedelta(minutes=1))
    done = store.read(lambda tx: inventory_sweep.get(tx, HERE, deletion.id))
    assert (done.status, done.counts) == ("Complete", {"1.0": (len(ids), 0)})
    assert [_names(store, node, kind) for node in ids[:2]] == [["b"], []]


def _condition(*values: str, how: str = "Equal", attribute: str = "Name") -> InventoryCondition:
    return InventoryCondition(
        type_name=KIND, attribute=attribute, operator=InventoryOperator(how), values=values, numeric=False
    )


def test_the_database_finds_what_the_rules_say_of_rows(store: Engine) -> None:
    """Both engines, against core's `holds`: a node is found if one of its rows fulfils all conditions on the type."""
    chance = random.Random(7)
    texts = ["", "a", "A", "ab", "a%", "a_b", "é", "ß", "Z", "10", "9", "\N{SNOWMAN}", "x" * 300, "x" * 255]
    fleet, has = Fleet(store), {}
    for _ in range(25):
        node = fleet.add()
        rows = [
            {name: chance.choice(texts) for name in ("Name", "Version") if chance.random() < 0.8}
            for _ in range(chance.randrange(4))
        ]
        has[node] = [row for row in rows if row]
        _put(store, node, {**_item([]), "Content": has[node]})
    operators = ["Equal", "BeginWith", "LessThan", "GreaterThan", "NotEqual"]
    for _ in range(150):
        conditions = [
            _condition(*chance.sample(texts, 2), how=chance.choice(operators), attribute=attribute)
            for attribute in chance.sample(["Name", "Version"], chance.randrange(1, 3))
        ]
        if all(c.operator is InventoryOperator.NOT_EQUAL for c in conditions):
            expected = [n for n, rows in has.items() if all(holds(c, row) for c in conditions for row in rows)]
        else:
            expected = [n for n, rows in has.items() if any(all(holds(c, row) for c in conditions) for row in rows)]

        def found(tx: Tx, conditions: Sequence[InventoryCondition] = conditions) -> list[NodeId]:
            return inventory_search.node_page(tx, HERE, conditions, having=KIND, after="", limit=99)

        assert store.read(found) == sorted(expected), conditions
