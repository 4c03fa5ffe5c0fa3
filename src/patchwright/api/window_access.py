"""What the operations on maintenance windows have in common: which window, by whom, client tokens, filters, pages."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from patchwright.api.context import Context, Request
from patchwright.core.errors import Invalid, Kind
from patchwright.core.tags import TaggedType
from patchwright.core.windows import Window
from patchwright.store import tags, windows
from patchwright.store.client_tokens import once
from patchwright.store.columns import to_micros

MAX_PAGE = 50


def window_arn(ctx: Context, window_id: str) -> str:
    return ctx.arn(f"maintenancewindow/{window_id}")


def require_window(ctx: Context, window_id: str) -> None:
    """The caller may do this operation on the window; whether it exists is not told to others."""
    own = tags.of(ctx.tx, ctx.scope, TaggedType.MAINTENANCE_WINDOW, window_id)
    ctx.require(window_arn(ctx, window_id), {tag.key: tag.value for tag in own})


def authorized_window(ctx: Context, req: Request) -> Window:
    """The window that the request names. Raises Refused or NotFound."""
    require_window(ctx, req["WindowId"])
    return windows.get(ctx.tx, ctx.scope, req["WindowId"])


def made_once(ctx: Context, req: Request, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` answers; the first answer again for the same ClientToken and request."""
    request = {member: value for member, value in req.items() if member != "ClientToken"}
    return once(ctx.tx, ctx.scope, ctx.operation, req.get("ClientToken"), request, ctx.now, make)


def require_members(req: Request, *members: str) -> None:
    """With Replace, what Create needs is needed again. Raises Invalid with the words of a constraint."""
    absent = [f"{m[:1].lower()}{m[1:]}" for m in members if m not in req]
    if absent:
        count = f"{len(absent)} validation error{'s' if len(absent) > 1 else ''} detected: "
        wrong = (f"Value null at '{m}' failed to satisfy constraint: Member must not be null" for m in absent)
        raise Invalid(Kind.REQUEST, count + "; ".join(wrong))


def filters_of(req: Request, allowed: Sequence[str]) -> Mapping[str, list[str]]:
    """[{Key, Values}] -> key -> values, OR-ed. Raises Invalid for a key that is not allowed or comes without values."""
    found: dict[str, list[str]] = {}
    for entry in req.get("Filters", ()):
        key, values = entry.get("Key", ""), entry.get("Values", ())
        if key not in allowed:
            raise Invalid(Kind.FILTER, f"The filter key {key[:128]!a} is not valid; valid are {', '.join(allowed)}.")
        if not values:
            raise Invalid(Kind.FILTER, f"The filter {key} needs at least one value.")
        if key in found:
            raise Invalid(Kind.FILTER, f"The filter {key} is given twice.")
        found[key] = list(values)
    return found


def place_of(ctx: Context, req: Request) -> tuple[int, str] | None:
    """The (instant in microseconds, id) where a page begins."""
    place = ctx.cursor(req)
    return (place[0], place[1]) if place else None


def next_place(
    ctx: Context, req: Request, found: Sequence[Any], limit: int, at: Callable[[Any], datetime]
) -> str | None:
    """NextToken, if more than `limit` were found."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return ctx.page(req, [to_micros(at(last)), last.id])


def given(**members: Any) -> dict[str, Any]:
    """Members of an answer that have a value: what was never given stays away."""
    return {name: value for name, value in members.items() if value is not None}
