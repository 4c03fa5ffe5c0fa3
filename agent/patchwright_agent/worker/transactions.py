"""Runs the package manager so that nothing cuts it in two, and waits for one that an earlier worker left running."""

import os
import time
from typing import Callable, Dict, Optional, Sequence

from patchwright_agent import run, text
from patchwright_agent.managers.installer import Executed
from patchwright_agent.worker import scope
from patchwright_agent.worker.stall import StallWatch

OWNER_VARIABLE = "PATCHWRIGHT_TRANSACTION"  # marks the processes of a run's transactions: a pid alone may be anybody's
KEPT_OUTPUT_BYTES = 4 * 1024 * 1024  # of the beginning and of the end of what a manager prints
_PID_FILE = "manager.pid"
_OUTPUT = "output-"
_POLL_SECONDS = 0.2


class Transactions:
    """The transactions of one run, whose files are in `folder`."""

    def __init__(
        self,
        folder: str,
        tell: Callable[[str], None] = str,
        waiting_paths: Sequence[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.watch = StallWatch("%s=%s" % (OWNER_VARIABLE, folder), waiting_paths, tell)
        self._folder = folder
        self._pid_path = os.path.join(folder, _PID_FILE)
        self._tell = tell
        self._sleep = sleep
        self._count = 0
        self._prefix: Optional[Sequence[str]] = None  # not known yet

    def execute(self, argv: Sequence[str]) -> Executed:
        """Run one command that changes packages, and wait for its end however long that takes."""
        if self._prefix is None:
            self._prefix = scope.transaction_prefix(self._tell)
        self._count += 1
        path = os.path.join(self._folder, "%s%d-%d.txt" % (_OUTPUT, os.getpid(), self._count))
        marks: Dict[str, str] = {OWNER_VARIABLE: self._folder}
        try:
            child = run.detached([*self._prefix, *argv], path, self._pid_path, marks)
        except OSError as error:
            return Executed(run.RETURN_CODE_NOT_STARTED, "%s: %s" % (argv[0], error.strerror))
        try:
            code = child.wait(lambda: self.watch.look(path), self.watch.interval_seconds)
        finally:
            self.watch.over()
        return Executed(code, _content(path))

    def wait_for_predecessor(self) -> bool:
        """Wait for a command that an earlier worker of this run started and that runs still; whether there was one."""
        pid = self._running()
        if not pid:
            return False
        self._tell("waiting for the transaction of an earlier worker (process %d)" % pid)
        looked_at = time.monotonic()
        while self._running():
            self._sleep(_POLL_SECONDS)
            if time.monotonic() - looked_at >= self.watch.interval_seconds:
                looked_at = time.monotonic()
                self.watch.look(self._newest_output())
        self.watch.over()
        return True

    def _newest_output(self) -> str:
        outputs = [os.path.join(self._folder, name) for name in os.listdir(self._folder) if name.startswith(_OUTPUT)]
        return max(outputs, key=os.path.getmtime, default="")

    def _running(self) -> int:
        """The pid of this run's command, 0 if it has ended."""
        try:
            with open(self._pid_path, "rb") as file:
                content = file.read(32).strip()
        except OSError:
            return 0
        pid = int(content) if content.isdigit() else 0
        mark = ("%s=%s" % (OWNER_VARIABLE, self._folder)).encode("utf-8", "surrogateescape")
        try:
            with open("/proc/%d/environ" % pid, "rb") as file:
                return pid if mark in file.read().split(b"\0") else 0
        except OSError:
            return 0


def _content(path: str) -> str:
    """What a manager has printed, lines kept, unsafe characters not; of a very long output beginning and end."""
    try:
        with open(path, "rb") as file:
            head = file.read(KEPT_OUTPUT_BYTES)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - KEPT_OUTPUT_BYTES, len(head)))
            tail = file.read(KEPT_OUTPUT_BYTES)
    except OSError as error:
        return "the output cannot be read: %s" % error.strerror
    decoded = (head + tail).decode("utf-8", "replace").replace("\r", "\n")
    return "\n".join(text.line(line) for line in decoded.split("\n"))
