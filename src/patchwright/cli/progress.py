"""How far a command is, on standard error: lines that are rewritten on a terminal, a line per change elsewhere."""

import os
import time
from typing import TextIO

from patchwright.cli.follow import OPEN, Look, state_of
from patchwright.cli.output import as_text, is_terminal, painted, shortened, wants_colour, width_of, write

MOST_LINES = 12
"""Nodes shown at once on a terminal: those that are at work first."""
PLAIN_SECONDS = 10.0
"""A command of many nodes says how far it is so often where lines stay."""
MOST_NAMED = 50
"""Up to so many nodes each change is a line of its own where lines stay; that is one page."""
_CLEAR = "\x1b[2K"


def progress_on(stream: TextIO, what: str) -> "LiveProgress | PlainProgress":
    """The one that suits `stream`. `what` goes on: "plan", "scan", "install"."""
    if is_terminal(stream) and os.environ.get("TERM") != "dumb":
        return LiveProgress(stream, what)
    return PlainProgress(stream, what)


def label(invocation: dict[str, object]) -> str:
    """The node's name beside its id, or the id alone."""
    node_id, name = as_text(invocation.get("InstanceId")), as_text(invocation.get("InstanceName"))
    return f"{name} ({node_id})" if name and name != node_id else node_id


def summary(what: str, look: Look) -> str:
    """One line for the whole command."""
    failed = f", {look.errors} failed" if look.errors else ""
    return f"{what}: {look.completed} of {look.total} {'node' if look.total == 1 else 'nodes'} ended{failed}"


class PlainProgress:
    """Lines that stay: each change of a node's state, or of a large command's counters now and then."""

    def __init__(self, stream: TextIO, what: str) -> None:
        self._stream = stream
        self._what = what
        self._states: dict[str, str] = {}
        self._said = ""
        self._at = float("-inf")

    def show(self, look: Look) -> None:
        if look.total <= MOST_NAMED:
            for node_id, invocation in sorted(look.invocations.items()):
                state = state_of(invocation)
                if self._states.get(node_id) != state:
                    self._states[node_id] = state
                    write(f"{self._what}: {label(invocation)}: {as_text(state)}\n", self._stream)
            return
        text, now = summary(self._what, look), time.monotonic()
        if text != self._said and (now - self._at >= PLAIN_SECONDS or look.completed == look.total):
            self._said, self._at = text, now
            write(f"{text}\n", self._stream)

    def trouble(self, text: str) -> None:
        if self._said != text:
            self._said = text
            write(f"{self._what}: {as_text(text)}; asking again\n", self._stream)

    def close(self) -> None:
        """Every line is there already."""


class LiveProgress:
    """A summary with a line per node below it, rewritten in place."""

    def __init__(self, stream: TextIO, what: str) -> None:
        self._stream = stream
        self._what = what
        self._started = time.monotonic()
        self._lines = 0
        self._colour = wants_colour(stream)

    def show(self, look: Look) -> None:
        elapsed = round(time.monotonic() - self._started)
        width = width_of(self._stream) or 80
        self._draw([shortened(f"{summary(self._what, look)}, {elapsed} s", width), *self._nodes(look, width)])

    def _nodes(self, look: Look, width: int) -> list[str]:
        busy = sorted(look.invocations.values(), key=lambda i: (state_of(i) not in OPEN, str(i["InstanceId"])))
        if look.total > MOST_LINES:
            busy = [i for i in busy if state_of(i) not in ("Pending", "Success")]
        shown, lines = busy[:MOST_LINES], []
        for invocation in shown:
            state = as_text(state_of(invocation))
            name = shortened(label(invocation), max(1, width - len(state) - 4))
            lines.append(f"  {name}  {painted(state) if self._colour else state}")
        if len(busy) > len(shown):
            lines.append(f"  … and {len(busy) - len(shown)} more")
        return lines

    def trouble(self, text: str) -> None:
        width = width_of(self._stream) or 80
        self._draw([shortened(f"{self._what}: {as_text(text)}; asking again", width)])

    def _draw(self, lines: list[str]) -> None:
        back = f"\x1b[{self._lines}A" if self._lines else ""
        kept = [f"{_CLEAR}{line}\n" for line in lines]
        blank = [f"{_CLEAR}\n"] * max(0, self._lines - len(lines))
        up = f"\x1b[{len(blank)}A" if blank else ""
        write(back + "".join(kept + blank) + up, self._stream)
        self._lines = len(lines)

    def close(self) -> None:
        """The last picture stays."""
