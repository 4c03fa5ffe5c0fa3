"""The command line as a whole: exit codes, and a start that costs little."""

import subprocess
import sys
from pathlib import Path

import pytest

from patchwright.cli.main import main, parser


@pytest.mark.parametrize(
    "words",
    [[], ["nonsense"], ["why", "one"], ["nodes", "-o", "xml"], ["access-key"], ["scan"], ["scan", "a", "--all"],
     ["scan", "--target", "Patch Group=web"], ["scan", "--target", "tag:=web"], ["plan"], ["patch", "a", "--all"],
     ["plan", *(f"n{i}" for i in range(51))], ["patch", "a", "--yes", "--max-errors", "many"],
     ["patch", "a", "--yes", "--max-concurrency", "0"], ["patch", "a", "--yes", "--max-concurrency", "101%"],
     ["patch", "a", "--yes", "--comment", "x" * 101], ["nodes", "--columns", "node,colour"],
     ["nodes", "--sort", "colour"], ["nodes", "--status", "good"],
     ["activation", "create", "--hours", "0"], ["access-key", "create"],
     ["access-key", "create", "--user", "u", "--policy", "/no/such/file"]],
)  # fmt: skip
def test_wrong_usage_is_64_and_says_so(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 64
    assert capsys.readouterr().err.strip()


def test_a_command_without_a_server_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes"]) == 1
    assert "--data-dir" in capsys.readouterr().err


def test_a_folder_without_a_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["nodes"], ["env"]):
        assert main([*command, "--data-dir", "/no/such"]) == 1
        assert "patchwright serve --data-dir /no/such" in capsys.readouterr().err


def test_the_start_loads_no_client_no_server_and_no_cryptography() -> None:
    code = "import sys, patchwright.cli.main as m; m.parser(); print(' '.join(sys.modules))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"botocore", "cryptography", "sqlalchemy", "starlette", "uvicorn", "numpy", "alembic"}
    assert not heavy & {name.split(".")[0] for name in made.stdout.split()}


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    actions = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert isinstance(actions, dict)
    for name in actions:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert name in capsys.readouterr().out


def test_output_that_nobody_reads_to_its_end_is_no_crash(data_dir: Path) -> None:
    """As with `patchwright … | head`: no traceback."""
    argv = [sys.executable, "-m", "patchwright.cli.main", "env", "--data-dir", data_dir]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
