"""What each node has of each inventory type, and the types that accounts have defined."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from patchwright.core.inventory_types import Schema
from patchwright.core.values import NodeId, Scope
from patchwright.store.engine import Tx
from patchwright.store.tables import inventory_item, inventory_schema
from patchwright.store.upsert import upsert

_i, _s = inventory_item.c, inventory_schema.c


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """One type of one node; its rows are the set's."""

    node_id: NodeId
    type_name: str
    version: str
    captured_at: str
    content_hash: str
    set_id: int


def find(tx: Tx, node_id: str, type_name: str) -> StoredItem | None:
    """The node's item of the type, if it ever reported one."""
    found = find_many(tx, [node_id], type_name)
    return found[0] if found else None


def find_many(tx: Tx, node_ids: Collection[str], type_name: str) -> list[StoredItem]:
    """The items of one type of these nodes (a page of them), in id order."""
    statement = (
        select(_i.node_id, _i.type_name, _i.version, _i.captured_at, _i.content_hash, _i.set_id)
        .where(_i.node_id.in_(list(node_ids)), _i.type_name == type_name)
        .order_by(_i.node_id)
    )
    return [StoredItem(**r) for r in tx.execute(statement).mappings()]


def put(tx: Tx, scope: Scope, item: StoredItem, now: datetime) -> None:
    """Replace what the node has of the type."""
    row = {
        "node_id": item.node_id,
        "account": scope.account,
        "region": scope.region,
        "type_name": item.type_name,
        "version": item.version,
        "captured_at": item.captured_at,
        "content_hash": item.content_hash,
        "set_id": item.set_id,
        "put_at": now,
    }
    upsert(tx, inventory_item, [row], key=("node_id", "type_name"))


def forget_node(tx: Tx, node_id: NodeId) -> None:
    """Remove what a node that was deregistered had."""
    tx.execute(inventory_item.delete().where(_i.node_id == node_id))


def count_by_version(tx: Tx, scope: Scope, type_name: str) -> dict[str, int]:
    """How many nodes have which version of a type."""
    statement = select(_i.version, func.count().label("n")).where(*_typed(scope, type_name)).group_by(_i.version)
    return {r.version: r.n for r in tx.execute(statement)}


def delete_some(tx: Tx, scope: Scope, type_name: str, *, put_until: datetime, limit: int) -> dict[str, int]:
    """Delete at most `limit` items of a type that were put at `put_until` or before; how many of which version."""
    old = (*_typed(scope, type_name), _i.put_at <= put_until)
    rows = tx.execute(select(_i.node_id, _i.version).where(*old).limit(limit)).all()
    if rows:
        tx.execute(
            inventory_item.delete().where(
                _i.type_name == type_name, _i.node_id.in_([r.node_id for r in rows]), _i.put_at <= put_until
            )
        )
    gone: dict[str, int] = {}
    for r in rows:
        gone[r.version] = gone.get(r.version, 0) + 1
    return gone


def _typed(scope: Scope, type_name: str) -> tuple[Any, ...]:
    return (_i.account == scope.account, _i.region == scope.region, _i.type_name == type_name)


def schemas(tx: Tx, scope: Scope, type_name: str | None = None) -> list[Schema]:
    """The custom types of an account and region, every version of each."""
    statement = select(_s.type_name, _s.version, _s.attributes, _s.disabled_at).where(
        _s.account == scope.account, _s.region == scope.region
    )
    if type_name is not None:
        statement = statement.where(_s.type_name == type_name)
    return [
        Schema(
            type_name=r.type_name,
            version=r.version,
            attributes=tuple(r.attributes),
            disabled=r.disabled_at is not None,
        )
        for r in tx.execute(statement)
    ]


def add_schema(tx: Tx, scope: Scope, schema: Schema) -> None:
    """Define a version of a custom type; the schema refuses a second definition."""
    tx.execute(
        inventory_schema.insert().values(
            account=scope.account,
            region=scope.region,
            type_name=schema.type_name,
            version=schema.version,
            attributes=list(schema.attributes),
        )
    )


def disable_schemas(tx: Tx, scope: Scope, type_name: str, now: datetime) -> None:
    """What comes of these versions is ignored from now on."""
    mine = (_s.account == scope.account, _s.region == scope.region, _s.type_name == type_name)
    tx.execute(inventory_schema.update().where(*mine, _s.disabled_at.is_(None)).values(disabled_at=now))


def drop_schemas(tx: Tx, scope: Scope, type_name: str) -> None:
    """Forget the type: the next Put defines it anew."""
    tx.execute(
        inventory_schema.delete().where(
            _s.account == scope.account, _s.region == scope.region, _s.type_name == type_name
        )
    )
