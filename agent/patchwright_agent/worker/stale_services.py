"""Services that still run on libraries which an update has replaced: they need a restart to be patched in truth."""

import os
import re
from typing import Dict, List, NamedTuple, Sequence, Set, Tuple

from patchwright_agent import platform, text

MAX_SERVICES = 200
MAX_LIBRARIES = 50
_MAX_MAPS_BYTES = 16 * 1024 * 1024
_DELETED_LIBRARY = re.compile(
    rb" (/(?:usr/)?(?:local/)?lib[^/\n]*/[^\n]*\.so(?:\.[^/\n]*)?) \(deleted\)$", re.MULTILINE
)


class StaleService(NamedTuple):
    """A systemd unit (a program's name where no unit holds the process) and the deleted libraries it has mapped."""

    unit: str
    libraries: Tuple[str, ...]


def parse_deleted_libraries(maps: bytes) -> Set[str]:
    """The library files of a /proc/PID/maps that no longer exist under their names."""
    if b"(deleted)" not in maps:
        return set()
    return {text.field(path.decode("utf-8", "replace")) for path in _DELETED_LIBRARY.findall(maps)}


def parse_unit(cgroup: str) -> str:
    """The innermost systemd service of a /proc/PID/cgroup, "" if there is none (a login session, no systemd)."""
    for line in cgroup.split("\n"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers in ("", "name=systemd"):
            for component in reversed(path.split("/")):
                if component.endswith(".service"):
                    return text.field(component)
    return ""


def stale_services() -> Sequence[StaleService]:
    """Look at every process of this root: all of them as root, the user's own otherwise. Sorted by unit."""
    root = _identity("/")
    libraries: Dict[str, Set[str]] = {}
    for pid in _other_processes():
        found = parse_deleted_libraries(_maps(pid))
        if found and _identity("/proc/%s/root" % pid) == root:  # a container's libraries are not this host's
            unit = parse_unit(platform.small_file("/proc/%s/cgroup" % pid))
            unit = unit or text.field(platform.small_file("/proc/%s/comm" % pid), 64)
            libraries.setdefault(unit, set()).update(found)
    units = sorted(libraries)[:MAX_SERVICES]
    return [StaleService(unit, tuple(sorted(libraries[unit])[:MAX_LIBRARIES])) for unit in units]


def _other_processes() -> List[str]:
    own = str(os.getpid())
    return [name for name in os.listdir("/proc") if name.isdigit() and name != own]


def _maps(pid: str) -> bytes:
    try:
        with open("/proc/%s/maps" % pid, "rb") as file:
            return file.read(_MAX_MAPS_BYTES)
    except OSError:  # the process has ended, or is another user's
        return b""


def _identity(path: str) -> Tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
