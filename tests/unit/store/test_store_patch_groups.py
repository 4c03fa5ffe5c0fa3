"""Patch groups and defaults: one baseline for a group and system, whoever asks at once."""

import pytest
from sqlalchemy.exc import IntegrityError

from patchwright.core.values import BaselineId, OperatingSystem, Scope
from patchwright.store import patch_groups
from patchwright.store.engine import Engine, StoreUnavailable
from patchwright.store.patch_groups import GroupMapping

HERE = Scope(account="000000000001", region="local-1")
ELSEWHERE = Scope(account="000000000002", region="local-1")
ONE, TWO = BaselineId("pb-00000000000000001"), BaselineId("pb-00000000000000002")
UBUNTU, DEBIAN = OperatingSystem.UBUNTU, OperatingSystem.DEBIAN


def _mapping(group: str, system: OperatingSystem, baseline: BaselineId) -> GroupMapping:
    return GroupMapping(patch_group=group, operating_system=system, baseline_id=baseline)


def _register(store: Engine, scope: Scope, *mappings: GroupMapping) -> None:
    for mapping in mappings:
        store.write(lambda tx, m=mapping: patch_groups.register(tx, scope, m))


def test_a_group_has_one_baseline_for_each_system(store: Engine) -> None:
    _register(store, HERE, _mapping("web", UBUNTU, ONE), _mapping("web", DEBIAN, TWO))
    assert store.read(lambda tx: patch_groups.find(tx, HERE, "web", UBUNTU)) == ONE
    assert store.read(lambda tx: patch_groups.find(tx, HERE, "web", DEBIAN)) == TWO
    assert store.read(lambda tx: patch_groups.find(tx, HERE, "Web", UBUNTU)) is None
    assert store.read(lambda tx: patch_groups.find(tx, ELSEWHERE, "web", UBUNTU)) is None


def test_the_schema_refuses_a_second_baseline_for_the_same_group_and_system(store: Engine) -> None:
    _register(store, HERE, _mapping("web", UBUNTU, ONE))
    with pytest.raises((IntegrityError, StoreUnavailable)):
        _register(store, HERE, _mapping("web", UBUNTU, TWO))
    assert store.read(lambda tx: patch_groups.find(tx, HERE, "web", UBUNTU)) == ONE


def test_deregistering_needs_the_very_pair(store: Engine) -> None:
    _register(store, HERE, _mapping("web", UBUNTU, ONE))
    assert not store.write(lambda tx: patch_groups.deregister(tx, HERE, "web", TWO))
    assert store.write(lambda tx: patch_groups.deregister(tx, HERE, "web", ONE))
    assert not store.write(lambda tx: patch_groups.deregister(tx, HERE, "web", ONE))


def test_listings_are_in_the_same_order_on_both_engines(store: Engine) -> None:
    _register(
        store,
        HERE,
        _mapping("b", UBUNTU, ONE),
        _mapping("B", UBUNTU, ONE),
        _mapping("b", DEBIAN, TWO),
        _mapping("_a", UBUNTU, ONE),
        _mapping("é", UBUNTU, ONE),
    )
    _register(store, ELSEWHERE, _mapping("theirs", UBUNTU, ONE))
    rows = store.read(lambda tx: patch_groups.all_of(tx, HERE))
    assert [(m.patch_group, m.operating_system) for m in rows] == [
        ("B", UBUNTU),
        ("_a", UBUNTU),
        ("b", DEBIAN),
        ("b", UBUNTU),
        ("é", UBUNTU),
    ]
    assert store.read(lambda tx: patch_groups.of_baseline(tx, HERE, ONE)) == ("B", "_a", "b", "é")


def test_a_default_can_be_set_and_set_again(store: Engine) -> None:
    assert store.read(lambda tx: patch_groups.defaults_of(tx, HERE)) == {}
    for baseline in (ONE, TWO):
        store.write(lambda tx, b=baseline: patch_groups.set_default(tx, HERE, UBUNTU, b))
    store.write(lambda tx: patch_groups.set_default(tx, ELSEWHERE, DEBIAN, ONE))
    assert store.read(lambda tx: patch_groups.defaults_of(tx, HERE)) == {UBUNTU: TWO}
