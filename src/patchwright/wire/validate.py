"""Constraints of the model on a parsed request: every failure is found, all are told in one error, in AWS's words.

Source: spec/operations.md 1.5. Where an element of a list or map is at fault, the container is named and the element's
constraints are listed, as the service does: `Member must satisfy constraint: [...]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from patchwright.wire.errors import ValidationError
from patchwright.wire.patterns import matches
from patchwright.wire.printing import shown, shown_text
from patchwright.wire.shapes import (
    BlobShape,
    ListShape,
    MapShape,
    NumberShape,
    Shape,
    StringShape,
    StructureShape,
)

MAX_REPORTED = 50
"""Failures told in one message; a hostile request could have a million."""

Path: TypeAlias = tuple["Path", str] | None
"""Where a value is: the way to its container and its own segment. Joined only when there is something to report."""


@dataclass(slots=True)
class _Report:
    found: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, value: str, path: Path, constraint: str) -> None:
        self.count += 1
        if self.count <= MAX_REPORTED:
            self.found.append(f"Value {value} at '{_joined(path)}' failed to satisfy constraint: {constraint}")


def validate(shape: StructureShape, values: dict[str, Any]) -> None:
    """Check a parsed request against all constraints of its shape.

    Failures come in the model's order of members, outer before inner. Raises ValidationError with all of them.
    """
    report = _Report()
    _structure(shape, values, None, report)
    if report.count:
        noun = "error" if report.count == 1 else "errors"
        more = f"; and {report.count - MAX_REPORTED} more" if report.count > MAX_REPORTED else ""
        raise ValidationError(f"{report.count} validation {noun} detected: {'; '.join(report.found)}{more}")


def _structure(shape: StructureShape, values: dict[str, Any], path: Path, report: _Report) -> None:
    for name, member in shape.members.items():
        value = values.get(name)
        if value is None:
            if member.required:
                report.add("null", (path, member.path), "Member must not be null")
            continue
        inner = member.shape
        if type(inner) is StringShape and _fits_string(inner, value):
            continue
        here = (path, member.path)
        for constraint in _violated(inner, value):
            report.add(f"'{shown(inner, value)}'", here, f"Member must {constraint}")
        _within(inner, value, here, report)


def _within(shape: Shape, value: Any, path: Path, report: _Report) -> None:
    """Check what is inside a container; a scalar has nothing inside."""
    if isinstance(shape, StructureShape):
        _structure(shape, value, path, report)
    elif isinstance(shape, ListShape):
        _elements(shape, value, path, report)
    elif isinstance(shape, MapShape):
        _entries(shape, value, path, report)


def _elements(shape: ListShape, values: list[Any], path: Path, report: _Report) -> None:
    element = shape.member
    if not isinstance(element, StructureShape) and not all(_fits(element, value) for value in values):
        report.add(f"'{shown(shape, values)}'", path, f"Member must satisfy constraint: [{_listed(element)}]")
    if isinstance(element, (StructureShape, ListShape, MapShape)):
        for number, value in enumerate(values, start=1):
            _within(element, value, ((path, str(number)), "member"), report)


def _entries(shape: MapShape, values: dict[str, Any], path: Path, report: _Report) -> None:
    key, element = shape.key, shape.value
    if not all(_fits(key, name) for name in values):
        report.add(f"'{shown(shape, values)}'", path, f"Map keys must satisfy constraint: [{_listed(key)}]")
    if not all(_fits(element, value) for value in values.values()):
        report.add(f"'{shown(shape, values)}'", path, f"Map value must satisfy constraint: [{_listed(element)}]")
    if isinstance(element, (StructureShape, ListShape, MapShape)):
        for name, value in values.items():
            _within(element, value, ((path, shown_text(name)), "member"), report)


def _fits_string(shape: StringShape, value: str) -> bool:
    """The quick answer for the commonest case."""
    size = len(value)
    return (
        (shape.max_length is None or size <= shape.max_length)
        and (shape.min_length is None or size >= shape.min_length)
        and (not shape.enum or value in shape.allowed)
        and (shape.pattern is None or matches(shape.pattern, value))
    )


def _fits(shape: Shape, value: Any) -> bool:
    if isinstance(shape, StringShape):
        return _fits_string(shape, value)
    return next(_violated(shape, value), None) is None


def _violated(shape: Shape, value: Any) -> Iterator[str]:
    """The constraints that a value itself breaks (not what is inside it), as texts after `Member must`."""
    if isinstance(shape, StringShape):
        too_long = shape.max_length is not None and len(value) > shape.max_length
        if too_long:
            yield _at_most("length", shape.max_length)
        if shape.min_length is not None and len(value) < shape.min_length:
            yield _at_least("length", shape.min_length)
        # A text that is too long is refused already; its pattern is not tried, since that could take long too.
        if shape.pattern is not None and not too_long and not matches(shape.pattern, value):
            yield _pattern(shape.pattern)
        if shape.enum and value not in shape.allowed:
            yield _one_of(shape.enum)
    elif isinstance(shape, NumberShape):
        if shape.maximum is not None and value > shape.maximum:
            yield _at_most("value", shape.maximum)
        if shape.minimum is not None and value < shape.minimum:
            yield _at_least("value", shape.minimum)
    elif isinstance(shape, (ListShape, MapShape, BlobShape)):
        if shape.max_length is not None and len(value) > shape.max_length:
            yield _at_most("length", shape.max_length)
        if shape.min_length is not None and len(value) < shape.min_length:
            yield _at_least("length", shape.min_length)


def _listed(shape: Shape) -> str:
    """Every constraint that a shape has, for the bracket of an element's failure."""
    texts: list[str] = []
    if isinstance(shape, NumberShape):
        texts += [] if shape.maximum is None else [_at_most("value", shape.maximum)]
        texts += [] if shape.minimum is None else [_at_least("value", shape.minimum)]
    elif isinstance(shape, (StringShape, ListShape, MapShape, BlobShape)):
        texts += [] if shape.max_length is None else [_at_most("length", shape.max_length)]
        texts += [] if shape.min_length is None else [_at_least("length", shape.min_length)]
    if isinstance(shape, StringShape):
        texts += [] if shape.pattern is None else [_pattern(shape.pattern)]
        texts += [_one_of(shape.enum)] if shape.enum else []
    return ", ".join(f"Member must {text}" for text in texts)


def _at_most(what: str, limit: float | None) -> str:
    return f"have {what} less than or equal to {limit}"


def _at_least(what: str, limit: float | None) -> str:
    return f"have {what} greater than or equal to {limit}"


def _pattern(pattern: str) -> str:
    return f"satisfy regular expression pattern: {pattern}"


def _one_of(values: tuple[str, ...]) -> str:
    return f"satisfy enum value set: [{', '.join(values)}]"


def _joined(path: Path) -> str:
    segments = []
    while path is not None:
        path, segment = path
        segments.append(segment)
    return ".".join(reversed(segments))
