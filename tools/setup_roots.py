"""The root filesystems of the tests' hosts, made before the tests, which would wait for them otherwise.

As root, with the tools that setup_system.py installs; elsewhere nothing is done, and the tests that need hosts say so.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from tests.e2e.roots import CannotRun, apt_base, booted_base, rpm_base

    for base in (apt_base, rpm_base, booted_base):
        try:
            base()
        except CannotRun as reason:
            print(f"no {base.__name__} for tests: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
