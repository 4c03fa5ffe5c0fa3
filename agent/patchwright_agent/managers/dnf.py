"""The facts of an rpm host, by its own dnf 4, and who holds its locks.

One process, one sack: what `dnf check-update`, `updateinfo` and `versionlock` would say costs no more than the first.
"""

import hashlib
import os
import time
from typing import Callable, List, Optional, Sequence

from patchwright_agent import platform
from patchwright_agent.managers import dnf_output, locks
from patchwright_agent.managers.dnf_asked import Asked
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.model import LOCKED, ManagerFacts, Problem

# Where rpm keeps its database, and so its transaction lock: the old place and the new.
RPM_LOCKS = ("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock")
DNF_LOCK = "/var/lib/dnf/rpmdb_lock.pid"
MODULES_DIR = "/etc/dnf/modules.d"
_POLL_SECONDS = 0.5
_MAX_SOURCE_BYTES = 4 * 1024 * 1024  # subscriptions write files of hundreds of repositories


def facts(asked: Asked) -> ManagerFacts:
    """What was asked for by `dnf_asked.start`. What goes wrong is among the facts' problems.

    Raises ManagerError if dnf or the rpm database cannot be asked, UnsupportedPlatform where there is no dnf 4.
    """
    modules = _modules(dnf_output.MAX_MODULES, dnf_output.parse_modules)
    answer = asked.answer()
    answer["fetch"] = asked.request["fetch"]
    try:
        if not answer["installed"]:
            raise ManagerError("the rpm database holds no package or cannot be read; rpm --rebuilddb may mend it")
        digest = _digest([str(path) for path in answer["source_files"]])
        return dnf_output.manager_facts(answer, modules, digest, lock_problems())
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ManagerError("dnf's answer cannot be understood: %r" % error)


def lock_problems() -> List[Problem]:
    """A transaction of somebody else that is under way, as a problem."""
    holder = lock_holder()
    if holder is None:
        return []
    message = "%s is held by %s" % (holder.path, holder.program or "a process that cannot be seen from here")
    return [Problem(LOCKED, message, "fuser -v " + holder.path)]


def wait_for_locks(tell: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> locks.Wait:
    """Wait for whoever holds rpm's transaction lock or dnf's own."""
    seconds, waited = locks.wait_seconds(), 0.0
    first = holder = lock_holder()
    while holder is not None and waited < seconds:
        if not waited:
            tell("waiting for %s, which holds %s" % (holder.program or "another process", holder.path))
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        holder = lock_holder()
    return locks.Wait(holder, first, waited)


def lock_holder() -> Optional[locks.Holder]:
    """Who changes packages by dnf or rpm just now."""
    return locks.first_holder(RPM_LOCKS) or pid_file_holder(DNF_LOCK)


def pid_file_holder(path: str) -> Optional[locks.Holder]:
    """The living process whose number stands in dnf's own lock file, None if there is none."""
    content = platform.small_file(path).strip()
    if not content.isdigit() or len(content) > 9 or not _is_alive(int(content)):
        return None
    return locks.Holder(path, locks.program_of(int(content)))


def _is_alive(pid: int) -> bool:
    """Whether a process runs. One that is dead, and that its parent has not asked after yet, holds nothing any more."""
    _, _, after = platform.small_file("/proc/%d/stat" % pid).rpartition(")")  # the name before may hold anything
    return after.split()[:1] not in ([], ["Z"], ["X"])


def _digest(paths: Sequence[str]) -> str:
    """SHA-256 of what the files define that name the repositories."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read(_MAX_SOURCE_BYTES)
        except OSError:
            continue
        kept = [line.rstrip() for line in content.split(b"\n") if line.strip() and not line.lstrip().startswith(b"#")]
        digest.update(b"%s\n%s\n" % (os.path.basename(path).encode("utf-8", "replace"), b"\n".join(kept)))
    return digest.hexdigest()


def _modules(limit: int, parse: Callable[[str], List[str]]) -> Sequence[str]:
    try:
        names = sorted(os.listdir(MODULES_DIR))[:limit]
    except OSError:
        return []
    enabled = []  # type: List[str]
    for name in names:
        if name.endswith(".module"):
            enabled += parse(platform.small_file(os.path.join(MODULES_DIR, name)))
    return enabled
