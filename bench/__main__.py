"""Every benchmark in one run: a table on the terminal, and bench/results.json.

python -m bench [--only server,scan,scan-dnf,judge,rejudge,intake,commands,push,api]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.roots import CannotRun

from bench import (
    bench_api,
    bench_commands,
    bench_intake,
    bench_judge,
    bench_push,
    bench_rejudge,
    bench_scan,
    bench_scan_dnf,
    bench_server,
)
from bench.figures import Figure, machine, show, write
from bench.lab import AGENT, ROOT, SYSTEM_PYTHON

RESULTS = ROOT / "bench" / "results.json"


def scan() -> list[Figure]:
    """A scan beside apt-get on this host, by the built agent and the system's Python."""
    python = str(SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else sys.executable)
    with tempfile.TemporaryDirectory(prefix="pw-bench-scan-") as folder:
        result = bench_scan.measure([python, str(AGENT), "facts", "--no-refresh"], Path(folder), 5)
    medians = result["median_seconds"]
    assert isinstance(medians, dict)
    names = {"first": "no cache of its own yet", "again": "every later scan"}
    return [
        Figure(
            name=f"apt scan, {key}",
            what=f"facts on disk, {result['packages']} packages, {what}",
            value=medians[key],
            unit="s",
            peer="apt-get -s dist-upgrade",
            peer_value=medians["apt_get"],
            ratio=medians[key] / medians["apt_get"],
            limit=round(1.2 * medians["apt_get"], 3),
        )
        for key, what in names.items()
    ]


def scan_dnf() -> list[Figure]:
    """A scan beside dnf on a host of its own, where hosts can be made."""
    try:
        return bench_scan_dnf.measure(5)
    except CannotRun as reason:
        print(f"dnf scan: not measured: {reason}")
        return []


BENCHES = {
    "server": bench_server.measure,
    "scan": scan,
    "scan-dnf": scan_dnf,
    "judge": bench_judge.measure,
    "rejudge": bench_rejudge.measure,
    "intake": bench_intake.measure,
    "commands": bench_commands.measure,
    "push": bench_push.measure,
    "api": bench_api.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default=",".join(BENCHES), help=f"a comma-joined choice of {', '.join(BENCHES)}")
    chosen = parser.parse_args().only.split(",")
    subprocess.run([sys.executable, ROOT / "tools" / "build_agent.py"], check=True, stdout=subprocess.DEVNULL)
    print(machine())
    for name in chosen:
        figures = BENCHES[name]()
        show(figures)
        write({name: figures}, RESULTS)  # at once: the next one may take minutes, or fail
    return 0


if __name__ == "__main__":
    sys.exit(main())
