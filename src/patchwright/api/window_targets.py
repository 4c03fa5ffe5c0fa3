"""Targets of maintenance windows. Source: operations.md 4.4."""

from dataclasses import replace
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.api.window_access import (
    MAX_PAGE,
    authorized_window,
    filters_of,
    given,
    made_once,
    next_place,
    place_of,
    require_members,
)
from patchwright.core.errors import InUse, Kind, LimitExceeded
from patchwright.core.window_tasks import WindowTarget
from patchwright.core.windows import MAX_TARGETS
from patchwright.store import window_tasks

_OPTIONAL = {"OwnerInformation": "owner_information", "Name": "name", "Description": "description"}


@registry.serves("RegisterTargetWithMaintenanceWindow")
def register_target(ctx: Context, req: Request) -> Answer:
    """The same ClientToken again answers the first one's id."""
    window = authorized_window(ctx, req)

    def make() -> dict[str, Any]:
        target = WindowTarget(
            id=ctx.ids.uuid(),
            window_id=window.id,
            resource_type=req["ResourceType"],
            targets=list(req["Targets"]),
            created_at=ctx.now,
            **{ours: req.get(member) for member, ours in _OPTIONAL.items()},
        )
        if window_tasks.count_targets(ctx.tx, window.id) >= MAX_TARGETS:
            raise LimitExceeded(Kind.WINDOW_TARGET, f"A maintenance window has at most {MAX_TARGETS} targets.")
        window_tasks.insert_target(ctx.tx, target)
        return {"WindowTargetId": target.id}

    return made_once(ctx, req, make)


@registry.serves("UpdateMaintenanceWindowTarget")
def update_target(ctx: Context, req: Request) -> Answer:
    """Merge what is given; with Replace, what is not given is taken away."""
    before = _authorized(ctx, req)
    values = {ours: req[member] for member, ours in _OPTIONAL.items() if member in req}
    if req.get("Replace"):
        require_members(req, "Targets")
        values = {**dict.fromkeys(_OPTIONAL.values()), **values}
    if "Targets" in req:
        values["targets"] = list(req["Targets"])
    target = replace(before, **values)
    window_tasks.update_target(ctx.tx, target)
    shown = _shown(target)
    shown.pop("ResourceType")
    return shown


@registry.serves("DeregisterTargetFromMaintenanceWindow")
def deregister_target(ctx: Context, req: Request) -> Answer:
    """With Safe, not while a task names it; without, such a task runs on what else it names."""
    target = _authorized(ctx, req)
    if req.get("Safe"):
        users = [t for t in window_tasks.tasks(ctx.tx, target.window_id) if target.id in t.window_target_ids]
        if users:
            raise InUse(
                Kind.WINDOW_TARGET,
                f"Target {target.id} is used by task {users[0].id}. Update or deregister the task first.",
                id=target.id,
            )
    window_tasks.delete_target(ctx.tx, target.id)
    return {"WindowId": target.window_id, "WindowTargetId": target.id}


@registry.serves("DescribeMaintenanceWindowTargets", reads=True)
def describe_targets(ctx: Context, req: Request) -> Answer:
    """In the order of their registration."""
    window = authorized_window(ctx, req)
    columns = {"Type": "resource_type", "WindowTargetId": "id", "OwnerInformation": "owner_information"}
    wanted = {columns[key]: values for key, values in filters_of(req, tuple(columns)).items()}
    limit = req.get("MaxResults", MAX_PAGE)
    found = window_tasks.targets(ctx.tx, window.id, wanted, after=place_of(ctx, req), limit=limit + 1)
    return {
        "Targets": [_shown(target) for target in found[:limit]],
        "NextToken": next_place(ctx, req, found, limit, lambda target: target.created_at),
    }


def _authorized(ctx: Context, req: Request) -> WindowTarget:
    window = authorized_window(ctx, req)
    target_id = req["WindowTargetId"].lower()  # as it is stored: a policy must not be got round by its spelling
    ctx.require(ctx.arn(f"windowtarget/{target_id}"))
    return window_tasks.get_target(ctx.tx, window.id, target_id)


def _shown(target: WindowTarget) -> dict[str, Any]:
    return {
        "WindowId": target.window_id,
        "WindowTargetId": target.id,
        "ResourceType": target.resource_type,
        "Targets": target.targets,
        **given(**{member: getattr(target, ours) for member, ours in _OPTIONAL.items()}),
    }
