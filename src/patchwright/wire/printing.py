"""How a rejected value is quoted in a message: short, on one line, harmless on a terminal, and never a secret.

Source: spec/operations.md 1.5 (quotes, lists as `[a, b]`); what is cut and what is hidden is our own rule.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchwright.wire.shapes import ListShape, MapShape, Shape, StringShape, StructureShape

MAX_SHOWN = 256
"""Characters of one value. Enough to recognise it; the client has the rest."""

REDACTED = "***Sensitive Data Redacted***"

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))  # colours, cursor, bells, line ends
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # text that reads otherwise
_PRINTABLE = {code: f"\\u{code:04x}" for code in _CONTROLS + _DIRECTIONS}


def shown(shape: Shape, value: Any) -> str:
    """A value as a message quotes it, without the quotes around it."""
    return shown_text(_text(shape, value, MAX_SHOWN))


def shown_text(text: str) -> str:
    """`text` cut to MAX_SHOWN characters, with control characters as `\\u001b`."""
    cut = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."
    return cut if cut.isprintable() else cut.translate(_PRINTABLE)


def _text(shape: Shape, value: Any, room: int) -> str:
    """Java's way to print a value; stops soon after `room` characters, since a list may be a megabyte."""
    match shape:
        case StringShape(sensitive=True) | StructureShape(sensitive=True) | ListShape(sensitive=True):
            return REDACTED
        case MapShape(sensitive=True):
            return REDACTED
        case ListShape():
            return f"[{_joined([(None, shape.member, item) for item in value[:room]], room)}]"
        case MapShape():
            return f"{{{_joined([(key, shape.value, item) for key, item in value.items()], room)}}}"
        case StructureShape():
            known = [(name, shape.members[name].shape, item) for name, item in value.items()]
            return f"{shape.name}({_joined(known, room)})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)[: room + 1]


def _joined(items: list[tuple[str | None, Shape, Any]], room: int) -> str:
    parts: list[str] = []
    for name, shape, item in items:
        if room <= 0:
            break
        text = _text(shape, item, room)
        part = text if name is None else f"{name[:room]}={text}"
        parts.append(part)
        room -= len(part) + 2
    return ", ".join(parts)
