"""What is deleted step by step: custom types that an operator deletes, and sets of rows that nobody has any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select

from patchwright.core.errors import Kind, NotFound
from patchwright.core.values import Scope
from patchwright.store import inventory
from patchwright.store.engine import Tx
from patchwright.store.tables import (
    inventory_deletion,
    inventory_item,
    inventory_member,
    inventory_row,
    inventory_set,
    inventory_value,
)

STEP = 200
"""Rows a transaction: the write lock is never held for long."""
SETS_KEPT = timedelta(days=1)
"""A set that nobody has stays so long: someone may be filling it, or paging through it."""
DELETIONS_KEPT = timedelta(days=30)
IN_PROGRESS, COMPLETE = "InProgress", "Complete"
_d, _m = inventory_deletion.c, inventory_member.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A deletion of a custom type's data. `counts`: version -> [items at its start, items that are left]."""

    id: str
    scope: Scope
    type_name: str
    started_at: datetime
    updated_at: datetime
    status: str
    counts: Mapping[str, tuple[int, int]]


def start(tx: Tx, scope: Scope, deletion_id: str, type_name: str, now: datetime) -> Deletion:
    """Write down that the type's data go; the loop deletes them."""
    found = inventory.count_by_version(tx, scope, type_name)
    counts = {version: (n, n) for version, n in found.items()}
    made = Deletion(
        id=deletion_id,
        scope=scope,
        type_name=type_name,
        started_at=now,
        updated_at=now,
        status=IN_PROGRESS if counts else COMPLETE,
        counts=counts,
    )
    tx.execute(
        inventory_deletion.insert().values(
            id=made.id,
            account=scope.account,
            region=scope.region,
            type_name=type_name,
            started_at=now,
            updated_at=now,
            status=made.status,
            counts={version: list(pair) for version, pair in counts.items()},
        )
    )
    tx.wake("inventory")
    return made


def page(tx: Tx, scope: Scope, *, before: tuple[datetime, str] | None, limit: int) -> list[Deletion]:
    """Deletions, the newest first, those behind `before`."""
    statement = select(inventory_deletion).where(_d.account == scope.account, _d.region == scope.region)
    if before is not None:
        at, id = before
        statement = statement.where((_d.started_at < at) | ((_d.started_at == at) & (_d.id < id)))
    rows = tx.execute(statement.order_by(_d.started_at.desc(), _d.id.desc()).limit(limit)).mappings()
    return [_deletion(r) for r in rows]


def get(tx: Tx, scope: Scope, deletion_id: str) -> Deletion:
    """Raises NotFound."""
    statement = select(inventory_deletion).where(
        _d.id == deletion_id, _d.account == scope.account, _d.region == scope.region
    )
    row = tx.execute(statement).mappings().first()
    if row is None:
        raise NotFound(Kind.DELETION, f"There is no deletion {deletion_id} here.")
    return _deletion(row)


def open_deletions(tx: Tx) -> list[Deletion]:
    """Those that are not over, the oldest first."""
    statement = select(inventory_deletion).where(_d.status == IN_PROGRESS).order_by(_d.started_at, _d.id)
    return [_deletion(r) for r in tx.execute(statement).mappings()]


def delete_step(tx: Tx, deletion: Deletion, now: datetime) -> bool:
    """Delete some of what is left. Whether it goes on. What was put after its start stays."""
    gone = inventory.delete_some(tx, deletion.scope, deletion.type_name, put_until=deletion.started_at, limit=STEP)
    current = get(tx, deletion.scope, deletion.id)
    ended = sum(gone.values()) < STEP
    counts = {
        version: [total, 0 if ended else max(0, left - gone.get(version, 0))]
        for version, (total, left) in current.counts.items()
    }
    values = {"counts": counts, "updated_at": now, "status": COMPLETE if ended else IN_PROGRESS}
    tx.execute(inventory_deletion.update().where(_d.id == deletion.id).values(**values))
    return not ended


def _deletion(row: Any) -> Deletion:
    values = dict(row)
    scope = Scope(account=values.pop("account"), region=values.pop("region"))
    counts = {version: (total, left) for version, (total, left) in values.pop("counts").items()}
    return Deletion(scope=scope, counts=counts, **values)


def unused_sets(tx: Tx, now: datetime, *, limit: int) -> list[int]:
    """Sets that no node has, and nobody wanted for a day."""
    s = inventory_set.c
    used = exists().where(inventory_item.c.set_id == s.id)
    statement = select(s.id).where(s.wanted_at < now - SETS_KEPT, ~used).order_by(s.wanted_at).limit(limit)
    return list(tx.execute(statement).scalars())


def sweep_set(tx: Tx, set_id: int, now: datetime) -> bool:
    """Take some rows out of a set that nobody has, and the set once it is empty. Whether there is more to do.

    Looks again whether nobody has it. From the first step on the set is unfilled, so that who wants it fills it anew.
    """
    s = inventory_set.c
    unused = ~exists().where(inventory_item.c.set_id == s.id)
    marked = tx.execute(
        inventory_set.update().where(s.id == set_id, s.wanted_at < now - SETS_KEPT, unused).values(row_ids=None)
    )
    if marked.rowcount == 0:
        return False
    rows = list(tx.execute(select(_m.row_id).where(_m.set_id == set_id).limit(STEP)).scalars())
    tx.execute(inventory_member.delete().where(_m.set_id == set_id, _m.row_id.in_(rows)))
    shared = set(tx.execute(select(_m.row_id).where(_m.row_id.in_(rows))).scalars())
    own = [i for i in rows if i not in shared]
    tx.execute(inventory_value.delete().where(inventory_value.c.row_id.in_(own)))
    tx.execute(inventory_row.delete().where(inventory_row.c.id.in_(own)))
    if len(rows) == STEP:
        return True
    tx.execute(inventory_set.delete().where(s.id == set_id))
    return False


def forget_deletions(tx: Tx, now: datetime) -> None:
    """Deletions that ended long ago."""
    tx.execute(inventory_deletion.delete().where(_d.status == COMPLETE, _d.updated_at < now - DELETIONS_KEPT))
