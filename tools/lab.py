"""`make lab`: four real hosts under a server of their own, to patch as one likes; Ctrl-C ends all of it.

Two Debian hosts, one posed as Amazon Linux 2023 and one as Rocky Linux 9, with small signed repositories: the hosts of
the tests. They are namespaces of this machine, whose own packages are not touched. Needs root.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("var/lab")


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from tests.e2e.lab import WORKLOAD, lab
    from tests.e2e.roots import CannotRun

    if os.geteuid() != 0:
        return fail("hosts are made of namespaces and overlay mounts, which takes root: sudo make lab")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with lab(FOLDER.resolve()) as it:
            print(f"four hosts, tagged {'='.join(WORKLOAD)}:")
            for name, node_id in it.nodes.items():
                print(f"  {name}  {node_id}")
            print(f'In another shell: eval "$(.venv/bin/patchwright env --data-dir {FOLDER}/data)"')
            print("Ctrl-C ends all of it.", flush=True)
            while True:
                for name in it.wanting_reboot():
                    print(f"{name} reboots", flush=True)
                    it.reboot(name)
                signal.sigtimedwait((signal.SIGUSR1,), 0.5)
    except CannotRun as reason:
        return fail(str(reason))
    except KeyboardInterrupt:
        return 0


def fail(text: str) -> int:
    print(f"lab: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
