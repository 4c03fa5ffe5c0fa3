"""Commands run in this process, against a stand-in for a server."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.cli.api_stub import ApiStub, write_aws_files

from patchwright.cli.main import main


@pytest.fixture
def api() -> Iterator[ApiStub]:
    stub = ApiStub()
    yield stub
    stub.close()


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the developer's own servers nor a ./var are to be called."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "PATCHWRIGHT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def data_dir(api: ApiStub, tmp_path: Path) -> Path:
    return write_aws_files(tmp_path / "data", api.url)


@pytest.fixture
def patchwright(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command against the stand-in: exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--data-dir", str(data_dir)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
