"""Parked calls: an event for each channel that somebody waits on."""

import asyncio
from collections import defaultdict

EVERYBODY = "*"
"""The channel of a store that may have missed wake-ups: everyone looks again."""


class Waits:
    """Lets coroutines wait for a channel, and any thread wake them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.closing = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the waiters live in; before that, wakes are dropped as nobody can wait yet."""
        self._loop = loop

    def wake(self, channel: str) -> None:
        """Wake all who wait on `channel`; called from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._set, channel)

    def close(self) -> None:
        """The server ends: every parked call answers now, and none is parked any more."""
        self.closing = True
        self.wake(EVERYBODY)

    def _set(self, channel: str) -> None:
        chosen = list(self._waiting) if channel == EVERYBODY else [channel]
        for name in chosen:
            for event in self._waiting.get(name, ()):
                event.set()

    def enter(self, channel: str) -> asyncio.Event:
        """Begin to wait: from now on no wake is missed."""
        event = asyncio.Event()
        self._waiting[channel].add(event)
        return event

    def leave(self, channel: str, event: asyncio.Event) -> None:
        """End what `enter` began."""
        waiting = self._waiting[channel]
        waiting.discard(event)
        if not waiting:
            del self._waiting[channel]

    @property
    def count(self) -> int:
        """How many calls are parked."""
        return sum(len(w) for w in self._waiting.values())
