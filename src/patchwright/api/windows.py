"""CreateMaintenanceWindow and the other operations on windows themselves. Source: operations.md 4.1."""

from dataclasses import replace
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.api.tagsets import tags_from
from patchwright.api.window_access import (
    MAX_PAGE,
    authorized_window,
    filters_of,
    given,
    made_once,
    next_place,
    place_of,
    require_members,
    require_window,
    window_arn,
)
from patchwright.core.errors import Invalid, Kind
from patchwright.core.schedules.zones import text_of
from patchwright.core.values import WindowId
from patchwright.core.windows import Window
from patchwright.flows.change_window import create_window, delete_window, update_window
from patchwright.store import windows
from patchwright.store.windows import WindowFilter

MEMBERS = {
    "Name": "name",
    "Description": "description",
    "StartDate": "start_date",
    "EndDate": "end_date",
    "Schedule": "schedule",
    "ScheduleTimezone": "zone",
    "ScheduleOffset": "offset_days",
    "Duration": "duration_hours",
    "Cutoff": "cutoff_hours",
    "AllowUnassociatedTargets": "allow_unassociated",
    "Enabled": "enabled",
}
REQUIRED = ("Name", "Schedule", "Duration", "Cutoff", "AllowUnassociatedTargets")
OPTIONAL = ("Description", "StartDate", "EndDate", "ScheduleTimezone", "ScheduleOffset")
MAX_TEXT = 64
"""Characters of a date or a zone; the model bounds neither."""


@registry.serves("CreateMaintenanceWindow")
def create_maintenance_window(ctx: Context, req: Request) -> Answer:
    """Make a window, enabled; the same ClientToken again answers the first one's id."""
    wanted = tags_from(req.get("Tags"))

    def make() -> dict[str, Any]:
        window = Window(
            id=WindowId(ctx.ids.window()),
            scope=ctx.scope,
            created_at=ctx.now,
            modified_at=ctx.now,
            schedule_since=ctx.now,
            **_values(req),
        )
        create_window(ctx.tx, window, wanted)
        return {"WindowId": window.id}

    answer = made_once(ctx, req, make)
    # After the fact, since only now its id is known, be it a new one or the first one's: a refusal undoes everything.
    ctx.require(window_arn(ctx, answer["WindowId"]), {tag.key: tag.value for tag in wanted})
    return answer


@registry.serves("GetMaintenanceWindow", reads=True, short=True)
def get_maintenance_window(ctx: Context, req: Request) -> Answer:
    window = authorized_window(ctx, req)
    return {**_shown(ctx, window), "CreatedDate": window.created_at, "ModifiedDate": window.modified_at}


@registry.serves("UpdateMaintenanceWindow")
def update_maintenance_window(ctx: Context, req: Request) -> Answer:
    """Merge what is given; with Replace, what is not given is taken away. Enabled stays unless it is given."""
    before = authorized_window(ctx, req)
    values = _values(req)
    if req.get("Replace"):
        require_members(req, *REQUIRED)
        values = {**{MEMBERS[member]: None for member in OPTIONAL}, **values}
    after = update_window(
        ctx.tx, before, replace(before, **values), ctx.now, ids=ctx.ids, catch_up=ctx.service.catch_up_windows
    )
    shown = _shown(ctx, after)
    shown.pop("NextExecutionTime", None)
    return shown


@registry.serves("DeleteMaintenanceWindow")
def delete_maintenance_window(ctx: Context, req: Request) -> Answer:
    """One that is not there is no error: the answer is the same."""
    require_window(ctx, req["WindowId"])
    delete_window(ctx.tx, ctx.scope, req["WindowId"])
    return {"WindowId": req["WindowId"]}


@registry.serves("DescribeMaintenanceWindows", reads=True)
def describe_maintenance_windows(ctx: Context, req: Request) -> Answer:
    """By the time of their making."""
    ctx.require(window_arn(ctx, "*"))
    filters = filters_of(req, ("Name", "Enabled"))
    limit = req.get("MaxResults", MAX_PAGE)
    wanted = WindowFilter(
        names=filters.get("Name"),
        enabled=[_flag(value) for value in filters["Enabled"]] if "Enabled" in filters else None,
    )
    found = windows.page(ctx.tx, ctx.scope, wanted, after=place_of(ctx, req), limit=limit + 1)
    return {
        "WindowIdentities": [_identity(ctx, window) for window in found[:limit]],
        "NextToken": next_place(ctx, req, found, limit, lambda window: window.created_at),
    }


def _values(req: Request) -> dict[str, Any]:
    """The members of a request under their own names. Raises Invalid for what the model does not check."""
    for member in ("StartDate", "EndDate", "ScheduleTimezone"):
        text = req.get(member)
        if text == "":
            name = f"{member[:1].lower()}{member[1:]}"
            raise Invalid(
                Kind.REQUEST,
                f"1 validation error detected: Value '' at '{name}' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1",
            )
        if text is not None and len(text) > MAX_TEXT:
            raise Invalid(Kind.REQUEST, f"{member} has at most {MAX_TEXT} characters.")
    return {ours: req[member] for member, ours in MEMBERS.items() if member in req}


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Invalid(Kind.FILTER, f"'{text[:40]}' is not a value of Enabled: true, false.")
    return text.lower() == "true"


def _shown(ctx: Context, window: Window) -> dict[str, Any]:
    upcoming = window.upcoming(ctx.now)
    return {
        "WindowId": window.id,
        **given(**{member: getattr(window, ours) for member, ours in MEMBERS.items()}),
        **given(NextExecutionTime=upcoming and text_of(upcoming, window.timetable.zone)),
    }


def _identity(ctx: Context, window: Window) -> dict[str, Any]:
    shown = _shown(ctx, window)
    shown.pop("AllowUnassociatedTargets")
    return shown
