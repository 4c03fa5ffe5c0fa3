"""Who holds a package manager's lock: seen without taking it.

apt and dpkg use POSIX record locks (fcntl), which F_GETLK shows to whoever may open the file, and /proc/locks to all.
"""

import fcntl
import os
import struct
from typing import Iterable, NamedTuple, Optional

from patchwright_agent import platform, text

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
