"""A due maintenance window -> an execution -> commands. Each step is one short transaction that may be the last.

A start is written down with all that it will do before anything of it is begun; its unique key (window, instant)
makes it run at most once, whoever else looks. A command and its invocation's link are one transaction.
Source: operations.md 4.3 no. 7, 4.6; decisions/0033-window-runs.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from patchwright.core.values import WindowId
from patchwright.core.window_history import TaskExecution, TaskInvocation, WindowExecution
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
STEPS = 50
"""Of an execution in one transaction: none holds the write lock for long."""


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
    """Bring an execution forward by at most STEPS steps and one command. Whether there may be more to do at once.

    One command a transaction: with its invocations on all nodes it is as much as a SendCommand.
    """
    run = _Run(tx, execution_id, now)
    run.note_ended()
    for _ in range(STEPS):
        step = next_step(run.state, now)
        match step:
            case None:
                return False
            case BeginTask(task_id):
                run.move_task(task_id, RunStatus.IN_PROGRESS)
            case StartInvocation(invocation_id):
                if _start(tx, run, invocation_id, ids, fast_start=fast_start):
                    return True
            case CancelInvocation(invocation_id, task_id):
                run.move_task(task_id, RunStatus.CANCELLING)
                run.move_invocation(invocation_id, RunStatus.CANCELLING)
                _cancel(tx, run, invocation_id)
                run.note_ended()
            case EndInvocation(invocation_id, status, details):
                run.move_invocation(invocation_id, status, details)
            case EndTask(task_id, status, details):
                run.move_task(task_id, status, details)
            case EndExecution(status, details):
                run.end(status, details)
                return False
    return True


def is_due(tx: Tx, execution_id: str, now: datetime) -> bool:
    """Whether `advance_execution` would do anything: most that are open wait for their commands."""
    if window_executions.command_statuses(tx, execution_id):
        return True
    return next_step(_Run(tx, execution_id, now).state, now) is not None


class _Run:
    """An execution as it is in this transaction, read once and carried forward with each step."""

    def __init__(self, tx: Tx, execution_id: str, now: datetime) -> None:
        self._tx = tx
        self.now = now
        self.execution = window_executions.get(tx, execution_id)
        self._invocations: dict[str, dict[str, InvocationState]] = {}
        self._task_of: dict[str, str] = {}
        for task_id, found in window_executions.states(tx, execution_id):
            self._invocations.setdefault(task_id, {})[found.id] = found
            self._task_of[found.id] = task_id
        tasks = {
            task.id: TaskState(
                id=task.id,
                status=task.status,
                priority=task.priority,
                cutoff_behavior=task.cutoff_behavior,
                invocations=tuple(self._invocations.get(task.id, {}).values()),
            )
            for task in window_executions.tasks(tx, execution_id)
        }
        self._tasks = tasks

    @property
    def state(self) -> ExecutionState:
        return ExecutionState(
            status=self.execution.status, cutoff_at=self.execution.cutoff_at, tasks=tuple(self._tasks.values())
        )

    def note_ended(self) -> None:
        """Invocations whose command is over are over with it."""
        for found, (status, details) in window_executions.command_statuses(self._tx, self.execution.id).items():
            ended = status_of_command(status)
            if ended is not None:
                self.move_invocation(found, ended, "" if details == "Success" else f"The command ended as {details}.")

    def move_task(self, task_id: str, status: RunStatus, details: str | None = None) -> None:
        window_executions.move_task(self._tx, task_id, status, self.now, details)
        self._tasks[task_id] = replace(self._tasks[task_id], status=status)

    def move_invocation(self, invocation_id: str, status: RunStatus, details: str | None = None) -> None:
        window_executions.move_invocation(self._tx, invocation_id, status, self.now, details)
        task_id = self._task_of[invocation_id]
        of_task = self._invocations[task_id]
        of_task[invocation_id] = InvocationState(id=invocation_id, status=status)
        self._tasks[task_id] = replace(self._tasks[task_id], invocations=tuple(of_task.values()))

    def end(self, status: RunStatus, details: str) -> None:
        said = f"{self.execution.details} {details}".strip()
        window_executions.move(self._tx, self.execution.id, status, self.now, said)

    def records(self, invocation_id: str) -> tuple[TaskExecution, TaskInvocation]:
        """An invocation with its task, as they are stored."""
        task = window_executions.get_task(self._tx, self.execution.id, self._task_of[invocation_id])
        return task, window_executions.get_invocation(self._tx, task.id, invocation_id)


def cancel_execution(tx: Tx, execution: WindowExecution, now: datetime) -> None:
    """What has not begun is cancelled at once, tasks that run go on; an execution that is over stays as it is."""
    if execution.status.open:
        window_executions.move(tx, execution.id, RunStatus.CANCELLING, now, "Cancelled by an operator.")
        tx.wake("windows")


def _start(tx: Tx, run: _Run, invocation_id: str, ids: Ids, *, fast_start: bool) -> bool:
    """Whether a command was sent."""
    task, invocation = run.records(invocation_id)
    sent = send_window_command(
        tx,
        run.execution,
        task,
        invocation,
        task_of(task.task, run.execution.started_at),
        now=run.now,
        ids=ids,
        fast_start=fast_start,
    )
    window_executions.link(tx, invocation_id, sent.command_id, sent.parameters)
    run.move_invocation(invocation_id, RunStatus.IN_PROGRESS)
    if sent.ended is not None:
        run.move_invocation(invocation_id, sent.ended, sent.details)
    return sent.command_id is not None


def _cancel(tx: Tx, run: _Run, invocation_id: str) -> None:
    command_id = run.records(invocation_id)[1].command_id
    if command_id is not None:
        command = commands.get(tx, command_id)
        cancel_command(tx, command, cancellable(tx, command, ()), whole=True, now=run.now)
