"""The days of a month that a cron expression means. Source: operations.md 4.2."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass

SATURDAY, SUNDAY = 7, 1
"""Weekdays are counted 1-7 from Sunday, as these expressions do."""


def weekday(year: int, month: int, day: int) -> int:
    """1 for Sunday to 7 for Saturday."""
    return (monthrange(year, month)[0] + day) % 7 + 1


def last_day(year: int, month: int) -> int:
    return monthrange(year, month)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthDays:
    """Days by number; those that a month does not have are left out."""

    numbers: tuple[int, ...]

    def of(self, year: int, month: int) -> Iterator[int]:
        last = last_day(year, month)
        return (n for n in self.numbers if n <= last)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDay:
    """`L`, or `L-n`: `before` days before the last one."""

    before: int = 0

    def of(self, year: int, month: int) -> Iterator[int]:
        day = last_day(year, month) - self.before
        return iter((day,) if day > 0 else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestWorkday:
    """`nW`: the day from Monday to Friday that is nearest to day `number`, within the month; None, `LW`: to the last.

    A month without the day is left out.
    """

    number: int | None

    def of(self, year: int, month: int) -> Iterator[int]:
        last = last_day(year, month)
        day = last if self.number is None else self.number
        if day > last:
            return iter(())
        match weekday(year, month, day):
            case 7:
                day += -1 if day > 1 else 2
            case 1:
                day += 1 if day < last else -2
        return iter((day,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekdays:
    """Every one of these days of the week."""

    weekdays: tuple[int, ...]

    def of(self, year: int, month: int) -> Iterator[int]:
        return (d for d in range(1, last_day(year, month) + 1) if weekday(year, month, d) in self.weekdays)


@dataclass(frozen=True, slots=True, kw_only=True)
class NthWeekday:
    """`3#2`: the second Tuesday. A month without a fifth one is left out."""

    weekday: int
    n: int

    def of(self, year: int, month: int) -> Iterator[int]:
        day = 1 + (self.weekday - weekday(year, month, 1)) % 7 + 7 * (self.n - 1)
        return iter((day,) if day <= last_day(year, month) else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWeekday:
    """`6L`: the last Friday."""

    weekday: int

    def of(self, year: int, month: int) -> Iterator[int]:
        last = last_day(year, month)
        return iter((last - (weekday(year, month, last) - self.weekday) % 7,))


DayRule = MonthDays | LastDay | NearestWorkday | Weekdays | NthWeekday | LastWeekday
EVERY_DAY = MonthDays(numbers=tuple(range(1, 32)))
