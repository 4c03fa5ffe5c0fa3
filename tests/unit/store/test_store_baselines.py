"""Baselines in the store: immutable versions, deletion that forgets nothing, scopes apart."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from patchwright.core.baselines import (
    ApprovalRule,
    FilterKey,
    PatchBaseline,
    PatchFilter,
    PatchSource,
    RejectedAction,
)
from patchwright.core.errors import NotFound
from patchwright.core.values import BaselineId, ComplianceLevel, OperatingSystem, Scope
from patchwright.store import baselines
from patchwright.store.engine import Engine

HERE = Scope(account="000000000001", region="local-1")
ELSEWHERE = Scope(account="000000000001", region="local-2")
NOW = datetime(2026, 1, 10, 12, 0, 0, 123456, tzinfo=UTC)
ID = BaselineId("pb-00000000000000001")
FULL = PatchBaseline(
    id=ID,
    name="web",
    operating_system=OperatingSystem.UBUNTU,
    description="all there is: é ☃",
    global_filters=(PatchFilter(key=FilterKey.PRODUCT, values=("Ubuntu22.04", "*")),),
    rules=(
        ApprovalRule(
            filters=(PatchFilter(key=FilterKey.PRIORITY, values=("Required",)),),
            compliance_level=ComplianceLevel.HIGH,
            approve_after_days=0,
            enable_non_security=True,
        ),
        ApprovalRule(filters=(), approve_until_date=date(2026, 2, 28)),
    ),
    approved_patches=("openssl", "bash"),
    approved_patches_level=ComplianceLevel.CRITICAL,
    approved_patches_enable_non_security=True,
    rejected_patches=("kernel*",),
    rejected_patches_action=RejectedAction.BLOCK,
    sources=(PatchSource(name="own", products=("*",), configuration="deb http://u:p@h x main"),),
    available_security_updates_non_compliant=False,
)


def test_a_baseline_comes_back_exactly_as_it_was_given(store: Engine) -> None:
    store.write(lambda tx: baselines.insert(tx, HERE, FULL, now=NOW))
    found = store.read(lambda tx: baselines.get(tx, HERE, ID))
    assert found.baseline == FULL
    assert (found.version, found.created_at, found.modified_at) == (1, NOW, NOW)


def test_a_change_is_a_new_version_and_the_old_one_stays_as_it_was(store: Engine) -> None:
    later = NOW + timedelta(days=1)
    changed = replace(FULL, name="web-2", rejected_patches=())
    store.write(lambda tx: baselines.insert(tx, HERE, FULL, now=NOW))
    answer = store.write(lambda tx: baselines.add_version(tx, HERE, changed, now=later))
    assert (answer.version, answer.created_at, answer.modified_at) == (2, NOW, later)
    assert store.read(lambda tx: baselines.get(tx, HERE, ID)) == answer
    first = store.read(lambda tx: baselines.find_version(tx, HERE, ID, 1))
    assert first is not None
    assert first.baseline == FULL
    assert first.modified_at == NOW
    assert store.read(lambda tx: baselines.find_version(tx, HERE, ID, 3)) is None


def test_a_deleted_baseline_is_gone_but_its_versions_can_still_be_read(store: Engine) -> None:
    store.write(lambda tx: baselines.insert(tx, HERE, FULL, now=NOW))
    assert store.write(lambda tx: baselines.delete(tx, HERE, ID, now=NOW))
    assert not store.write(lambda tx: baselines.delete(tx, HERE, ID, now=NOW))
    assert store.read(lambda tx: baselines.find(tx, HERE, ID)) is None
    assert store.read(lambda tx: baselines.all_of(tx, HERE)) == []
    assert store.read(lambda tx: baselines.count(tx, HERE)) == 0
    with pytest.raises(NotFound):
        store.write(lambda tx: baselines.add_version(tx, HERE, FULL, now=NOW))
    past = store.read(lambda tx: baselines.find_version(tx, HERE, ID, 1))
    assert past is not None
    assert past.baseline == FULL


def test_another_region_does_not_see_it_and_may_use_the_same_id(store: Engine) -> None:
    store.write(lambda tx: baselines.insert(tx, HERE, FULL, now=NOW))
    with pytest.raises(NotFound):
        store.read(lambda tx: baselines.get(tx, ELSEWHERE, ID))
    other = replace(FULL, name="theirs")
    store.write(lambda tx: baselines.insert(tx, ELSEWHERE, other, now=NOW))
    assert [b.baseline.name for b in store.read(lambda tx: baselines.all_of(tx, HERE))] == ["web"]
    assert store.read(lambda tx: baselines.count(tx, ELSEWHERE)) == 1
