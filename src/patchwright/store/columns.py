"""Column types that mean the same on both engines."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, Text, literal, tuple_
from sqlalchemy.types import TypeDecorator


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; exact. A naive one is a caller's bug."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a zone can't be stored")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime kept as integer microseconds: exact, ordered and equal on both engines."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_micros(value)


def place(micros: int, id: str) -> Any:
    """The (instant, id) behind which a page begins, to compare with such a pair of columns."""
    return tuple_(literal(from_micros(micros), Instant()), literal(id))


class Json(TypeDecorator[Any]):
    """Plain JSON values kept as text; never queried into, so that both engines behave alike."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else msgspec.json.decode(value)
