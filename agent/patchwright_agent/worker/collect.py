"""Collects the facts of this host: the manager of its operating system, and what the worker sees itself."""

import os
import time
from typing import NamedTuple, Optional

from patchwright_agent import __version__, platform
from patchwright_agent.worker import reboot
from patchwright_agent.worker.facts import Document, HostFacts, document
from patchwright_agent.worker.stale_services import stale_services

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


def collect(request: CollectRequest) -> Document:
    """Collect facts. Raises UnsupportedPlatform, or ManagerError where the package manager cannot be asked at all."""
    system = platform.operating_system()
    name = platform.manager_for(system)
    _make_private(request.state_dir)
    own_lists = bool(request.index_dir) or os.geteuid() != 0
    index_dir = os.path.abspath(request.index_dir or os.path.join(request.state_dir, name))
    # Imported where they are used: a host has one manager, and importing takes as long as asking it.
    if name == "dnf":
        from patchwright_agent.managers import dnf

        cache = os.path.join(os.path.abspath(request.state_dir), "dnf-notices.json")
        asked = dnf.start(dnf.Request(request.refresh, index_dir if own_lists else "", cache))
        services = stale_services()  # looks at every process: while dnf thinks
        manager = asked.facts()
        updated = reboot.updated_since_boot(manager.packages, platform.booted_at())
    else:
        from patchwright_agent.managers import apt

        manager = apt.collect(apt.Request(request.refresh, index_dir, own_lists))
        services, updated = stale_services(), ()
    running, newest = platform.running_kernel(), reboot.newest_kernel(manager.kernels)
    wanted = reboot.reboot_of_host(newest, running, updated)
    host = HostFacts(system, platform.boot_id(), running, newest, wanted, services)
    return document(manager, host, __version__, round(time.time(), 3))


def _make_private(folder: str) -> None:
    """Make the agent's folder for its owner alone; where that fails, a scan merely keeps no cache."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        pass
