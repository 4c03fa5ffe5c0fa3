"""What commands print: tables for people, JSON and CSV for programs. Texts of hosts never reach a terminal raw."""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

FORMATS = ("table", "json", "csv")
GAP = "  "
_FORMULA_STARTS = ("=", "+", "-", "@")

_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # text that reads otherwise
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))  # colours, cursor, bells, line ends
_ESCAPED = {code: f"\\u{code:04x}" for code in _CONTROLS + _DIRECTIONS}


def printable(text: str) -> str:
    """`text` on one line, with every character that could steer a terminal as `\\u001b`."""
    if text.isprintable():
        return text
    return text.translate(_ESCAPED).encode("utf-8", "backslashreplace").decode()


def as_text(value: Any) -> str:
    """One value as a cell: nothing for None, times in UTC, lists with commas."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(as_text(v) for v in value)
    return printable(str(value))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns under their names, numbers to the right; the last column is as long as it is."""
    cells = [[as_text(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    lines = [list(columns), *cells]
    return "".join(_line(line, widths, right) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
    return GAP.join(padded).rstrip() + "\n"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def json_text(value: Any) -> str:
    """Indented JSON in ASCII, so that no terminal acts on it; times in UTC."""
    text = json.dumps(value, indent=2, default=as_text)
    return text.replace("\x7f", "\\u007f") + "\n"


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """RFC 4180 with a head line. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([[_csv_cell(value) for value in row] for row in rows])
    return buffer.getvalue()


def _csv_cell(value: Any) -> str:
    text = as_text(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text


def show(form: str, answer: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print `answer` as JSON, or `rows` as a table or CSV, to standard output."""
    if form == "json":
        write(json_text(answer))
    elif form == "csv":
        write(csv_text(columns, rows))
    else:
        write(table(columns, rows))


def write(text: str) -> None:
    """Text that is fit for a terminal, to standard output, whatever that can encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def complain(command: str, text: str) -> None:
    """One problem to standard error, under the command's name."""
    lines = [printable(line) for line in text.splitlines()] or [""]
    print(f"{command}: {lines[0]}", *lines[1:], sep="\n", file=sys.stderr, flush=True)


def member(entry: Mapping[str, Any], *path: str) -> Any:
    """A member of a member, or None where one of them is absent."""
    value: Any = entry
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
