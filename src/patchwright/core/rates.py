"""MaxConcurrency and MaxErrors: how many may start now, or must we stop. Source: operations.md 3.2."""

from dataclasses import dataclass

DEFAULT_MAX_CONCURRENCY = "50"
DEFAULT_MAX_ERRORS = "0"


def concurrency_cap(text: str, targets: int) -> int:
    """The number of targets that may be in flight: `k`, or max(1, floor(n*p/100)) for `p%`."""
    return max(1, _amount(text, targets))


def error_threshold(text: str, targets: int) -> int:
    """How many errors are still borne: `k`, or floor(n*p/100) for `p%`."""
    return _amount(text, targets)


def _amount(text: str, targets: int) -> int:
    if text.endswith("%"):
        return targets * int(text[:-1]) // 100
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a command stands, counted in invocations."""

    waiting: int
    in_flight: int
    errors: int


def may_start(progress: Progress, *, cap: int, threshold: int) -> int | None:
    """How many of the waiting may start now; None: the threshold is passed, the waiting must be terminated."""
    if progress.errors > threshold:
        return None
    return max(0, min(progress.waiting, cap - progress.in_flight))
