"""`watch-update STATE_DIR`: the old agent's eye on the new one, in a process that no restart ends.

It ends when the new agent is confirmed. When that does not happen in time, or the new one is gone and nobody starts it
again, the old file is put back and started, unless a supervisor does that.
"""

import os
import signal
import sys
import time

from patchwright_agent.daemon import agent_update, log
from patchwright_agent.daemon.main import LEAN_ENVIRONMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List

GONE_SECONDS = 15.0  # a supervisor starts a daemon again after ten
END_SECONDS = 12.0
_CHECK_SECONDS = 0.5


def main(argv: "List[str]") -> int:
    """0 confirmed, 1 put back (or there was nothing to watch)."""
    state_dir = argv[0]
    record = agent_update.read(state_dir)
    if record is None or record["state"] != agent_update.STAGED:
        return 1
    program = str(record["program"])
    reason = _wait(state_dir, program)
    record = agent_update.read(state_dir)
    if not reason or record is None or record["state"] != agent_update.STAGED:
        return 0
    log.say("the new agent does not come up (%s): the old one is put back" % reason)
    agent_update.put_back(state_dir, record, reason)
    _end(program, state_dir)
    if not _is_taken_up(program, state_dir):
        _start(record)
    return 1


def _wait(state_dir: str, program: str) -> str:
    """Why the new agent is given up; "" once it is settled otherwise."""
    deadline = time.monotonic() + agent_update.COME_UP_SECONDS
    seen_at = time.monotonic()
    while time.monotonic() < deadline:
        record = agent_update.read(state_dir)
        if record is None or record["state"] != agent_update.STAGED:
            return ""
        if daemons(program, state_dir):
            seen_at = time.monotonic()
        elif time.monotonic() - seen_at > GONE_SECONDS:
            return "it ended, and nobody started it again"
        time.sleep(_CHECK_SECONDS)
    return "the server did not answer it within %d seconds" % agent_update.COME_UP_SECONDS


def daemons(program: str, state_dir: str) -> "List[int]":
    """The processes that are daemons of this program on this folder; the folder's lock would get in their way."""
    wanted = {os.fsencode(program), b"run", b"--state-dir=" + os.fsencode(state_dir)}
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    words = set(file.read().split(b"\0"))
            except OSError:
                continue  # it ended meanwhile
            if wanted <= words:
                found.append(int(name))
    return found


def _end(program: str, state_dir: str) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            running = daemons(program, state_dir)
            if not running:
                return
            for pid in running:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            time.sleep(_CHECK_SECONDS)


def _is_taken_up(program: str, state_dir: str) -> bool:
    """Whether a supervisor has started a daemon again."""
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline:
        if daemons(program, state_dir):
            return True
        time.sleep(_CHECK_SECONDS)
    return False


def _start(record: "Dict[str, Any]") -> None:
    """Become the old agent's daemon: its log and its environment are this process's own."""
    arguments = [str(argument) for argument in record["arguments"]]
    argv = [sys.executable, "-I", "-S", str(record["program"]), "run"] + arguments
    os.execve(sys.executable, argv, dict(os.environ, **LEAN_ENVIRONMENT))  # noqa: S606 (its own program)
