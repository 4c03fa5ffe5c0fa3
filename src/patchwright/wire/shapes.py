"""Shapes: what a value on the wire may be. Plain frozen data, compiled once from botocore's JSON format.

Parsing, validation and rendering walk these; none of them looks at the model again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


class ModelError(Exception):
    """A service model that this room cannot compile: a fault of the installation, found at start."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StringShape:
    """Text. Lengths are in characters; `pattern` is a Java expression that must match the whole value."""

    name: str
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberShape:
    """A whole number of 32 or 64 bits, or (kinds `float` and `double`) any finite one."""

    name: str
    kind: str
    minimum: float | None = None
    maximum: float | None = None

    @property
    def whole(self) -> bool:
        """True for `integer` and `long`."""
        return self.kind in ("integer", "long")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BooleanShape:
    """true or false, never their names as text."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimestampShape:
    """An instant: epoch seconds on the wire, an aware UTC datetime inside."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlobShape:
    """Bytes: base64 text on the wire. Lengths are those of the decoded bytes."""

    name: str
    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ListShape:
    """A JSON array of one shape."""

    name: str
    member: Shape = field(init=False, repr=False)
    min_length: int | None = None
    max_length: int | None = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapShape:
    """A JSON object with free keys, which are strings."""

    name: str
    key: Shape = field(init=False, repr=False)
    value: Shape = field(init=False, repr=False)
    min_length: int | None = None
    max_length: int | None = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """One member of a structure: its name on the wire, its name in messages, its shape."""

    name: str
    path: str
    shape: Shape
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StructureShape:
    """A JSON object with known members, in the model's order. Input may hold others (ignored); output may not."""

    name: str
    members: Mapping[str, Member] = field(init=False, repr=False)
    sensitive: bool = False


Shape: TypeAlias = (
    StringShape | StructureShape | ListShape | MapShape | NumberShape | BooleanShape | TimestampShape | BlobShape
)


def lower_camel(name: str) -> str:
    """The form in which validation messages name a member: `InstanceIds` is `instanceIds`."""
    return name[:1].lower() + name[1:]


class ShapeCompiler:
    """Turns the `shapes` table of one botocore model into Shape values; each shape is compiled once."""

    def __init__(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self._definitions = definitions
        self._compiled: dict[str, Shape] = {}

    def structure(self, name: str) -> StructureShape:
        """Compile the structure `name`. Raises ModelError if it is absent or not a structure."""
        shape = self.shape(name)
        if not isinstance(shape, StructureShape):
            raise ModelError(f"shape {name} must be a structure")
        return shape

    def shape(self, name: str) -> Shape:
        """Compile the shape `name` and what it refers to. Raises ModelError for unknown names and types."""
        known = self._compiled.get(name)
        if known is not None:
            return known
        definition = self._definitions.get(name)
        if definition is None:
            raise ModelError(f"shape {name} is referred to but not defined")
        match definition["type"]:
            case "structure":
                return self._structure(name, definition)
            case "list":
                return self._list(name, definition)
            case "map":
                return self._map(name, definition)
            case _:
                scalar = _scalar(name, definition)
                self._compiled[name] = scalar
                return scalar

    def _structure(self, name: str, definition: Mapping[str, Any]) -> StructureShape:
        shape = StructureShape(name=name, sensitive=definition.get("sensitive", False))
        self._compiled[name] = shape
        required = definition.get("required", ())
        members: dict[str, Member] = {}
        for member_name, reference in definition["members"].items():
            if "locationName" in reference or "location" in reference:
                raise ModelError(f"{name}.{member_name}: members are named by their own name in JSON 1.1 services")
            members[member_name] = Member(
                name=member_name,
                path=lower_camel(member_name),
                shape=self.shape(reference["shape"]),
                required=member_name in required,
            )
        _tie(shape, members=members)
        return shape

    def _list(self, name: str, definition: Mapping[str, Any]) -> ListShape:
        shape = ListShape(
            name=name,
            min_length=definition.get("min"),
            max_length=definition.get("max"),
            sensitive=definition.get("sensitive", False),
        )
        self._compiled[name] = shape
        _tie(shape, member=self.shape(definition["member"]["shape"]))
        return shape

    def _map(self, name: str, definition: Mapping[str, Any]) -> MapShape:
        shape = MapShape(
            name=name,
            min_length=definition.get("min"),
            max_length=definition.get("max"),
            sensitive=definition.get("sensitive", False),
        )
        self._compiled[name] = shape
        _tie(shape, key=self.shape(definition["key"]["shape"]), value=self.shape(definition["value"]["shape"]))
        return shape


def _tie(shape: Shape, **references: object) -> None:
    """Complete a shape that was registered first, because it may hold itself (inventory aggregators do)."""
    for name, reference in references.items():
        object.__setattr__(shape, name, reference)


def _scalar(name: str, definition: Mapping[str, Any]) -> Shape:
    kind = definition["type"]
    low, high = definition.get("min"), definition.get("max")
    match kind:
        case "string":
            enum = tuple(definition.get("enum", ()))
            return StringShape(
                name=name,
                min_length=low,
                max_length=high,
                pattern=definition.get("pattern"),
                enum=enum,
                allowed=frozenset(enum),
                sensitive=definition.get("sensitive", False),
            )
        case "integer" | "long" | "float" | "double":
            return NumberShape(name=name, kind=kind, minimum=low, maximum=high)
        case "boolean":
            return BooleanShape(name=name)
        case "timestamp":
            return TimestampShape(name=name)
        case "blob":
            return BlobShape(name=name, min_length=low, max_length=high)
        case _:
            raise ModelError(f"shape {name} has the unknown type {kind}")
