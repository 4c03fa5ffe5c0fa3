"""Nodes whose judgement is due: marked in one statement, however large the fleet."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from patchwright.core.groups import PATCH_GROUP_KEYS
from patchwright.core.tags import TaggedType
from patchwright.core.values import BaselineId, NodeId, OperatingSystem, Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import due_judgement, node, tag, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Which registered nodes of a scope a change concerns. What is given is AND-ed; nothing given is all of them."""

    baseline_id: BaselineId | None = None
    """Those whose verdict names this baseline."""
    operating_system: OperatingSystem | None = None
    patch_group: str | None = None
    """Those tagged with this group under either key."""
    node_ids: Collection[NodeId] | None = None


def mark(tx: Tx, scope: Scope, concerned: Concerned, *, cause: str, caused_at: datetime, ticket: str) -> int:
    """Make the nodes' judgement due, again where it is due already; how many they are.

    A new `ticket` tells the one who judges that the mark was renewed meanwhile: he removes only the ticket he read.
    """
    columns = ["node_id", "cause", "caused_at", "ticket"]
    chosen = select(
        node.c.id,
        literal(cause, due_judgement.c.cause.type),
        literal(caused_at, due_judgement.c.caused_at.type),
        literal(ticket, due_judgement.c.ticket.type),
    ).where(*_conditions(scope, concerned))
    insert = sqlite.insert if tx.connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(due_judgement).from_select(columns, chosen)
    renewed = {name: statement.excluded[name] for name in columns if name != "node_id"}
    upserted = statement.on_conflict_do_update(index_elements=["node_id"], set_=renewed)
    # SQLAlchemy forgets an INSERT's row count on PostgreSQL unless it is asked to keep it.
    return tx.execute(upserted.execution_options(preserve_rowcount=True)).rowcount


def _conditions(scope: Scope, concerned: Concerned) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [node.c.deregistered_at.is_(None)]
    if concerned.baseline_id is None and concerned.patch_group is None:
        # Said only where the inner query has not said it: PostgreSQL multiplies the selectivities, expects one node
        # where a hundred thousand are, and on a table without statistics picks a nested loop of minutes.
        found += [node.c.account == scope.account, node.c.region == scope.region]
    if concerned.node_ids is not None:
        found.append(node.c.id.in_(concerned.node_ids))
    if concerned.operating_system is not None:
        found.append(node.c.operating_system == concerned.operating_system)
    if concerned.baseline_id is not None:
        judged = select(verdict.c.node_id).where(
            verdict.c.account == scope.account,
            verdict.c.region == scope.region,
            verdict.c.baseline_id == concerned.baseline_id,
        )
        found.append(node.c.id.in_(judged))
    if concerned.patch_group is not None:
        tagged = select(tag.c.resource_id).where(
            tag.c.account == scope.account,
            tag.c.region == scope.region,
            tag.c.resource_type == TaggedType.MANAGED_INSTANCE,
            tag.c.key.in_(PATCH_GROUP_KEYS),
            tag.c.value == concerned.patch_group,
        )
        found.append(node.c.id.in_(tagged))
    return found
