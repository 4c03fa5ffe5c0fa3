"""MaxConcurrency, MaxErrors and the slow start: how many may start now, or must we stop. Source: operations.md 3.2."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

DEFAULT_MAX_CONCURRENCY = "50"
DEFAULT_MAX_ERRORS = "0"
PATIENCE = timedelta(seconds=60)
"""A node that has not acknowledged by then holds the slow start up no longer; its slot of MaxConcurrency it keeps.

An agent that polls acknowledges within a second. Without this bound one dead node would stop a roll-out at its start.
"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """The slow start, counted in invocations: `unanswered` ones were offered and may still be acknowledged."""

    acknowledged: int
    unanswered: int

    @property
    def room(self) -> int:
        """How many more may be offered: each acknowledgement lets two follow, so 1, 2, 4, 8, … go out at a time."""
        return max(0, self.acknowledged + 1 - self.unanswered)

    def admits(self, online: Iterable[bool]) -> int:
        """How many of the next in line may be offered, given whether the node of each is there.

        An offline node answers nothing: it is offered its command, and the next one is tried beside it.
        """
        count, room = 0, self.room
        for there in online:
            if there and not room:
                break
            room -= there
            count += 1
        return count
