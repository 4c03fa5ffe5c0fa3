"""Facts once after each boot: what waited for a reboot is cleared by them, without anybody's scan.

A child collects and sends them, so that the daemon stays small. It is started again, ever more rarely, until the server
has taken them. A node that never reported facts has nothing to clear. Source: design decision 12; worker-protocol.md.
"""

import os
import sys
import time

from patchwright_agent import platform
from patchwright_agent.daemon import backoff, log, storage
from patchwright_agent.daemon.environment import agent_path, own_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Optional

BOOT_FILE = "boot.json"
FACTS_FILE = "facts.json"  # what the worker keeps of each report
FIRST_DELAY_SECONDS = 4.0  # a command that goes on after the boot goes first
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 30.0, 3600.0
CHILD_SECONDS = 1800.0


class BootReport:
    """Tended by the daemon's loop. Raises StorageError from the start only."""

    def __init__(self, state_dir: str, delay: float = FIRST_DELAY_SECONDS) -> None:
        self._state_dir = state_dir
        self._path = os.path.join(state_dir, BOOT_FILE)
        self._boot_id = platform.boot_id()
        self._retry = backoff.Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        self._child: "Optional[subprocess.Popen[bytes]]" = None
        self._deadline = 0.0
        self._due_at: "Optional[float]" = None
        if not self._boot_id or self._is_noted():
            return
        if os.path.exists(os.path.join(state_dir, FACTS_FILE)):
            self._due_at = time.monotonic() + delay * (0.5 + backoff.fraction())
        else:
            self._note()

    def tend(self) -> None:
        """Start the child when it is due, look after it, note the boot once its report was taken."""
        now = time.monotonic()
        if self._child is not None:
            self._look_after(now)
        elif self._due_at is not None and now >= self._due_at:
            self._start(now)

    def stop(self) -> None:
        """End the child; the next daemon begins anew."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _start(self, now: float) -> None:
        import subprocess  # not at the top: most daemons start in a boot that was reported

        argv = [sys.executable, agent_path(), "report", "--state-dir", self._state_dir]
        try:
            self._child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=own_environment(), cwd="/")
        except OSError as error:
            self._failed(now, str(error.strerror))
        else:
            self._deadline = now + CHILD_SECONDS

    def _look_after(self, now: float) -> None:
        child = self._child
        if child is None:
            return
        code = child.poll()
        if code is None and now < self._deadline:
            return
        self.stop()
        if code == 0:
            self._due_at = None
            self._note()
            log.say("the facts after the boot were reported")
        else:
            self._failed(now, "exit code %s" % code if code is not None else "no end in %d s" % CHILD_SECONDS)

    def _failed(self, now: float, reason: str) -> None:
        wait = self._retry.failed()
        self._due_at = now + wait
        log.say("the facts after the boot were not reported (%s); next attempt in %d s" % (reason, round(wait)))

    def _is_noted(self) -> bool:
        try:
            noted = storage.read_json(self._path)
        except storage.StorageError as error:
            log.say("%s; the facts of this boot are reported once more" % error)
            return False
        return noted is not None and noted.get("boot_id") == self._boot_id

    def _note(self) -> None:
        try:
            storage.write_json(self._path, {"boot_id": self._boot_id})
        except storage.StorageError as error:
            log.say("%s; the facts of this boot may be reported once more" % error)
