"""docs/performance.md: the figures of the last `make bench`, from bench/results.json."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tools import generated

PAGE = "docs/performance.md"
RESULTS = generated.ROOT / "bench" / "results.json"
NONE_YET = "There are no figures yet: `make bench` measures and writes them."


def rendered(results: Sequence[Mapping[str, Any]]) -> str:
    """A table of the figures, and the machines that they were measured on."""
    if not results:
        return NONE_YET
    rows = [
        (
            f"`{r['name']}`",
            str(r["what"]),
            _figure(r["value"], r["unit"]),
            _figure(r.get("limit"), r["unit"]),
            _peer(r),
            _number(r.get("ratio")),
            str(r["date"])[:10],
        )
        for r in results
    ]
    machines = "\n".join(f"- {m}" for m in sorted({str(r["machine"]) for r in results}))
    header = ("name", "what", "value", "limit", "peer", "ratio", "date")
    return generated.table(header, rows) + f"\n\nMeasured on:\n\n{machines}"


def _figure(value: object, unit: object) -> str:
    return "" if value is None else f"{_number(value)} {unit}".strip()


def _peer(result: Mapping[str, Any]) -> str:
    peer = str(result.get("peer") or "")
    value = _figure(result.get("peer_value"), result["unit"])
    return f"{peer}: {value}" if peer and value else peer or value


def _number(value: object) -> str:
    """Three figures are what a measurement is worth; whole numbers are shown whole."""
    if not isinstance(value, int | float):
        return "" if value is None else str(value)
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def parts() -> dict[tuple[str, str], str]:
    """What this tool writes; nothing without results, so that the page keeps its last figures."""
    if not RESULTS.exists():
        return {}
    return {(PAGE, "figures"): rendered(json.loads(RESULTS.read_text(encoding="utf-8")))}


if __name__ == "__main__":
    sys.exit(generated.run(parts()))
