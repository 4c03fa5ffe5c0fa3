"""The fields of a cron expression: numbers, names, lists, ranges and steps. Source: operations.md 4.2."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from patchwright.core.errors import Invalid, Kind
from patchwright.core.schedules.days import (
    EVERY_DAY,
    SATURDAY,
    DayRule,
    LastDay,
    LastWeekday,
    MonthDays,
    NearestWorkday,
    NthWeekday,
    Weekdays,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What one field of an expression may hold."""

    name: str
    low: int
    high: int
    cyclic: bool = False
    """Whether a range may go round: 23-5 are the hours of a night."""
    names: Mapping[str, int] = field(default_factory=dict)

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(range(self.low, self.high + 1))

    def bad(self, text: str, why: str = "") -> Invalid:
        words = f" or {', '.join(self.names)}" if self.names else ""
        return invalid(f"'{text}' is not a {self.name}: {why or f'{self.low}-{self.high}{words}'}.")


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SECOND = Field(name="second", low=0, high=59)
MINUTE = Field(name="minute", low=0, high=59)
HOUR = Field(name="hour", low=0, high=23, cyclic=True)
DAY = Field(name="day of month", low=1, high=31)
MONTH = Field(name="month", low=1, high=12, cyclic=True, names={n: i for i, n in enumerate(_MONTHS, 1)})
WEEKDAY = Field(name="day of week", low=1, high=7, cyclic=True, names={n: i for i, n in enumerate(_WEEKDAYS, 1)})
FIRST_YEAR, LAST_YEAR = 1970, 2199
YEAR = Field(name="year", low=FIRST_YEAR, high=LAST_YEAR)

_DIGITS = re.compile(r"[0-9]{1,4}")
_ITEM = re.compile(r"(?P<all>\*)|(?P<first>[0-9A-Z]+)(?:-(?P<last>[0-9A-Z]+))?")
_NEAREST = re.compile(r"([0-9]{1,2})W")
_BEFORE_LAST = re.compile(r"L-([0-9]{1,2})")


def invalid(message: str) -> Invalid:
    """A schedule that can't be understood."""
    return Invalid(Kind.SCHEDULE, message)


def numbers(of: Field, text: str) -> tuple[int, ...]:
    """The numbers that a field such as `0/30`, `9-17`, `JAN,JUL` or `*` means, in order. Raises Invalid(SCHEDULE)."""
    found: set[int] = set()
    for item in text.split(","):
        found |= _item(of, item)
    return tuple(sorted(found))


def _item(of: Field, text: str) -> set[int]:
    body, slash, step_text = text.partition("/")
    matched = _ITEM.fullmatch(body)
    if matched is None:
        raise of.bad(text)
    if matched["all"]:
        first, last = of.low, of.high
    else:
        first = _number(of, matched["first"])
        last = _number(of, matched["last"]) if matched["last"] else (of.high if slash else first)
    if last < first and not of.cyclic:
        raise of.bad(text, "the range ends before it begins")
    size = of.high - of.low + 1
    length = last - first if last >= first else last - first + size
    step = 1
    if slash:
        if not _DIGITS.fullmatch(step_text) or not 1 <= int(step_text) < size:
            raise of.bad(text, f"the step after / is 1-{size - 1}")
        step = int(step_text)
    return {(first - of.low + n) % size + of.low for n in range(0, length + 1, step)}


def _number(of: Field, text: str) -> int:
    named = of.names.get(text)
    if named is not None:
        return named
    if not _DIGITS.fullmatch(text) or not of.low <= int(text) <= of.high:
        raise of.bad(text)
    return int(text)


def month_days(text: str) -> tuple[DayRule, ...]:
    """The rules that a day-of-month field means; the days of all of them count. Raises Invalid(SCHEDULE)."""
    if text == "*":
        return (EVERY_DAY,)
    plain, rules = [], list[DayRule]()
    for item in text.split(","):
        if item in ("L", "LW"):
            rules.append(LastDay() if item == "L" else NearestWorkday(number=None))
        elif nearest := _NEAREST.fullmatch(item):
            rules.append(NearestWorkday(number=_number(DAY, nearest[1])))
        elif before := _BEFORE_LAST.fullmatch(item):
            if not 1 <= int(before[1]) <= 30:
                raise DAY.bad(item, "L- takes 1-30")
            rules.append(LastDay(before=int(before[1])))
        else:
            plain.append(item)
    if plain:
        rules.insert(0, MonthDays(numbers=numbers(DAY, ",".join(plain))))
    return tuple(rules)


def weekdays(text: str) -> tuple[DayRule, ...]:
    """The same for a day-of-week field: 1-7 are SUN-SAT. Raises Invalid(SCHEDULE)."""
    if "#" in text:
        name, _, n = text.partition("#")
        if n not in ("1", "2", "3", "4", "5"):
            raise WEEKDAY.bad(text, "one day with #1 to #5, and nothing beside it")
        return (NthWeekday(weekday=_number(WEEKDAY, name), n=int(n)),)
    plain, rules = [], list[DayRule]()
    for item in text.split(","):
        if item == "L":
            plain.append(str(SATURDAY))
        elif item.endswith("L"):
            rules.append(LastWeekday(weekday=_number(WEEKDAY, item[:-1])))
        else:
            plain.append(item)
    if plain:
        rules.insert(0, Weekdays(weekdays=numbers(WEEKDAY, ",".join(plain))))
    return tuple(rules)
