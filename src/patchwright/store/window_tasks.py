"""Targets and tasks that are registered with maintenance windows."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Table, func, select, tuple_

from patchwright.core.errors import Kind, NotFound
from patchwright.core.values import Scope, WindowId
from patchwright.core.window_tasks import WindowTarget, WindowTask
from patchwright.store.columns import place
from patchwright.store.engine import Tx
from patchwright.store.tables import maintenance_window, window_target, window_task

Filters = Mapping[str, Collection[Any]]
"""Column -> the values of which one must be there."""
After = tuple[int, str] | None
"""(created_at in microseconds, id) of the last one that was shown."""


def insert_target(tx: Tx, target: WindowTarget) -> None:
    tx.execute(window_target.insert().values(**asdict(target)))


def update_target(tx: Tx, target: WindowTarget) -> None:
    tx.execute(window_target.update().where(window_target.c.id == target.id).values(**asdict(target)))


def delete_target(tx: Tx, target_id: str) -> None:
    tx.execute(window_target.delete().where(window_target.c.id == target_id))


def get_target(tx: Tx, window_id: WindowId, target_id: str) -> WindowTarget:
    """Raises NotFound."""
    row = _one(tx, window_target, window_id, target_id)
    if row is None:
        said = f"Target {target_id} is not registered with maintenance window {window_id}"
        raise NotFound(Kind.WINDOW_TARGET, said, id=target_id)
    return WindowTarget(**row)


def targets(
    tx: Tx, window_id: WindowId, wanted: Filters | None = None, *, after: After = None, limit: int | None = None
) -> list[WindowTarget]:
    """In the order of their registration."""
    return [WindowTarget(**r) for r in _page(tx, window_target, window_id, wanted or {}, after, limit)]


def targets_of_scope(tx: Tx, scope: Scope) -> list[WindowTarget]:
    """Of all its windows."""
    t, w = window_target, maintenance_window
    statement = (
        select(t)
        .join_from(t, w, t.c.window_id == w.c.id)
        .where(w.c.account == scope.account, w.c.region == scope.region)
    )
    return [WindowTarget(**r) for r in tx.execute(statement).mappings()]


def insert_task(tx: Tx, task: WindowTask) -> None:
    tx.execute(window_task.insert().values(**asdict(task)))


def update_task(tx: Tx, task: WindowTask) -> None:
    tx.execute(window_task.update().where(window_task.c.id == task.id).values(**asdict(task)))


def delete_task(tx: Tx, task_id: str) -> None:
    tx.execute(window_task.delete().where(window_task.c.id == task_id))


def get_task(tx: Tx, window_id: WindowId, task_id: str) -> WindowTask:
    """Raises NotFound."""
    row = _one(tx, window_task, window_id, task_id)
    if row is None:
        said = f"Task {task_id} is not registered with maintenance window {window_id}"
        raise NotFound(Kind.WINDOW_TASK, said, id=task_id)
    return WindowTask(**row)


def tasks(
    tx: Tx, window_id: WindowId, wanted: Filters | None = None, *, after: After = None, limit: int | None = None
) -> list[WindowTask]:
    """In the order of their registration."""
    return [WindowTask(**r) for r in _page(tx, window_task, window_id, wanted or {}, after, limit)]


def tasks_of_scope(tx: Tx, scope: Scope) -> list[WindowTask]:
    """Of all its windows."""
    t, w = window_task, maintenance_window
    statement = (
        select(t)
        .join_from(t, w, t.c.window_id == w.c.id)
        .where(w.c.account == scope.account, w.c.region == scope.region)
    )
    return [WindowTask(**r) for r in tx.execute(statement).mappings()]


def count_targets(tx: Tx, window_id: WindowId) -> int:
    return _count(tx, window_target, window_id)


def count_tasks(tx: Tx, window_id: WindowId) -> int:
    return _count(tx, window_task, window_id)


def _count(tx: Tx, table: Table, window_id: WindowId) -> int:
    statement = select(func.count()).select_from(table).where(table.c.window_id == window_id)
    return int(tx.execute(statement).scalar_one())


def _one(tx: Tx, table: Table, window_id: WindowId, row_id: str) -> Any | None:
    statement = select(table).where(table.c.id == row_id, table.c.window_id == window_id)
    return tx.execute(statement).mappings().first()


def _page(tx: Tx, table: Table, window_id: WindowId, wanted: Filters, after: After, limit: int | None) -> list[Any]:
    created_at: Any = table.c.created_at
    narrowed = (table.c[name].in_(list(values)) for name, values in wanted.items())
    statement = select(table).where(table.c.window_id == window_id, *narrowed)
    if after is not None:
        statement = statement.where(tuple_(created_at, table.c.id) > place(*after))
    return list(tx.execute(statement.order_by(created_at, table.c.id).limit(limit)).mappings())
