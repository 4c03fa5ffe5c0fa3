"""Managed nodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, false, func, not_, or_, select

from patchwright.core.errors import Kind, NotFound
from patchwright.core.nodes import ONLINE_FOR, ManagedNode
from patchwright.core.targets import Target, TargetKey
from patchwright.core.values import NodeId, OperatingSystem, Scope
from patchwright.store.engine import Tx
from patchwright.store.prepared import Prepared
from patchwright.store.tables import node as t
from patchwright.store.tables import tag

TAG_TYPE = "ManagedInstance"
CHUNK = 5_000
"""Ids of one statement: engines bound the parameters that they take (PostgreSQL: 65,535)."""


def insert(tx: Tx, node: ManagedNode) -> None:
    """Add a node that has just registered."""
    tx.execute(
        t.insert().values(
            id=node.id,
            account=node.scope.account,
            region=node.scope.region,
            activation_id=node.activation_id,
            iam_role=node.iam_role,
            name=node.name,
            public_key=node.public_key,
            fingerprint=node.fingerprint,
            registered_at=node.registered_at,
        )
    )


def find(tx: Tx, node_id: str) -> ManagedNode | None:
    """A node by its id wherever it belongs, deregistered ones included."""
    row = _FIND.first(tx, {"this_node": node_id})
    return None if row is None else _node(row)


def get_active(tx: Tx, node_id: str) -> ManagedNode:
    """A registered node by its id (the node's own door). Raises NotFound when it is unknown or deregistered."""
    node = find(tx, node_id)
    if node is None or node.deregistered_at is not None:
        raise NotFound(Kind.NODE, f"{node_id} is not a registered node of this server.", id=node_id)
    return node


def get(tx: Tx, scope: Scope, node_id: str) -> ManagedNode:
    """A registered node of `scope`. Raises NotFound with AWS's words."""
    found = get_many(tx, scope, [node_id])
    if not found:
        raise NotFound(
            Kind.NODE, f"Instances [[{node_id}]] not in a valid state for account {scope.account}", id=node_id
        )
    return found[0]


def get_many(tx: Tx, scope: Scope, node_ids: Sequence[str]) -> list[ManagedNode]:
    """The registered nodes of `scope` among `node_ids`, in id order; unknown ones are left out."""
    wanted = sorted(set(node_ids))
    found = []
    for i in range(0, len(wanted), CHUNK):
        rows = tx.execute(_active(scope).where(t.c.id.in_(wanted[i : i + CHUNK])).order_by(t.c.id)).mappings()
        found += [_node(r) for r in rows]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFilter:
    """One filter of a listing; what is None does not matter. `online` holds the states wanted."""

    ids: tuple[str, ...] | None = None
    activation_ids: tuple[str, ...] | None = None
    agent_versions: tuple[str, ...] | None = None
    iam_roles: tuple[str, ...] | None = None
    platform_types: tuple[str, ...] | None = None
    online: frozenset[bool] | None = None
    tag: str | None = None
    tag_values: tuple[str, ...] = ()
    tag_keys: tuple[str, ...] | None = None


def page(
    tx: Tx, scope: Scope, *, filters: Sequence[NodeFilter] = (), after: str = "", limit: int, now: datetime
) -> list[ManagedNode]:
    """Registered nodes of `scope` that every filter admits, in id order, those behind `after`, at most `limit`."""
    conditions = [c for f in filters for c in _conditions(scope, f, now)]
    statement = _active(scope).where(t.c.id > after, *conditions).order_by(t.c.id).limit(limit)
    return [_node(r) for r in tx.execute(statement).mappings()]


def _conditions(scope: Scope, wanted: NodeFilter, now: datetime) -> list[Any]:
    columns = {
        t.c.id: wanted.ids,
        t.c.activation_id: wanted.activation_ids,
        t.c.agent_version: wanted.agent_versions,
        t.c.iam_role: wanted.iam_roles,
        t.c.platform_type: wanted.platform_types,
    }
    found: list[Any] = [column.in_(values) for column, values in columns.items() if values is not None]
    if wanted.online is not None:
        recent = and_(t.c.last_ping_at.is_not(None), t.c.last_ping_at >= now - ONLINE_FOR)
        found.append(or_(*(recent if state else not_(recent) for state in wanted.online), false()))
    if wanted.tag is not None:
        found.append(has_tag(scope, wanted.tag, wanted.tag_values))
    if wanted.tag_keys is not None:
        found.append(or_(*(has_tag(scope, key) for key in wanted.tag_keys)))
    return found


def select_targets(tx: Tx, scope: Scope, targets: Iterable[Target]) -> list[ManagedNode]:
    """Registered nodes that every criterion selects, in id order. Source: operations.md 3.1."""
    statement = _active(scope).order_by(t.c.id)
    for target in targets:
        statement = statement.where(_selected_by(scope, target))
    return [_node(r) for r in tx.execute(statement).mappings()]


def _selected_by(scope: Scope, target: Target) -> Any:
    match target.key:
        case TargetKey.INSTANCE_IDS:
            return t.c.id == t.c.id if "*" in target.values else t.c.id.in_(target.values)
        case TargetKey.TAG:
            return has_tag(scope, target.tag, target.values)
        case TargetKey.TAG_KEY:
            return or_(*(has_tag(scope, key) for key in target.values))


def has_tag(scope: Scope, key: str, values: Sequence[str] | None = None) -> Any:
    """A condition on nodes of `scope`: tagged `key`, with one of `values` when given."""
    tagged = select(tag.c.resource_id).where(
        tag.c.account == scope.account,
        tag.c.region == scope.region,
        tag.c.resource_type == TAG_TYPE,
        tag.c.key == key,
    )
    if values is not None:
        tagged = tagged.where(tag.c.value.in_(list(values)))
    return t.c.id.in_(tagged)


def touch(tx: Tx, node_id: NodeId, now: datetime, **facts: str | int | bool | None) -> None:
    """Record a ping, and the members given that are not empty: a probe must not blank out what is stored."""
    values = {k: v for k, v in facts.items() if v not in (None, "")}
    tx.execute(t.update().where(t.c.id == node_id).values(last_ping_at=now, **values))


def set_system(tx: Tx, node: ManagedNode, system: OperatingSystem | None, clock_offset_seconds: int) -> None:
    """Record what the node's facts say it is, and how far its clock is off. What is so already is not written."""
    if (node.operating_system, node.clock_offset_seconds) != (system, clock_offset_seconds):
        values = {"this_node": node.id, "system": system, "offset": clock_offset_seconds}
        _SET_SYSTEM.run(tx, values)


def set_public_key(tx: Tx, node_id: NodeId, public_key: str) -> None:
    tx.execute(t.update().where(t.c.id == node_id).values(public_key=public_key))


def deregister(tx: Tx, node_id: NodeId, now: datetime) -> None:
    """The node's id stays taken for ever; its row stays for history."""
    tx.execute(t.update().where(t.c.id == node_id).values(deregistered_at=now))


def count(tx: Tx, scope: Scope) -> int:
    return int(
        tx.execute(
            select(func.count())
            .select_from(t)
            .where(t.c.account == scope.account, t.c.region == scope.region, t.c.deregistered_at.is_(None))
        ).scalar_one()
    )


def _active(scope: Scope) -> Any:
    return select(t).where(t.c.account == scope.account, t.c.region == scope.region, t.c.deregistered_at.is_(None))


def _node(row: Any) -> ManagedNode:
    values = dict(row)
    scope = Scope(account=values.pop("account"), region=values.pop("region"))
    system = values.pop("operating_system")
    return ManagedNode(scope=scope, operating_system=OperatingSystem(system) if system else None, **values)


# Of every report and call of a node.
_THIS = t.c.id == bindparam("this_node")
_FIND = Prepared(select(t).where(_THIS))
_SET_SYSTEM = Prepared(
    t.update().where(_THIS).values(operating_system=bindparam("system"), clock_offset_seconds=bindparam("offset"))
)
