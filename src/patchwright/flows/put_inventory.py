"""Items that a node or an operator puts -> what the node has. Source: operations.md 7.1, agent-protocol.md 11.

A large set is written in parts before the item itself (`parts`), each in a transaction of its own: nobody waits long
for the write lock, and a kill in between leaves an unfilled set, which the next Put fills and else is swept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patchwright.core.errors import Kind, LimitExceeded, Mismatch, Unsupported
from patchwright.core.inventory import (
    MAX_CUSTOM_TYPES,
    MAX_VERSIONS,
    InventoryItem,
    check_against,
    check_items,
    clean,
    first_schema,
    is_custom,
    version_key,
)
from patchwright.core.inventory_types import STANDARD, Schema
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import Scope
from patchwright.store import inventory, inventory_sets
from patchwright.store.engine import Tx
from patchwright.store.inventory import StoredItem
from patchwright.store.inventory_sets import PART, RowSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadItem:
    """An item with the set that its rows are; None where it came without content."""

    item: InventoryItem
    rows: RowSet | None


def read_items(wire: Sequence[Mapping[str, Any]]) -> list[ReadItem]:
    """Items as they came, cleaned and checked as far as that goes without the store. Raises Invalid, LimitExceeded."""
    items = [_item(entry) for entry in wire]
    check_items(items)
    return [
        ReadItem(item=i, rows=None if i.rows is None else inventory_sets.row_set(i.type_name, i.rows)) for i in items
    ]


def _item(entry: Mapping[str, Any]) -> InventoryItem:
    content = entry.get("Content")
    rows = None
    if content is not None:
        rows = tuple({clean(name): clean(value) for name, value in row.items()} for row in content)
    return InventoryItem(
        type_name=entry["TypeName"],
        version=entry["SchemaVersion"],
        captured_at=entry["CaptureTime"],
        content_hash=clean(entry.get("ContentHash", "")),
        rows=rows,
        names=frozenset(name for row in rows or () for name in row),
        context=tuple(sorted(entry.get("Context", ()))),
    )


def parts(tx: Tx, read: Sequence[ReadItem], now: datetime) -> Iterator[Callable[[Tx], None]]:
    """The transactions that write large sets ahead. The caller has checked all, and who may put it."""
    for one in read:
        is_large = one.rows is not None and len(one.rows.rows) > PART and not _is_derived(one.item)
        if one.rows is not None and is_large and inventory_sets.find(tx, one.rows) is None:
            for part in one.rows.parts:
                yield _filling(one.rows, part, now)
            yield _completing(one.rows, now)


def _filling(rows: RowSet, part: slice, now: datetime) -> Callable[[Tx], None]:
    def fill(tx: Tx) -> None:
        if inventory_sets.find(tx, rows) is None:
            inventory_sets.fill(tx, rows, part, now)

    return fill


def _completing(rows: RowSet, now: datetime) -> Callable[[Tx], None]:
    def complete(tx: Tx) -> None:
        inventory_sets.complete(tx, rows, now)

    return complete


def check_put(tx: Tx, node: ManagedNode, read: Sequence[ReadItem]) -> None:
    """Raise what `put_inventory` would, without writing anything."""
    for one in read:
        _schema(tx, node.scope, one.item)
        if one.rows is None and not _is_derived(one.item):
            _held(tx, node, one.item)


def put_inventory(tx: Tx, node: ManagedNode, read: Sequence[ReadItem], now: datetime) -> str:
    """Keep the items; what was ignored and why, in words, or "".

    Raises Mismatch(ITEM_CONTENT) where an item came without content and the server doesn't hold it by that hash, and
    the errors of types and schemas. All or nothing.
    """
    ignored: list[str] = []
    for one in read:
        item = one.item
        schema = _schema(tx, node.scope, item)
        if schema is None:
            if item.names:
                schema = first_schema(item)
                inventory.add_schema(tx, node.scope, schema)
            else:
                ignored.append(f"{item.type_name} has no rows, so that it defines no type")
                continue
        if schema.derived:
            ignored.append(f"{item.type_name} is what the server itself knows of the node")
        elif schema.disabled:
            ignored.append(f"{item.type_name} {item.version} is disabled: put a later version")
        else:
            _keep(tx, node, one, now)
    return f"Not kept: {'; '.join(ignored)}." if ignored else ""


def _keep(tx: Tx, node: ManagedNode, one: ReadItem, now: datetime) -> None:
    item = one.item
    before = inventory.find(tx, node.id, item.type_name)
    unchanged = before is not None and item.content_hash != "" and before.content_hash == item.content_hash
    if before is not None and unchanged and before.version == item.version:
        set_id = before.set_id
    elif one.rows is None:
        set_id = _held(tx, node, item).set_id
    else:
        set_id = inventory_sets.complete(tx, one.rows, now)
    stored = StoredItem(
        node_id=node.id,
        type_name=item.type_name,
        version=item.version,
        captured_at=item.captured_at,
        content_hash=item.content_hash,
        set_id=set_id,
    )
    inventory.put(tx, node.scope, stored, now)


def _held(tx: Tx, node: ManagedNode, item: InventoryItem) -> StoredItem:
    """What the server holds by the item's hash. Raises Mismatch."""
    before = inventory.find(tx, node.id, item.type_name)
    if before is None or (before.content_hash, before.version) != (item.content_hash, item.version):
        raise Mismatch(
            Kind.ITEM_CONTENT,
            f"The server does not hold {item.type_name} of {node.id} by that ContentHash: send its Content.",
            id=item.type_name,
        )
    return before


def _is_derived(item: InventoryItem) -> bool:
    schema = STANDARD.get(item.type_name)
    return schema is not None and schema.derived


def _schema(tx: Tx, scope: Scope, item: InventoryItem) -> Schema | None:
    """The schema that the item keeps to; None for the first item of a custom type's version.

    Raises Unsupported, Invalid, LimitExceeded.
    """
    if not is_custom(item.type_name):
        schema = STANDARD[item.type_name]
        check_against(item, schema)
        return schema
    own = inventory.schemas(tx, scope)
    mine = [s for s in own if s.type_name == item.type_name]
    closed = [s for s in mine if s.disabled and version_key(s.version) >= version_key(item.version)]
    if closed:
        return closed[0]
    found = next((s for s in mine if s.version == item.version), None)
    if found is not None:
        check_against(item, found)
        return found
    if not mine and len({s.type_name for s in own}) >= MAX_CUSTOM_TYPES:
        raise LimitExceeded(
            Kind.INVENTORY_TYPE,
            f"There are {MAX_CUSTOM_TYPES} custom types here already: delete one (DeleteInventory) for another.",
        )
    if len(mine) >= MAX_VERSIONS:
        raise Unsupported(
            Kind.SCHEMA_VERSION,
            f"{item.type_name} has {MAX_VERSIONS} schema versions already: use one of them, or delete the type.",
        )
    if item.names:
        first_schema(item)
    return None
