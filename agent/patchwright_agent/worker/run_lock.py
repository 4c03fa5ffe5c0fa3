"""One patch run on a host at a time.

A worker that starts again for the same command (the agent was killed, the worker of before was not) waits for its
predecessor as long as its step may take: that one may be in a transaction, which nobody cuts short.
"""

import fcntl
import os
import time
from typing import Callable

from patchwright_agent import platform, text
from patchwright_agent.worker.stall import RUN_WAITING_FILE

WAIT_SECONDS = 60
BOOT_REPORT = "facts after a boot"
BOOT_REPORT_SECONDS = 1800  # a host that has just booted is slow, its server perhaps too: no reason to fail an Install
_POLL_SECONDS = 0.5
_FILE_NAME = "patch-run.lock"


class RunLocked(Exception):
    """Another run holds the lock, or the state folder cannot be used; the message says which and what to do."""


class RunLock:
    """Holds the host's run lock while open. The lock ends with the process, however that ends."""

    def __init__(self, state_dir: str, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = os.path.join(state_dir, _FILE_NAME)
        self._name = text.field(name, 100)
        self._sleep = sleep

    def __enter__(self) -> "RunLock":
        """Waits up to a minute for another run, without end for an earlier worker of the same one. Raises RunLocked.

        A report after a boot is no run, and is waited for until the daemon ends it.
        """
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            advice = "name a writable folder in PATCHWRIGHT_STATE_DIR"
            raise RunLocked("%s cannot be opened: %s; %s" % (self._path, error.strerror, advice))
        try:
            self._wait()
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _wait(self) -> None:
        waited = 0.0
        while not self._is_taken():
            holder = text.field(platform.small_file(self._path), 200) or "unknown"
            limit = BOOT_REPORT_SECONDS if holder.endswith(", " + BOOT_REPORT) else WAIT_SECONDS
            if waited >= limit and not holder.endswith(", " + self._name):
                why = text.field(platform.small_file(os.path.join(os.path.dirname(self._path), RUN_WAITING_FILE)))
                raise RunLocked(
                    "another patch run (%s) did not end within %d seconds; try again when it has%s"
                    % (holder, limit, " (%s)" % why if why else "")
                )
            self._sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, ("process %d, %s" % (os.getpid(), self._name)).encode(), 0)

    def _is_taken(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
