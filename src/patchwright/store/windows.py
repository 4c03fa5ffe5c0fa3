"""Maintenance windows of an (account, region)."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_

from patchwright.core.errors import Kind, NotFound
from patchwright.core.values import Scope, WindowId
from patchwright.core.windows import Window
from patchwright.store.columns import place
from patchwright.store.engine import Tx
from patchwright.store.tables import maintenance_window as t
from patchwright.store.tables import window_target, window_task


def insert(tx: Tx, window: Window) -> None:
    tx.execute(t.insert().values(**_row(window)))


def update(tx: Tx, window: Window) -> None:
    """Replace all that is stored of it."""
    tx.execute(t.update().where(t.c.id == window.id).values(**_row(window)))


def delete(tx: Tx, window_id: WindowId) -> None:
    """With its targets and tasks; its executions stay."""
    for table in (window_task, window_target):
        tx.execute(table.delete().where(table.c.window_id == window_id))
    tx.execute(t.delete().where(t.c.id == window_id))


def set_next_start(tx: Tx, window_id: WindowId, at: datetime | None) -> None:
    tx.execute(t.update().where(t.c.id == window_id).values(next_start_at=at))


def find(tx: Tx, window_id: str, *, scope: Scope | None = None) -> Window | None:
    statement = select(t).where(t.c.id == window_id)
    if scope is not None:
        statement = statement.where(*_in(scope))
    row = tx.execute(statement).mappings().first()
    return None if row is None else _window(row)


def get(tx: Tx, scope: Scope, window_id: str) -> Window:
    """Raises NotFound."""
    found = find(tx, window_id, scope=scope)
    if found is None:
        raise NotFound(Kind.WINDOW, f"Maintenance window {window_id} does not exist", id=window_id)
    return found


def count(tx: Tx, scope: Scope) -> int:
    return int(tx.execute(select(func.count()).select_from(t).where(*_in(scope))).scalar_one())


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFilter:
    """What a listing is narrowed to; None: does not matter."""

    names: Collection[str] | None = None
    enabled: Collection[bool] | None = None
    ids: Collection[str] | None = None


def page(
    tx: Tx, scope: Scope, wanted: WindowFilter, *, after: tuple[int, str] | None, limit: int | None
) -> list[Window]:
    """The oldest first, those behind the (created_at in microseconds, id) `after`."""
    statement = select(t).where(*_in(scope)).order_by(t.c.created_at, t.c.id).limit(limit)
    if wanted.names is not None:
        statement = statement.where(t.c.name.in_(list(wanted.names)))
    if wanted.enabled is not None:
        statement = statement.where(t.c.enabled.in_(list(wanted.enabled)))
    if wanted.ids is not None:
        statement = statement.where(t.c.id.in_(list(wanted.ids)))
    if after is not None:
        statement = statement.where(tuple_(t.c.created_at, t.c.id) > place(*after))
    return [_window(r) for r in tx.execute(statement).mappings()]


def due(tx: Tx, now: datetime, *, limit: int) -> list[WindowId]:
    """Windows of all scopes with a start that is due, the longest due first."""
    started = t.c.next_start_at.is_not(None)
    statement = select(t.c.id).where(started, t.c.next_start_at <= now).order_by(t.c.next_start_at).limit(limit)
    return [WindowId(i) for i in tx.execute(statement).scalars()]


def next_start(tx: Tx) -> datetime | None:
    """The first start of any window that nothing was made of yet."""
    found: datetime | None = tx.execute(
        select(func.min(t.c.next_start_at)).where(t.c.next_start_at.is_not(None))
    ).scalar_one()
    return found


def _in(scope: Scope) -> tuple[Any, Any]:
    return t.c.account == scope.account, t.c.region == scope.region


def _row(window: Window) -> dict[str, Any]:
    values = asdict(window)
    return {**values.pop("scope"), **values}


def _window(row: Any) -> Window:
    values = dict(row)
    scope = Scope(account=values.pop("account"), region=values.pop("region"))
    return Window(scope=scope, **values)
