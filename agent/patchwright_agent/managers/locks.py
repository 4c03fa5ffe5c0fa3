"""Who holds a package manager's lock: seen without taking it.

apt and dpkg use POSIX record locks (fcntl), which F_GETLK shows to whoever may open the file, and /proc/locks to all.
"""

import fcntl
import os
import struct
import time
from typing import Callable, Iterable, NamedTuple, Optional

from patchwright_agent import platform, text

WAIT_VARIABLE = "PATCHWRIGHT_LOCK_WAIT_SECONDS"
DEFAULT_WAIT_SECONDS = 300  # a nightly upgrade of a few packages; a longer one is better left alone
MAX_WAIT_SECONDS = 3600  # half of what a patch document's step may take
_POLL_SECONDS = 0.5
_FLOCK = "hhqqixxxx"  # struct flock of 64-bit Linux: type, whence, start, length, pid
_PROC_LOCKS = "/proc/locks"


class Holder(NamedTuple):
    """A held lock file and its holder's program ("" where it is not visible from here)."""

    path: str
    program: str


def first_holder(paths: Iterable[str]) -> Optional[Holder]:
    """The first of `paths` that another process has locked."""
    for path in paths:
        pid = holder_pid(path)
        if pid is not None:
            return Holder(path, program_of(pid))
    return None


class Wait(NamedTuple):
    """How a wait for locks ended: who holds one still (None: all are free), who held one first, for how long."""

    holder: Optional[Holder]
    first: Optional[Holder]
    seconds: float


def wait_seconds() -> int:
    """How long another program's lock is waited for: the node may set it, in seconds."""
    value = os.environ.get(WAIT_VARIABLE, "")
    return min(int(value), MAX_WAIT_SECONDS) if value.isdigit() else DEFAULT_WAIT_SECONDS


def wait_until_free(
    paths: Iterable[str], seconds: float, sleep: Callable[[float], None] = time.sleep, tell: Callable[[str], None] = str
) -> Wait:
    """Wait up to `seconds` for whoever holds one of `paths`; `tell` hears of it once."""
    paths = tuple(paths)
    first = holder = first_holder(paths)
    waited = 0.0
    while holder is not None and waited < seconds:
        if not waited:
            tell("waiting for %s, which holds %s" % (holder.program or "another process", holder.path))
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        holder = first_holder(paths)
    return Wait(holder, first, waited)


def holder_pid(path: str) -> Optional[int]:
    """The process that holds a record lock on `path`: None if nobody does, 0 if it is hidden from this process."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return _holder_by_proc(path)
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    except OSError:
        return _holder_by_proc(path)
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


def _holder_by_proc(path: str) -> Optional[int]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    device = "%02x:%02x" % (os.major(status.st_dev), os.minor(status.st_dev))
    return parse_proc_locks(platform.small_file(_PROC_LOCKS), "%s:%d" % (device, status.st_ino))


def parse_proc_locks(content: str, file_id: str) -> Optional[int]:
    """The holder of a lock on `file_id` (major:minor:inode) in /proc/locks; waiting processes (`->`) hold nothing."""
    for line in content.split("\n"):
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "POSIX" and fields[5] == file_id and fields[4].lstrip("-").isdigit():
            return max(int(fields[4]), 0)
    return None


def program_of(pid: int) -> str:
    """The name of a process's program, "" if it cannot be seen."""
    return text.field(platform.small_file("/proc/%d/comm" % pid), 64) if pid > 0 else ""
