"""Structured logs, counters for Prometheus, health."""

import json
import logging
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict

_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


class JsonLines(logging.Formatter):
    """One JSON object a line; control characters of hostile texts are escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "from": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True)


class Telemetry:
    """Counts calls. `strict` makes the renderer refuse answers that the model does not have (tests)."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._buckets: Counter[tuple[str, int]] = Counter()

    def called(self, operation: str, code: str, seconds: float) -> None:
        """One call has been answered."""
        with self._lock:
            self._calls[operation, code] += 1
            self._seconds[operation] += seconds
            self._buckets[operation, bisect_left(_BUCKETS, seconds)] += 1

    def exposition(self, gauges: dict[str, float]) -> str:
        """Everything in Prometheus' text format; names and labels are ours, so nothing needs escaping."""
        lines = ["# TYPE patchwright_requests_total counter"]
        with self._lock:
            totals: Counter[str] = Counter()
            for (operation, code), n in sorted(self._calls.items()):
                totals[operation] += n
                lines.append(f'patchwright_requests_total{{operation="{operation}",code="{code}"}} {n}')
            lines.append("# TYPE patchwright_request_seconds histogram")
            for operation, n in sorted(totals.items()):
                count = 0
                for place, bound in enumerate(_BUCKETS):
                    count += self._buckets[operation, place]
                    lines.append(f'patchwright_request_seconds_bucket{{operation="{operation}",le="{bound}"}} {count}')
                lines.append(f'patchwright_request_seconds_bucket{{operation="{operation}",le="+Inf"}} {n}')
                lines.append(
                    f'patchwright_request_seconds_sum{{operation="{operation}"}} {self._seconds[operation]:.6f}'
                )
                lines.append(f'patchwright_request_seconds_count{{operation="{operation}"}} {n}')
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"
