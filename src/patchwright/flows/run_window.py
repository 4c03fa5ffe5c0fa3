"""A due maintenance window -> an execution -> commands. Each step is one short transaction that may be the last.

A start is written down with all that it will do before anything of it is begun; its unique key (window, instant)
makes it run at most once, whoever else looks. A command and its invocation's link are one transaction.
Source: operations.md 4.3 no. 7, 4.6; decisions/0030-window-runs.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from patchwright.core.values import WindowId
from patchwright.core.window_history import MAX_DETAILS, TaskExecution, TaskInvocation, WindowExecution
from patchwright.core.window_runs import (
    BeginTask,
    CancelInvocation,
    EndExecution,
    EndInvocation,
    EndTask,
    ExecutionState,
    InvocationState,
    RunStatus,
    StartInvocation,
    TaskState,
    next_step,
    status_of_command,
)
from patchwright.core.window_tasks import WindowTask, planned_invocations
from patchwright.core.windows import REMEMBERED, Start, Window, judge_start
from patchwright.flows.cancel_command import cancel_command, cancellable
from patchwright.flows.ports import Ids
from patchwright.flows.send_window_command import send_window_command
from patchwright.store import commands, window_executions, window_tasks, windows
from patchwright.store.engine import Tx

STARTS = 20
"""Due starts of one window in one transaction: after a long time without a server there can be many."""


def start_due(tx: Tx, window_id: WindowId, now: datetime, *, ids: Ids, catch_up: bool) -> None:
    """Make something of the window's starts that are due: an execution that runs, or one that says why it does not."""
    window = windows.find(tx, window_id)
    if window is None or not window.enabled:
        return
    due, began = window.next_start_at, False
    if due is not None and due < now - REMEMBERED:
        due = window.start_after(now - REMEMBERED)
    for _ in range(STARTS):
        if due is None or due > now:
            break
        if not window_executions.exists(tx, window.id, due):
            running = began or window_executions.is_running(tx, window.id)
            start = judge_start(window, due, now, running=running, catch_up=catch_up)
            began |= _write_down(tx, window, due, start, now, ids).ended_at is None
        due = window.start_after(due)
    windows.set_next_start(tx, window.id, due)


def _write_down(tx: Tx, window: Window, due: datetime, start: Start, now: datetime, ids: Ids) -> WindowExecution:
    status = RunStatus(start.status)
    execution = WindowExecution(
        id=ids.uuid(),
        scope=window.scope,
        window_id=window.id,
        due_at=due,
        cutoff_at=window.cutoff_of(due),
        status=status,
        details=start.details,
        started_at=now if status.open else due,
        ended_at=None if status.open else now,
    )
    tasks, invocations = _planned(tx, window, execution.id, now, ids) if status.open else ([], [])
    window_executions.insert(tx, execution, tasks, invocations)
    return execution


def _planned(
    tx: Tx, window: Window, execution_id: str, now: datetime, ids: Ids
) -> tuple[list[TaskExecution], list[TaskInvocation]]:
    """All that the execution will do, as targets and tasks are registered now. Nodes are looked up when it is done."""
    targets = window_tasks.targets(tx, window.id)
    tasks, invocations = [], list[TaskInvocation]()
    for ordinal, task in enumerate(sorted(window_tasks.tasks(tx, window.id), key=lambda task: task.priority)):
        made = TaskExecution(
            id=ids.uuid(),
            execution_id=execution_id,
            task_id=task.id,
            ordinal=ordinal,
            priority=task.priority,
            cutoff_behavior=task.cutoff_behavior,
            task=_record(task),
            status=RunStatus.PENDING,
        )
        tasks.append(made)
        planned = planned_invocations(task, targets, allow_unassociated=window.allow_unassociated)
        invocations += [
            TaskInvocation(
                id=ids.uuid(),
                task_execution_id=made.id,
                ordinal=n,
                targets=p.targets,
                status=RunStatus.FAILED if p.refused else RunStatus.PENDING,
                window_target_id=p.window_target_id,
                owner_information=p.owner_information,
                details=p.refused,
                ended_at=now if p.refused else None,
            )
            for n, p in enumerate(planned)
        ]
    return tasks, invocations


def _record(task: WindowTask) -> dict[str, Any]:
    return {k: v for k, v in asdict(task).items() if k != "created_at"}


def task_of(record: Mapping[str, Any], at: datetime) -> WindowTask:
    """The task as it was when its execution began at `at`."""
    return WindowTask(**record, created_at=at)


def advance_execution(tx: Tx, execution_id: str, now: datetime, *, ids: Ids, fast_start: bool) -> bool:
    """Bring an execution forward: all that is to be noted, then at most one command. Whether there may be more at once.

    One command a transaction: with its invocations on all nodes it is as much as a SendCommand.
    """
    execution = window_executions.get(tx, execution_id)
    _note_ended(tx, execution_id, now)
    while (step := next_step(_state(tx, execution), now)) is not None:
        match step:
            case BeginTask(task_id):
                window_executions.move_task(tx, task_id, RunStatus.IN_PROGRESS, now)
            case StartInvocation(invocation_id):
                _start(tx, execution, invocation_id, now, ids, fast_start=fast_start)
                return True
            case CancelInvocation(invocation_id, task_id):
                window_executions.move_task(tx, task_id, RunStatus.CANCELLING, now)
                window_executions.move_invocation(tx, invocation_id, RunStatus.CANCELLING, now)
                _cancel(tx, execution_id, invocation_id, now)
                _note_ended(tx, execution_id, now)
            case EndInvocation(invocation_id, status, details):
                window_executions.move_invocation(tx, invocation_id, status, now, details)
            case EndTask(task_id, status, details):
                window_executions.move_task(tx, task_id, status, now, details)
            case EndExecution(status, details):
                said = f"{execution.details} {details}".strip()
                window_executions.move(tx, execution_id, status, now, said)
                execution = window_executions.get(tx, execution_id)
    return False


def cancel_execution(tx: Tx, execution: WindowExecution, now: datetime) -> None:
    """What has not begun is cancelled at once, tasks that run go on; an execution that is over stays as it is."""
    if execution.status.open:
        window_executions.move(tx, execution.id, RunStatus.CANCELLING, now, "Cancelled by an operator.")
        tx.wake("windows")


def _note_ended(tx: Tx, execution_id: str, now: datetime) -> None:
    """Invocations whose command is over are over with it."""
    for invocation_id, (status, details) in window_executions.command_statuses(tx, execution_id).items():
        ended = status_of_command(status)
        if ended is not None:
            said = "" if details == "Success" else f"The command ended as {details}."
            window_executions.move_invocation(tx, invocation_id, ended, now, said)


def _state(tx: Tx, execution: WindowExecution) -> ExecutionState:
    of_task: dict[str, list[InvocationState]] = {}
    for found in window_executions.invocations_of_execution(tx, execution.id):
        of_task.setdefault(found.task_execution_id, []).append(InvocationState(id=found.id, status=found.status))
    tasks = [
        TaskState(
            id=task.id,
            status=task.status,
            priority=task.priority,
            cutoff_behavior=task.cutoff_behavior,
            invocations=of_task.get(task.id, ()),
        )
        for task in window_executions.tasks(tx, execution.id)
    ]
    return ExecutionState(status=execution.status, cutoff_at=execution.cutoff_at, tasks=tasks)


def _start(
    tx: Tx, execution: WindowExecution, invocation_id: str, now: datetime, ids: Ids, *, fast_start: bool
) -> None:
    found = _invocation(tx, execution.id, invocation_id)
    task = window_executions.get_task(tx, execution.id, found.task_execution_id)
    sent = send_window_command(
        tx,
        execution,
        task,
        found,
        task_of(task.task, execution.started_at),
        now=now,
        ids=ids,
        fast_start=fast_start,
    )
    window_executions.link(tx, found.id, sent.command_id, sent.parameters)
    window_executions.move_invocation(tx, found.id, RunStatus.IN_PROGRESS, now)
    if sent.ended is not None:
        window_executions.move_invocation(tx, found.id, sent.ended, now, sent.details[:MAX_DETAILS])


def _cancel(tx: Tx, execution_id: str, invocation_id: str, now: datetime) -> None:
    command_id = _invocation(tx, execution_id, invocation_id).command_id
    if command_id is not None:
        command = commands.get(tx, command_id)
        cancel_command(tx, command, cancellable(tx, command, ()), whole=True, now=now)


def _invocation(tx: Tx, execution_id: str, invocation_id: str) -> TaskInvocation:
    found: Sequence[TaskInvocation] = window_executions.invocations_of_execution(tx, execution_id)
    return next(i for i in found if i.id == invocation_id)
