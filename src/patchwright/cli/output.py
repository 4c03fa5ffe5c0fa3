"""What commands print: tables for people, JSON and CSV for programs. Texts of hosts never reach a terminal raw."""

import csv
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

FORMATS = ("table", "json", "csv")
GAP = "  "
CUT = "…"
USUAL_WIDTH = 80
NARROWEST = 8
"""Characters to which a column that may be shortened is shortened at most."""
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


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    width: int | None = None,
    shorten: Sequence[str] = (),
    colour: bool = False,
) -> str:
    """Aligned columns under their names, numbers to the right; the last column is as long as it is.

    Where a line would be longer than `width`, the columns named in `shorten` lose their ends, in that order. With
    `colour`, a cell that is one of the words of COLOURS has its colour.
    """
    cells = [[as_text(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    for name in shorten if width else ():
        at = list(columns).index(name)
        over = sum(widths) + len(GAP) * (len(widths) - 1) - (width or 0)
        widths[at] = min(widths[at], max(len(name), NARROWEST, widths[at] - max(0, over)))
    lines = [_line(list(columns), widths, right, colour=False)]
    lines += [_line(line, widths, right, colour=colour) for line in cells]
    return "".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], *, colour: bool) -> str:
    shown = []
    for cell, size, to_the_right in zip(cells, widths, right, strict=True):
        fit = shortened(cell, size)
        padded = fit.rjust(size) if to_the_right else fit.ljust(size)
        shown.append(padded.replace(fit, painted(fit)) if colour and fit in COLOURS else padded)
    return GAP.join(shown).rstrip() + "\n"


def shortened(text: str, size: int) -> str:
    """`text`, or as much of its beginning as fits into `size` characters, marked as cut."""
    return text if len(text) <= size else text[: size - 1] + CUT


_RED, _GREEN, _YELLOW = 31, 32, 33
NO_DATA = "no data"
COLOURS = {
    "COMPLIANT": _GREEN,
    "NON_COMPLIANT": _RED,
    "UNJUDGED": _YELLOW,
    NO_DATA: _YELLOW,
    "Success": _GREEN,
    "Failed": _RED,
    "ExecutionTimedOut": _RED,
    "DeliveryTimedOut": _RED,
    "Undeliverable": _RED,
    "Terminated": _YELLOW,
    "Cancelled": _YELLOW,
    "ConnectionLost": _YELLOW,
    "installed": _GREEN,
    "failed": _RED,
    "left out": _YELLOW,
}
"""Words that stand out on a terminal. None says anything that its text does not."""


def painted(word: str) -> str:
    """A word of COLOURS in its colour; anything else as it is."""
    return f"\x1b[{COLOURS[word]}m{word}\x1b[0m" if word in COLOURS else word


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at `stream`."""
    return bool(getattr(stream, "isatty", bool)())


def wants_colour(stream: Any) -> bool:
    """Only on a terminal that can, and where nobody said no. Source: https://no-color.org."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of(stream: Any) -> int | None:
    """Columns of the terminal that `stream` is; None where lines may be as long as they are."""
    if not is_terminal(stream):
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except OSError:  # io.UnsupportedOperation among them
        return USUAL_WIDTH


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


def show(
    form: str, answer: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]], shorten: Sequence[str] = ()
) -> None:
    """Print `answer` as JSON, or `rows` as a table or CSV, to standard output."""
    if form == "json":
        write(json_text(answer))
    elif form == "csv":
        write(csv_text(columns, rows))
    else:
        write(terminal_table(columns, rows, shorten))


def terminal_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], shorten: Sequence[str] = ()) -> str:
    """A table as standard output can show it."""
    width, colour = width_of(sys.stdout), wants_colour(sys.stdout)
    return table(columns, rows, width=width, shorten=shorten, colour=colour)


def write(text: str, stream: Any = None) -> None:
    """Text that is fit for a terminal, to `stream` (default: standard output), whatever that can encode."""
    stream = stream or sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


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
