"""Client tokens: the same request is made once, whoever repeats it, a day long."""

import threading
from concurrent.futures import wait
from datetime import UTC, datetime, timedelta

import pytest

from patchwright.core.errors import Mismatch
from patchwright.core.values import Scope
from patchwright.store import client_tokens
from patchwright.store.engine import Engine

HERE = Scope(account="000000000001", region="local-1")
ELSEWHERE = Scope(account="000000000001", region="local-2")
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


class Maker:
    """Makes `r-1`, `r-2`, … and counts."""

    def __init__(self) -> None:
        self.made = 0
        self.lock = threading.Lock()

    def __call__(self) -> dict[str, str]:
        with self.lock:
            self.made += 1
            return {"Id": f"r-{self.made}"}


def _once(store: Engine, make: Maker, token: str | None, request: dict, *, scope=HERE, operation="Create", now=NOW):
    return store.write(lambda tx: client_tokens.once(tx, scope, operation, token, request, now, make))


def test_a_repeat_gets_the_first_result_whatever_the_order_of_members(store: Engine) -> None:
    make = Maker()
    first = _once(store, make, "t", {"A": 1, "B": {"x": [1], "y": 2}, "At": NOW})
    again = _once(store, make, "t", {"At": NOW, "B": {"y": 2, "x": [1]}, "A": 1}, now=NOW + timedelta(hours=23))
    assert first == again == {"Id": "r-1"}
    assert make.made == 1


def test_another_request_with_the_same_token_is_refused(store: Engine) -> None:
    make = Maker()
    _once(store, make, "t", {"A": 1})
    with pytest.raises(Mismatch):
        _once(store, make, "t", {"A": 2})
    assert make.made == 1


def test_tokens_of_other_operations_and_regions_are_others(store: Engine) -> None:
    make = Maker()
    _once(store, make, "t", {"A": 1})
    assert _once(store, make, "t", {"A": 1}, operation="Register") == {"Id": "r-2"}
    assert _once(store, make, "t", {"A": 1}, scope=ELSEWHERE) == {"Id": "r-3"}
    assert _once(store, make, None, {"A": 1}) == {"Id": "r-4"}
    assert _once(store, make, None, {"A": 1}) == {"Id": "r-5"}


def test_requests_at_once_with_one_token_agree_on_one_result(store: Engine) -> None:
    make = Maker()
    jobs = [
        store.submit_write(lambda tx: client_tokens.once(tx, HERE, "Create", "t", {"A": 1}, NOW, make))
        for _ in range(12)
    ]
    wait(jobs)
    assert len({job.result()["Id"] for job in jobs}) == 1


def test_a_failed_request_leaves_its_token_free(store: Engine) -> None:
    def fails() -> dict[str, str]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.write(lambda tx: client_tokens.once(tx, HERE, "Create", "t", {"A": 1}, NOW, fails))
    assert _once(store, Maker(), "t", {"A": 2}) == {"Id": "r-1"}


def test_only_tokens_older_than_a_day_are_forgotten(store: Engine) -> None:
    make = Maker()
    _once(store, make, "old", {}, now=NOW - timedelta(hours=24, seconds=1))
    _once(store, make, "young", {}, now=NOW - timedelta(hours=24))
    assert store.write(lambda tx: client_tokens.forget(tx, now=NOW)) == 1
    assert _once(store, make, "young", {}) == {"Id": "r-2"}
    assert _once(store, make, "old", {}) == {"Id": "r-3"}
