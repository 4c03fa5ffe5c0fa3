"""How long a scan takes beside `apt-get -s dist-upgrade`, on this very host, with the indexes as they are.

    python bench/bench_scan.py [--json] [--runs N] [--interpreter PATH] [--agent FILE.pyz]

Both sides run alternately, and neither refreshes an index or changes the system. A scan is measured from the start of
its process until its facts are on disk. The `first` scan finds no cache of its own, as after a refresh of the indexes;
`again` is every later one. The limit is 1.2 times apt-get, on at least 600 packages with full archive lists.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_RATIO = 1.2
LIMIT_PACKAGES = 600
PEER = ["apt-get", "-s", "dist-upgrade"]
ENTRY = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from patchwright_agent.worker.main import main
sys.exit(main(sys.argv[1:]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--runs", type=int, default=7, help="measured rounds (default 7)")
    parser.add_argument("--interpreter", default=_system_python(), help="the Python that runs the agent")
    parser.add_argument("--agent", default="", help="a built agent (zipapp) instead of the source tree")
    arguments = parser.parse_args()
    agent = [arguments.agent] if arguments.agent else ["-c", ENTRY, str(ROOT / "agent")]
    with tempfile.TemporaryDirectory(prefix="bench-scan-") as folder:
        result = measure([arguments.interpreter, *agent, "facts", "--no-refresh"], Path(folder), arguments.runs)
    print(json.dumps(result) if arguments.json else table(result))
    return 0


def measure(facts: list[str], folder: Path, runs: int) -> dict[str, object]:
    """Alternate the three sides; medians in seconds and their ratios to apt-get."""
    state, output = folder / "state", folder / "facts.json"
    seconds: dict[str, list[float]] = {"apt_get": [], "first": [], "again": []}
    scan = [*facts, "--state-dir", str(state)]
    for _ in range(runs):
        seconds["apt_get"].append(timed(PEER, folder / "apt-get.txt"))
        shutil.rmtree(state, ignore_errors=True)
        seconds["first"].append(timed(scan, output))
        seconds["again"].append(timed(scan, output))
    parts = json.loads(output.read_text())["parts"]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "benchmark": "scan",
        "packages": len(parts["installed"]["packages"]),
        "upgradable": len(parts["upgradable"]["lines"]),
        "runs": runs,
        "median_seconds": {name: round(value, 3) for name, value in medians.items()},
        "spread_seconds": {name: [round(min(values), 3), round(max(values), 3)] for name, values in seconds.items()},
        "ratio_first": round(medians["first"] / medians["apt_get"], 2),
        "ratio_again": round(medians["again"] / medians["apt_get"], 2),
        "limit_ratio": LIMIT_RATIO,
        "limit_packages": LIMIT_PACKAGES,
    }


def timed(argv: list[str], output: Path) -> float:
    """Seconds from the start of the process until its output is on disk."""
    with output.open("wb") as file:
        began = time.perf_counter()
        subprocess.run(argv, stdout=file, stderr=subprocess.DEVNULL, check=True, env={**os.environ, "LC_ALL": "C"})
        os.fsync(file.fileno())
        return time.perf_counter() - began


def table(result: dict[str, object]) -> str:
    medians, spreads = result["median_seconds"], result["spread_seconds"]
    assert isinstance(medians, dict) and isinstance(spreads, dict)
    rows = [f"{result['packages']} packages, {result['upgradable']} with updates, {result['runs']} rounds"]
    names = {"apt_get": "apt-get -s dist-upgrade", "first": "facts, first", "again": "facts, again"}
    for key, name in names.items():
        ratio = medians[key] / medians["apt_get"]
        low, high = spreads[key]
        rows.append(f"{name:<26}{medians[key]:7.3f} s   {low:.3f} to {high:.3f}   {ratio:5.2f} x")
    rows.append(f"limit: {result['limit_ratio']} x on at least {result['limit_packages']} packages")
    return "\n".join(rows)


def _system_python() -> str:
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


if __name__ == "__main__":
    sys.exit(main())
