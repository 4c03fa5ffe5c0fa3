"""A schedule with its zone, offset and bounds, and the instants at which it runs. Source: operations.md 4.3."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from heapq import heappop, heappush
from itertools import product
from zoneinfo import ZoneInfo

from patchwright.core.schedules.expressions import At, Cron, Expression, Rate, parse
from patchwright.core.schedules.fields import LAST_YEAR, invalid
from patchwright.core.schedules.zones import exists, instant_of, local_of, zone_named

OFFSETS = range(-6, 31)
"""Days between a match and its run. The API takes 1-6; more helps who counts otherwise (operations.md 10, no. 14)."""
_LONGEST_GAP = timedelta(days=1)
"""By which a change of the clock moved on at most: Samoa left out a day in 2011."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When something runs. Instants are aware UTC."""

    expression: Expression
    zone: ZoneInfo
    since: datetime
    """When it was made or last changed: what lay before is not made up for. A rate counts from here."""
    offset_days: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.offset_days not in OFFSETS:
            raise invalid(f"The offset of a schedule is {OFFSETS[0]} to {OFFSETS[-1]} days.")
        if self.offset_days and not isinstance(self.expression, Cron):
            raise invalid("ScheduleOffset goes with a cron expression only, not with rate or at.")
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise invalid("EndDate must be later than StartDate.")

    @property
    def anchor(self) -> datetime:
        """Nothing that lies before this counts."""
        return max(self.since, self.starts_at or self.since)


def schedule_from(
    text: str,
    *,
    zone: str = "UTC",
    since: datetime,
    offset_days: int = 0,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Schedule:
    """Raises Invalid(SCHEDULE) for an expression, a zone or a combination that is not valid."""
    return Schedule(
        expression=parse(text),
        zone=zone_named(zone),
        since=since,
        offset_days=offset_days,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def runs(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The instants after `after` at which it runs, in order, each once; without end for most schedules."""
    match schedule.expression:
        case Cron() as cron:
            found = _cron_runs(schedule, cron, after)
        case Rate() as rate:
            found = _rate_runs(rate, schedule.anchor, after)
        case At() as at:
            once = instant_of(at.local, schedule.zone)
            found = iter((once,) if once >= schedule.anchor else ())
    last = after
    for run in found:
        if schedule.ends_at is not None and run > schedule.ends_at:
            return
        if run > last:
            yield run
            last = run


def next_run(schedule: Schedule, after: datetime) -> datetime | None:
    """The first of `runs`, or None if there is none any more."""
    return next(runs(schedule, after), None)


def _rate_runs(rate: Rate, anchor: datetime, after: datetime) -> Iterator[datetime]:
    """By elapsed time, whatever the clocks do; the first at `anchor`, in whole milliseconds as the API writes them."""
    first = anchor.replace(microsecond=anchor.microsecond // 1000 * 1000)
    past = max(0, (after - first) // rate.period)
    run = first + past * rate.period
    while run.year <= LAST_YEAR:
        yield run
        run += rate.period


def _cron_runs(schedule: Schedule, cron: Cron, after: datetime) -> Iterator[datetime]:
    """Hour by hour of the wall clock. Around a gap a later time can be an earlier instant, hence the heap."""
    zone, offset = schedule.zone, timedelta(days=schedule.offset_days)
    waiting: list[datetime] = []
    for hour in _hours(cron, _first_hour(schedule, after, offset)):
        begin = hour + offset
        if exists(begin, zone):
            instant = instant_of(begin, zone)
            # No time from this hour on is an earlier instant than its beginning.
            while waiting and waiting[0] < instant:
                yield heappop(waiting)
            if instant_of(begin + _HOUR, zone) - instant == _HOUR and instant + _HOUR <= after:
                continue
        for minute, second in product(cron.minutes, cron.seconds):
            base = hour.replace(minute=minute, second=second)
            run = instant_of(base + offset, zone)
            # An offset back can lead to before the start.
            if min(instant_of(base, zone), run) >= schedule.anchor:
                heappush(waiting, run)
    while waiting:
        yield heappop(waiting)


def _first_hour(schedule: Schedule, after: datetime, offset: timedelta) -> datetime:
    """The local hour from which bases can matter."""
    earliest = max(local_of(after, schedule.zone) - offset, local_of(schedule.anchor, schedule.zone)) - _LONGEST_GAP
    return earliest.replace(minute=0, second=0, microsecond=0)


def _hours(cron: Cron, first: datetime) -> Iterator[datetime]:
    for day in cron.dates(first.date()):
        for hour in cron.hours:
            local = datetime.combine(day, time(hour))
            if local >= first:
                yield local
