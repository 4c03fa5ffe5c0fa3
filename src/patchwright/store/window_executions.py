"""Executions of maintenance windows, their tasks and invocations."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, select, tuple_

from patchwright.core.errors import Kind, NotFound
from patchwright.core.values import Scope, WindowId
from patchwright.core.window_history import MAX_DETAILS, TaskExecution, TaskInvocation, WindowExecution
from patchwright.core.window_runs import InvocationState, RunStatus
from patchwright.store.columns import place
from patchwright.store.engine import Tx
from patchwright.store.tables import command, window_invocation, window_task_execution
from patchwright.store.tables import window_execution as t


def insert(
    tx: Tx, execution: WindowExecution, tasks: Sequence[TaskExecution], invocations: Sequence[TaskInvocation]
) -> None:
    """All of it at once: what is to be done is known before anything is begun."""
    values = asdict(execution)
    tx.execute(t.insert().values(**values.pop("scope"), **values))
    if tasks:
        tx.execute(window_task_execution.insert(), [asdict(task) for task in tasks])
    if invocations:
        tx.execute(window_invocation.insert(), [asdict(invocation) for invocation in invocations])


def exists(tx: Tx, window_id: WindowId, due_at: datetime) -> bool:
    """Whether something was made of this start already."""
    return tx.execute(select(t.c.id).where(t.c.window_id == window_id, t.c.due_at == due_at)).first() is not None


def is_running(tx: Tx, window_id: WindowId) -> bool:
    return tx.execute(select(t.c.id).where(t.c.window_id == window_id, t.c.ended_at.is_(None))).first() is not None


def open_ones(tx: Tx) -> list[str]:
    """Ids of executions of all scopes that are not over."""
    return list(tx.execute(select(t.c.id).where(t.c.ended_at.is_(None)).order_by(t.c.started_at, t.c.id)).scalars())


def get(tx: Tx, execution_id: str, *, scope: Scope | None = None) -> WindowExecution:
    """Raises NotFound."""
    statement = select(t).where(t.c.id == execution_id.lower())
    if scope is not None:
        statement = statement.where(t.c.account == scope.account, t.c.region == scope.region)
    row = tx.execute(statement).mappings().first()
    if row is None:
        said = f"Maintenance window execution {execution_id} does not exist"
        raise NotFound(Kind.WINDOW_EXECUTION, said, id=execution_id)
    return _execution(row)


def get_task(tx: Tx, execution_id: str, task_execution_id: str) -> TaskExecution:
    """Raises NotFound."""
    c = window_task_execution.c
    row = tx.execute(
        select(window_task_execution).where(c.id == task_execution_id.lower(), c.execution_id == execution_id)
    )
    found = row.mappings().first()
    if found is None:
        said = f"Task execution {task_execution_id} does not exist in maintenance window execution {execution_id}"
        raise NotFound(Kind.WINDOW_EXECUTION, said, id=task_execution_id)
    return _task(found)


def get_invocation(tx: Tx, task_execution_id: str, invocation_id: str) -> TaskInvocation:
    """Raises NotFound."""
    c = window_invocation.c
    row = tx.execute(
        select(window_invocation).where(c.id == invocation_id.lower(), c.task_execution_id == task_execution_id)
    )
    found = row.mappings().first()
    if found is None:
        said = f"Invocation {invocation_id} does not exist in task execution {task_execution_id}"
        raise NotFound(Kind.WINDOW_EXECUTION, said, id=invocation_id)
    return _invocation(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """None: does not matter."""

    after: datetime | None = None
    before: datetime | None = None


def page(
    tx: Tx,
    scope: Scope,
    window_id: str,
    wanted: ExecutionFilter,
    *,
    before: tuple[int, str] | None = None,
    limit: int | None = None,
) -> list[WindowExecution]:
    """The newest first, those behind the (due_at in microseconds, id) `before`."""
    statement = select(t).where(t.c.account == scope.account, t.c.region == scope.region, t.c.window_id == window_id)
    if wanted.after is not None:
        statement = statement.where(t.c.started_at > wanted.after)
    if wanted.before is not None:
        statement = statement.where(t.c.started_at < wanted.before)
    if before is not None:
        statement = statement.where(tuple_(t.c.due_at, t.c.id) < place(*before))
    statement = statement.order_by(t.c.due_at.desc(), t.c.id.desc()).limit(limit)
    return [_execution(r) for r in tx.execute(statement).mappings()]


Statuses = Collection[str] | None


def tasks(
    tx: Tx, execution_id: str, *, statuses: Statuses = None, after: int = -1, limit: int | None = None
) -> list[TaskExecution]:
    """By priority, those behind the ordinal `after`."""
    c = window_task_execution.c
    statement = select(window_task_execution).where(c.execution_id == execution_id, c.ordinal > after)
    if statuses is not None:
        statement = statement.where(c.status.in_(list(statuses)))
    return [_task(r) for r in tx.execute(statement.order_by(c.ordinal).limit(limit)).mappings()]


def invocations(
    tx: Tx, task_execution_id: str, *, statuses: Statuses = None, after: int = -1, limit: int | None = None
) -> list[TaskInvocation]:
    """In the order in which they run, those behind the ordinal `after`."""
    c = window_invocation.c
    statement = select(window_invocation).where(c.task_execution_id == task_execution_id, c.ordinal > after)
    if statuses is not None:
        statement = statement.where(c.status.in_(list(statuses)))
    return [_invocation(r) for r in tx.execute(statement.order_by(c.ordinal).limit(limit)).mappings()]


def states(tx: Tx, execution_id: str) -> list[tuple[str, InvocationState]]:
    """(task execution, invocation) of the whole execution, invocations in the order in which they run."""
    task, c = window_task_execution.c, window_invocation.c
    statement = (
        select(c.task_execution_id, c.id, c.status)
        .join_from(window_invocation, window_task_execution, task.id == c.task_execution_id)
        .where(task.execution_id == execution_id)
        .order_by(task.ordinal, c.ordinal)
    )
    found = tx.execute(statement)
    return [(r.task_execution_id, InvocationState(id=r.id, status=RunStatus(r.status))) for r in found]


def command_statuses(tx: Tx, execution_id: str) -> dict[str, tuple[str, str]]:
    """Open invocation -> (status, status details) of its command, for those whose command is over."""
    task, c = window_task_execution.c, window_invocation.c
    statement = (
        select(c.id, command.c.status, command.c.status_details)
        .join_from(window_invocation, window_task_execution, task.id == c.task_execution_id)
        .join(command, command.c.id == c.command_id)
        .where(task.execution_id == execution_id, c.ended_at.is_(None), command.c.open.is_(False))
    )
    return {row.id: (row.status, row.status_details) for row in tx.execute(statement)}


def move(tx: Tx, execution_id: str, status: RunStatus, now: datetime, details: str | None = None) -> None:
    """Of an execution; over with a status that is not open. `details` None: as they are."""
    _move(tx, t, execution_id, status, now, details)


def move_task(tx: Tx, task_execution_id: str, status: RunStatus, now: datetime, details: str | None = None) -> None:
    """The same of a task, which begins with IN_PROGRESS."""
    _move(tx, window_task_execution, task_execution_id, status, now, details, begins=True)


def move_invocation(tx: Tx, invocation_id: str, status: RunStatus, now: datetime, details: str | None = None) -> None:
    """The same of an invocation."""
    _move(tx, window_invocation, invocation_id, status, now, details, begins=True)


def link(tx: Tx, invocation_id: str, command_id: str | None, parameters: str) -> None:
    """Which command an invocation has sent, and with what."""
    c = window_invocation.c
    tx.execute(
        window_invocation.update().where(c.id == invocation_id).values(command_id=command_id, parameters=parameters)
    )


def next_cutoff(tx: Tx, now: datetime) -> datetime | None:
    """The first cutoff time to come of an execution that is not over."""
    found: datetime | None = tx.execute(
        select(func.min(t.c.cutoff_at)).where(t.c.ended_at.is_(None), t.c.cutoff_at > now)
    ).scalar_one()
    return found


def forget(tx: Tx, before: datetime, *, limit: int) -> int:
    """Drop executions that were over before then, with all that belongs to them; how many they were."""
    ids = list(tx.execute(select(t.c.id).where(t.c.ended_at < before).order_by(t.c.ended_at).limit(limit)).scalars())
    if not ids:
        return 0
    task = window_task_execution.c
    of_execution = select(task.id).where(task.execution_id.in_(ids))
    tx.execute(window_invocation.delete().where(window_invocation.c.task_execution_id.in_(of_execution)))
    tx.execute(window_task_execution.delete().where(task.execution_id.in_(ids)))
    return tx.execute(t.delete().where(t.c.id.in_(ids))).rowcount


def _move(
    tx: Tx, table: Table, row_id: str, status: RunStatus, now: datetime, details: str | None, *, begins: bool = False
) -> None:
    values: dict[str, Any] = {"status": str(status)}
    if details is not None:
        values["details"] = details[:MAX_DETAILS]
    if begins and status is RunStatus.IN_PROGRESS:
        values["started_at"] = now
    if not status.open:
        values["ended_at"] = now
    tx.execute(table.update().where(table.c.id == row_id).values(**values))


def _execution(row: Any) -> WindowExecution:
    values = dict(row)
    scope = Scope(account=values.pop("account"), region=values.pop("region"))
    return WindowExecution(scope=scope, **{**values, "status": RunStatus(values["status"])})


def _task(row: Any) -> TaskExecution:
    return TaskExecution(**{**row, "status": RunStatus(row["status"])})


def _invocation(row: Any) -> TaskInvocation:
    return TaskInvocation(**{**row, "status": RunStatus(row["status"])})
