"""Activations in the store: a limit that holds under a rush, paging, deletion."""

from concurrent.futures import wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from patchwright.core.activations import Activation, hash_of
from patchwright.core.values import Scope, Tag
from patchwright.store import activations
from patchwright.store.activations import ActivationFilter, ActivationPlace
from patchwright.store.engine import Engine

HERE = Scope(account="000000000001", region="local-1")
ELSEWHERE = Scope(account="000000000002", region="local-1")
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
ANY = ActivationFilter()


def _activation(number: int, **changes: object) -> Activation:
    plain = Activation(
        id=f"00000000-0000-4000-8000-{number:012d}",
        scope=HERE,
        code_hash=hash_of("secret-code-of-20-chars"),
        iam_role="Patching",
        expires_at=NOW + timedelta(days=1),
        created_at=NOW,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def _insert(store: Engine, *made: Activation) -> None:
    for activation in made:
        store.write(lambda tx, a=activation: activations.insert(tx, a))


def test_an_activation_comes_back_as_it_was_given(store: Engine) -> None:
    full = _activation(
        1,
        description="lab",
        default_instance_name="web",
        registration_limit=5,
        tags=(Tag(key="Patch Group", value="web"), Tag(key="empty", value="")),
    )
    plain = _activation(2)
    _insert(store, full, plain)
    assert store.read(lambda tx: activations.find(tx, full.id)) == full
    assert store.read(lambda tx: activations.find(tx, plain.id)) == plain
    assert store.read(lambda tx: activations.find(tx, "nowhere")) is None


def test_no_more_nodes_register_than_the_limit_allows_even_all_at_once(store: Engine) -> None:
    _insert(store, _activation(1, registration_limit=3))
    jobs = [store.submit_write(lambda tx: activations.take_registration(tx, _activation(1).id)) for _ in range(10)]
    wait(jobs)
    assert sorted(job.result() for job in jobs) == [False] * 7 + [True] * 3
    found = store.read(lambda tx: activations.find(tx, _activation(1).id))
    assert found is not None
    assert found.registrations_count == 3


def test_an_activation_without_a_limit_takes_one_node(store: Engine) -> None:
    _insert(store, _activation(1))
    taken = [store.write(lambda tx: activations.take_registration(tx, _activation(1).id)) for _ in range(2)]
    assert taken == [True, False]


def test_a_deleted_activation_is_gone_and_takes_nobody(store: Engine) -> None:
    _insert(store, _activation(1))
    assert not store.write(lambda tx: activations.delete(tx, ELSEWHERE, _activation(1).id, now=NOW))
    assert store.write(lambda tx: activations.delete(tx, HERE, _activation(1).id, now=NOW))
    assert not store.write(lambda tx: activations.delete(tx, HERE, _activation(1).id, now=NOW))
    assert not store.write(lambda tx: activations.take_registration(tx, _activation(1).id))
    assert store.read(lambda tx: activations.find(tx, _activation(1).id)) is None
    assert store.read(lambda tx: activations.page(tx, HERE, ANY, after=None, limit=10)) == []


def test_pages_go_from_new_to_old_and_hold_still_when_new_ones_arrive(store: Engine) -> None:
    _insert(store, *(_activation(n, created_at=NOW + timedelta(seconds=n // 2)) for n in range(6)))
    _insert(store, _activation(99, scope=ELSEWHERE))
    seen: list[str] = []
    place = None
    for _ in range(3):
        rows = store.read(lambda tx, p=place: activations.page(tx, HERE, ANY, after=p, limit=2))
        seen += [a.id[-2:] for a in rows]
        place = ActivationPlace(created_at=rows[-1].created_at, id=rows[-1].id)
        _insert(store, _activation(50 + len(seen), created_at=NOW + timedelta(days=1)))
    assert seen == ["04", "05", "02", "03", "00", "01"]


def test_filters_narrow_the_list_together(store: Engine) -> None:
    _insert(
        store,
        _activation(1, iam_role="A", default_instance_name="x"),
        _activation(2, iam_role="B"),
        _activation(3, iam_role="A"),
    )

    def ids(**wanted: list[str]) -> list[str]:
        rows = store.read(lambda tx: activations.page(tx, HERE, ActivationFilter(**wanted), after=None, limit=10))
        return [a.id[-1] for a in rows]

    assert ids(iam_roles=["A"]) == ["1", "3"]
    assert ids(iam_roles=["A", "B"], ids=[_activation(2).id, _activation(3).id]) == ["2", "3"]
    assert ids(default_instance_names=["x"]) == ["1"]
    assert ids(ids=[]) == []
