"""Text for people about many nodes: what is the same on several of them is said once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchwright.cli.output import GAP, as_text, painted

MAX_NAMES = 6
NAME_WIDTH = 36
"""Characters; a longer package name moves what follows to the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One package: `word` says what became of it, `what` the versions, `why` follows on a line of its own."""

    word: str
    package: str
    what: str = ""
    note: str = ""
    why: str = ""


def rows_text(rows: Sequence[Row], *, width: int | None, colour: bool) -> str:
    """Rows under each other, aligned; a row that would be longer than `width` goes on in the next line."""
    words = max((len(r.word) for r in rows), default=0)
    packages = min(NAME_WIDTH, max((len(as_text(r.package)) for r in rows), default=0))
    lines = []
    for row in rows:
        word = row.word.ljust(words)
        begin = f"  {painted(row.word) + word[len(row.word) :] if colour else word}{GAP if words else ''}"
        package = as_text(row.package)
        rest = GAP.join(part for part in (as_text(row.what), as_text(row.note)) if part)
        length = 2 + words + len(GAP) * bool(words) + max(packages, len(package)) + len(GAP) + len(rest)
        if width is not None and length > width and rest:
            lines += [f"{begin}{package}", f"      {rest}"]
        else:
            lines.append(f"{begin}{package.ljust(packages)}{GAP}{rest}".rstrip())
        if row.why:
            lines.append(f"      {as_text(row.why)}")
    return "".join(f"{line}\n" for line in lines)


def grouped(blocks: Iterable[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """(node, text) pairs -> the nodes of each different text, in the order of their first node."""
    found: dict[str, list[str]] = {}
    for title, body in blocks:
        found.setdefault(body, []).append(title)
    return [(titles, body) for body, titles in found.items()]


def heading(titles: Sequence[str]) -> str:
    """Who a block is about."""
    shown = ", ".join(as_text(title) for title in titles[:MAX_NAMES])
    more = len(titles) - MAX_NAMES
    if more > 0:
        return f"{shown} and {more} more: {len(titles)} nodes"
    return shown if len(titles) == 1 else f"{shown}: {len(titles)} nodes"


def count(number: int, one: str, many: str = "") -> str:
    """`3 nodes`, `1 node`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def change(before: object, after: object) -> str:
    """`old -> new`; a package that comes in anew has no old version."""
    return f"{before or '(new)'} -> {after}"


def package(entry: dict[str, object]) -> str:
    """`name.arch`, as patch ids are written."""
    return f"{entry.get('Name')}.{entry['Arch']}" if entry.get("Arch") else str(entry.get("Name"))


def why_left_out(dropped: dict[str, object]) -> str:
    """The sentence without its beginning, which repeats what stands in the line above."""
    return str(dropped.get("Reason", "")).removeprefix(f"{package(dropped)} {dropped.get('Version')} is left out: ")
