"""Facts once after each boot: what waited for a reboot is cleared by them, without anybody's scan.

A child collects and sends them, so that the daemon stays small. It is started again, ever more rarely, until the server
has taken them. A node that never reported facts has nothing to clear. Source: design decision 12; worker-protocol.md.
"""

import os
import sys
import threading
import time

from patchwright_agent import platform
from patchwright_agent.daemon import backoff, log, steps, storage
from patchwright_agent.daemon.environment import agent_path, own_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

BOOT_FILE = "boot.json"
FACTS_FILE = "facts.json"  # what the worker keeps of each report
FIRST_DELAY_SECONDS = 4.0  # a command that goes on after the boot goes first
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 30.0, 3600.0
CHILD_SECONDS = 1800.0
CHECK_SECONDS = 0.2


class BootReport:
    """Runs in a thread of its own, which ends with the report."""

    def __init__(self, state_dir: str, delay: float = FIRST_DELAY_SECONDS) -> None:
        self._state_dir = state_dir
        self._path = os.path.join(state_dir, BOOT_FILE)
        self._boot_id = platform.boot_id()
        self._delay = delay
        self._retry = backoff.Backoff(RETRY_BASE_SECONDS, RETRY_CAP_SECONDS)
        self._stopped = threading.Event()
        self._thread: "Optional[threading.Thread]" = None

    def start(self) -> None:
        """See whether this boot is still to be reported; if so, begin."""
        if not self._boot_id or self._is_noted():
            return
        if not os.path.exists(os.path.join(self._state_dir, FACTS_FILE)):
            self._note()
            return
        self._thread = threading.Thread(target=self._run, name="boot report", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the child; the next daemon begins anew."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        wait = self._delay * (0.5 + backoff.fraction())
        while not self._stopped.wait(wait):
            reason = self._attempt()
            if not reason:
                self._note()
                log.say("the facts after the boot were reported")
                return
            if self._stopped.is_set():
                return
            wait = self._retry.failed()
            log.say("the facts after the boot were not reported (%s); next attempt in %d s" % (reason, round(wait)))

    def _attempt(self) -> str:
        """Run the child to its end; "" if the server has taken the facts, else why not."""
        import subprocess  # not at the top: most daemons start in a boot that was reported

        argv = [sys.executable, agent_path(), "report", "--state-dir", self._state_dir]
        try:
            with steps.starting:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=own_environment(), cwd="/")
        except OSError as error:
            return str(error.strerror)
        deadline = time.monotonic() + CHILD_SECONDS
        while child.poll() is None and time.monotonic() < deadline and not self._stopped.wait(CHECK_SECONDS):
            pass
        if child.poll() is None:
            child.kill()
        code = child.wait()
        return "" if code == 0 else "exit code %d" % code

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
