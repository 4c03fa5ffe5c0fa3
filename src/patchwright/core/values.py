"""Ids, enums and small values that every other room shares. Spellings are AWS's where AWS has one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

NodeId = NewType("NodeId", str)
"""`mi-` plus 17 hex digits; unique over the whole server and never reused."""
BaselineId = NewType("BaselineId", str)
"""`pb-` plus 17 hex digits; the ARN form exists on the wire only."""
CommandId = NewType("CommandId", str)
"""A lower-case UUID."""
WindowId = NewType("WindowId", str)
"""`mw-` plus 17 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The (account, region) that every row belongs to. Source: product.md, idea 7."""

    account: str
    region: str


class OperatingSystem(StrEnum):
    """Source: spec/patch-baselines.md 1.1."""

    WINDOWS = "WINDOWS"
    AMAZON_LINUX = "AMAZON_LINUX"
    AMAZON_LINUX_2 = "AMAZON_LINUX_2"
    AMAZON_LINUX_2022 = "AMAZON_LINUX_2022"
    AMAZON_LINUX_2023 = "AMAZON_LINUX_2023"
    UBUNTU = "UBUNTU"
    REDHAT_ENTERPRISE_LINUX = "REDHAT_ENTERPRISE_LINUX"
    SUSE = "SUSE"
    CENTOS = "CENTOS"
    ORACLE_LINUX = "ORACLE_LINUX"
    DEBIAN = "DEBIAN"
    MACOS = "MACOS"
    RASPBIAN = "RASPBIAN"
    ROCKY_LINUX = "ROCKY_LINUX"
    ALMA_LINUX = "ALMA_LINUX"


class Family(StrEnum):
    """How a system's packages are named, ordered and classified: one set of rules each."""

    WINDOWS = "windows"
    YUM = "yum"
    DNF = "dnf"
    ZYPPER = "zypper"
    APT = "apt"
    MACOS = "macos"


FAMILY_OF: dict[OperatingSystem, Family] = {
    OperatingSystem.WINDOWS: Family.WINDOWS,
    OperatingSystem.AMAZON_LINUX: Family.YUM,
    OperatingSystem.AMAZON_LINUX_2: Family.YUM,
    OperatingSystem.AMAZON_LINUX_2022: Family.DNF,
    OperatingSystem.AMAZON_LINUX_2023: Family.DNF,
    OperatingSystem.UBUNTU: Family.APT,
    OperatingSystem.REDHAT_ENTERPRISE_LINUX: Family.DNF,
    OperatingSystem.SUSE: Family.ZYPPER,
    OperatingSystem.CENTOS: Family.YUM,
    OperatingSystem.ORACLE_LINUX: Family.DNF,
    OperatingSystem.DEBIAN: Family.APT,
    OperatingSystem.MACOS: Family.MACOS,
    OperatingSystem.RASPBIAN: Family.APT,
    OperatingSystem.ROCKY_LINUX: Family.DNF,
    OperatingSystem.ALMA_LINUX: Family.DNF,
}
"""Source: spec/patch-baselines.md 4.1."""


class ComplianceLevel(StrEnum):
    """A baseline's own weight for a patch; never derived from the vendor's severity. Source: 1.2."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFORMATIONAL = "INFORMATIONAL"
    UNSPECIFIED = "UNSPECIFIED"

    @property
    def rank(self) -> int:
        """5 for CRITICAL down to 0 for UNSPECIFIED."""
        return _LEVEL_RANK[self]


LEVELS = tuple(ComplianceLevel)
"""Every level, the highest first."""

_LEVEL_RANK = {level: 5 - i for i, level in enumerate(ComplianceLevel)}


class PatchState(StrEnum):
    """AWS's PatchComplianceDataState. Source: spec/patch-baselines.md 6.1."""

    INSTALLED = "INSTALLED"
    INSTALLED_OTHER = "INSTALLED_OTHER"
    INSTALLED_PENDING_REBOOT = "INSTALLED_PENDING_REBOOT"
    INSTALLED_REJECTED = "INSTALLED_REJECTED"
    MISSING = "MISSING"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    FAILED = "FAILED"
    AVAILABLE_SECURITY_UPDATE = "AVAILABLE_SECURITY_UPDATE"


class ComplianceStatus(StrEnum):
    """A node's, or an item's, status for the compliance type Patch. UNJUDGED is ours: absence is a value."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    UNJUDGED = "UNJUDGED"


class PatchOperation(StrEnum):
    """What a run of AWS-RunPatchBaseline does."""

    SCAN = "Scan"
    INSTALL = "Install"


class RebootOption(StrEnum):
    REBOOT_IF_NEEDED = "RebootIfNeeded"
    NO_REBOOT = "NoReboot"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Slot:
    """(name, arch): where one version of a package is installed. `all`/`noarch` share the native slot.

    Source: decisions.md 10.
    """

    name: str
    arch: str

    @property
    def patch_id(self) -> str:
        """`name.arch`, the patch id on the wire."""
        return f"{self.name}.{self.arch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One tag of a resource: key 1-128, value 0-256 characters. Source: operations.md 7.5."""

    key: str
    value: str
