"""Reads the documentation: pages, fenced blocks, links and anchors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_PAGES = (
    "README.md",
    "docs/tutorial.md",
    "docs/reference/cli.md",
    *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/how-to/*.md")),
)
"""Pages whose blocks are executed."""
LAB_PAGES = frozenset({"docs/reference/cli.md", "docs/how-to/patch-a-fleet.md"})
"""Pages whose commands need more nodes than one machine has: they find the lab's server in ./var."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`]*)$")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: `console run` has the language `console` and the words `("run",)`."""

    page: str
    line: int
    language: str
    note: str
    lines: tuple[str, ...]

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every Markdown file of the project's documentation, relative to the root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(p.relative_to(ROOT).as_posix() for p in found)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """Fenced blocks in the order of the page."""
    start, info, indent = 0, "", 0
    inside: list[str] = []
    for number, line in enumerate(text_of(page).splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not start:
            start, info, indent, inside = number, fence["info"].strip(), len(fence["indent"]), []
        elif fence and not fence["info"].strip():
            language, _, note = info.partition(" ")
            yield Block(page=page, line=start, language=language, note=note, lines=tuple(inside))
            start = 0
        elif start:
            inside.append(line[indent:])
    assert not start, f"{page}:{start}: the block is not closed"


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    kept, fenced = [], False
    for line in text_of(page).splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            kept.append(line)
    return "\n".join(kept)


def links(page: str) -> list[str]:
    return [m["target"] for m in _LINK.finditer(re.sub(r"`[^`\n]*`", "", prose(page)))]


def anchors(page: str) -> set[str]:
    """The anchors that a Markdown host makes of the page's headings."""
    found: set[str] = set()
    for line in prose(page).splitlines():
        heading = _HEADING.match(line)
        if heading:
            plain = re.sub(r"[^\w\- ]", "", heading["text"].replace("`", "").lower())
            found.add(plain.replace(" ", "-"))
    return found
