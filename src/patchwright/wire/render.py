"""Plain values -> answer bytes by shape, and errors -> answers. Source: spec/operations.md 1.1-1.3."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from patchwright.wire.errors import WireError
from patchwright.wire.model import ErrorShape
from patchwright.wire.shapes import (
    BooleanShape,
    ListShape,
    MapShape,
    NumberShape,
    Shape,
    StringShape,
    StructureShape,
    TimestampShape,
)

CONTENT_TYPE = "application/x-amz-json-1.1"
_encode = msgspec.json.Encoder().encode


class RenderError(Exception):
    """A handler answered with something that its output shape does not have: our own bug, never the client's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedError:
    """An error as it goes out: HTTP status, the two headers that every client looks at, and the body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render_output(shape: StructureShape, values: Mapping[str, Any], *, strict: bool = True) -> bytes:
    """Render an answer. None members and an empty NextToken are omitted; timestamps are epoch seconds, 3 decimals.

    Raises RenderError for a value of the wrong type and, if `strict`, for a member that the shape does not have or a
    text outside its enum. A server in production passes strict=False and leaves such members out or as they are.
    """
    return _encode(_structure(shape, values, strict))


def render_error(
    error: WireError, known: Mapping[str, ErrorShape], members: Mapping[str, Any] | None = None
) -> RenderedError:
    """Render an error for the service whose error shapes are `known`.

    The text goes under the key that the model names, else under `message`. `members` are further members of the error
    shape, such as TypeName; they are left out if the shape has none of that name.
    """
    declared = known.get(error.code)
    body: dict[str, Any] = {"__type": error.code}
    if declared is None:
        status, key = error.status, "message"
    else:
        status, key = declared.status, declared.message_key or "message"
        body |= _structure(declared.structure, members or {}, strict=False)
    body[key] = error.message
    return RenderedError(
        status=status, headers=(("Content-Type", CONTENT_TYPE), ("x-amzn-ErrorType", error.code)), body=_encode(body)
    )


def _structure(shape: StructureShape, values: Any, strict: bool) -> dict[str, Any]:
    if type(values) is not dict and not isinstance(values, Mapping):  # the first is the common case, and quick
        raise RenderError(f"{shape.name} must be a mapping, not {type(values).__name__}")
    members = shape.members
    result = {}
    for name, value in values.items():
        if value is None or (name == "NextToken" and value == ""):
            continue
        member = members.get(name)
        if member is None:
            if strict:
                raise RenderError(f"{shape.name} has no member {name}")
            continue
        try:
            result[name] = _value(member.shape, value, strict)
        except RenderError as error:
            raise RenderError(f"{name}: {error}") from None
    return result


def _value(shape: Shape, value: Any, strict: bool) -> Any:
    """Dispatch by shape, the most frequent kinds first."""
    if isinstance(shape, StringShape):
        if not isinstance(value, str):
            raise _unexpected(shape, value)
        if strict and shape.enum and value not in shape.allowed:
            raise RenderError(f"{shape.name} does not allow {value!r}")
        return value
    if isinstance(shape, StructureShape):
        return _structure(shape, value, strict)
    if isinstance(shape, ListShape):
        if not isinstance(value, (list, tuple)):
            raise _unexpected(shape, value)
        element = shape.member
        return [_value(element, item, strict) for item in value]
    if isinstance(shape, MapShape):
        return _map(shape, value, strict)
    if isinstance(shape, NumberShape):
        return _number(shape, value)
    if isinstance(shape, BooleanShape):
        if not isinstance(value, bool):
            raise _unexpected(shape, value)
        return value
    if isinstance(shape, TimestampShape):
        return _timestamp(shape, value)
    if not isinstance(value, bytes):
        raise _unexpected(shape, value)
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _map(shape: MapShape, value: Any, strict: bool) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _unexpected(shape, value)
    key, element = shape.key, shape.value
    return {_value(key, name, strict): _value(element, item, strict) for name, item in value.items()}


def _number(shape: NumberShape, value: Any) -> int | float:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and not shape.whole:
        return value
    raise _unexpected(shape, value)


def _timestamp(shape: TimestampShape, value: Any) -> int | float:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _unexpected(shape, value)
    seconds = round(value.timestamp(), 3)
    return int(seconds) if seconds.is_integer() else seconds


def _unexpected(shape: Shape, value: Any) -> RenderError:
    return RenderError(f"{shape.name} ({type(shape).__name__}) cannot be rendered from {type(value).__name__}")
