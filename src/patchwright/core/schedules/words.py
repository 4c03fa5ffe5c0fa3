"""A schedule in plain words, for people who check it before it runs."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import product

from patchwright.core.schedules.days import (
    EVERY_DAY,
    DayRule,
    LastDay,
    LastWeekday,
    MonthDays,
    NearestWorkday,
    NthWeekday,
    Weekdays,
)
from patchwright.core.schedules.expressions import At, Cron, Rate
from patchwright.core.schedules.fields import HOUR, MINUTE, SECOND, YEAR, Field
from patchwright.core.schedules.schedule import Schedule

_DAYS = ("", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_NTH = ("", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 4
"""Times of a day that are listed one by one."""


def words_of(schedule: Schedule) -> str:
    """`At 02:00 on the second Tuesday of the month, America/New_York`."""
    match schedule.expression:
        case Cron() as cron:
            text = f"{_times(cron)} {_days(cron)}{_offset(schedule.offset_days)}"
        case Rate(period=period):
            text = f"Every {_period(period)}, counted by elapsed time"
        case At(local=local):
            text = f"Once, at {local:%Y-%m-%d %H:%M}{f'{local:%S}'.join((':', '')) if local.second else ''}"
    return f"{text}, {schedule.zone.key}"


def _offset(days: int) -> str:
    if not days:
        return ""
    return f", {'plus' if days > 0 else 'minus'} {abs(days)} {'day' if abs(days) == 1 else 'days'}"


def _period(period: timedelta) -> str:
    minutes = period // timedelta(minutes=1)
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % size == 0:
            count = minutes // size
            return unit if count == 1 else f"{count} {unit}s"
    raise ValueError(period)  # a period is whole minutes


def _times(cron: Cron) -> str:
    if len(cron.hours) * len(cron.minutes) * len(cron.seconds) <= _MOST_TIMES:
        times = product(cron.hours, cron.minutes, cron.seconds)
        return f"At {_and([f'{h:02}:{m:02}' + (f':{s:02}' if s else '') for h, m, s in times])}"
    seconds = "" if cron.seconds == (0,) else f"{_every(SECOND, cron.seconds)} of "
    return f"At {seconds}{_every(MINUTE, cron.minutes)} of {_every(HOUR, cron.hours)}"


def _every(of: Field, chosen: Sequence[int]) -> str:
    return f"every {of.name}" if chosen == of.all else f"{of.name} {_ranges(chosen)}"


def _days(cron: Cron) -> str:
    days = _and([_rule(rule) for rule in cron.days])
    if not cron.every_month:
        months = _and([_MONTHS[m] for m in cron.months])
        weekly = all(isinstance(r, Weekdays) for r in cron.days) or cron.days == (EVERY_DAY,)
        days = f"{days} in {months}" if weekly else days.replace("the month", months)
    if cron.years != YEAR.all:
        days += f" of {_ranges(cron.years)}"
    return days


def _rule(rule: DayRule) -> str:
    match rule:
        case MonthDays(numbers=numbers):
            return "every day" if rule == EVERY_DAY else f"on day {_ranges(numbers)} of the month"
        case LastDay(before=0):
            return "on the last day of the month"
        case LastDay(before=before):
            return f"{before} {'day' if before == 1 else 'days'} before the last day of the month"
        case NearestWorkday(number=None):
            return "on the last working day (Monday to Friday) of the month"
        case NearestWorkday(number=number):
            return f"on the working day (Monday to Friday) nearest to day {number} of the month"
        case Weekdays(weekdays=weekdays):
            return f"every {_and(_runs(weekdays, names=_DAYS))}" if len(weekdays) < 7 else "every day"
        case NthWeekday(weekday=weekday, n=n):
            return f"on the {_NTH[n]} {_DAYS[weekday]} of the month"
        case LastWeekday(weekday=weekday):
            return f"on the last {_DAYS[weekday]} of the month"


def _ranges(numbers: Sequence[int]) -> str:
    """`1, 2, 3, 7` as `1-3 and 7`."""
    return _and(_runs(numbers))


def _runs(numbers: Sequence[int], names: Sequence[str] = ()) -> list[str]:
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    parts = []
    for group in groups:
        words = [names[n] if names else str(n) for n in group]
        parts += [f"{words[0]}{' to ' if names else '-'}{words[-1]}"] if len(words) > 2 else words
    return parts


def _and(parts: Sequence[str]) -> str:
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), parts[-1]])
