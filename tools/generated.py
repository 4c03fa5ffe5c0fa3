"""Generated parts of the documentation: a text between two marker lines of a file that people write."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def marked(name: str) -> tuple[str, str]:
    """The two lines between which the part `name` stands."""
    return f"<!-- generated: {name} (make docs) -->", f"<!-- end: {name} -->"


def replaced(text: str, name: str, part: str) -> str:
    """`text` with `part` between the markers of `name`. Raises ValueError unless the markers stand there once."""
    begin, end = marked(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the markers of {name!r} must stand once each: {begin} and {end}")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"


def row(*cells: str) -> str:
    """One row of a Markdown table; a bar in a cell would end it."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join([row(*header), row(*("---" for _ in header)), *(row(*r) for r in rows)])


def stale(parts: Mapping[tuple[str, str], str], *, write: bool) -> list[str]:
    """Files whose part differs from what the code says today; with `write` they are brought up to date.

    `parts`: (path below the root, name of the part) -> Markdown.
    """
    found = []
    for (path, name), part in parts.items():
        file = ROOT / path
        text = file.read_text(encoding="utf-8")
        fresh = replaced(text, name, part)
        if fresh != text:
            found.append(f"{path}: {name}")
            if write:
                file.write_text(fresh, encoding="utf-8")
    return found


def run(parts: Mapping[tuple[str, str], str]) -> int:
    """What each tool's main does: write, or with `--check` only say what is stale (exit code 1)."""
    check = "--check" in sys.argv[1:]
    found = stale(parts, write=not check)
    for line in found:
        print(("stale: " if check else "written: ") + line)
    return 1 if check and found else 0
