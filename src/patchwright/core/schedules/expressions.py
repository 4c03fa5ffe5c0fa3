"""The text of a schedule -> what it means: `cron(...)`, `rate(...)` or `at(...)`. Source: operations.md 4.2."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from patchwright.core.schedules.days import EVERY_DAY, DayRule
from patchwright.core.schedules.fields import (
    FIRST_YEAR,
    HOUR,
    LAST_YEAR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    invalid,
    month_days,
    numbers,
    weekdays,
)

MAX_LENGTH = 256
LONGEST_PERIOD = timedelta(days=36_525)
"""A hundred years: dates would not hold much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The times at which every field matches; each tuple is in order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[DayRule, ...]
    """A day counts if one of these has it."""
    months: tuple[int, ...]
    years: tuple[int, ...]

    @property
    def every_month(self) -> bool:
        return self.months == MONTH.all

    def dates(self, first: date) -> Iterator[date]:
        """The matching dates from `first` on, in order."""
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                found = sorted({day for rule in self.days for day in rule.of(year, month)})
                yield from (d for day in found if (d := date(year, month, day)) >= first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Again and again after the same elapsed time."""

    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Once, at this wall-clock time (naive, of the schedule's zone)."""

    local: datetime


Expression = Cron | Rate | At

_FORM = re.compile(r"\s*(cron|rate|at)\((.*)\)\s*", re.IGNORECASE | re.DOTALL)
_RATE = re.compile(r"\s*([0-9]{1,9})\s?(minute|hour|day)(s?)\s*", re.IGNORECASE)
_AT = re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)\s*")


def parse(text: str) -> Expression:
    """Raises Invalid(SCHEDULE), whose message says what is wrong and what would be right."""
    form = _FORM.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if form is None:
        raise invalid(
            f"'{text[:80]}' is not a schedule: cron(0 2 ? * TUE#2 *), rate(7 days) or at(2030-01-02T03:04:05)."
        )
    match form[1].lower():
        case "cron":
            return _cron(form[2])
        case "rate":
            return _rate(form[2])
        case _:
            return _at(form[2])


def _rate(text: str) -> Rate:
    matched = _RATE.fullmatch(text)
    if matched is None:
        raise invalid(f"rate({text[:40]}): a rate is a number and minute, minutes, hour, hours, day or days.")
    count, unit = int(matched[1]), matched[2].lower()
    if count == 0:
        raise invalid("rate(0 ...): the number of a rate is at least 1.")
    if (count == 1) == bool(matched[3]):
        raise invalid(f"rate({text[:40]}): it is rate(1 {unit}), and {unit}s for more than 1.")
    try:
        period = timedelta(**{f"{unit}s": count})
    except OverflowError:
        period = timedelta.max
    if period > LONGEST_PERIOD:
        raise invalid(f"rate({text[:40]}): the longest period is a hundred years.")
    return Rate(period=period)


def _at(text: str) -> At:
    matched = _AT.fullmatch(text)
    try:
        if matched is not None and FIRST_YEAR <= int(matched[1][:4]) <= LAST_YEAR:
            return At(local=datetime.fromisoformat(matched[1]))
    except ValueError:
        pass  # a form that is right around a day that does not exist
    raise invalid(
        f"at({text[:40]}): a date and time of the years {FIRST_YEAR}-{LAST_YEAR} without a zone, "
        "such as at(2030-01-02T03:04:05)."
    )


def _cron(text: str) -> Cron:
    words = text.upper().split()
    seconds, minutes, hours, days, months, week, years = _ordered(text, words)
    return Cron(
        seconds=numbers(SECOND, seconds),
        minutes=numbers(MINUTE, minutes),
        hours=numbers(HOUR, hours),
        days=_days(text, days, week),
        months=numbers(MONTH, months),
        years=numbers(YEAR, years),
    )


def _ordered(text: str, words: list[str]) -> tuple[str, ...]:
    """Second, minute, hour, day of month, month, day of week and year, whichever order the fields came in."""
    match len(words):
        case 7:
            return tuple(words)
        case 6 if "?" in (words[3], words[5]) and "?" not in (words[2], words[4]):
            return (*words, "*")  # the order of Quartz: seconds first, no year
        case 6:
            return ("0", *words)
        case 5:
            return ("0", *words, "*")
        case count:
            raise invalid(
                f"cron({text[:80]}) has {count} fields, not 6: minute hour day-of-month month day-of-week year."
            )


def _days(text: str, days: str, week: str) -> tuple[DayRule, ...]:
    if days == week == "?":
        raise invalid(f"cron({text[:80]}): only one of day-of-month and day-of-week can be '?'.")
    if week == "?":
        return month_days(days)
    if days == "?":
        return (EVERY_DAY,) if week == "*" else weekdays(week)
    if days == week == "*":
        return (EVERY_DAY,)
    raise invalid(
        f"cron({text[:80]}): one of day-of-month and day-of-week must be '?', as in cron(0 2 ? * TUE *) "
        "or cron(0 2 15 * ? *)."
    )
