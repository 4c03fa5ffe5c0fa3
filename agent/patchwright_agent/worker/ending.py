"""SIGTERM to the worker: it ends at once, but never in the middle of a transaction."""

import os
import signal
from typing import Callable, NoReturn

from patchwright_agent import text

EXIT_TERMINATED = 128 + signal.SIGTERM
TRANSACTION_FILE = "transaction"  # in the command's folder; whoever cancels looks for it. Source: worker-protocol.md


class Ending:
    """Whether the end was asked for (`is_asked`), and whether it has to wait.

    From `protect` to `release` the file `transaction` in the command's folder (if there is one) holds this process's
    pid; a SIGTERM is then remembered, and the run goes on to its report.
    """

    def __init__(self, command_dir: str = "", tell: Callable[[str], None] = str) -> None:
        self.is_asked = False
        self._is_protected = False
        self.command_dir = command_dir
        self._path = os.path.join(command_dir, TRANSACTION_FILE) if command_dir else ""
        self._tell = tell

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _signal: int, _frame: object) -> None:
        self.is_asked = True
        if not self._is_protected:
            self._end()

    def _end(self) -> NoReturn:
        raise SystemExit(EXIT_TERMINATED)  # unwinds, which ends the children's process groups and frees the lock

    def protect(self) -> None:
        """From here on the run is let finish. Raises OSError, with nothing begun."""
        self._is_protected = True
        if self._path:
            with open(self._path, "w", encoding="ascii") as file:
                file.write("%d" % os.getpid())

    def release(self) -> None:
        """The run has been reported: nothing is left that a signal could harm."""
        if self._is_protected and self._path:
            try:
                os.unlink(self._path)
            except OSError as error:
                self._tell("%s cannot be removed: %s" % (self._path, text.field(str(error.strerror))))
        self._is_protected = False
