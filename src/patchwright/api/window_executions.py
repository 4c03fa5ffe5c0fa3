"""Executions of maintenance windows: what ran, what runs, and cancelling it. Source: operations.md 4.6."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.api.window_access import MAX_PAGE, filters_of, given, next_place, place_of, require_window
from patchwright.core.errors import Invalid, Kind, NotFound
from patchwright.core.window_history import TaskExecution, TaskInvocation, WindowExecution
from patchwright.core.window_runs import RunStatus
from patchwright.core.window_tasks import WindowTask
from patchwright.flows.run_window import cancel_execution, task_of
from patchwright.store import window_executions
from patchwright.store.window_executions import ExecutionFilter


@registry.serves("DescribeMaintenanceWindowExecutions", reads=True)
def describe_executions(ctx: Context, req: Request) -> Answer:
    """The newest first; those of a deleted window too, for as long as history is kept."""
    require_window(ctx, req["WindowId"])
    filters = filters_of(req, ("ExecutedBefore", "ExecutedAfter"))
    bounds = {key: _instant(key, values) for key, values in filters.items()}
    wanted = ExecutionFilter(after=bounds.get("ExecutedAfter"), before=bounds.get("ExecutedBefore"))
    limit = req.get("MaxResults", MAX_PAGE)
    found = window_executions.page(
        ctx.tx, ctx.scope, req["WindowId"], wanted, before=place_of(ctx, req), limit=limit + 1
    )
    return {
        "WindowExecutions": [{"WindowId": e.window_id, **_execution(e)} for e in found[:limit]],
        "NextToken": next_place(ctx, req, found, limit, lambda execution: execution.due_at),
    }


@registry.serves("GetMaintenanceWindowExecution", reads=True)
def get_execution(ctx: Context, req: Request) -> Answer:
    execution = _authorized(ctx, req)
    return {**_execution(execution), "TaskIds": [t.id for t in window_executions.tasks(ctx.tx, execution.id)]}


@registry.serves("CancelMaintenanceWindowExecution")
def cancel(ctx: Context, req: Request) -> Answer:
    """Tasks that have not begun are cancelled, those that run go on. One that is over stays as it is."""
    execution = _authorized(ctx, req)
    cancel_execution(ctx.tx, execution, ctx.now)
    return {"WindowExecutionId": execution.id}


@registry.serves("DescribeMaintenanceWindowExecutionTasks", reads=True)
def describe_tasks(ctx: Context, req: Request) -> Answer:
    """By priority."""
    execution = _authorized(ctx, req)
    limit, after = req.get("MaxResults", MAX_PAGE), ctx.cursor(req)
    found = window_executions.tasks(
        ctx.tx, execution.id, statuses=_statuses(req), after=-1 if after is None else after, limit=limit + 1
    )
    return {
        "WindowExecutionTaskIdentities": [_task_identity(execution, task) for task in found[:limit]],
        "NextToken": _more(ctx, req, found, limit),
    }


@registry.serves("GetMaintenanceWindowExecutionTask", reads=True)
def get_task(ctx: Context, req: Request) -> Answer:
    """TaskParameters is a list of maps here, and the type is `Type`."""
    execution = _authorized(ctx, req)
    task_execution = _task(ctx, execution, req)
    shown = _task_identity(execution, task_execution)
    task = task_of(task_execution.task, execution.started_at)
    kind = shown.pop("TaskType")
    return {
        **shown,
        "Type": kind,
        "TaskParameters": [
            {name: {"Values": list(values)}} for name, values in task.run_command.get("Parameters", {}).items()
        ],
        "Priority": task.priority,
        **given(ServiceRole=task.service_role_arn, MaxConcurrency=task.max_concurrency, MaxErrors=task.max_errors),
    }


@registry.serves("DescribeMaintenanceWindowExecutionTaskInvocations", reads=True)
def describe_invocations(ctx: Context, req: Request) -> Answer:
    """In the order in which they run."""
    execution = _authorized(ctx, req)
    task = _task(ctx, execution, req)
    limit, after = req.get("MaxResults", MAX_PAGE), ctx.cursor(req)
    found = window_executions.invocations(
        ctx.tx, task.id, statuses=_statuses(req), after=-1 if after is None else after, limit=limit + 1
    )
    return {
        "WindowExecutionTaskInvocationIdentities": [_invocation(execution, task, i) for i in found[:limit]],
        "NextToken": _more(ctx, req, found, limit),
    }


@registry.serves("GetMaintenanceWindowExecutionTaskInvocation", reads=True)
def get_invocation(ctx: Context, req: Request) -> Answer:
    execution = _authorized(ctx, req)
    task = _task(ctx, execution, req)
    return _invocation(execution, task, window_executions.get_invocation(ctx.tx, task.id, req["InvocationId"]))


def _authorized(ctx: Context, req: Request) -> WindowExecution:
    """Whether an execution exists is told only to those who may ask for that of every window."""
    try:
        execution = window_executions.get(ctx.tx, req["WindowExecutionId"], scope=ctx.scope)
    except NotFound:
        ctx.require("*")
        raise
    require_window(ctx, execution.window_id)
    return execution


def _task(ctx: Context, execution: WindowExecution, req: Request) -> TaskExecution:
    return window_executions.get_task(ctx.tx, execution.id, req["TaskId"])


def _statuses(req: Request) -> list[str] | None:
    wanted = filters_of(req, ("STATUS",)).get("STATUS")
    for value in wanted or ():
        if value not in RunStatus.__members__:
            raise Invalid(Kind.FILTER, f"'{value[:40]}' is not a value of STATUS: {', '.join(RunStatus)}.")
    return wanted


def _more(ctx: Context, req: Request, found: Sequence[TaskExecution | TaskInvocation], limit: int) -> str | None:
    return ctx.page(req, found[limit - 1].ordinal) if len(found) > limit else None


def _instant(key: str, values: Sequence[str]) -> datetime:
    try:
        if len(values) == 1:
            parsed = datetime.fromisoformat(values[0])
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass  # said below, with what would be right
    raise Invalid(Kind.FILTER, f"{key} takes one ISO 8601 time, such as 2030-01-02T03:04:05Z.")


def _times(of: WindowExecution | TaskExecution | TaskInvocation) -> dict[str, Any]:
    return {
        "Status": str(of.status),
        **given(StatusDetails=of.details or None, StartTime=of.started_at, EndTime=of.ended_at),
    }


def _execution(execution: WindowExecution) -> dict[str, Any]:
    return {"WindowExecutionId": execution.id, **_times(execution)}


def _task_identity(execution: WindowExecution, task: TaskExecution) -> dict[str, Any]:
    known: WindowTask = task_of(task.task, execution.started_at)
    return {
        "WindowExecutionId": execution.id,
        "TaskExecutionId": task.id,
        "TaskArn": known.task_arn,
        "TaskType": known.type,
        **_times(task),
        **given(AlarmConfiguration=known.alarm_configuration),
    }


def _invocation(execution: WindowExecution, task: TaskExecution, invocation: TaskInvocation) -> dict[str, Any]:
    return {
        "WindowExecutionId": execution.id,
        "TaskExecutionId": task.id,
        "InvocationId": invocation.id,
        "TaskType": task.task["type"],
        **_times(invocation),
        **given(
            ExecutionId=invocation.command_id,
            Parameters=invocation.parameters or None,
            OwnerInformation=invocation.owner_information,
            WindowTargetId=invocation.window_target_id,
        ),
    }
