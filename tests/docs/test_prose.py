"""Links, anchors, the glossary's order, the decisions' numbers, and words that don't belong here."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, links, pages, text_of

DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
SECTIONS = ("## Context", "## Outcome", "## Consequences")


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), f"{page}: {link}"
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT).as_posix()), f"{page}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), ["README.md"]
    while todo:
        page = todo.pop()
        if page in reached or not page.endswith(".md"):
            continue
        reached.add(page)
        for link in links(page):
            path = link.partition("#")[0]
            if path and not re.match(r"[a-z]+:", link):
                target = ((ROOT / page).parent / path).resolve()
                found = target.rglob("*.md") if target.is_dir() else [target]
                todo += [f.relative_to(ROOT).as_posix() for f in found]
    assert reached == set(pages())


def test_glossary_is_sorted_and_says_each_term_once() -> None:
    terms = re.findall(r"^\| ([^|]+?) \|", text_of("docs/glossary.md"), re.MULTILINE)[2:]
    assert len(terms) > 20
    assert terms == sorted(set(terms), key=str.casefold)


def test_glossary_names_files_that_exist() -> None:
    for path in re.findall(r"`((?:agent|api|core|gateway|store|wire)[\w/]*/[\w./]+)`", text_of("docs/glossary.md")):
        assert (ROOT / path).exists() or (ROOT / "src/patchwright" / path).exists(), path


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(p.name[:4]) for p in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_has_its_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert [s for s in SECTIONS if s in text] == list(SECTIONS)
    assert len(text.splitlines()) <= 80, "one page"


@pytest.mark.parametrize("page", pages())
def test_a_page_is_plain(page: str) -> None:
    text = text_of(page)
    assert not re.search(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]", text), "no emoji"
    assert not re.search(r"\b(TODO|FIXME|TBD|lorem)\b", text)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert not re.search(r"[ \t]+$", text, re.MULTILINE), "blanks at the end of a line"


def test_files_that_the_architecture_names_exist() -> None:
    for page in ("docs/architecture.md", "docs/decisions/0018-the-tree.md", "CONTRIBUTING.md"):
        for path in re.findall(r"`((?:src|agent|tests|tools|docs|bench)/[\w./-]+)`", text_of(page)):
            assert (ROOT / path).exists(), f"{page}: {path}"
