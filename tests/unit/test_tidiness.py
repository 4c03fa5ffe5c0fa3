"""Habits that a reader would have to check by eye. Source: design, "Docs and habits" and the standards of the code."""

import ast
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("src", "agent", "tests", "tools", "bench") for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip
SHIPPED = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("src", "agent")]

MAX_LINES = 400
# Longer, with the reason. A ratchet: these numbers only go down.
LONGER = {
    "src/patchwright/store/migrations/versions/0001_the_first_schema.py": (510, "the schema as it was first shipped"),
}

LEFT_OVER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
PROSE_CHECK = ROOT / "tests" / "docs" / "test_prose.py"  # looks for the same words in the documentation
# Hosts of package registries, and places on the machines of those who write this.
FOREIGN_WORDS = tuple(
    "".join(parts)
    for parts in (
        ("/wo", "rk/"), ("/tmp/br", "ief"), ("pypi", ".org"), ("pythonhosted", ".org"), ("npmjs", ".org"),
        ("registry.", "npm"), ("/ro", "ot/."),
    )
)  # fmt: skip
TEXT_ENDINGS = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".json",
    ".html",
    ".css",
    ".js",
    ".yaml",
    ".yml",
    ".cfg",
    ".lock",
    ".sh",
    "",
}
NOT_OURS = {".git", ".venv", ".cache", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
NOT_OURS |= {"var", "dist", "build"}

PROCESS_CALLS = {"run", "Popen", "call", "check_call", "check_output"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill"}


def places(paths: list[Path], is_bad: Callable[[ast.AST], bool]) -> list[str]:
    """`file:line` of every syntax node that `is_bad`."""
    bad = [(path, node) for path in paths for node in nodes(path) if is_bad(node)]
    return [f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}" for path, node in bad]


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def text_files() -> Iterator[Path]:
    """Every text file of the project, captured outputs of real hosts left out: they say what they say."""
    for folder, folders, names in os.walk(ROOT):
        # Not even looked into: root filesystems are made and changed there while tests run.
        folders[:] = sorted(f for f in folders if f not in NOT_OURS and not f.endswith(".egg-info"))
        place = Path(folder)
        if place.relative_to(ROOT).parts[:3] == ("tests", "fixtures", "captures"):
            continue
        names = sorted(n for n in names if n not in NOT_OURS and Path(n).suffix in TEXT_ENDINGS)  # .git: a worktree's
        yield from (place / n for n in names if (place / n).is_file())


def test_files_stay_short() -> None:
    long = []
    for path in SOURCES:
        name, lines = path.relative_to(ROOT).as_posix(), len(path.read_text().splitlines())
        limit, _ = LONGER.get(name, (MAX_LINES, ""))
        if lines > limit:
            long.append(f"{name}: {lines} lines, at most {limit}")
    assert not long, "split by noun:\n" + "\n".join(long)


def test_the_list_of_longer_files_has_no_dead_entries() -> None:
    for name in LONGER:
        assert len((ROOT / name).read_text().splitlines()) > MAX_LINES, f"{name} needs no exception any more"


def test_nothing_is_left_for_later() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in text_files()
        if path != PROSE_CHECK
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if LEFT_OVER.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_file_names_a_registry_or_a_writers_machine() -> None:
    found = []
    for path in text_files():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in FOREIGN_WORDS if word in text]
    assert not found, "\n".join(found)


def is_shell(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword) and node.arg == "shell":
        return True
    return isinstance(node, ast.Attribute) and ast.unparse(node) in SHELLS


def is_command_string(node: ast.AST) -> bool:
    """A process started by a string, plain or formatted, or by one that is split at blanks."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return False
    if not (ast.unparse(node.func.value) == "subprocess" and node.func.attr in PROCESS_CALLS):
        return False
    first = node.args[0]
    is_text = isinstance(first, ast.JoinedStr) or (isinstance(first, ast.Constant) and isinstance(first.value, str))
    is_split = isinstance(first, ast.Call) and ast.unparse(first.func).endswith(".split")
    return is_text or is_split


def test_processes_are_started_by_argument_lists() -> None:
    assert not places(SOURCES, is_shell)
    assert not places(SOURCES, is_command_string)


def is_unsafe_load(node: ast.AST) -> bool:
    """Reading a format that can run code."""
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in UNSAFE_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in UNSAFE_MODULES
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "yaml.load"


def test_no_format_is_read_that_can_run_code() -> None:
    assert not places(SOURCES, is_unsafe_load)


def is_swallowed(node: ast.AST) -> bool:
    """Any error at all, caught and forgotten."""
    if isinstance(node, ast.ExceptHandler):
        catches_all = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        return catches_all and all(isinstance(line, ast.Pass) for line in node.body)
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "suppress":
        return any(ast.unparse(argument) in ("Exception", "BaseException") for argument in node.args)
    return False


def test_no_error_is_swallowed() -> None:
    assert not places(SHIPPED, is_swallowed)


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def test_only_the_command_line_prints() -> None:
    server = [path for path in SHIPPED if path.is_relative_to(ROOT / "src") and "cli" not in path.parts]
    assert not places(server, is_print)


@pytest.mark.parametrize(
    ("is_bad", "text"),
    [
        (is_shell, "import subprocess\nsubprocess.run(['a'], shell=True)"),
        (is_shell, "import os\nos.system('a')"),
        (is_command_string, "import subprocess\nsubprocess.run(f'rm {x}')"),
        (is_command_string, "import shlex, subprocess\nsubprocess.Popen(text.split())"),
        (is_unsafe_load, "import pickle"),
        (is_unsafe_load, "from shelve import open"),
        (is_unsafe_load, "import yaml\nyaml.load(x)"),
        (is_swallowed, "try:\n    a()\nexcept Exception:\n    pass"),
        (is_swallowed, "try:\n    a()\nexcept:\n    pass"),
        (is_swallowed, "import contextlib\nwith contextlib.suppress(Exception):\n    a()"),
        (is_print, "print(1)"),
    ],
)
def test_a_bad_habit_is_noticed(is_bad: Callable[[ast.AST], bool], text: str) -> None:
    assert any(is_bad(node) for node in ast.walk(ast.parse(text)))
