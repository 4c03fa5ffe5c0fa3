"""Which other documents a command makes its nodes fetch: nested ones and downloads. Source: operations.md 2.3."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchwright.core.documents import bodies_of
from patchwright.core.structured_text import Unreadable, parse_json

MAX_DEPTH = 3
"""How deep documents may nest."""
_PARAMETER = re.compile(r"\{\{\s*([A-Za-z0-9_.:-]{1,128})\s*\}\}")
_NAME = re.compile(
    r"(?P<name>(?:arn:[^\s]{1,150}:document/)?[a-zA-Z0-9_.-]{3,128})(?::(?P<version>\$LATEST|\$DEFAULT|\d+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A document that a step names; `parameters` are what it is given, as far as the step says."""

    step: str
    name: str
    version: str | None
    parameters: Mapping[str, Any]


def references(content: Mapping[str, Any], values: Mapping[str, Any]) -> list[Reference]:
    """The documents that the steps of a document name once `values` are put in. What still has braces names none."""
    found = []
    for step, body in bodies_of(content):
        inputs = put_in(body.get("inputs") or {}, values)
        action, name, parameters = body["action"], None, {}
        if action == "aws:runDocument" and inputs.get("documentType") == "SSMDocument":
            name, parameters = inputs.get("documentPath"), _map_of(inputs.get("documentParameters"))
        elif action == "aws:downloadContent" and inputs.get("sourceType") == "SSMDocument":
            name, parameters = _map_of(inputs.get("sourceInfo")).get("name"), dict(values)
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match is not None:
            found.append(Reference(step=step, name=match["name"], version=match["version"], parameters=parameters))
    return found


def put_in(value: Any, values: Mapping[str, Any]) -> Any:
    """Put parameters in place of `{{ name }}`, once, as nodes do. Source: agent-protocol.md 8.

    A text that is one parameter becomes its value, and a list among elements is spliced in; within a longer text a
    String stands as it is, all else as JSON. Unknown names stay.
    """
    if isinstance(value, dict):
        return {key: put_in(member, values) for key, member in value.items()}
    if isinstance(value, list):
        elements: list[Any] = []
        for element in value:
            new = put_in(element, values)
            if isinstance(element, str) and isinstance(new, list):
                elements.extend(new)
            else:
                elements.append(new)
        return elements
    if not isinstance(value, str):
        return value
    whole = _PARAMETER.fullmatch(value.strip())
    if whole and whole[1] in values:
        found = values[whole[1]]
        if not isinstance(found, str) or value == value.strip():
            return found
    return _PARAMETER.sub(lambda m: _as_text(values[m[1]]) if m[1] in values else m[0], value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _map_of(value: Any) -> dict[str, Any]:
    """An object, or one as JSON text; nothing for all else."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except Unreadable:
            return {}
    return value if isinstance(value, dict) else {}
