"""Build dist/patchwright-agent.pyz: the whole agent in one executable file, the same bytes for the same source."""

import hashlib
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "agent" / "patchwright_agent"
TARGET = ROOT / "dist" / "patchwright-agent.pyz"
SHEBANG = b"#!/usr/bin/env python3\n"
EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
ENTRY = b"import sys\n\nfrom patchwright_agent.__main__ import main\n\nsys.exit(main())\n"


def build(target: Path) -> str:
    """Write the zipapp to `target` and return its SHA-256 in hexadecimal."""
    members = {"__main__.py": ENTRY}
    for path in PACKAGE.rglob("*.py"):
        members[path.relative_to(PACKAGE.parent).as_posix()] = path.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(members):
                archive.writestr(_entry(name), members[name], compresslevel=9)
    unfinished.chmod(0o755)
    unfinished.replace(target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EARLIEST_ZIP_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, wherever it is built
    entry.external_attr = 0o100644 << 16
    return entry


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    print(f"{build(target)}  {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
