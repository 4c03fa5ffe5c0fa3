"""Making, changing and deleting maintenance windows. A change of the schedule starts its reckoning anew."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from patchwright.core.errors import Kind, LimitExceeded
from patchwright.core.schedules.expressions import Rate
from patchwright.core.tags import TaggedType, with_tags
from patchwright.core.values import Scope, Tag
from patchwright.core.windows import MAX_WINDOWS, SCHEDULE_MEMBERS, Window, check_end, check_pace
from patchwright.flows.ports import Ids
from patchwright.flows.run_window import start_due
from patchwright.store import tags, windows
from patchwright.store.engine import Tx


def create_window(tx: Tx, window: Window, wanted: Sequence[Tag]) -> None:
    """Raises Invalid (the schedule, a tag) or LimitExceeded, and then nothing is written."""
    check_pace(window)
    check_end(window, window.created_at)
    if windows.count(tx, window.scope) >= MAX_WINDOWS:
        raise LimitExceeded(Kind.WINDOW, f"A region of an account has at most {MAX_WINDOWS} maintenance windows.")
    # A rate's first run is when its window is made; of any other schedule, one that lies behind that instant.
    first = timedelta(milliseconds=1) if isinstance(window.timetable.expression, Rate) else timedelta(0)
    windows.insert(tx, replace(window, next_start_at=window.start_after(window.created_at - first)))
    tags.put(tx, window.scope, TaggedType.MAINTENANCE_WINDOW, window.id, with_tags((), wanted))
    tx.wake("windows")


def update_window(tx: Tx, before: Window, after: Window, now: datetime, *, ids: Ids, catch_up: bool) -> Window:
    """Replace a window; what was due before this change still starts. Raises Invalid, and then nothing is written."""
    rescheduled = any(getattr(before, member) != getattr(after, member) for member in SCHEDULE_MEMBERS)
    if rescheduled:
        check_pace(after)
        after = replace(after, schedule_since=now)
    if after.end_date != before.end_date:
        check_end(after, now)
    start_due(tx, before.id, now, ids=ids, catch_up=catch_up)
    standing = windows.get(tx, before.scope, before.id).next_start_at
    if rescheduled or after.enabled != before.enabled:
        standing = after.start_after(now)
    after = replace(after, modified_at=now, next_start_at=standing)
    windows.update(tx, after)
    tx.wake("windows")
    return after


def delete_window(tx: Tx, scope: Scope, window_id: str) -> None:
    """With targets, tasks and tags. What runs goes on, and history stays. One that is not there is no error."""
    window = windows.find(tx, window_id, scope=scope)
    if window is not None:
        windows.delete(tx, window.id)
        tags.remove_all(tx, scope, TaggedType.MAINTENANCE_WINDOW, window_id)
