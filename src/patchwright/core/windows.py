"""Maintenance windows: their definition, and what becomes of a start that is due. Source: operations.md 4.1, 4.3."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from patchwright.core.errors import Invalid, Kind
from patchwright.core.schedules.expressions import Cron
from patchwright.core.schedules.schedule import Schedule, next_run, schedule_from
from patchwright.core.schedules.zones import instant_from
from patchwright.core.values import Scope, WindowId

MAX_WINDOWS = 1_000
"""Of an account in a region. AWS begins with 50; one server serves more teams."""
MAX_TARGETS = 100
MAX_TASKS = 20
LATE_AFTER = timedelta(minutes=5)
"""A start that is later than this was missed: a loop looks every 30 seconds, and a busy one may take some turns."""
REMEMBERED = timedelta(days=30)
"""Starts that were missed longer ago are not written down: history goes no further back. Source: operations.md 4.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A maintenance window. Dates are kept as they were written; `zone` None: UTC."""

    id: WindowId
    scope: Scope
    name: str
    schedule: str
    duration_hours: int
    cutoff_hours: int
    allow_unassociated: bool
    created_at: datetime
    modified_at: datetime
    schedule_since: datetime
    """When it was made, or its schedule last changed: the schedule's `since`."""
    enabled: bool = True
    description: str | None = None
    zone: str | None = None
    offset_days: int | None = None
    start_date: str | None = None
    end_date: str | None = None
    next_start_at: datetime | None = None
    """The first start that nothing has been made of yet."""

    def __post_init__(self) -> None:
        if self.cutoff_hours >= self.duration_hours:
            raise Invalid(
                Kind.WINDOW,
                f"Cutoff was {self.cutoff_hours} but must be smaller than {self.duration_hours} (Duration): "
                "a window must have time in which tasks may start.",
            )

    @property
    def timetable(self) -> Schedule:
        """Raises Invalid(SCHEDULE)."""
        return schedule_from(
            self.schedule,
            zone=self.zone or "UTC",
            since=self.schedule_since,
            offset_days=self.offset_days or 0,
            starts_at=instant_from(self.start_date, "StartDate") if self.start_date else None,
            ends_at=instant_from(self.end_date, "EndDate") if self.end_date else None,
        )

    def cutoff_of(self, start: datetime) -> datetime:
        """From when nothing new begins, in the run that was due at `start`."""
        return start + timedelta(hours=self.duration_hours - self.cutoff_hours)

    def start_after(self, moment: datetime) -> datetime | None:
        """The first start after `moment`, if the window is enabled and has one."""
        return next_run(self.timetable, moment) if self.enabled else None

    def upcoming(self, now: datetime) -> datetime | None:
        """The same after `now`, from what is stored where that is still to come."""
        if self.enabled and self.next_start_at is not None and self.next_start_at > now:
            return self.next_start_at
        return self.start_after(now)


SCHEDULE_MEMBERS = ("schedule", "zone", "offset_days", "start_date", "end_date")


def check_pace(window: Window) -> None:
    """Raise Invalid(SCHEDULE) for more than one start a minute: each start is a row of the history.

    A window lasts an hour at least, so all but the first would be skipped anyway.
    """
    expression = window.timetable.expression
    if isinstance(expression, Cron) and len(expression.seconds) > 1:
        raise Invalid(Kind.SCHEDULE, f"{window.schedule}: a maintenance window starts at most once a minute.")


def check_end(window: Window, now: datetime) -> None:
    """Raise Invalid(SCHEDULE) if the window's end has passed already."""
    ends_at = window.timetable.ends_at
    if ends_at is not None and ends_at <= now:
        raise Invalid(Kind.SCHEDULE, f"EndDate {window.end_date} has passed already; the window would never run.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What becomes of a start that is due: it runs, or it is written down as `status`, with the reason."""

    status: str
    details: str = ""


def judge_start(window: Window, start: datetime, now: datetime, *, running: bool, catch_up: bool) -> Start:
    """Say whether the run that was due at `start` begins at `now`.

    `running`: another run of this window is not over. `catch_up`: late ones begin, as long as new tasks may start.
    Source: operations.md 4.3 no. 7, 4.6 no. 1.
    """
    if running:
        return Start(status="SKIPPED_OVERLAPPING", details="The execution before it was still running.")
    late = now - start
    if late <= LATE_AFTER:
        return Start(status="IN_PROGRESS")
    minutes = late // timedelta(minutes=1)
    if not catch_up:
        return Start(status="TIMED_OUT", details=f"Missed: found {minutes} minutes late, and starts are not caught up.")
    if now >= window.cutoff_of(start):
        return Start(status="TIMED_OUT", details=f"Missed: found {minutes} minutes late, after the cutoff time.")
    return Start(status="IN_PROGRESS", details=f"Started {minutes} minutes late: no server ran when it was due.")
