"""Aggregators of GetInventory: how many nodes have which values, or fulfil a group's filters. Source: 7.1."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patchwright.api.context import Context, Request
from patchwright.api.inventory_filters import conditions_from
from patchwright.core.errors import Invalid, Kind
from patchwright.core.inventory import InventoryCondition, clean, split_key
from patchwright.core.inventory_types import Schema
from patchwright.store import inventory_search

MAX_DEPTH = 3
"""Expressions within one another; more would group a fleet into single nodes."""
MAX_PATHS = 20
"""Chains of expressions and groups of one request: each is a query over the fleet."""
MAX_VALUES = 10_000
"""What a list of rows of the answer holds."""

Key = tuple[str, str]


def aggregated(
    ctx: Context,
    aggregators: Sequence[Request],
    conditions: Sequence[InventoryCondition],
    schemas: Mapping[str, Schema],
) -> list[dict[str, Any]]:
    """An entity per chain of expressions, and per group. Raises Invalid(AGGREGATOR | INVENTORY_GROUP)."""
    paths = [path for one in aggregators for path in _paths(one, (), schemas)]
    if len(paths) > MAX_PATHS:
        raise Invalid(Kind.AGGREGATOR, f"These aggregators are {len(paths)} counts; a request has {MAX_PATHS}.")
    return [
        _grouped(ctx, keys, group, conditions, schemas) if group else _counted(ctx, keys, conditions, schemas)
        for keys, group in paths
    ]


def _paths(
    aggregator: Request, above: tuple[Key, ...], schemas: Mapping[str, Schema]
) -> Iterator[tuple[tuple[Key, ...], Request | None]]:
    """Each chain from the outermost expression to an innermost, with the group at its end where one is."""
    keys = above
    if "Expression" in aggregator:
        keys = (*above, _key(aggregator["Expression"], schemas))
    if len(keys) > MAX_DEPTH:
        raise Invalid(Kind.AGGREGATOR, f"Aggregators are at most {MAX_DEPTH} deep.")
    if len({t for t, _ in keys if not inventory_search.has_columns(t)}) > 1:
        raise Invalid(
            Kind.AGGREGATOR,
            f"{keys[-1][0]} can't be counted within another type of rows: AWS:InstanceInformation can.",
        )
    inner, groups = aggregator.get("Aggregators", ()), aggregator.get("Groups", ())
    for one in inner:
        yield from _paths(one, keys, schemas)
    for group in groups:
        yield keys, group
    if not inner and not groups:
        if "Expression" not in aggregator:
            raise Invalid(Kind.AGGREGATOR, "An aggregator has an Expression or Groups.")
        yield keys, None


def _key(expression: str, schemas: Mapping[str, Schema]) -> Key:
    try:
        type_name, attribute = split_key(expression, schemas)
    except Invalid as unknown:
        raise Invalid(Kind.AGGREGATOR, unknown.message) from unknown
    schema = schemas[type_name]
    columns = inventory_search.has_columns(type_name)
    if (
        attribute not in schema.attributes
        or not schema.searchable
        or (columns and expression not in inventory_search.COLUMN_KEYS)
    ):
        raise Invalid(Kind.AGGREGATOR, f"'{clean(expression[:200])}' can't be counted by.")
    return type_name, attribute


def _counted(
    ctx: Context, keys: Sequence[Key], conditions: Sequence[InventoryCondition], schemas: Mapping[str, Schema]
) -> dict[str, Any]:
    rows = [{**_named(keys, values), "Count": str(n)} for values, n in _values(ctx, keys, conditions)]
    return _entity(keys[0][0], rows, schemas)


def _grouped(
    ctx: Context,
    keys: Sequence[Key],
    group: Request,
    conditions: Sequence[InventoryCondition],
    schemas: Mapping[str, Schema],
) -> dict[str, Any]:
    """How many nodes fulfil the group's filters and how many don't, for each value of the expressions around it."""
    try:
        own = conditions_from(group["Filters"], schemas)
    except Invalid as wrong:
        raise Invalid(Kind.INVENTORY_GROUP, f"Group {clean(group['Name'])}: {wrong.message}") from wrong
    if not keys:
        total = inventory_search.count(ctx.tx, ctx.scope, conditions)
        matching = inventory_search.count(ctx.tx, ctx.scope, [*conditions, *own])
        rows = [_group_row(group, {}, total, matching)]
        return _entity(own[0].type_name, rows, schemas)
    fulfil = dict(_values(ctx, keys, [*conditions, *own]))
    rows = [
        _group_row(group, _named(keys, values), n, fulfil.get(values, 0))
        for values, n in _values(ctx, keys, conditions)
    ]
    return _entity(keys[0][0], rows, schemas)


def _group_row(group: Request, values: Mapping[str, str], total: int, matching: int) -> dict[str, str]:
    counts = {"matchingCount": str(matching), "notMatchingCount": str(total - matching)}
    return {**values, "Name": group["Name"], **counts}


def _values(
    ctx: Context, keys: Sequence[Key], conditions: Sequence[InventoryCondition]
) -> list[tuple[tuple[str, ...], int]]:
    found = inventory_search.counts(ctx.tx, ctx.scope, conditions, keys)
    if len(found) > MAX_VALUES:
        raise Invalid(Kind.AGGREGATOR, f"There are more than {MAX_VALUES} values: filter the nodes.")
    return found


def _named(keys: Sequence[Key], values: Sequence[str]) -> dict[str, str]:
    return {attribute: value for (_, attribute), value in zip(keys, values, strict=True)}


def _entity(type_name: str, rows: Sequence[Mapping[str, str]], schemas: Mapping[str, Schema]) -> dict[str, Any]:
    content = {"TypeName": type_name, "SchemaVersion": schemas[type_name].version, "Content": list(rows)}
    return {"Data": {type_name: content}}
