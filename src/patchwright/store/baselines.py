"""The account's own patch baselines: every change is a new, immutable version. Predefined ones are not stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, select

from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Kind, NotFound
from patchwright.core.values import BaselineId, Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import baseline as head
from patchwright.store.tables import baseline_version as body


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBaseline:
    """One version of a baseline; `created_at` is that of the baseline, `modified_at` that of the version."""

    baseline: PatchBaseline
    version: int
    created_at: datetime
    modified_at: datetime


def insert(tx: Tx, scope: Scope, baseline: PatchBaseline, *, now: datetime) -> StoredBaseline:
    """Keep a new baseline as version 1."""
    tx.execute(
        _INSERT_HEAD,
        {
            "account": scope.account,
            "region": scope.region,
            "id": baseline.id,
            "operating_system": baseline.operating_system,
            "name": baseline.name,
            "version": 1,
            "created_at": now,
        },
    )
    _insert_version(tx, scope, baseline, 1, now)
    return StoredBaseline(baseline=baseline, version=1, created_at=now, modified_at=now)


def add_version(tx: Tx, scope: Scope, baseline: PatchBaseline, *, now: datetime) -> StoredBaseline:
    """Make `baseline` the current version of the one with its id. Earlier versions stay. Raises NotFound."""
    row = tx.execute(_NEXT, {**_key(scope, baseline.id), "new_name": baseline.name}).one_or_none()
    if row is None:
        raise _missing(baseline.id)
    _insert_version(tx, scope, baseline, row.version, now)
    return StoredBaseline(baseline=baseline, version=row.version, created_at=row.created_at, modified_at=now)


def delete(tx: Tx, scope: Scope, baseline_id: BaselineId, *, now: datetime) -> bool:
    """Mark a baseline deleted; its versions stay readable by number. False when there was none."""
    done = tx.execute(head.update().where(_is(scope, baseline_id), head.c.deleted_at.is_(None)).values(deleted_at=now))
    return done.rowcount > 0


def find(tx: Tx, scope: Scope, baseline_id: BaselineId) -> StoredBaseline | None:
    """The current version, None when there is no such baseline or it was deleted."""
    row = tx.execute(_FIND, _key(scope, baseline_id)).one_or_none()
    return None if row is None else _stored(row)


def get(tx: Tx, scope: Scope, baseline_id: BaselineId) -> StoredBaseline:
    """The current version. Raises NotFound."""
    found = find(tx, scope, baseline_id)
    if found is None:
        raise _missing(baseline_id)
    return found


def find_version(tx: Tx, scope: Scope, baseline_id: BaselineId, version: int) -> StoredBaseline | None:
    """The version with this number, whether current or not, of a baseline that may have been deleted since."""
    statement = _select(body.c.version == version).where(_is(scope, baseline_id))
    row = tx.execute(statement).one_or_none()
    return None if row is None else _stored(row)


def all_of(tx: Tx, scope: Scope) -> Sequence[StoredBaseline]:
    """Every baseline of the scope, in no order; the quota keeps them few."""
    rows = tx.execute(_current().where(head.c.account == scope.account, head.c.region == scope.region))
    return [_stored(row) for row in rows]


def count(tx: Tx, scope: Scope) -> int:
    """How many baselines the scope has, deleted ones not counted."""
    return int(tx.execute(_COUNT, {"the_account": scope.account, "the_region": scope.region}).scalar_one())


def _insert_version(tx: Tx, scope: Scope, baseline: PatchBaseline, version: int, now: datetime) -> None:
    tx.execute(
        _INSERT_BODY,
        {
            "account": scope.account,
            "region": scope.region,
            "baseline_id": baseline.id,
            "version": version,
            "body": msgspec.to_builtins(baseline),
            "modified_at": now,
        },
    )


def _select(which: ColumnElement[bool]) -> Select[Any]:
    same = and_(body.c.account == head.c.account, body.c.region == head.c.region, body.c.baseline_id == head.c.id)
    return select(body.c.body, body.c.version, head.c.created_at, body.c.modified_at).join_from(
        head, body, and_(same, which)
    )


def _current() -> Select[Any]:
    return _select(body.c.version == head.c.version).where(head.c.deleted_at.is_(None))


def _is(scope: Scope, baseline_id: BaselineId) -> ColumnElement[bool]:
    return and_(head.c.account == scope.account, head.c.region == scope.region, head.c.id == baseline_id)


def _stored(row: Row[Any]) -> StoredBaseline:
    return StoredBaseline(
        baseline=msgspec.convert(row.body, PatchBaseline),
        version=row.version,
        created_at=row.created_at,
        modified_at=row.modified_at,
    )


def _missing(baseline_id: BaselineId) -> NotFound:
    return NotFound(Kind.BASELINE, f"Patch Baseline {baseline_id} does not exist; nothing was changed.", id=baseline_id)


def _key(scope: Scope, baseline_id: BaselineId) -> dict[str, str]:
    return {"the_account": scope.account, "the_region": scope.region, "the_id": baseline_id}


# Made once: building a statement takes longer than running it.
_MINE = and_(head.c.account == bindparam("the_account"), head.c.region == bindparam("the_region"))
_THIS = and_(_MINE, head.c.id == bindparam("the_id"))
_FIND = _current().where(_THIS)
_COUNT = select(func.count()).where(_MINE, head.c.deleted_at.is_(None))
_NEXT = (
    head.update()
    .where(_THIS, head.c.deleted_at.is_(None))
    .values(name=bindparam("new_name"), version=head.c.version + 1)
    .returning(head.c.version, head.c.created_at)
)
_INSERT_HEAD, _INSERT_BODY = head.insert(), body.insert()
