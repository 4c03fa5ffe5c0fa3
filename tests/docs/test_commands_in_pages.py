"""Every console block of README, tutorial and how-to pages: run, or said why not and checked against the parsers."""

import re
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest
from tools.settings_reference import commands

from tests.docs import lab
from tests.docs.console import Mismatch, Shell, compare, shell_for, typed
from tests.docs.pages import LAB_PAGES, RUN_PAGES, Block, blocks, text_of

SHELLS = frozenset({"console", "sh", "bash", "shell"})
NOTES = ("run", "background", "stop")
DATABASE = "postgresql://patchwright@db.example.org/patchwright"
AGENT_COMMANDS = frozenset({"register", "run", "facts", "patch", "version"})

_SHOWN = [b for page in RUN_PAGES for b in blocks(page) if b.language in SHELLS]


@pytest.fixture
def shell(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A shell for one page; a page that names a PostgreSQL database gets an empty one."""
    if not shutil.which("apt-get"):
        pytest.skip("the pages speak of apt, and this machine has none: run these tests on Debian or Ubuntu")
    more = {}
    if DATABASE in text_of(page):
        url: str = request.getfixturevalue("postgres_url")
        name = f"pw_docs_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        more[DATABASE] = f"'{url.replace('/postgres?', f'/{name}?')}'"
    shell = shell_for(tmp_path, more)
    with lab.running(tmp_path / "var") if page in LAB_PAGES else nullcontext():
        yield shell
    shell.close()


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_page_does_what_it_says(page: str, shell: Shell) -> None:
    """All its blocks in order, in one shell."""
    for block in (b for b in blocks(page) if b.language == "console"):
        if block.note == "run":
            shell.run(block)
        elif block.note == "background":
            shell.start(block)
        elif block.note == "stop":
            shell.stop()


@pytest.mark.parametrize("block", _SHOWN, ids=lambda b: b.where)
def test_a_block_runs_or_says_why_not(block: Block) -> None:
    assert block.language == "console", f"{block.where}: commands are shown as `console`"
    reason = block.note.removeprefix("not-run: ")
    assert block.note in NOTES or (reason != block.note and len(reason) > 5), f"{block.where}: {block.note!r}"


@pytest.mark.parametrize("block", [b for b in _SHOWN if b.note.startswith("not-run")], ids=lambda b: b.where)
def test_a_block_that_is_not_run_is_plausible(block: Block) -> None:
    """Shell syntax, and the commands and options of ours."""
    for command in typed(block):
        subprocess.run(["bash", "-n", "-c", command.text], check=True, timeout=10)
        words = shlex.split(command.text.replace("\\\n", " "))
        if words[0] == "patchwright":
            _check_ours(words[1:], block.where)


def _check_ours(words: list[str], where: str) -> None:
    known = commands()
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), None)
    assert name is not None, f"{where}: `patchwright {' '.join(words)}` is no command"
    options = {o for action in known[name]._actions for o in action.option_strings}
    for word in words:
        assert not word.startswith("--") or word.partition("=")[0] in options, f"{where}: {name} has no {word}"


def test_inline_commands_exist() -> None:
    """`patchwright …` and `patchwright-agent.pyz …` in running text name commands that there are."""
    known = {name.split()[0] for name in commands()}
    for page in RUN_PAGES:
        text = text_of(page)
        for name in re.findall(r"`(?:\S*/)?patchwright ([a-z][a-z-]*)", text):
            assert name in known, f"{page}: `patchwright {name}` is no command"
        for name in re.findall(r"`(?:python3 )?(?:\S*/)?patchwright-agent\.pyz ([a-z]+)", text):
            assert name in AGENT_COMMANDS, f"{page}: the agent has no command {name}"


def test_the_comparison_can_fail() -> None:
    """Wildcards must not swallow what differs."""
    compare(("mi-…", "...", "end"), "mi-1\nx\ny\nend\n", "here")
    compare(("[a] 1*…",), "[a] 1*2\n", "here")
    for expected, output in (
        (("mi-…",), "i-1\n"),
        (("a",), "a\nb\n"),
        (("a", "b"), "a\n"),
        (("...", "end"), "end\nmore\n"),
        (("[a]",), "a\n"),
    ):
        with pytest.raises(Mismatch):
            compare(expected, output, "here")
