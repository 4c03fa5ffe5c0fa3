"""What is odd about a run: the clocks were changed at its time."""

from datetime import datetime

from patchwright.core.schedules.expressions import At, Cron, Rate
from patchwright.core.schedules.schedule import Schedule
from patchwright.core.schedules.zones import local_of


def note_of(schedule: Schedule, run: datetime) -> str:
    """A sentence, or "" for an ordinary run. Source: operations.md 4.3, step 4."""
    local = local_of(run, schedule.zone)
    match schedule.expression:
        case Rate():
            return ""
        case At(local=asked):
            asked_for = local == asked
        case Cron() as cron:
            asked_for = local.hour in cron.hours and local.minute in cron.minutes and local.second in cron.seconds
    if not asked_for:
        return "moved on: clocks go forward and leave its time out"
    again = local.replace(tzinfo=schedule.zone, fold=1)
    if again.utcoffset() != local.replace(tzinfo=schedule.zone).utcoffset():
        return "the first of two: clocks go back and show its time twice"
    return ""
