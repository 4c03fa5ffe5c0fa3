"""Processes that live as long as this one: ended when it ends, however it ends."""

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 15
"""Longer than the server (5) and the agent (8) take to end in order."""
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_OUTPUT_BYTES = 64 * 1024
MAX_LINE = 500
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: little is safe between fork and exec


def end_with_parent(parent: int) -> None:
    """Have the kernel send this process a SIGTERM when `parent`, its present parent, ends. Linux only, else nothing.

    Source: prctl(2), PR_SET_PDEATHSIG. The setting survives an exec, and is for this process alone.
    """
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is None:
        return
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before the kernel knew


def ignore_signals() -> None:
    """From now on nothing interrupts the end."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Child:
    """One process in a session of its own, so that a terminal's Ctrl-C reaches its parent only. It appends to `log`."""

    def __init__(self, argv: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(log, flags, 0o600), "ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=functools.partial(end_with_parent, os.getpid()),
            )

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def end(self) -> None:
        """Ask it to end, and wait; after GRACE_SECONDS kill it with everything in its session's first group.

        From then on this process ignores signals: it is ending too, in a time that has its own limits.
        """
        if self._process.poll() is not None:
            return
        ignore_signals()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def output(self) -> str:
        """What it has written since it started: the last 64 KiB at most."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - MAX_OUTPUT_BYTES))
            return log.read(MAX_OUTPUT_BYTES).decode(errors="replace")

    def last_words(self) -> str:
        """The last line of its output, cut; empty if it said nothing."""
        lines = [line for line in self.output().splitlines() if line.strip()]
        return lines[-1][:MAX_LINE] if lines else ""
