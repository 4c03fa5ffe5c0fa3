"""Activations: made, listed, deleted; their registrations are counted here and nowhere else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select

from patchwright.core.activations import DEFAULT_REGISTRATION_LIMIT, Activation
from patchwright.core.values import Scope, Tag
from patchwright.store.engine import Tx
from patchwright.store.tables import activation as table


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationFilter:
    """Values are OR-ed, None means any; the three are AND-ed. Source: operations.md 7.4."""

    ids: Collection[str] | None = None
    default_instance_names: Collection[str] | None = None
    iam_roles: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPlace:
    """Where a listing stopped: the last activation shown."""

    created_at: datetime
    id: str


def insert(tx: Tx, activation: Activation) -> None:
    """Keep a new activation."""
    tx.execute(
        table.insert().values(
            id=activation.id,
            account=activation.scope.account,
            region=activation.scope.region,
            code_hash=activation.code_hash,
            iam_role=activation.iam_role,
            description=activation.description,
            default_instance_name=activation.default_instance_name,
            registration_limit=activation.registration_limit,
            registrations_count=activation.registrations_count,
            expires_at=activation.expires_at,
            created_at=activation.created_at,
            tags=[[tag.key, tag.value] for tag in activation.tags],
        )
    )


def find(tx: Tx, activation_id: str) -> Activation | None:
    """The activation with this id in whichever scope: a host that registers knows no account. None when deleted."""
    row = tx.execute(_live().where(table.c.id == activation_id)).one_or_none()
    return None if row is None else _activation(row)


def take_registration(tx: Tx, activation_id: str) -> bool:
    """Count one registration more, in one statement; False when none is left or the activation is gone."""
    done = tx.execute(
        table.update()
        .where(
            table.c.id == activation_id,
            table.c.deleted_at.is_(None),
            table.c.registrations_count < func.coalesce(table.c.registration_limit, DEFAULT_REGISTRATION_LIMIT),
        )
        .values(registrations_count=table.c.registrations_count + 1)
    )
    return done.rowcount > 0


def delete(tx: Tx, scope: Scope, activation_id: str, *, now: datetime) -> bool:
    """Mark an activation of the scope deleted; its nodes stay. False when there was none."""
    done = tx.execute(
        table.update()
        .where(_here(scope), table.c.id == activation_id, table.c.deleted_at.is_(None))
        .values(deleted_at=now)
    )
    return done.rowcount > 0


def page(
    tx: Tx, scope: Scope, wanted: ActivationFilter, *, after: ActivationPlace | None, limit: int
) -> Sequence[Activation]:
    """At most `limit` activations of the scope, newest first, beginning after the place given."""
    statement = _live().where(_here(scope))
    columns = (
        (table.c.id, wanted.ids),
        (table.c.default_instance_name, wanted.default_instance_names),
        (table.c.iam_role, wanted.iam_roles),
    )
    for column, values in columns:
        if values is not None:
            statement = statement.where(column.in_(values))
    if after is not None:
        statement = statement.where(
            or_(
                table.c.created_at < after.created_at,
                and_(table.c.created_at == after.created_at, table.c.id > after.id),
            )
        )
    rows = tx.execute(statement.order_by(table.c.created_at.desc(), table.c.id).limit(limit))
    return [_activation(row) for row in rows]


def _live() -> Select[Any]:
    return select(table).where(table.c.deleted_at.is_(None))


def _here(scope: Scope) -> ColumnElement[bool]:
    return and_(table.c.account == scope.account, table.c.region == scope.region)


def _activation(row: Row[Any]) -> Activation:
    return Activation(
        id=row.id,
        scope=Scope(account=row.account, region=row.region),
        code_hash=row.code_hash,
        iam_role=row.iam_role,
        expires_at=row.expires_at,
        created_at=row.created_at,
        description=row.description,
        default_instance_name=row.default_instance_name,
        registration_limit=row.registration_limit,
        registrations_count=row.registrations_count,
        tags=tuple(Tag(key=key, value=value) for key, value in row.tags),
    )
