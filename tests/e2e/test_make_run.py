"""`patchwright up` for real, on the machine that runs the tests: it only reads, and leaves nothing behind.

Source: product.md, the contract, `make run`.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
ORDINARY_USER = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--")
TIMEOUT_SECONDS = 120
APT_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

needs_apt = pytest.mark.skipif(
    shutil.which("apt") is None, reason="NO APT HERE: `make run` is not tried on this machine, only its parts are"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT ROOT: `make run` is tried as this user only, not as another one"
)
pytestmark = [needs_apt]


@pytest.fixture(autouse=True)
def package_manager_at_rest() -> None:
    """Wait while somebody installs packages on this machine: what is on offer changes under the test's eyes then."""
    lock = Path("/var/lib/dpkg/lock-frontend")
    inode = f":{lock.stat().st_ino} " if lock.exists() else None
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while inode and inode in Path("/proc/locks").read_text() and time.monotonic() < deadline:
        time.sleep(0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A checkout of a user's own. `argv` runs `patchwright` in it, `environment` is all that it gets."""

    folder: Path
    argv: tuple[str, ...]
    environment: dict[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.argv, "up", *words], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def scan(self) -> tuple[dict[str, Any], str]:
        """The one JSON object of `--once --json`, and what it said beside it."""
        with self.start("--once", "--json") as process:
            out, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, errors
        found: dict[str, Any] = json.loads(out)  # one object and nothing else
        return found, errors


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="pw-up-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def copy_checkout(to: Path, *but: str) -> Path:
    """Copy what runs, with what is compiled of it unless `but` leaves that out."""
    ignore = shutil.ignore_patterns("*.egg-info", *but)
    for name in ("src", "agent", "tools"):
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    return to


def checkout(folder: Path, python: str, packages: Path, before: tuple[str, ...] = ()) -> Checkout:
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{folder / 'src'}:{packages}",
    }  # fmt: skip
    return Checkout(folder=folder, argv=(*before, python, "-m", "patchwright.cli.main"), environment=environment)


@pytest.fixture
def own(folder: Path) -> Checkout:
    """Run as whoever runs the tests."""
    return checkout(copy_checkout(folder), sys.executable, Path(sysconfig.get_path("purelib")))


@pytest.fixture
def of_ordinary_user(folder: Path) -> Checkout:
    """Run as `nobody`, with the packages of this environment; they are copied if `nobody` can't read them there."""
    copy_checkout(folder)
    packages = Path(sysconfig.get_path("purelib"))
    made = find_usable(folder, packages)
    if made is None:
        shutil.copytree(packages, folder / "packages", ignore=shutil.ignore_patterns("__pycache__", "awscli", "mypy*"))
        made = find_usable(folder, folder / "packages")
    if made is None:
        pytest.skip("AS AN ORDINARY USER `make run` IS NOT TRIED: no Python of this version that `nobody` can run")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    return made


def find_usable(folder: Path, packages: Path) -> Checkout | None:
    for python in (sys.executable, str(SYSTEM_PYTHON)):
        found = checkout(folder, python, packages, ORDINARY_USER)
        # By way of a child: setpriv can run an interpreter that its user can't run again.
        code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', sys.argv[1]]))"
        argv = [*ORDINARY_USER, python, "-c", code, "import patchwright.server.app, botocore.session"]
        tried = subprocess.run(argv, env=found.environment, cwd=folder, capture_output=True, check=False)
        if tried.returncode == 0:
            return found
    return None


def offered_by_apt() -> set[tuple[str, str, str, str]]:
    """(name, arch, installed, candidate) of `apt list --upgradable`."""
    listed = subprocess.run(
        ["apt", "list", "--upgradable"], capture_output=True, text=True, check=True, env=APT_ENVIRONMENT
    )
    pattern = re.compile(r"(?P<name>[^/]+)/\S* (?P<new>\S+) (?P<arch>\S+) \[upgradable from: (?P<old>\S+)\]")
    matches = [pattern.fullmatch(line) for line in listed.stdout.splitlines() if "/" in line]
    assert all(matches), listed.stdout
    return {(m["name"], m["arch"], m["old"], m["new"]) for m in matches if m}


def offered(found: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    return {(u["name"], u["arch"], u["installed"], u["candidate"]) for u in found["offered"]}


def system_files() -> dict[str, tuple[int, int]]:
    """What a patching tool could have touched of this machine: size and time of every file."""
    folders = ("/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/etc/apt", "/var/lib/patchwright-agent")
    found = {}
    for folder in folders:
        for path in Path(folder).rglob("*"):
            if path.is_file() and not path.name.startswith("lock"):
                state = path.stat()
                found[str(path)] = (state.st_size, state.st_mtime_ns)
    return found


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that have to do with `folder`: without any, nothing of it listens either.

    To ask the port itself would not do: another test's server may have taken it in the meantime.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line, directory = (path / "cmdline").read_bytes(), str((path / "cwd").readlink())
        except OSError:
            continue
        if str(folder).encode() in line or directory.startswith(str(folder)):
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


def port_of(text: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)", text)
    assert found, text
    return int(found[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_result(found: dict[str, Any]) -> None:
    assert found["node"]["id"].startswith("mi-")
    assert found["baseline"]["name"].startswith("AWS-")
    assert found["compliance"] == ("NON_COMPLIANT" if found["missing"] else "COMPLIANT")
    assert found["counts"]["missing"] == len(found["missing"])
    assert offered(found) == offered_by_apt()
    for patch in found["missing"]:
        assert patch["reason"]
        assert {"name", "arch", "installed", "target", "severity", "cves"} <= set(patch)


def test_once_as_this_user_twice(own: Checkout) -> None:
    offered_by_apt()  # apt may renew its own caches at this, so it comes before the look at them
    before = system_files()
    first, _ = own.scan()
    check_result(first)
    assert system_files() == before
    assert not left_behind(own.folder)
    again, _ = own.scan()
    assert again["node"]["id"] == first["node"]["id"], "an identity is kept"
    shutil.rmtree(own.folder / "var" / "aws")
    (own.folder / "var" / "patchwright.db").unlink()
    (own.folder / "var" / "secret.key").unlink()
    anew, _ = own.scan()
    assert anew["node"]["id"] != first["node"]["id"], "a new database gets a new enrolment"


@needs_root
def test_once_as_an_ordinary_user(of_ordinary_user: Checkout) -> None:
    before = system_files()
    found, _ = of_ordinary_user.scan()
    check_result(found)
    assert system_files() == before
    assert not left_behind(of_ordinary_user.folder)


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """Everything printed up to and with a line that has `text`."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if text in line:
            return printed
    raise AssertionError(f"ended without {text!r}: {printed}")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_it_stays_until_a_signal_and_leaves_nothing(own: Checkout, number: signal.Signals) -> None:
    with own.start() as process:
        printed = wait_for_line(process, "Ctrl-C ends it")
        port = port_of(printed)
        assert listens(port)
        assert f"env --data-dir {own.folder / 'var'}" in printed
        assert len(left_behind(own.folder)) == 3, "itself, the server and the agent"
        process.send_signal(number)
        process.communicate(timeout=60)
    if number is not signal.SIGKILL:
        assert process.returncode == 0
        assert not left_behind(own.folder)
    deadline = time.monotonic() + 30
    while left_behind(own.folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_behind(own.folder)


def test_a_second_one_on_the_same_folder_is_refused_and_harms_nothing(own: Checkout) -> None:
    with own.start() as process:
        printed = wait_for_line(process, "Ctrl-C ends it")
        with own.start("--once", "--json") as second:
            out, errors = second.communicate(timeout=TIMEOUT_SECONDS)
        assert (second.returncode, out) == (1, "")
        assert "another server uses" in errors
        assert listens(port_of(printed))
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@needs_root
@pytest.mark.slow
def test_make_run_on_a_fresh_checkout_of_an_ordinary_user(folder: Path) -> None:
    """The whole of it, set-up included. Needs a package index."""
    copy_checkout(folder, "__pycache__")
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    made = subprocess.run(
        [*ORDINARY_USER, "make", "run", "ARGS=--once --json", f"PYTHON={SYSTEM_PYTHON}"], cwd=folder, text=True,
        env={**kept, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    check_result(json.loads(made.stdout))
    assert not left_behind(folder)
