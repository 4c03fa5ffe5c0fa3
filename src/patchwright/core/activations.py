"""Activation: the pass with which hosts register as managed nodes, and when it still holds."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import Scope, Tag

DEFAULT_LIFETIME = timedelta(hours=24)
MAX_LIFETIME = timedelta(days=30)
DEFAULT_REGISTRATION_LIMIT = 1


class ActivationRefusal(StrEnum):
    """Why a registration is refused: for the operator's log. The host is told no more than InvalidActivation."""

    UNKNOWN = "UNKNOWN"
    WRONG_CODE = "WRONG_CODE"
    EXPIRED = "EXPIRED"
    EXHAUSTED = "EXHAUSTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A hybrid activation as stored. The code itself is shown once and never kept. Source: operations.md 7.4."""

    id: str
    scope: Scope
    code_hash: str
    iam_role: str
    expires_at: datetime
    created_at: datetime
    description: str | None = None
    default_instance_name: str | None = None
    registration_limit: int | None = None
    """As given; None acts as DEFAULT_REGISTRATION_LIMIT and stays unsaid when the activation is described."""
    registrations_count: int = 0
    tags: tuple[Tag, ...] = ()
    """Copied to every node that registers; they never change."""

    @property
    def effective_limit(self) -> int:
        """How many nodes may register in all."""
        return DEFAULT_REGISTRATION_LIMIT if self.registration_limit is None else self.registration_limit


def is_expired(activation: Activation, now: datetime) -> bool:
    """True from the very instant of expiry on."""
    return now >= activation.expires_at


def is_exhausted(activation: Activation) -> bool:
    """True when every registration was taken."""
    return activation.registrations_count >= activation.effective_limit


def hash_of(code: str) -> str:
    """SHA-256 in hex. Codes are long and random, so a plain hash can't be guessed back."""
    return hashlib.sha256(code.encode()).hexdigest()


def refusal_of(activation: Activation | None, code: str, now: datetime) -> ActivationRefusal | None:
    """Say why a host with `code` can't register at `now`; None when it may try to take a registration.

    The code is compared first and in constant time, so that nobody without it learns the activation's state.
    """
    if activation is None:
        return ActivationRefusal.UNKNOWN
    if not hmac.compare_digest(activation.code_hash, hash_of(code)):
        return ActivationRefusal.WRONG_CODE
    if is_expired(activation, now):
        return ActivationRefusal.EXPIRED
    if is_exhausted(activation):
        return ActivationRefusal.EXHAUSTED
    return None


def expiry_of(asked: datetime | None, now: datetime) -> datetime:
    """The instant at which an activation made at `now` ends: 24 hours on unless `asked`, at most 30 days ahead.

    Raises Invalid for one that is past or too far. Source: operations.md 7.4.
    """
    if asked is None:
        return now + DEFAULT_LIFETIME
    if asked <= now:
        raise Invalid(Kind.ACTIVATION, "ExpirationDate is in the past; no activation was made.")
    if asked > now + MAX_LIFETIME:
        raise Invalid(
            Kind.ACTIVATION,
            f"ExpirationDate must be within {MAX_LIFETIME.days} days from now; no activation was made.",
        )
    return asked
