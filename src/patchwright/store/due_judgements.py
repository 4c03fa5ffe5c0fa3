"""Whose judgement is due: single nodes by a row each, and changes that concern many by one row for all of them.

A change is one short row however large the fleet, so that whoever makes it does not hold the write lock for the
fleet's sake. The judging loop finds out whom it concerns, and takes the row away when all of them are judged.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Select, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from patchwright.core.groups import PATCH_GROUP_KEYS
from patchwright.core.tags import TaggedType
from patchwright.core.values import BaselineId, NodeId, OperatingSystem, Scope
from patchwright.store.engine import Tx
from patchwright.store.prepared import Prepared
from patchwright.store.tables import due_change, due_judgement, node, tag, verdict

_COLUMNS = ["node_id", "cause", "caused_at", "ticket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened, and which registered nodes it concerns. What is given is AND-ed; nothing given is all of them."""

    ticket: str
    scope: Scope
    """An empty region stands for all regions of the account."""
    cause: str
    caused_at: datetime
    baseline_id: BaselineId | None = None
    """Nodes whose verdict names this baseline."""
    operating_system: OperatingSystem | None = None
    patch_group: str | None = None
    """Nodes tagged with this group under either key."""

    @property
    def only_baseline(self) -> bool:
        """Whether it changed what a baseline says, and moved no node to another one."""
        return self.baseline_id is not None and self.operating_system is None and self.patch_group is None


def note(tx: Tx, change: Change) -> None:
    """Record a change; the nodes that it concerns are due from now on."""
    row = asdict(change)
    scope = row.pop("scope")
    tx.execute(due_change.insert().values(**scope, **row))


def changes(tx: Tx) -> list[Change]:
    """Changes not yet judged, the oldest first."""
    rows = tx.execute(select(due_change).order_by(due_change.c.caused_at, due_change.c.ticket)).mappings()
    return [_change(dict(row)) for row in rows]


def _change(row: dict[str, str]) -> Change:
    scope = Scope(account=row.pop("account"), region=row.pop("region"))
    return Change(scope=scope, **row)  # type: ignore[arg-type]  # the columns are the fields


def forget(tx: Tx, tickets: Sequence[str]) -> None:
    """All nodes that these changes concern have been judged."""
    tx.execute(due_change.delete().where(due_change.c.ticket.in_(tickets)))


def count(tx: Tx, some: Sequence[Change], now: datetime, *, limit: int) -> int:
    """How many nodes are due, by these changes, by their own rows or by time; no more than `limit` are counted."""
    found = _counted(tx, select(due_judgement.c.node_id), limit)
    if found < limit:
        found += _counted(tx, select(verdict.c.node_id).where(verdict.c.next_change_at <= now), limit)
    for change in some:
        if found >= limit:
            break
        found += _counted(tx, select(node.c.id).where(*conditions(change)), limit)
    return min(found, limit)


def _counted(tx: Tx, statement: Select[tuple[str]], limit: int) -> int:
    return int(tx.execute(select(func.count()).select_from(statement.limit(limit).subquery())).scalar_one())


def expand(tx: Tx, change: Change) -> None:
    """Give each node that a change concerns a row of its own, and forget the change. For few nodes only."""
    _mark(tx, conditions(change), cause=change.cause, caused_at=change.caused_at, ticket=change.ticket)
    forget(tx, [change.ticket])


def forget_unknown(tx: Tx) -> None:
    """Take nodes that are not registered any more off the list."""
    gone = select(node.c.id).where(node.c.id == due_judgement.c.node_id, node.c.deregistered_at.is_not(None))
    tx.execute(due_judgement.delete().where(gone.exists()))


def mark_nodes(
    tx: Tx, scope: Scope, node_ids: Collection[NodeId], *, cause: str, caused_at: datetime, ticket: str
) -> int:
    """Make the judgement of these registered nodes due, again where it is due already; how many they are.

    A new `ticket` tells the one who judges that the mark was renewed meanwhile: he removes only the ticket he read.
    """
    marking = _marking_node(tx.connection.dialect.name)
    values = {"the_account": scope.account, "the_region": scope.region, **_said(cause, caused_at, ticket)}
    return sum(marking.run(tx, {**values, "the_node": node_id}) for node_id in node_ids)


@cache
def _marking_node(dialect: str) -> Prepared:
    which = [
        node.c.deregistered_at.is_(None),
        node.c.account == bindparam("the_account"),
        node.c.region == bindparam("the_region"),
        node.c.id == bindparam("the_node"),
    ]
    return Prepared(_marking(dialect, which))


def _mark(tx: Tx, which: Sequence[ColumnElement[bool]], *, cause: str, caused_at: datetime, ticket: str) -> int:
    statement = _marking(tx.connection.dialect.name, which)
    return tx.execute(statement, _said(cause, caused_at, ticket)).rowcount


def _said(cause: str, caused_at: datetime, ticket: str) -> dict[str, Any]:
    return {"the_cause": cause, "the_caused_at": caused_at, "the_ticket": ticket}


def _marking(dialect: str, which: Sequence[ColumnElement[bool]]) -> Executable:
    said = [bindparam(f"the_{name}", type_=due_judgement.c[name].type) for name in _COLUMNS[1:]]
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(due_judgement).from_select(_COLUMNS, select(node.c.id, *said).where(*which))
    renewed = {name: statement.excluded[name] for name in _COLUMNS if name != "node_id"}
    upserted = statement.on_conflict_do_update(index_elements=["node_id"], set_=renewed)
    # SQLAlchemy forgets an INSERT's row count on PostgreSQL unless it is asked to keep it.
    return upserted.execution_options(preserve_rowcount=True)


def conditions(change: Change) -> list[ColumnElement[bool]]:
    """On `node`: registered, and concerned by the change."""
    scope = change.scope
    found: list[ColumnElement[bool]] = [node.c.deregistered_at.is_(None)]
    if change.baseline_id is None and change.patch_group is None:
        # Said only where the inner query has not said it: PostgreSQL multiplies the selectivities, expects one node
        # where a hundred thousand are, and on a table without statistics picks a nested loop of minutes.
        found.append(node.c.account == scope.account)
        found += [node.c.region == scope.region] if scope.region else []
    if change.operating_system is not None:
        found.append(node.c.operating_system == change.operating_system)
    if change.baseline_id is not None:
        judged = select(verdict.c.node_id).where(
            verdict.c.account == scope.account,
            verdict.c.region == scope.region,
            verdict.c.baseline_id == change.baseline_id,
        )
        found.append(node.c.id.in_(judged))
    if change.patch_group is not None:
        tagged = select(tag.c.resource_id).where(
            tag.c.account == scope.account,
            tag.c.region == scope.region,
            tag.c.resource_type == TaggedType.MANAGED_INSTANCE,
            tag.c.key.in_(PATCH_GROUP_KEYS),
            tag.c.value == change.patch_group,
        )
        found.append(node.c.id.in_(tagged))
    return found
