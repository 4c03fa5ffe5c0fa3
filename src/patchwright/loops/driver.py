"""Runs each loop when it is due and on wake-up, one at a time, and remembers how its last turn ended."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

log = logging.getLogger(__name__)

IDLE = timedelta(seconds=30)
"""The longest that a loop sleeps: a missed wake-up costs no more."""
AFTER_FAILURE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """`turn(now)` does what is due and returns when it must run again (None: when woken). `wakes`: its channels."""

    name: str
    turn: Callable[[datetime], datetime | None]
    wakes: frozenset[str]


class Driver:
    """One thread for all loops of a process."""

    def __init__(self, loops: list[Loop], now: Callable[[], datetime]) -> None:
        self._loops = loops
        self._now = now
        self._condition = threading.Condition()
        self._due = {loop.name: now() for loop in loops}
        self._stopping = False
        self.failures: dict[str, str] = {}
        """Loops whose last turn failed, and how: shown by /readyz."""
        self._thread = threading.Thread(target=self._run, name="loops", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, channel: str) -> None:
        """Make the loops that listen to `channel` due now; called from any thread."""
        with self._condition:
            for loop in self._loops:
                if channel == "*" or channel in loop.wakes:
                    self._due[loop.name] = self._now()
            self._condition.notify()

    def stop(self) -> None:
        """End after the turn that runs now."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            with self._condition:
                loop = self._next()
                while loop is None and not self._stopping:
                    wait = min(self._due.values()) - self._now()
                    self._condition.wait(max(0.0, wait.total_seconds()))
                    loop = self._next()
                if self._stopping or loop is None:
                    return
                # Set before the turn: a wake-up during it makes the loop due again.
                self._due[loop.name] = self._now() + IDLE
            self._turn(loop)

    def _next(self) -> Loop | None:
        now = self._now()
        ready = [loop for loop in self._loops if self._due[loop.name] <= now]
        return min(ready, key=lambda loop: self._due[loop.name], default=None)

    def _turn(self, loop: Loop) -> None:
        try:
            again = loop.turn(self._now())
            self.failures.pop(loop.name, None)
        except Exception as failure:
            # The next turn is the retry; what failed is logged, shown by /readyz, and never fatal to other loops.
            log.exception("loop %s failed", loop.name)
            self.failures[loop.name] = f"{type(failure).__name__}: {failure}"[:500]
            again = self._now() + AFTER_FAILURE
        if again is not None:
            with self._condition:
                self._due[loop.name] = min(self._due[loop.name], again)
