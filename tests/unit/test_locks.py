"""The lock files: complete, hashed, for every index; and a set-up that fails says what to do."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tools import setup_venv

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str) -> dict[str, str]:
    """Package -> its entry in a lock file."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {normal(line.split("==")[0]): line for line in lines}


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_one_version_with_hashes_and_no_index(name: str) -> None:
    for package, line in locked(name).items():
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+ ", line), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), package
        assert "://" not in line
        assert set(re.findall(r"--(\w+)", line)) == {"hash"}


def test_the_locks_have_what_the_project_asks_for_and_agree() -> None:
    runtime, dev = (locked(name) for name in LOCKS)
    asked = [normal(re.split(r"[\[<>=]", text)[0]) for text in project()["dependencies"]]
    assert set(asked) <= set(runtime)
    extras = [normal(re.split(r"[\[<>=]", text)[0]) for text in project()["optional-dependencies"]["dev"]]
    assert set(extras) <= set(dev)
    assert {package: dev.get(package) for package in runtime} == runtime


def test_a_system_without_venv_is_told_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup_venv, "may_make_venv", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert setup_venv.main(["runtime"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "apt-get install -y python3-venv" in printed.err
    assert not (tmp_path / ".venv").exists()


def test_nothing_is_installed_again_until_a_lock_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[str] = []
    venv = tmp_path / ".venv"
    monkeypatch.setattr(setup_venv, "VENV", venv)
    monkeypatch.setattr(setup_venv, "ROOT", tmp_path)
    for name in (*LOCKS, "pyproject.toml"):
        (tmp_path / name).write_text(name)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "patchwright").touch()
    monkeypatch.setattr(setup_venv, "install", installed.append)
    for kind in ("runtime", "runtime", "dev", "runtime", "dev"):
        assert setup_venv.main([kind]) == 0
    assert installed == ["runtime", "dev"]
    (tmp_path / "requirements.lock").write_text("newer")
    (venv / "dev.stamp").unlink()
    assert setup_venv.main(["runtime"]) == 0
    assert installed == ["runtime", "dev", "runtime"]


def test_a_failed_installation_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(kind: str) -> None:
        raise subprocess.CalledProcessError(1, ["pip", kind])

    monkeypatch.setattr(setup_venv, "VENV", tmp_path)
    monkeypatch.setattr(setup_venv, "install", fail)
    assert setup_venv.main(["dev"]) == 1
    assert not setup_venv.is_done("dev")
