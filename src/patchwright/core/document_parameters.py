"""Parameters of documents: their definitions, and values against them. Source: operations.md 2.2, agent-protocol.md 8.

Values come as lists of texts, and travel to nodes by their declared type. The node puts them into the steps.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import regex  # type: ignore[import-untyped]

from patchwright.core.documents import Document
from patchwright.core.errors import Invalid, Kind
from patchwright.core.structured_text import Unreadable, parse_json

TYPES = ("String", "StringList", "Integer", "Boolean", "StringMap", "MapList")
MATCH_SECONDS, ALL_MATCHES_SECONDS = 0.1, 1.0
"""For one value, and for all of a parameter: a pattern of somebody's own must not hold up the server."""
MAX_ITEMS = 1_000
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_STORE_PARAMETER = re.compile(r"\{\{\s*ssm(?:-secure)?:")


class BadValue(ValueError):
    """A value that its definition does not allow; the message ends a sentence that names the parameter."""


def check_parameters(document: Document, given: Mapping[str, list[str]]) -> dict[str, Any]:
    """The value of each parameter as a message carries it, defaults filled in. Raises Invalid(PARAMETERS)."""
    for name in given:
        if name not in document.parameters:
            raise Invalid(Kind.PARAMETERS, f"Document {document.name} has no parameter named {name[:128]}.")
    values = {}
    for name, definition in document.parameters.items():
        if name not in given and "default" not in definition:
            raise Invalid(Kind.PARAMETERS, f"Parameter {name} of document {document.name} is required.")
        try:
            if name in given:
                values[name] = typed(definition, given[name])
                check_value(definition, values[name])
            else:
                values[name] = definition["default"]
            _refuse_store_parameters(values[name])
        except BadValue as wrong:
            raise Invalid(Kind.PARAMETERS, f"Parameter {name}{wrong}") from None
    return values


def delivered_parameters(document: Document, given: Mapping[str, list[str]]) -> dict[str, Any]:
    """The values of checked parameters as a message carries them, defaults filled in."""
    values: dict[str, Any] = {}
    for name, definition in document.parameters.items():
        if name in given:
            values[name] = typed(definition, given[name])
        elif "default" in definition:
            values[name] = definition["default"]
    return values


def typed(definition: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """Texts as the public API has them -> a value of the declared type. Raises BadValue."""
    kind = definition["type"]
    if kind == "StringList":
        return list(texts)
    if kind == "MapList":
        return [_map_of(text) for text in texts]
    if len(texts) != 1:
        raise BadValue(f" takes exactly one value, {len(texts)} were given.")
    text = texts[0]
    if kind == "StringMap":
        return _map_of(text)
    if kind == "Integer":
        if not _INTEGER.fullmatch(text):
            raise BadValue(f": '{text[:100]}' is no integer.")
        return int(text)
    if kind == "Boolean":
        if text.lower() not in ("true", "false"):
            raise BadValue(f": '{text[:100]}' is neither true nor false.")
        return text.lower() == "true"
    return text


def _map_of(text: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except Unreadable as wrong:
        raise BadValue(f" takes a JSON object: {wrong}.") from None
    if not isinstance(found, dict):
        raise BadValue(" takes a JSON object.")
    return found


def check_value(definition: Mapping[str, Any], value: Any) -> None:
    """Raise BadValue unless a typed value satisfies all that its definition asks."""
    kind = definition["type"]
    if not _is_of(kind, value):
        raise BadValue(f" is of type {kind}; {_shown(value)} is not.")
    if kind in ("StringList", "MapList", "StringMap"):
        _check_size(len(value), "values", definition.get("minItems", 0), definition.get("maxItems", MAX_ITEMS))
    elements = value if isinstance(value, list) else [value]
    allowed = definition.get("allowedValues")
    for element in elements:
        if allowed and element not in allowed:
            raise BadValue(f": {_shown(element)} is not one of {', '.join(map(str, allowed))[:500]}.")
        if isinstance(element, str):
            if "\0" in element:
                raise BadValue(" holds a NUL character.")
            _check_size(len(element), "characters", definition.get("minChars", 0), definition.get("maxChars"))
            _check_pattern(definition.get("allowedPattern"), element, ALL_MATCHES_SECONDS / len(elements))


def _is_of(kind: str, value: Any) -> bool:
    if kind == "StringList":
        return isinstance(value, list) and all(isinstance(element, str) for element in value)
    if kind == "MapList":
        return isinstance(value, list) and all(isinstance(element, dict) for element in value)
    if kind == "Integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {"String": str, "Boolean": bool, "StringMap": dict}[kind])


def _check_size(size: int, unit: str, least: int, most: int | None) -> None:
    if size < least:
        raise BadValue(f" takes at least {least} {unit}; {size} were given.")
    if most is not None and size > most:
        raise BadValue(f" takes at most {most} {unit}; {size} were given.")


def _check_pattern(pattern: str | None, text: str, seconds: float) -> None:
    if not pattern:
        return
    try:
        matched = regex.fullmatch(pattern, text, timeout=max(min(MATCH_SECONDS, seconds), 0.002))
    except TimeoutError:
        raise BadValue(f": matching '{text[:100]}' with {pattern[:200]} takes too long.") from None
    if matched is None:
        raise BadValue(f": '{text[:100]}' does not match {pattern[:200]}.")


def _refuse_store_parameters(value: Any) -> None:
    if isinstance(value, str):
        if _STORE_PARAMETER.search(value):
            raise BadValue(" refers to the parameter store, which this release does not have.")
    elif isinstance(value, list | dict):
        for element in value.values() if isinstance(value, dict) else value:
            _refuse_store_parameters(element)


def _shown(value: Any) -> str:
    return f"'{str(value)[:100]}'"
