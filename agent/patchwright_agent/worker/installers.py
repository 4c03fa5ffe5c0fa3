"""The installer of this host's package manager."""

from patchwright_agent import platform
from patchwright_agent.managers.apt_install import AptInstaller
from patchwright_agent.managers.installer import Installer, Workplace


def installer_for(workplace: Workplace) -> Installer:
    """Raises UnsupportedPlatform, or ManagerError where the manager can't be asked at all."""
    platform.manager_for(platform.operating_system())  # apt is the only one yet
    return AptInstaller(workplace)
