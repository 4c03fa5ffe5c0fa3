"""The agent's floor: Python 3.6, standard library only. Source: design decision, oldest supported hosts ship 3.6."""

import ast
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "agent" / "patchwright_agent"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MINORS = range(6, 14)
# Modules of the host's own package manager, imported only in a child run by the interpreter that has them.
HOST_MODULES = {"apt", "apt_pkg", "dnf", "hawkey", "libdnf", "rpm"}
SHELL_CALLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


def interpreters() -> dict[int, str]:
    """Minor version -> an interpreter, from pyenv or PATH."""
    found = {}
    for minor in MINORS:
        candidates = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        on_path = shutil.which(f"python3.{minor}")
        if candidates:
            found[minor] = str(candidates[-1])
        elif on_path:
            found[minor] = on_path
    return found


INTERPRETERS = interpreters()


def test_syntax_and_library_calls_stay_at_the_floor() -> None:
    vermin = Path(sys.executable).parent / "vermin"
    result = subprocess.run([vermin, "-t=3.6-", "--violations", "--no-tips", PACKAGE], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_standard_library_is_imported(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"patchwright_agent"}
    if "managers" in path.parts:
        allowed |= HOST_MODULES
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in allowed, f"{path}:{node.lineno} imports {name}"


def test_no_shell_string_is_ever_run() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                pytest.fail(f"{path}:{node.value.lineno} uses shell=")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in SHELL_CALLS:
                pytest.fail(f"{path}:{node.lineno} uses {node.attr}")


@pytest.mark.parametrize("minor", sorted(INTERPRETERS))
def test_every_module_compiles_and_the_commands_answer(minor: int, tmp_path: Path) -> None:
    python = INTERPRETERS[minor]
    compile_all = "import sys; [compile(open(p, encoding='utf-8').read(), p, 'exec') for p in sys.argv[1:]]"
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    for arguments in (
        ["-c", compile_all, *map(str, SOURCES)],
        [str(PACKAGE), "--help"],
        [str(PACKAGE), "register", "--help"],
        [str(PACKAGE), "run", "--help"],
        [str(PACKAGE), "version"],
    ):
        result = subprocess.run([python, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert result.returncode == 0, f"python 3.{minor} {arguments[:2]}: {result.stderr[-2000:]}"


def test_absent_interpreters_are_named() -> None:
    absent = [f"3.{minor}" for minor in MINORS if minor not in INTERPRETERS]
    if absent:
        warnings.filterwarnings("default", category=UserWarning)
        warnings.warn(f"the agent was NOT tried on Python {', '.join(absent)}: no such interpreter here", stacklevel=1)
    assert INTERPRETERS, "no interpreter from 3.6 to 3.13 was found"
