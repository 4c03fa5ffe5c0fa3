"""Inventory: what an item that is put must be, and what a filter means. Source: operations.md 7.1."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from patchwright.core.errors import Invalid, Kind, LimitExceeded, Unsupported
from patchwright.core.inventory_types import STANDARD, Schema

Row = Mapping[str, str]

CUSTOM = "Custom:"
MAX_CUSTOM_TYPES = 20
"""Of an account and region. Source: operations.md 7.1."""
MAX_VERSIONS = 10
"""Of one custom type: each defines a schema that is kept."""
MAX_ITEM_CHARACTERS = 4 * 1024 * 1024
MAX_TOTAL_CHARACTERS = 8 * 1024 * 1024
"""Of the names and values of one item, and of one call. 828 packages of a real host have a quarter of a megabyte."""
MAX_ATTRIBUTES = 50
INDEXED_CHARACTERS = 255
"""So much of a value filters and aggregators see: an index entry of an engine has an end."""

_CUSTOM_NAME = re.compile(r"Custom:[A-Za-z0-9][A-Za-z0-9_\-]{0,92}", re.ASCII)
_ATTRIBUTE = re.compile(r"[^.\x00-\x1f\x7f]{1,64}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)


class InventoryOperator(StrEnum):
    """How a filter compares. Source: operations.md 7.1."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    BEGIN_WITH = "BeginWith"
    LESS_THAN = "LessThan"
    GREATER_THAN = "GreaterThan"
    EXISTS = "Exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryItem:
    """One type of a node, as it was put; `rows` None: its content is what the server holds by that hash."""

    type_name: str
    version: str
    captured_at: str
    content_hash: str
    rows: tuple[Row, ...] | None
    names: frozenset[str] = frozenset()
    """All attributes that its rows have."""
    context: tuple[str, ...] = ()
    """The keys of its Context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryCondition:
    """One filter: its values are OR-ed. EXISTS has no values and speaks of the type alone."""

    type_name: str
    attribute: str
    operator: InventoryOperator
    values: tuple[str, ...]
    numeric: bool = False

    @property
    def key(self) -> str:
        return f"{self.type_name}.{self.attribute}"


def is_custom(type_name: str) -> bool:
    return type_name.startswith(CUSTOM)


def version_key(version: str) -> tuple[int, int]:
    """`1.10` is after `1.9`."""
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def clean(text: str) -> str:
    """A host's text without control characters, which break terminals, and one of which an engine can't keep."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def check_items(items: Sequence[InventoryItem]) -> None:
    """What can be said without knowing the account's types. Raises Invalid, LimitExceeded."""
    total = 0
    types: set[str] = set()
    for item in items:
        _check_name(item.type_name)
        if item.type_name in types and not item.context:
            raise Invalid(
                Kind.ITEM_CONTENT, f"{item.type_name} occurs twice in this call; nothing was kept.", id=item.type_name
            )
        types.add(item.type_name)
        if item.rows is None and not item.content_hash:
            raise Invalid(
                Kind.ITEM_CONTENT,
                f"{item.type_name} has neither Content nor ContentHash: send the content.",
                id=item.type_name,
            )
        size = sum(len(name) + len(value) for row in item.rows or () for name, value in row.items())
        if size > MAX_ITEM_CHARACTERS:
            raise LimitExceeded(
                Kind.ITEM,
                f"{item.type_name} has {size} characters; an item has at most {MAX_ITEM_CHARACTERS}.",
                id=item.type_name,
            )
        total += size
    if total > MAX_TOTAL_CHARACTERS:
        raise LimitExceeded(
            Kind.ITEMS, f"The items have {total} characters together, at most {MAX_TOTAL_CHARACTERS}: send fewer."
        )


def _check_name(type_name: str) -> None:
    if is_custom(type_name):
        if not _CUSTOM_NAME.fullmatch(type_name):
            raise Invalid(
                Kind.INVENTORY_TYPE,
                f"{clean(type_name)} is not a type name: {CUSTOM} and letters, digits, _ and - are.",
            )
    elif type_name not in STANDARD:
        raise Invalid(Kind.INVENTORY_TYPE, f"{clean(type_name)} is not a type: GetInventorySchema lists all.")


def check_against(item: InventoryItem, schema: Schema) -> None:
    """Whether the item is one of this type. Raises Unsupported, Invalid."""
    if item.version != schema.version:
        raise Unsupported(
            Kind.SCHEMA_VERSION,
            f"{item.type_name} has the schema version {schema.version} here, not {item.version}: "
            "GetInventorySchema lists all.",
        )
    if item.context and not schema.context:
        raise Unsupported(Kind.ITEM_CONTEXT, f"{item.type_name} takes no Context.", id=item.type_name)
    strange = sorted(set(item.context) - set(schema.context))
    if strange:
        raise Invalid(Kind.ITEM_CONTEXT, f"{clean(strange[0])!r} is not a key of Context: {', '.join(schema.context)}.")
    unknown = sorted(item.names - set(schema.attributes))
    if unknown:
        raise Invalid(
            Kind.ITEM_CONTENT,
            f"{clean(unknown[0])!r} is not an attribute of {item.type_name}: {', '.join(schema.attributes)}.",
            id=item.type_name,
        )


def first_schema(item: InventoryItem) -> Schema:
    """The schema that the first Put of a custom type's version defines. Raises Invalid for names that can't be asked.

    The caller has seen that there are rows.
    """
    wrong = sorted(name for name in item.names if not _ATTRIBUTE.fullmatch(name) or not name.isprintable())
    if wrong:
        raise Invalid(
            Kind.ITEM_CONTENT,
            f"{clean(wrong[0])!r} can't be the name of an attribute: no dots and no control characters.",
            id=item.type_name,
        )
    if item.context:
        raise Unsupported(Kind.ITEM_CONTEXT, f"{item.type_name} takes no Context.", id=item.type_name)
    if not 1 <= len(item.names) <= MAX_ATTRIBUTES:
        raise Invalid(
            Kind.ITEM_CONTENT,
            f"{item.type_name} has {len(item.names)} attributes; a type has 1 to {MAX_ATTRIBUTES}.",
            id=item.type_name,
        )
    return Schema(type_name=item.type_name, version=item.version, attributes=tuple(sorted(item.names)))


def known_types(own: Iterable[Schema]) -> dict[str, Schema]:
    """Each type by name: the standard ones, and the latest version of each of `own`.

    An own one has the attributes of all its versions there: filters may name any of them.
    """
    found = dict(STANDARD)
    for schema in sorted(own, key=lambda s: version_key(s.version)):
        before = found.get(schema.type_name)
        names = set(schema.attributes) | (set(before.attributes) if before else set())
        found[schema.type_name] = replace(schema, attributes=tuple(sorted(names)))
    return found


def condition_of(
    key: str, values: Iterable[str], operator: str | None, schemas: Mapping[str, Schema]
) -> InventoryCondition:
    """A filter as it was given: `AWS:Application.Name`; EXISTS may name the type alone. Raises Invalid(FILTER).

    `schemas`: the latest of each type that is known here.
    """
    how = InventoryOperator(operator or InventoryOperator.EQUAL)
    type_name, attribute = split_key(key, schemas)
    schema = schemas[type_name]
    if how is not InventoryOperator.EXISTS and attribute not in schema.attributes:
        raise Invalid(
            Kind.FILTER, f"'{clean(key)}' is not an attribute of {type_name}: {', '.join(schema.attributes)}."
        )
    if not schema.searchable:
        raise Invalid(
            Kind.FILTER, f"{type_name} can't be filtered by: it is judged node by node. ListComplianceItems filters it."
        )
    numeric = attribute in schema.numbers and how in (InventoryOperator.LESS_THAN, InventoryOperator.GREATER_THAN)
    chosen = tuple(values)
    wrong = next((v for v in chosen if numeric and number_of(v) is None), None)
    if wrong is not None:
        raise Invalid(Kind.FILTER, f"'{clean(wrong[:100])}' is not a number, which {attribute} is compared with.")
    return InventoryCondition(type_name=type_name, attribute=attribute, operator=how, values=chosen, numeric=numeric)


def split_key(key: str, schemas: Mapping[str, Schema]) -> tuple[str, str]:
    """`AWS:Application.Name` -> its type and its attribute. Raises Invalid(FILTER) for an unknown type."""
    type_name, _, attribute = key.partition(".")
    if type_name not in schemas:
        raise Invalid(Kind.FILTER, f"'{clean(key)}' names no inventory type: GetInventorySchema lists all.")
    return type_name, attribute


def number_of(text: str) -> float | None:
    """The number that a value is, if it is one."""
    return float(text) if _NUMBER.fullmatch(text) else None


def holds(condition: InventoryCondition, row: Row) -> bool:
    """Whether one row fulfils the condition by itself: what a listing of rows shows.

    An attribute that the row lacks fulfils NOT_EQUAL alone. Numbers compare by size, all else by code point.
    """
    value = row.get(condition.attribute)
    match condition.operator:
        case InventoryOperator.EXISTS:
            return True
        case InventoryOperator.NOT_EQUAL:
            return value is None or seen(value) not in map(seen, condition.values)
    if value is None:
        return False
    value = seen(value)
    wanted = [seen(v) for v in condition.values]
    match condition.operator:
        case InventoryOperator.EQUAL:
            return value in wanted
        case InventoryOperator.BEGIN_WITH:
            return value.startswith(tuple(wanted))
        case InventoryOperator.LESS_THAN:
            return any(_before(value, w, condition.numeric) for w in wanted)
        case _:
            return any(_before(w, value, condition.numeric) for w in wanted)


def seen(value: str) -> str:
    """What filters see of a value."""
    return value[:INDEXED_CHARACTERS]


def _before(one: str, other: str, numeric: bool) -> bool:
    if not numeric:
        return one < other
    first, second = number_of(one), number_of(other)
    return first is not None and second is not None and first < second
