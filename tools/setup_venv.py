"""`make setup`: .venv with exactly the files that a lock file names by their hashes, and this checkout in it.

    python3 tools/setup_venv.py runtime     what the server needs
    python3 tools/setup_venv.py dev         and what tests and checks need

Nothing is done if the locks are those of the last time. Run by the system's own Python: standard library only.
Standard output stays empty, so that `make run ARGS="--once --json"` prints one JSON object and nothing else.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
OLDEST_PYTHON = (3, 11)


def main(argv: list[str]) -> int:
    kind = argv[0] if argv[:1] and argv[0] in LOCKS else "runtime"
    if sys.version_info < OLDEST_PYTHON:
        return fail(f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer is needed: make PYTHON=/path/to/it")
    if is_done(kind) or (kind == "runtime" and is_done("dev")):
        return 0
    if not may_make_venv() and not install_venv():
        return fail("python3-venv is missing: apt-get install -y python3-venv")
    say(f"setting up .venv ({LOCKS[kind]})")
    try:
        install(kind)
    except subprocess.CalledProcessError as failure:
        return fail(f"setting up .venv failed: {' '.join(map(str, failure.cmd))} ended with {failure.returncode}")
    stamp(kind).write_text(digest(kind))
    return 0


def stamp(kind: str) -> Path:
    return VENV / f"{kind}.stamp"


def digest(kind: str) -> str:
    """What the result depends on: the lock, the project's entry points, where the checkout is, which Python."""
    inputs = [(ROOT / name).read_bytes() for name in (LOCKS[kind], "pyproject.toml")]
    inputs += [str(ROOT).encode(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()


def is_done(kind: str) -> bool:
    path = stamp(kind)
    return path.exists() and path.read_text() == digest(kind) and (VENV / "bin" / "patchwright").exists()


def may_make_venv() -> bool:
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def install_venv() -> bool:
    """Debian and its kin keep venv in a package of its own; root may install it."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("python3-venv is missing: installing it")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "python3-venv"]):
        if subprocess.run(["apt-get", "-q", *words], stdout=sys.stderr, env=environment, check=False).returncode:
            return False
    importlib.invalidate_caches()
    return may_make_venv()


def install(kind: str) -> None:
    """Install from the lock alone. Raises CalledProcessError."""
    for old in LOCKS:
        stamp(old).unlink(missing_ok=True)
    python = VENV / "bin" / "python"
    if not _is_ours(python):
        run([sys.executable, "-m", "venv", "--clear", VENV])
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    run([*pip, "--require-hashes", "-r", ROOT / LOCKS[kind]])
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT])


def _is_ours(python: Path) -> bool:
    """Whether there is an interpreter that works, of this Python's version."""
    asked = [python, "-c", "import sys, pip; print(sys.version)"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == sys.version


def run(argv: list[str | Path]) -> None:
    subprocess.run(argv, check=True, stdout=sys.stderr)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(text: str) -> int:
    say(text)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
