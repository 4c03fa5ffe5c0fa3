"""Body bytes -> plain values by shape. Everything here is about JSON types; constraints come after, in `validate`.

Source: spec/operations.md 1.1 and 1.4 (order of checks).
"""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from typing import Any

import msgspec

from patchwright.wire.errors import SerializationError
from patchwright.wire.model import Operation
from patchwright.wire.shapes import (
    BlobShape,
    BooleanShape,
    ListShape,
    MapShape,
    NumberShape,
    Shape,
    StringShape,
    StructureShape,
    TimestampShape,
)
from patchwright.wire.validate import validate

MAX_DEPTH = 32
"""Deepest nesting of known members. The models' deepest ordinary request has 8 levels; recursive shapes have no end."""

MAX_TIMESTAMP_TEXT = 40  # characters; the longest useful ISO-8601 text has 32
_WHOLE_LIMITS = {"integer": 2**31, "long": 2**63}


class _MismatchError(Exception):
    """A value of the wrong JSON type; `path` grows from the inside out while it passes up."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.path: list[str] = []


def parse_request(operation: Operation, body: bytes) -> dict[str, Any]:
    """Parse and validate a request: dicts, lists, str, int, float, bool, bytes and aware UTC datetimes.

    Absent and null members are absent, unknown ones are ignored; of a repeated member the last counts, as in the
    vendor's parser. Raises SerializationError for the first value of a wrong JSON type, then ValidationError for all
    broken constraints together.
    """
    values = parse_input(operation.input, body)
    validate(operation.input, values)
    return values


def refuse_nul(body: bytes, values: object) -> None:
    """Raise SerializationError if any text holds the character NUL, which one of the two engines can't keep.

    For operators' requests; the node's doors clean what hosts send. A body without the escape is not looked through.
    """
    if b"\\u0000" in body and _holds_nul(values):
        raise SerializationError("A string of the request holds the character NUL.")


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(k) or _holds_nul(v) for k, v in value.items())
    return isinstance(value, list) and any(_holds_nul(v) for v in value)


def parse_input(shape: StructureShape, body: bytes) -> dict[str, Any]:
    """Parse a body by the types of `shape` alone; an empty body is `{}`. Raises SerializationError."""
    document = _decode(body) if body else {}
    if type(document) is not dict:
        raise SerializationError("The body of the request must be a JSON object.")
    try:
        return _structure(shape, document, MAX_DEPTH)
    except _MismatchError as mismatch:
        where = f" at '{'.'.join(reversed(mismatch.path))}'" if mismatch.path else ""
        raise SerializationError(f"{mismatch.text}{where}.") from None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise SerializationError("The body of the request is not valid UTF-8.") from None
    except RecursionError:
        raise SerializationError("The body of the request is nested too deeply.") from None
    except msgspec.ValidationError:
        raise SerializationError("The body of the request has a number that is out of range.") from None
    except msgspec.MsgspecError:
        raise SerializationError("The body of the request is not valid JSON.") from None


def _value(shape: Shape, value: Any, depth: int) -> Any:
    """Dispatch by shape, the most frequent kinds first."""
    if isinstance(shape, StringShape):
        if type(value) is not str:
            raise _unexpected("a string", value)
        return value
    if isinstance(shape, StructureShape):
        return _structure(shape, value, depth - 1)
    if isinstance(shape, ListShape):
        return _list(shape, value, depth - 1)
    if isinstance(shape, MapShape):
        return _map(shape, value, depth - 1)
    if isinstance(shape, NumberShape):
        return _number(shape, value)
    if isinstance(shape, BooleanShape):
        if type(value) is not bool:
            raise _unexpected("true or false", value)
        return value
    if isinstance(shape, TimestampShape):
        return _timestamp(value)
    return _blob(shape, value)


def _structure(shape: StructureShape, value: Any, depth: int) -> dict[str, Any]:
    if type(value) is not dict:
        raise _unexpected("an object", value)
    if depth <= 0:
        raise _MismatchError(f"The request is nested deeper than {MAX_DEPTH} levels")
    members = shape.members
    result = {}
    for name, item in value.items():
        member = members.get(name)
        if member is None or item is None:
            continue
        try:
            result[name] = _value(member.shape, item, depth)
        except _MismatchError as mismatch:
            mismatch.path.append(member.path)
            raise
    return result


def _list(shape: ListShape, value: Any, depth: int) -> list[Any]:
    if type(value) is not list:
        raise _unexpected("a list", value)
    if depth <= 0:
        raise _MismatchError(f"The request is nested deeper than {MAX_DEPTH} levels")
    element = shape.member
    result: list[Any] = []
    try:
        for item in value:
            result.append(_value(element, item, depth))  # noqa: PERF401  its length is the position of a mismatch
    except _MismatchError as mismatch:
        mismatch.path += ("member", str(len(result) + 1))
        raise
    return result


def _map(shape: MapShape, value: Any, depth: int) -> dict[str, Any]:
    if type(value) is not dict:
        raise _unexpected("an object", value)
    if depth <= 0:
        raise _MismatchError(f"The request is nested deeper than {MAX_DEPTH} levels")
    element = shape.value
    result = {}
    try:
        for key, item in value.items():
            result[key] = _value(element, item, depth)
    except _MismatchError as mismatch:
        mismatch.path.append("value")  # not the key: it is the client's text, of any length
        raise
    return result


def _number(shape: NumberShape, value: Any) -> int | float:
    if type(value) is float and shape.whole and value.is_integer():
        value = int(value)  # JSON has one kind of number; 5.0 is 5
    if shape.whole:
        if type(value) is not int:
            raise _unexpected("a whole number", value)
        limit = _WHOLE_LIMITS[shape.kind]
        if not -limit <= value < limit:
            raise _MismatchError(f"Expected a number of {limit.bit_length()} bits but found a larger one")
        return value
    if type(value) is not int and type(value) is not float:
        raise _unexpected("a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _MismatchError("Expected a number that a double can hold but found a larger one") from None


def _timestamp(value: Any) -> datetime:
    """Epoch seconds, or ISO-8601 text (UTC if it names no offset), as an aware UTC datetime."""
    try:
        if type(value) is int or type(value) is float:
            return datetime.fromtimestamp(value, UTC)
        if type(value) is str and len(value) <= MAX_TIMESTAMP_TEXT:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise _MismatchError("Expected a timestamp of the years 1 to 9999, epoch seconds or ISO-8601") from None
    raise _unexpected("a timestamp", value)


def _blob(shape: BlobShape, value: Any) -> bytes:
    if type(value) is not str:
        raise _unexpected("base64 text", value)
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise _MismatchError(f"Expected base64 text for {shape.name} but found other characters") from None


_JSON_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def _unexpected(wanted: str, value: Any) -> _MismatchError:
    return _MismatchError(f"Expected {wanted} but found {_JSON_NAMES.get(type(value), 'null')}")
