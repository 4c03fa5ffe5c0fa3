"""Filters of the inventory listings: of nodes, and of the rows of one node. Source: operations.md 7.1."""

from collections.abc import Mapping, Sequence

from patchwright.api.context import Request
from patchwright.core.errors import Invalid, Kind
from patchwright.core.inventory import InventoryCondition, InventoryOperator, condition_of
from patchwright.core.inventory_types import Schema
from patchwright.store import inventory_search


def conditions_from(filters: Sequence[Request], schemas: Mapping[str, Schema]) -> list[InventoryCondition]:
    """[{Key, Values, Type}] -> conditions on nodes. Raises Invalid(FILTER)."""
    found = [condition_of(f["Key"], f["Values"], f.get("Type"), schemas) for f in filters]
    for condition in found:
        is_column = inventory_search.has_columns(condition.type_name)
        if is_column and condition.attribute and condition.key not in inventory_search.COLUMN_KEYS:
            raise Invalid(Kind.FILTER, f"{condition.key} can't be filtered by: it is of the latest operation.")
    return found


def row_conditions(filters: Sequence[Request], schema: Schema) -> list[InventoryCondition]:
    """Conditions on the rows of one type, by `AWS:Application.Name` or plainly `Name`. Raises Invalid(FILTER)."""
    found = []
    searchable = {schema.type_name: _searchable(schema)}
    for entry in filters:
        key = entry["Key"] if ":" in entry["Key"] else f"{schema.type_name}.{entry['Key']}"
        condition = condition_of(key, entry["Values"], entry.get("Type"), searchable)
        if condition.operator is InventoryOperator.EXISTS:
            raise Invalid(Kind.FILTER, "Exists is about nodes: GetInventory has it.")
        found.append(condition)
    return found


def _searchable(schema: Schema) -> Schema:
    """One node's rows can be looked through whatever the type."""
    return Schema(
        type_name=schema.type_name, version=schema.version, attributes=schema.attributes, numbers=schema.numbers
    )
