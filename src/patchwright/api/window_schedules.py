"""When windows will run, and which windows concern a node. Source: operations.md 4.3."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.api.window_access import MAX_PAGE, filters_of, given, next_place, place_of, require_window, window_arn
from patchwright.core.errors import Invalid, Kind
from patchwright.core.schedules.schedule import runs
from patchwright.core.schedules.zones import instant_from, text_of
from patchwright.core.tags import TaggedType
from patchwright.core.targets import TargetKey, targets_from
from patchwright.core.window_tasks import selects
from patchwright.core.windows import Window
from patchwright.store import nodes, tags, window_tasks, windows
from patchwright.store.columns import from_micros, to_micros
from patchwright.store.windows import WindowFilter

HORIZON = timedelta(days=366)
"""How far the schedule looks ahead: most have no end."""
MAX_SEARCH_PAGE = 100
"""The model bounds MaxResults of these two from below only."""
MAX_NODES = 1_000
"""Nodes for which windows are looked up in one request."""


@registry.serves("DescribeMaintenanceWindowSchedule", reads=True)
def describe_schedule(ctx: Context, req: Request) -> Answer:
    """The next starts, of one window, of those that concern some nodes, or of all that are enabled."""
    chosen = _chosen(ctx, req)
    filters = filters_of(req, ("ScheduledBefore", "ScheduledAfter"))
    cursor = ctx.cursor(req)
    begin, end = ctx.now, ctx.now + HORIZON
    if "ScheduledAfter" in filters:
        begin = max(begin, _instant("ScheduledAfter", filters["ScheduledAfter"]))
    if cursor is not None:
        # The first page decides how far this listing goes: time passes while it is read.
        begin, end = from_micros(cursor[0]) - timedelta(microseconds=1), from_micros(cursor[2])
    if "ScheduledBefore" in filters:
        end = min(end, _instant("ScheduledBefore", filters["ScheduledBefore"]))
    place = (from_micros(cursor[0]), cursor[1]) if cursor is not None else None
    limit = min(req.get("MaxResults", MAX_PAGE), MAX_SEARCH_PAGE)
    starts = merge(*(_starts(window, begin, end) for window in chosen.values()))
    found = list(islice((s for s in starts if place is None or s > place), limit + 1))
    last = found[limit - 1] if len(found) > limit else None
    return {
        "ScheduledWindowExecutions": [_scheduled(chosen[window_id], at) for at, window_id in found[:limit]],
        "NextToken": ctx.page(req, None if last is None else [to_micros(last[0]), last[1], to_micros(end)]),
    }


@registry.serves("DescribeMaintenanceWindowsForTarget", reads=True)
def describe_windows_for_target(ctx: Context, req: Request) -> Answer:
    """Windows with a target, or a task, that means one of the nodes: by its id, or by its tags as they are now."""
    ctx.require(window_arn(ctx, "*"))
    ids = _concerning(ctx, req)
    limit = min(req.get("MaxResults", MAX_PAGE), MAX_SEARCH_PAGE)
    found = windows.page(ctx.tx, ctx.scope, WindowFilter(ids=ids), after=place_of(ctx, req), limit=limit + 1)
    return {
        "WindowIdentities": [{"WindowId": w.id, "Name": w.name} for w in found[:limit]],
        "NextToken": next_place(ctx, req, found, limit, lambda window: window.created_at),
    }


def _chosen(ctx: Context, req: Request) -> dict[str, Window]:
    ids: set[str] | None = None
    if "WindowId" in req:
        require_window(ctx, req["WindowId"])
        ids = {windows.get(ctx.tx, ctx.scope, req["WindowId"]).id}
    else:
        ctx.require(window_arn(ctx, "*"))
    if req.get("Targets"):
        if "ResourceType" not in req:
            raise Invalid(Kind.REQUEST, "Targets need ResourceType beside them.")
        concerning = _concerning(ctx, req)
        ids = concerning if ids is None else ids & concerning
    found = windows.page(ctx.tx, ctx.scope, WindowFilter(ids=ids, enabled=(True,)), after=None, limit=None)
    return {str(window.id): window for window in found}


def _starts(window: Window, begin: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    """What is stored comes first: a window whose next start is far is not reckoned with at all."""
    if window.next_start_at is None or window.next_start_at > end:
        return
    if window.next_start_at > begin:
        yield window.next_start_at, window.id
        begin = window.next_start_at
    for at in runs(window.timetable, begin):
        if at > end:
            return
        yield at, window.id


def _scheduled(window: Window, at: datetime) -> dict[str, Any]:
    return given(WindowId=window.id, Name=window.name, ExecutionTime=text_of(at, window.timetable.zone))


def _concerning(ctx: Context, req: Request) -> set[str]:
    """Ids of the windows that concern the nodes which the request's Targets mean."""
    if req["ResourceType"] != "INSTANCE":
        raise Invalid(Kind.REQUEST, "ResourceType RESOURCE_GROUP: resource groups are not served by this release.")
    wanted = targets_from(req["Targets"])
    if not wanted:
        raise Invalid(Kind.REQUEST, "Please specify at least one target.")
    named = {v for t in wanted if t.key is TargetKey.INSTANCE_IDS for v in t.values if v != "*"}
    found = {node.id for node in nodes.select_targets(ctx.tx, ctx.scope, wanted)}
    if len(found) > MAX_NODES:
        raise Invalid(Kind.REQUEST, f"Targets mean {len(found)} nodes; at most {MAX_NODES} can be asked for at once.")
    # A node that is registered no more may still be named by a window.
    node_ids = sorted(found | named if len(wanted) == 1 else found)
    tagged = tags.of_many(ctx.tx, ctx.scope, TaggedType.MANAGED_INSTANCE, node_ids)
    of_node = [(n, {t.key: t.value for t in tagged.get(n, ())}) for n in node_ids]
    targets = window_tasks.targets_of_scope(ctx.tx, ctx.scope)
    ids = {str(t.window_id) for t in targets if any(selects(t, n, own) for n, own in of_node)}
    direct = window_tasks.tasks_of_scope(ctx.tx, ctx.scope)
    return ids | {str(t.window_id) for t in direct if not set(t.node_ids).isdisjoint(node_ids)}


def _instant(key: str, values: Sequence[str]) -> datetime:
    if len(values) != 1:
        raise Invalid(Kind.FILTER, f"{key} takes one value.")
    text = values[0]
    return instant_from(text if text.endswith("Z") or "+" in text[10:] or "-" in text[10:] else f"{text}Z", key)
