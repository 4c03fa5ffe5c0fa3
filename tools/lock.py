"""`make lock`: write requirements.lock and requirements-dev.lock, with the hashes of every file of each version.

They hold for every platform and Python that the project supports. The index is that of pip's configuration, and is not
written down: who installs from the locks uses their own.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESOLVER_VENV = ROOT / ".cache" / "lock"
HEADER = "# Made by `make lock` from pyproject.toml. Do not edit.\n"
OPTIONS = (
    "--universal", "--python-version", "3.11", "--fork-strategy", "fewest", "--generate-hashes", "--no-header",
    "--no-annotate", "--no-emit-index-url", "--no-config", "--upgrade", "--quiet",
)  # fmt: skip


def main() -> int:
    """Resolve anew; the development lock keeps to the versions of the other."""
    resolver = _resolver()
    environment = {**os.environ, **_index()}
    for name, extras, constraint in (
        ("requirements.lock", ["build"], []),
        ("requirements-dev.lock", ["build", "dev"], ["--constraint", "requirements.lock"]),
    ):
        chosen = [word for extra in extras for word in ("--extra", extra)]
        argv = [resolver, "pip", "compile", *OPTIONS, *chosen, *constraint, "pyproject.toml"]
        made = subprocess.run(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        (ROOT / name).write_text(HEADER + made.stdout)
        print(f"{name}: {made.stdout.count('==')} versions")
    return 0


def _resolver() -> Path:
    program = RESOLVER_VENV / "bin" / "uv"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", RESOLVER_VENV], check=True)
        subprocess.run([RESOLVER_VENV / "bin" / "pip", "install", "--quiet", "uv"], check=True)
    return program


def _index() -> dict[str, str]:
    """The index that pip is configured with, as the resolver's own setting."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    asked = subprocess.run(pip, capture_output=True, text=True, check=False)
    url = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    return {"UV_DEFAULT_INDEX": url} if url else {}


if __name__ == "__main__":
    sys.exit(main())
