"""What a benchmark reports, and the table that they all end in."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure. `limit` is what is asked of it; `peer` is measured in the same run."""

    name: str
    what: str
    value: float
    unit: str
    limit: float | None = None
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None


def median(values: Sequence[float]) -> float:
    """The middle of several runs: what may be quoted on a noisy machine."""
    return statistics.median(values)


def machine() -> str:
    """The machine in a few words, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.machine()}"


def write(measured: Mapping[str, Sequence[Figure]], path: Path) -> None:
    """Keep each bench's figures as JSON with the day and the machine; those of benches that did not run stay."""
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    rows = json.loads(path.read_text()) if path.exists() else []
    rows = [row for row in rows if row["bench"] not in measured]
    for bench, figures in measured.items():
        rows += [asdict(f) | {"bench": bench, "date": now, "machine": machine()} for f in figures]
    path.write_text(json.dumps(rows, indent=2) + "\n")


def show(figures: Sequence[Figure]) -> None:
    """The table on the terminal."""
    for f in figures:
        limit = f"limit {f.limit:g}" if f.limit is not None else ""
        peer = f"{f.peer}: {f.peer_value:g}, ratio {f.ratio:.2f}" if f.peer_value and f.ratio else ""
        print(f"{f.name:32} {f.value:10.4g} {f.unit:10} {limit:14} {peer}")
