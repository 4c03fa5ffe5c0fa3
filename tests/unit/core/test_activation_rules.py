"""The activation's own rules: who is refused and why, and until when it holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchwright.core.activations import Activation, ActivationRefusal, expiry_of, hash_of, refusal_of
from patchwright.core.errors import Invalid
from patchwright.core.values import Scope

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
GOOD = Activation(
    id="a",
    scope=Scope(account="1", region="r"),
    code_hash=hash_of("code"),
    iam_role="r",
    created_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    registration_limit=2,
    registrations_count=1,
)


@pytest.mark.parametrize(
    ("activation", "code", "after", "refusal"),
    [
        (GOOD, "code", timedelta(minutes=59), None),
        (GOOD, "Code", timedelta(), ActivationRefusal.WRONG_CODE),
        (GOOD, "", timedelta(), ActivationRefusal.WRONG_CODE),
        (GOOD, "code", timedelta(hours=1), ActivationRefusal.EXPIRED),
        (replace(GOOD, registrations_count=2), "code", timedelta(), ActivationRefusal.EXHAUSTED),
        (replace(GOOD, registration_limit=None), "code", timedelta(), ActivationRefusal.EXHAUSTED),
        (replace(GOOD, registrations_count=2), "wrong", timedelta(hours=2), ActivationRefusal.WRONG_CODE),
        (None, "code", timedelta(), ActivationRefusal.UNKNOWN),
    ],
)
def test_who_may_register(
    activation: Activation | None, code: str, after: timedelta, refusal: ActivationRefusal | None
) -> None:
    assert refusal_of(activation, code, NOW + after) is refusal


def test_the_hash_is_the_published_one() -> None:
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_activation_ends_after_a_day_or_when_asked_within_thirty() -> None:
    assert expiry_of(None, NOW) == NOW + timedelta(hours=24)
    assert expiry_of(NOW + timedelta(days=30), NOW) == NOW + timedelta(days=30)
    for bad in (NOW, NOW - timedelta(days=1), NOW + timedelta(days=30, seconds=1)):
        with pytest.raises(Invalid):
            expiry_of(bad, NOW)
