"""The installer of this host's package manager."""

from patchwright_agent import platform
from patchwright_agent.managers.installer import Installer, Workplace


def installer_for(workplace: Workplace) -> Installer:
    """Raises UnsupportedPlatform, or ManagerError where the manager can't be asked at all."""
    if platform.manager_for(platform.operating_system()) == "dnf":
        from patchwright_agent.managers.dnf_install import DnfInstaller

        return DnfInstaller(workplace)
    from patchwright_agent.managers.apt_install import AptInstaller

    return AptInstaller(workplace)
