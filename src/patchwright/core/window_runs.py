"""A window's execution: which step comes next, given where its tasks and their commands are.

A step at a time, from what is stored: whoever is killed between two steps goes on with the same one.
Source: operations.md 4.6.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CANCEL_TASK = "CANCEL_TASK"


class RunStatus(StrEnum):
    """Of an execution, a task in it, and an invocation of that."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SKIPPED_OVERLAPPING = "SKIPPED_OVERLAPPING"

    @property
    def open(self) -> bool:
        return self in _OPEN


_OPEN = frozenset({RunStatus.PENDING, RunStatus.IN_PROGRESS, RunStatus.CANCELLING})
_WORST_FIRST = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED)
_OF_COMMAND = {
    "Success": RunStatus.SUCCESS,
    "Failed": RunStatus.FAILED,
    "TimedOut": RunStatus.TIMED_OUT,
    "Cancelled": RunStatus.CANCELLED,
}
NO_TASKS = "No tasks to execute."
NO_TARGETS = "No targets: none of the task's window targets is registered any more."
NOT_BEFORE_CUTOFF = "Not started before the window's cutoff time."
ENDED_BY_CUTOFF = "Not completed at the window's cutoff time."
NOT_STARTED_CANCELLED = "The execution was cancelled before this started."


def status_of_command(status: str) -> RunStatus | None:
    """What a command's status makes of its invocation of a task; None while the command is open."""
    return _OF_COMMAND.get(status)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationState:
    id: str
    status: RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task of an execution with its invocations, in the order in which they run."""

    id: str
    status: RunStatus
    priority: int
    cutoff_behavior: str | None
    invocations: Sequence[InvocationState]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionState:
    """An execution with its tasks, by priority."""

    status: RunStatus
    cutoff_at: datetime
    tasks: Sequence[TaskState]


@dataclass(frozen=True, slots=True)
class BeginTask:
    task_id: str


@dataclass(frozen=True, slots=True)
class StartInvocation:
    """Send its command."""

    invocation_id: str


@dataclass(frozen=True, slots=True)
class CancelInvocation:
    """Cancel its command; it ends when the command does. `task_id`: its task is being cancelled with it."""

    invocation_id: str
    task_id: str


@dataclass(frozen=True, slots=True)
class EndInvocation:
    invocation_id: str
    status: RunStatus
    details: str


@dataclass(frozen=True, slots=True)
class EndTask:
    task_id: str
    status: RunStatus
    details: str = ""


@dataclass(frozen=True, slots=True)
class EndExecution:
    status: RunStatus
    details: str = ""


Step = BeginTask | StartInvocation | CancelInvocation | EndInvocation | EndTask | EndExecution


def next_step(execution: ExecutionState, now: datetime) -> Step | None:
    """The next thing to do at `now`; None: wait for a command, or for the cutoff time."""
    if not execution.status.open:
        return None
    for task in execution.tasks:
        step = _of_task(execution, task, now) if task.status.open else None
        if step is not None:
            return step
    if any(task.status.open for task in execution.tasks):
        return None
    if not execution.tasks:
        return EndExecution(RunStatus.SUCCESS, NO_TASKS)
    if execution.status is RunStatus.CANCELLING:
        return EndExecution(RunStatus.CANCELLED)
    return EndExecution(_worst(task.status for task in execution.tasks))


def _of_task(execution: ExecutionState, task: TaskState, now: datetime) -> Step | None:
    past_cutoff = now >= execution.cutoff_at
    if task.status is RunStatus.PENDING:
        if execution.status is RunStatus.CANCELLING:
            return _ended_unstarted(task, RunStatus.CANCELLED, NOT_STARTED_CANCELLED)
        if past_cutoff:
            return _ended_unstarted(task, RunStatus.TIMED_OUT, NOT_BEFORE_CUTOFF)
        # The next priority begins when all of the one before is over, whatever came of it.
        before = any(t.status.open and t.priority < task.priority for t in execution.tasks)
        return None if before else BeginTask(task.id)
    if past_cutoff and task.cutoff_behavior == CANCEL_TASK:
        for invocation in task.invocations:
            if invocation.status is RunStatus.PENDING:
                return EndInvocation(invocation.id, RunStatus.TIMED_OUT, NOT_BEFORE_CUTOFF)
            if invocation.status is RunStatus.IN_PROGRESS:
                return CancelInvocation(invocation.id, task.id)
    return _going_on(task)


def _going_on(task: TaskState) -> Step | None:
    """One invocation after the other; then the task is over."""
    for invocation in task.invocations:
        if invocation.status is RunStatus.PENDING:
            return StartInvocation(invocation.id)
        if invocation.status.open:
            return None
    if not task.invocations:
        return EndTask(task.id, RunStatus.SUCCESS, NO_TARGETS)
    status = _worst(invocation.status for invocation in task.invocations)
    if task.status is RunStatus.CANCELLING and status is RunStatus.CANCELLED:
        return EndTask(task.id, RunStatus.TIMED_OUT, ENDED_BY_CUTOFF)
    return EndTask(task.id, status)


def _ended_unstarted(task: TaskState, status: RunStatus, details: str) -> Step:
    for invocation in task.invocations:
        if invocation.status.open:
            return EndInvocation(invocation.id, status, details)
    return EndTask(task.id, status, details)


def _worst(statuses: Iterable[RunStatus]) -> RunStatus:
    found = set(statuses)
    return next((status for status in _WORST_FIRST if status in found), RunStatus.SUCCESS)
