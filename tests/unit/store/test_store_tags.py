"""Tags in the store, and the nodes that they find."""

import pytest
from tests.unit.fleet import HERE, NOW, Fleet

from patchwright.core.tags import TaggedType
from patchwright.core.values import Scope, Tag
from patchwright.store import tags
from patchwright.store.engine import Engine

ELSEWHERE = Scope(account="000000000002", region="local-1")
BASELINE, NODE = TaggedType.PATCH_BASELINE, TaggedType.MANAGED_INSTANCE


def _tags(**values: str) -> tuple[Tag, ...]:
    return tuple(Tag(key=k, value=v) for k, v in values.items())


def test_putting_overwrites_by_key_and_removing_ignores_what_is_not_there(store: Engine) -> None:
    store.write(lambda tx: tags.put(tx, HERE, BASELINE, "pb-1", _tags(b="1", a="", B="2")))
    store.write(lambda tx: tags.put(tx, HERE, BASELINE, "pb-1", _tags(b="3")))
    store.write(lambda tx: tags.put(tx, HERE, BASELINE, "pb-1", ()))
    assert store.read(lambda tx: tags.of(tx, HERE, BASELINE, "pb-1")) == _tags(B="2", a="", b="3")
    store.write(lambda tx: tags.remove(tx, HERE, BASELINE, "pb-1", ["a", "nothing"]))
    assert store.read(lambda tx: tags.of(tx, HERE, BASELINE, "pb-1")) == _tags(B="2", b="3")
    store.write(lambda tx: tags.remove_all(tx, HERE, BASELINE, "pb-1"))
    assert store.read(lambda tx: tags.of(tx, HERE, BASELINE, "pb-1")) == ()


def test_tags_belong_to_one_resource_of_one_type_in_one_scope(store: Engine) -> None:
    store.write(lambda tx: tags.put(tx, HERE, BASELINE, "x", _tags(k="1")))
    for scope, kind, resource in ((HERE, NODE, "x"), (HERE, BASELINE, "y"), (ELSEWHERE, BASELINE, "x")):
        assert store.read(lambda tx, s=scope, t=kind, r=resource: tags.of(tx, s, t, r)) == ()
        store.write(lambda tx, s=scope, t=kind, r=resource: tags.remove_all(tx, s, t, r))
    assert store.read(lambda tx: tags.of(tx, HERE, BASELINE, "x")) == _tags(k="1")


def test_many_resources_are_read_together(store: Engine) -> None:
    for number in range(3):
        store.write(lambda tx, n=number: tags.put(tx, HERE, BASELINE, f"pb-{n}", _tags(z=str(n), a="1")))
    wanted = [f"pb-{n}" for n in range(1, 1200)]  # more than one query takes
    found = store.read(lambda tx: tags.of_many(tx, HERE, BASELINE, wanted))
    assert found == {"pb-1": _tags(a="1", z="1"), "pb-2": _tags(a="1", z="2")}


@pytest.mark.parametrize(("values", "expected"), [(["prod"], [1]), (["prod", "dev"], [1, 2]), ([], []), (None, [1, 2])])
def test_nodes_are_found_by_tag_while_they_are_registered(
    store: Engine, values: list[str] | None, expected: list[int]
) -> None:
    fleet = Fleet(store)
    web, db, gone = fleet.add(Stage="prod"), fleet.add(Stage="dev"), fleet.add(Stage="prod")
    fleet.add(stage="prod")
    fleet.add(scope=ELSEWHERE, Stage="prod")
    fleet.deregister(gone, NOW)
    found = store.read(lambda tx: tags.node_ids_with(tx, HERE, "Stage", values))
    assert list(found) == [{1: web, 2: db}[n] for n in expected]
