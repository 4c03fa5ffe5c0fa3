"""Tags of any resource of an (account, region)."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, select

from patchwright.core.tags import TaggedType
from patchwright.core.values import NodeId, Scope, Tag
from patchwright.store.engine import Tx
from patchwright.store.tables import node
from patchwright.store.tables import tag as table
from patchwright.store.upsert import upsert

IDS_PER_QUERY = 500
"""SQLite's bound variables are limited; a page of any listing is smaller."""


def put(tx: Tx, scope: Scope, resource_type: TaggedType, resource_id: str, tags: Sequence[Tag]) -> None:
    """Set these tags, over those with the same keys. The caller has checked the limit (`core.tags.with_tags`)."""
    rows = [
        {
            "account": scope.account,
            "region": scope.region,
            "resource_type": resource_type,
            "resource_id": resource_id,
            "key": tag.key,
            "value": tag.value,
        }
        for tag in tags
    ]
    upsert(tx, table, rows, key=("account", "region", "resource_type", "resource_id", "key"))


def remove(tx: Tx, scope: Scope, resource_type: TaggedType, resource_id: str, keys: Collection[str]) -> None:
    """Take away the tags with these keys; keys that are not there are ignored."""
    if keys:
        tx.execute(table.delete().where(_of(scope, resource_type, resource_id), table.c.key.in_(keys)))


def remove_all(tx: Tx, scope: Scope, resource_type: TaggedType, resource_id: str) -> None:
    """Take away every tag of a resource that is deleted."""
    tx.execute(table.delete().where(_of(scope, resource_type, resource_id)))


def of(tx: Tx, scope: Scope, resource_type: TaggedType, resource_id: str) -> tuple[Tag, ...]:
    """The tags of one resource in key order; none for a resource that does not exist."""
    rows = tx.execute(
        _OF,
        {"account": scope.account, "region": scope.region, "resource_type": resource_type, "resource_id": resource_id},
    )
    return _ordered(Tag(key=row.key, value=row.value) for row in rows)


def of_many(
    tx: Tx, scope: Scope, resource_type: TaggedType, resource_ids: Sequence[str]
) -> Mapping[str, tuple[Tag, ...]]:
    """The tags of each resource that has any, in key order."""
    found: dict[str, list[Tag]] = {}
    for start in range(0, len(resource_ids), IDS_PER_QUERY):
        some = resource_ids[start : start + IDS_PER_QUERY]
        rows = tx.execute(
            select(table.c.resource_id, table.c.key, table.c.value).where(
                _typed(scope, resource_type), table.c.resource_id.in_(some)
            )
        )
        for row in rows:
            found.setdefault(row.resource_id, []).append(Tag(key=row.key, value=row.value))
    return {resource_id: _ordered(tags) for resource_id, tags in found.items()}


def node_ids_with(tx: Tx, scope: Scope, key: str, values: Collection[str] | None = None) -> tuple[NodeId, ...]:
    """The registered nodes that carry the tag `key` with one of `values` (any value when None), in id order."""
    statement = (
        select(node.c.id)
        .join_from(node, table, table.c.resource_id == node.c.id)
        .where(
            _typed(scope, TaggedType.MANAGED_INSTANCE),
            table.c.key == key,
            node.c.deregistered_at.is_(None),
        )
    )
    if values is not None:
        statement = statement.where(table.c.value.in_(values))
    return tuple(NodeId(i) for i in sorted(tx.execute(statement).scalars()))


def _ordered(found: Iterable[Tag]) -> tuple[Tag, ...]:
    return tuple(sorted(found, key=lambda tag: tag.key))


def _typed(scope: Scope, resource_type: TaggedType) -> ColumnElement[bool]:
    return and_(
        table.c.account == scope.account, table.c.region == scope.region, table.c.resource_type == resource_type
    )


def _of(scope: Scope, resource_type: TaggedType, resource_id: str) -> ColumnElement[bool]:
    return and_(_typed(scope, resource_type), table.c.resource_id == resource_id)


_OF = select(table.c.key, table.c.value).where(
    *(table.c[name] == bindparam(name) for name in ("account", "region", "resource_type", "resource_id"))
)
