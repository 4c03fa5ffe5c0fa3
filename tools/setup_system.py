"""What `make test` needs of a Debian-like system beyond Python: installed as root, else said in one line.

Tests whose tools are absent are skipped, and say so; so this never fails.
"""

import os
import shutil
import subprocess
import sys

PACKAGES = {
    "postgresql": "the store's second engine",
    "curl": "how the tutorial's second machine fetches the agent",
    "mmdebstrap": "real roots to patch",
    "systemd-container": "roots that boot",
    "iproute2": "their networks",
    "apt-utils": "repositories for them",
    "gnupg": "and their signatures",
    "createrepo-c": "the same for dnf",
    "rpm": "its packages, and version order compared with the tool's own",
    "libfaketime": "a host whose clock is off",
    "python3-apt": "the same, through apt's binding",
    "python3-rpm": "the same, through rpm's",
}


def main() -> int:
    if not shutil.which("apt-get") or not shutil.which("dpkg-query"):
        say(f"this is no Debian-like system: tests that need {', '.join(PACKAGES)} are skipped")
        return 0
    missing = [name for name in PACKAGES if not is_installed(name)]
    if not missing:
        return 0
    if os.geteuid() != 0:
        say(f"some tests will be skipped; to run them all: sudo apt-get install -y {' '.join(missing)}")
        return 0
    say(f"installing what the tests need: {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", "-q", *words], stdout=sys.stderr, env=environment, check=False)
        if done.returncode:
            say(f"apt-get {words[0]} ended with {done.returncode}: some tests will be skipped")
            return 0
    return 0


def is_installed(package: str) -> bool:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout == "installed"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
