"""Collects the facts of this host: the manager of its operating system, and what the worker sees itself."""

import os
import time
from typing import NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import __version__, platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from patchwright_agent.managers.model import ManagerFacts
    from patchwright_agent.worker.facts import Document
    from patchwright_agent.worker.stale_services import StaleService

SYSTEM_STATE_DIR = "/var/lib/patchwright-agent"


class CollectRequest(NamedTuple):
    """`refresh`: True fetches the indexes first, False never, None only where own lists are empty.

    `index_dir` keeps own lists there, even as root; without root there always are own lists, in the state folder.
    """

    state_dir: str
    refresh: Optional[bool] = None
    index_dir: str = ""


def default_state_dir() -> str:
    """Where the agent keeps its state: the system's folder as root, the user's own otherwise."""
    if os.environ.get("PATCHWRIGHT_STATE_DIR"):
        return os.environ["PATCHWRIGHT_STATE_DIR"]
    if os.geteuid() == 0:
        return SYSTEM_STATE_DIR
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "patchwright-agent")


def collect(request: CollectRequest) -> "Document":
    """Collect facts. Raises UnsupportedPlatform, or ManagerError where the package manager cannot be asked at all."""
    system = platform.operating_system()
    name = platform.manager_for(system)
    _make_private(request.state_dir)
    manager, services = (_of_dnf if name == "dnf" else _of_apt)(request, os.path.join(request.state_dir, name))
    from patchwright_agent.worker import reboot
    from patchwright_agent.worker.facts import HostFacts, document

    updated = reboot.updated_since_boot(manager.packages, platform.booted_at()) if name == "dnf" else ()
    running, newest = platform.running_kernel(), reboot.newest_kernel(manager.kernels)
    wanted = reboot.reboot_of_host(newest, running, updated)
    host = HostFacts(system, platform.boot_id(), running, newest, wanted, services)
    return document(manager, host, __version__, round(time.time(), 3))


# A host has one manager, and importing another takes as long as asking it; so each is imported where it is used. dnf is
# asked before anything else is imported: it takes its time.


def _of_dnf(request: CollectRequest, folder: str) -> "Tuple[ManagerFacts, Sequence[StaleService]]":
    from patchwright_agent.managers import dnf_asked

    cache = os.path.join(os.path.abspath(request.state_dir), "dnf-notices.json")
    own = _index_dir(request, folder) if _owns_lists(request) else ""
    asked = dnf_asked.start(dnf_asked.Request(request.refresh, own, cache))
    from patchwright_agent.managers import dnf
    from patchwright_agent.worker import facts  # noqa: F401 (while dnf is at work: it is needed afterwards)
    from patchwright_agent.worker.stale_services import stale_services

    services = stale_services()  # looks at every process
    return dnf.facts(asked), services


def _of_apt(request: CollectRequest, folder: str) -> "Tuple[ManagerFacts, Sequence[StaleService]]":
    from patchwright_agent.managers import apt
    from patchwright_agent.worker.stale_services import stale_services

    manager = apt.collect(apt.Request(request.refresh, _index_dir(request, folder), _owns_lists(request)))
    return manager, stale_services()


def _owns_lists(request: CollectRequest) -> bool:
    return bool(request.index_dir) or os.geteuid() != 0


def _index_dir(request: CollectRequest, folder: str) -> str:
    return os.path.abspath(request.index_dir or folder)


def _make_private(folder: str) -> None:
    """Make the agent's folder for its owner alone; where that fails, a scan merely keeps no cache."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        pass
