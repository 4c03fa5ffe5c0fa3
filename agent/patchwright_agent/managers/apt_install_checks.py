"""What must be so before apt changes anything: a sound database, free locks, room on the disks."""

import os
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import run
from patchwright_agent.managers import apt, apt_assemble, apt_folders, apt_install_output, apt_output, locks
from patchwright_agent.managers.apt_output import Record
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import BROKEN, DISK_FULL, LOCKED, Change, Slot

TIMEOUT_SECONDS = 120
DPKG = "/var/lib/dpkg"
# Room that must stay free: dpkg's own files, logs, what scripts write.
RESERVE_BYTES = 16 * 1024 * 1024
_NAMES_PER_CALL = 500

Problem = Tuple[str, str]


class Database(NamedTuple):
    """The dpkg database: its records, those that have files, how many can't be read, whether its journal holds work."""

    records: Sequence[Record]
    present: Sequence[Record]
    unreadable: int
    is_pending: bool

    def arches(self, native: str) -> Dict[Slot, str]:
        """(name, architecture, the native one for `all`) of what has files -> its own architecture."""
        return {(r.name, native if r.arch == "all" else r.arch): r.arch for r in self.present}

    def unfinished(self) -> List[Record]:
        """The packages that have files and are not whole."""
        return [record for record in self.present if not is_whole(record)]


def is_whole(record: Record) -> bool:
    """Installed, configured, without an error mark, nothing outstanding."""
    return record.status[1:2] == "i" and record.status[2:3] in ("", " ")


def is_in_place(record: Record) -> bool:
    """Unpacked and configured; triggers, of this package or of another, may be outstanding."""
    return record.status[1:2] in ("i", "W", "t") and record.status[2:3] in ("", " ")


def read_database() -> Database:
    """Ask dpkg. Raises ManagerError."""
    answer = run.run(["dpkg-query", "-W", "-f", apt_output.DPKG_QUERY_FORMAT], TIMEOUT_SECONDS)
    if not answer.succeeded:
        reason = apt_output.first_error(answer.error_text, "exit code %d" % answer.returncode)
        raise ManagerError("dpkg-query failed: %s; run it by hand to see more" % reason)
    records, unreadable = apt_output.parse_dpkg_query(answer.text)
    return Database(records, apt_assemble.present(records), unreadable, apt.updates_pending())


def broken(database: Database) -> Optional[Problem]:
    """What is broken already, with the command that repairs it."""
    problems = apt_assemble.database_problems(database.present, 0, database.is_pending)
    if problems:
        found = problems[0]
        named = (" (%s)" % ", ".join(found.packages[:5])) if found.packages else ""
        return BROKEN, "%s%s; nothing was changed; repair it by: %s" % (found.message, named, found.remedy)
    return broken_dependencies()


def broken_dependencies() -> Optional[Problem]:
    """Whether `apt-get check` finds unmet dependencies."""
    check = run.run(["apt-get", "check", "-q", "-o", "Debug::NoLocking=1"], TIMEOUT_SECONDS)
    if check.succeeded:
        return None
    unmet = apt_output.parse_unmet(check.text)
    reason = apt_output.first_error(check.error_text, "apt-get check ended with %d" % check.returncode)
    named = (" (%s)" % ", ".join(unmet[:5])) if unmet else ""
    return BROKEN, "%s%s; nothing was changed; repair it by: apt-get -f install" % (reason, named)


def lock_files(settings: Mapping[str, List[str]]) -> List[str]:
    """Every lock that apt-get takes for an installation."""
    return [
        DPKG + "/lock-frontend",
        DPKG + "/lock",
        os.path.join(apt_folders.setting_path(settings, "dir::cache::archives"), "lock"),
    ]


def locked(
    settings: Mapping[str, List[str]], note: Callable[[str], None], tell: Callable[[str], None]
) -> Optional[Problem]:
    """Wait for who holds a lock; the problem if it is held still. `note` hears who was waited for."""
    seconds = locks.wait_seconds()
    wait = locks.wait_until_free(lock_files(settings), seconds, tell=tell)
    if wait.holder is not None:
        who = wait.holder.program or "a process that cannot be seen from here"
        message = "%s holds %s and did not end within %d seconds; nothing was changed; see: fuser -v %s"
        return LOCKED, message % (who, wait.holder.path, seconds, wait.holder.path)
    if wait.first is not None:
        note("waited %d s for %s" % (round(wait.seconds), wait.first.program or "another package manager"))
    return None


def crowded(items: Sequence[Change], specs: Sequence[str], settings: Mapping[str, List[str]]) -> Optional[Problem]:
    """Whether a disk has too little room for the downloads and what they unpack to. `specs`: name:arch=version."""
    sizes: Dict[Tuple[str, str], Tuple[int, int]] = {}
    for start in range(0, len(specs), _NAMES_PER_CALL):
        chunk = list(specs[start : start + _NAMES_PER_CALL])
        sizes.update(apt_install_output.parse_sizes(run.run(["apt-cache", "show"] + chunk, TIMEOUT_SECONDS).text))
    known = [sizes[item.name, item.version] for item in items if (item.name, item.version) in sizes]
    # A new version is unpacked beside the old one, package by package: growth is not known before, so all of it counts
    # for what comes in anew, and the largest for those that replace something.
    fresh = sum(sizes.get((item.name, item.version), (0, 0))[1] for item in items if not item.from_version)
    largest = max([room for _, room in known] or [0])
    archives = apt_folders.setting_path(settings, "dir::cache::archives")
    needs: Dict[int, Tuple[str, int]] = {}
    for folder, need in (
        (archives, sum(download for download, _ in known)),
        ("/usr", fresh + largest),
        ("/var/lib/dpkg", RESERVE_BYTES),
    ):
        device = _device(folder)
        place, sum_so_far = needs.get(device, (folder, 0))
        needs[device] = place, sum_so_far + need
    for folder, need in needs.values():
        free = _free_bytes(folder)
        if free is not None and free < need:
            message = "%s has %s free and %s are needed; nothing was changed; make room, for example by: apt-get clean"
            return DISK_FULL, message % (folder, _megabytes(free), _megabytes(need))
    return None


def _device(folder: str) -> int:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return -1


def _free_bytes(folder: str) -> Optional[int]:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None  # apt makes the folder, or says why it can't
    return status.f_bavail * status.f_frsize


def _megabytes(count: int) -> str:
    return "%.1f MB" % (count / 1000.0 / 1000.0)
