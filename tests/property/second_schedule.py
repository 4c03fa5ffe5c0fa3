"""A second reading of the rules for cron, minute by minute, to hold the first against. Slow and plain.

Source: operations.md 4.2, 4.3.
"""

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def matches(fields: list[str], local: datetime) -> bool:
    """Whether a wall-clock minute matches minute, hour, day of month, month, day of week, year."""
    minute, hour, day, month, week, year = fields
    return (
        _number(minute, local.minute, 0)
        and _number(hour, local.hour, 0)
        and _number(month, local.month, 1)
        and _number(year, local.year, 1970)
        and (day in "*?" or any(_day(item, local) for item in day.split(",")))
        and (week in "*?" or any(_week(item, local) for item in week.split(",")))
    )


def _number(text: str, value: int, low: int) -> bool:
    return any(_item(item, value, low) for item in text.split(","))


def _item(item: str, value: int, low: int) -> bool:
    body, _, step = item.partition("/")
    if body == "*":
        return (value - low) % int(step or 1) == 0
    begin, _, end = body.partition("-")
    if not end:
        return value == int(begin) if not step else value >= int(begin) and (value - int(begin)) % int(step) == 0
    inside = int(begin) <= value <= int(end)
    return inside and (value - int(begin)) % int(step or 1) == 0


def _day(item: str, local: datetime) -> bool:
    last = calendar.monthrange(local.year, local.month)[1]
    if item == "L":
        return local.day == last
    if item == "LW" or item.endswith("W"):
        number = last if item == "LW" else int(item[:-1])
        workdays = [d for d in range(1, last + 1) if datetime(local.year, local.month, d).weekday() < 5]  # noqa: DTZ001
        # The nearest; between two equally near ones there is none, since a weekend has two days.
        return number <= last and local.day == min(workdays, key=lambda d: abs(d - number))
    if item.startswith("L-"):
        return local.day == last - int(item[2:])
    return _item(item, local.day, 1)


def _week(item: str, local: datetime) -> bool:
    name = DAYS[(local.weekday() + 1) % 7]
    if "#" in item:
        day, n = item.split("#")
        return name == day and (local.day - 1) // 7 + 1 == int(n)
    if item.endswith("L") and item != "L":
        return name == item[:-1] and (local + timedelta(days=7)).month != local.month
    return name == ("SAT" if item == "L" else item)


def runs(
    fields: list[str], zone: ZoneInfo, offset_days: int, anchor: datetime, after: datetime, until: datetime
) -> list[datetime]:
    """Every run in (after, until]: look at each minute that the wall clock shows, and at each that it leaves out."""
    margin = timedelta(days=2)
    first = _shown(zone, min(anchor, after) - timedelta(days=offset_days) - margin, until + margin)
    found = set()
    local = (min(anchor, after) - timedelta(days=offset_days) - margin / 2).replace(tzinfo=None)
    while local <= until.replace(tzinfo=None) + margin / 2:
        if matches(fields, local) and _instant(first, local) >= anchor:
            run = _instant(first, local + timedelta(days=offset_days))
            if after < run <= until:
                found.add(run)
        local += MINUTE
    return sorted(found)


def _shown(zone: ZoneInfo, begin: datetime, end: datetime) -> dict[datetime, datetime]:
    """Each wall-clock minute -> the first instant at which the clock shows it."""
    shown: dict[datetime, datetime] = {}
    for instant in _minutes(begin, end):
        shown.setdefault(instant.astimezone(zone).replace(tzinfo=None, fold=0), instant)
    return shown


def _minutes(begin: datetime, end: datetime) -> Iterator[datetime]:
    instant = begin.astimezone(UTC)
    while instant <= end:
        yield instant
        instant += MINUTE


def _instant(first: dict[datetime, datetime], local: datetime) -> datetime:
    """When it is `local`; if it never is, as many minutes after the gap began as `local` lies behind its beginning."""
    behind = 0
    while local not in first:
        local -= MINUTE
        behind += 1
    return first[local] + behind * MINUTE
