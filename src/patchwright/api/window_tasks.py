"""Tasks of maintenance windows. Source: operations.md 4.5.

Who registers a task has commands sent later, to nodes that nobody knows yet. So the caller needs `ssm:SendCommand`
for the document and for every node: decisions/0033-window-runs.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.nested_access import require_nested
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
from patchwright.core.errors import Invalid, Kind, LimitExceeded
from patchwright.core.window_parameters import EXAMPLES, filled
from patchwright.core.window_tasks import WindowTask, check_association
from patchwright.core.windows import MAX_TASKS, Window
from patchwright.flows.find_document import locate, tags_of
from patchwright.flows.send_window_command import sendable
from patchwright.store import window_tasks

SEND = "ssm:SendCommand"
MEMBERS = {
    "Targets": "targets",
    "TaskArn": "task_arn",
    "ServiceRoleArn": "service_role_arn",
    "TaskParameters": "task_parameters",
    "TaskInvocationParameters": "invocation_parameters",
    "Priority": "priority",
    "MaxConcurrency": "max_concurrency",
    "MaxErrors": "max_errors",
    "LoggingInfo": "logging_info",
    "Name": "name",
    "Description": "description",
    "CutoffBehavior": "cutoff_behavior",
    "AlarmConfiguration": "alarm_configuration",
}
DEFAULTS: Mapping[str, Any] = {"Priority": 0, "Targets": []}


@registry.serves("RegisterTaskWithMaintenanceWindow")
def register_task(ctx: Context, req: Request) -> Answer:
    """The same ClientToken again answers the first one's id."""
    window = authorized_window(ctx, req)

    def make() -> dict[str, Any]:
        task = WindowTask(
            id=ctx.ids.uuid(),
            window_id=window.id,
            type=req["TaskType"],
            created_at=ctx.now,
            registered_by=ctx.principal.arn,
            **{"targets": [], **_values(req)},
        )
        if window_tasks.count_tasks(ctx.tx, window.id) >= MAX_TASKS:
            raise LimitExceeded(Kind.WINDOW_TASK, f"A maintenance window has at most {MAX_TASKS} tasks.")
        _check(ctx, window, task)
        window_tasks.insert_task(ctx.tx, task)
        return {"WindowTaskId": task.id}

    return made_once(ctx, req, make)


@registry.serves("UpdateMaintenanceWindowTask")
def update_task(ctx: Context, req: Request) -> Answer:
    """Merge what is given, members whole; with Replace, what is not given is taken away."""
    window, before = _authorized(ctx, req)
    values = _values(req)
    if req.get("Replace"):
        require_members(req, "TaskArn")
        values = {**{ours: DEFAULTS.get(member) for member, ours in MEMBERS.items()}, **values}
    # The deprecated members and the one that took their place exclude each other: the last word counts.
    if "TaskInvocationParameters" in req:
        values = {"task_parameters": None, "logging_info": None, **values}
    elif "TaskParameters" in req or "LoggingInfo" in req:
        values = {"invocation_parameters": None, **values}
    task = replace(before, **values, registered_by=ctx.principal.arn)
    _check(ctx, window, task)
    window_tasks.update_task(ctx.tx, task)
    shown = _shown(task)
    shown.pop("TaskType")
    return shown


@registry.serves("GetMaintenanceWindowTask", reads=True, short=True)
def get_task(ctx: Context, req: Request) -> Answer:
    return _shown(_authorized(ctx, req)[1])


@registry.serves("DeregisterTaskFromMaintenanceWindow")
def deregister_task(ctx: Context, req: Request) -> Answer:
    task = _authorized(ctx, req)[1]
    window_tasks.delete_task(ctx.tx, task.id)
    return {"WindowId": task.window_id, "WindowTaskId": task.id}


@registry.serves("DescribeMaintenanceWindowTasks", reads=True)
def describe_tasks(ctx: Context, req: Request) -> Answer:
    """In the order of their registration."""
    window = authorized_window(ctx, req)
    columns = {"WindowTaskId": "id", "TaskArn": "task_arn", "Priority": "priority", "TaskType": "type"}
    wanted: dict[str, list[Any]] = {columns[k]: v for k, v in filters_of(req, tuple(columns)).items()}
    if "priority" in wanted:
        wanted["priority"] = [_number(text) for text in wanted["priority"]]
    limit = req.get("MaxResults", MAX_PAGE)
    found = window_tasks.tasks(ctx.tx, window.id, wanted, after=place_of(ctx, req), limit=limit + 1)
    return {
        "Tasks": [_listed(task) for task in found[:limit]],
        "NextToken": next_place(ctx, req, found, limit, lambda task: task.created_at),
    }


def _check(ctx: Context, window: Window, task: WindowTask) -> None:
    """The task can be run as it stands, and its registrar may have it run. Raises Refused, NotFound or Invalid."""
    located = locate(ctx.scope, task.task_arn)
    ctx.require(located.arn, tags_of(ctx.tx, ctx.scope, located), action=SEND)
    ctx.require_all(ctx.arn("managed-instance/"), action=SEND)
    check_association(task, window_tasks.targets(ctx.tx, window.id), allow_unassociated=window.allow_unassociated)
    example: dict[str, Any] = filled(task.run_command, EXAMPLES)
    if example.get("NotificationConfig") and not (example.get("ServiceRoleArn") or task.service_role_arn):
        raise Invalid(Kind.WINDOW_TASK, "NotificationConfig needs ServiceRoleArn beside it.")
    found = sendable(ctx.tx, ctx.scope, task.task_arn, example)
    require_nested(ctx, found.document, example.get("Parameters", {}), action=SEND)


def _authorized(ctx: Context, req: Request) -> tuple[Window, WindowTask]:
    window = authorized_window(ctx, req)
    task_id = req["WindowTaskId"].lower()  # as it is stored: a policy must not be got round by its spelling
    ctx.require(ctx.arn(f"windowtask/{task_id}"))
    return window, window_tasks.get_task(ctx.tx, window.id, task_id)


def _values(req: Request) -> dict[str, Any]:
    return {ours: req[member] for member, ours in MEMBERS.items() if member in req}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Invalid(Kind.FILTER, f"'{text[:40]}' is not a value of Priority: a whole number.")
    return int(text)


def _shown(task: WindowTask) -> dict[str, Any]:
    return {
        "WindowId": task.window_id,
        "WindowTaskId": task.id,
        "TaskType": task.type,
        **given(**{member: getattr(task, ours) for member, ours in MEMBERS.items()}),
    }


def _listed(task: WindowTask) -> dict[str, Any]:
    shown = _shown(task)
    shown.pop("TaskInvocationParameters", None)
    kind = shown.pop("TaskType")
    return {**shown, "Type": kind}
