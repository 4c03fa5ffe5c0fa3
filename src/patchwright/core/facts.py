"""What one node reported: its packages, what its own manager offers, and the host's small state."""

from dataclasses import dataclass
from datetime import datetime

from patchwright.core.patches import PackageVersion, Repository
from patchwright.core.values import OperatingSystem, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """A package version on the node's disk. `installed_at` is None where the host does not know."""

    package: PackageVersion
    installed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeLine:
    """An installed version with every newer version on offer, ascending in version order."""

    installed: PackageVersion
    offers: tuple[PackageVersion, ...]
    candidate: str = ""
    """The version that the manager itself would take, "" if none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why the node's package manager can't be trusted or used, with the command that mends it."""

    code: str
    message: str
    remedy: str = ""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleService:
    """A running service that maps libraries which an upgrade has deleted."""

    unit: str
    libraries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRelease:
    """An enabled repository of the node and the date of its Release file (None where unknown)."""

    repository: Repository
    released_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """The small part of the facts that is not packages."""

    manager: str
    manager_version: str = ""
    os_id: str = ""
    os_version: str = ""
    os_codename: str = ""
    os_name: str = ""
    arch: str = ""
    boot_id: str = ""
    kernel_running: str = ""
    kernel_newest: str = ""
    reboot_required: bool = False
    reboot_evidence: tuple[str, ...] = ()
    reboot_packages: tuple[str, ...] = ()
    holds: frozenset[Slot] = frozenset()
    problems: tuple[Problem, ...] = ()
    stale_services: tuple[StaleService, ...] = ()
    sources: tuple[SourceRelease, ...] = ()
    sources_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One node's facts at one time. `product` is `<Prefix><version>` such as `Debian12`; "" if unknown."""

    operating_system: OperatingSystem
    product: str
    installed: tuple[InstalledPackage, ...]
    upgradable: tuple[UpgradeLine, ...]
    state: HostState
    repository_matches: tuple[PackageVersion, ...] = ()
    """Versions of packages that are not installed: only catalogues (Windows) fill this."""
    applicable_updates: tuple[PackageVersion, ...] = ()
    """Updates that apply to the node and are not installed, as its own Windows Update says: Windows only."""
