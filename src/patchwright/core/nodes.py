"""Managed nodes: who they are, and whether they can be reached. Source: operations.md 7.3, agent-protocol.md 5."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from patchwright.core.values import NodeId, OperatingSystem, Scope

PING_INTERVAL = timedelta(minutes=5)
SLACK = timedelta(seconds=60)
ONLINE_FOR = 2 * PING_INTERVAL + SLACK
"""A node is Online this long after its last ping: two heartbeats and a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedNode:
    """A registered machine. Texts that the host supplied (`computer_name` and the like) are hostile."""

    id: NodeId
    scope: Scope
    activation_id: str
    iam_role: str
    public_key: str
    fingerprint: str
    registered_at: datetime
    name: str | None = None
    deregistered_at: datetime | None = None
    last_ping_at: datetime | None = None
    agent_name: str | None = None
    agent_version: str | None = None
    platform_type: str | None = None
    platform_name: str | None = None
    platform_version: str | None = None
    computer_name: str | None = None
    ip_address: str | None = None
    operating_system: OperatingSystem | None = None
    clock_offset_seconds: int | None = None
    scan_only: bool = False
    """Its agent said that it obeys scans and nothing else; the agent enforces it. Source: decisions.md 25."""

    @property
    def label(self) -> str:
        """What people call it: its given name, else its own, else its id."""
        return self.name or self.computer_name or self.id


def is_quiet(last_ping_at: datetime | None, now: datetime) -> bool:
    """Whether a node that is heard from, by a poll or by its open channel, is due to be noted as seen at `now`.

    Its heartbeats do that otherwise; a node may be set to send them an hour apart.
    """
    return last_ping_at is None or now - last_ping_at > PING_INTERVAL + SLACK


def is_online(last_ping_at: datetime | None, now: datetime) -> bool:
    """Whether a node that pinged at `last_ping_at` counts as Online at `now`."""
    return last_ping_at is not None and now - last_ping_at <= ONLINE_FOR


_BY_ID = {
    "debian": OperatingSystem.DEBIAN,
    "ubuntu": OperatingSystem.UBUNTU,
    "raspbian": OperatingSystem.RASPBIAN,
    "rhel": OperatingSystem.REDHAT_ENTERPRISE_LINUX,
    "centos": OperatingSystem.CENTOS,
    "rocky": OperatingSystem.ROCKY_LINUX,
    "almalinux": OperatingSystem.ALMA_LINUX,
    "ol": OperatingSystem.ORACLE_LINUX,
    "sles": OperatingSystem.SUSE,
    "sles_sap": OperatingSystem.SUSE,
    "opensuse-leap": OperatingSystem.SUSE,
}
_AMAZON = {
    "2": OperatingSystem.AMAZON_LINUX_2,
    "2022": OperatingSystem.AMAZON_LINUX_2022,
    "2023": OperatingSystem.AMAZON_LINUX_2023,
}
_PRODUCT_PREFIX = {
    OperatingSystem.DEBIAN: "Debian",
    OperatingSystem.UBUNTU: "Ubuntu",
    OperatingSystem.RASPBIAN: "Raspbian",
    OperatingSystem.REDHAT_ENTERPRISE_LINUX: "RedhatEnterpriseLinux",
    OperatingSystem.CENTOS: "CentOS",
    OperatingSystem.ROCKY_LINUX: "RockyLinux",
    OperatingSystem.ALMA_LINUX: "AlmaLinux",
    OperatingSystem.ORACLE_LINUX: "OracleLinux",
    OperatingSystem.SUSE: "Suse",
    OperatingSystem.AMAZON_LINUX: "AmazonLinux",
    OperatingSystem.AMAZON_LINUX_2: "AmazonLinux",
    OperatingSystem.AMAZON_LINUX_2022: "AmazonLinux",
    OperatingSystem.AMAZON_LINUX_2023: "AmazonLinux",
}


def operating_system_of(os_id: str, os_version: str, id_like: str = "") -> OperatingSystem | None:
    """AWS's OperatingSystem for an os-release ID and VERSION_ID; a derivative counts as its first known parent."""
    if os_id == "amzn":
        return _AMAZON.get(os_version.split(".")[0], OperatingSystem.AMAZON_LINUX)
    for candidate in (os_id, *id_like.split()):
        if candidate in _BY_ID:
            return _BY_ID[candidate]
    return None


def product_of(system: OperatingSystem, os_version: str) -> str:
    """The PRODUCT string: prefix and version with no space, `Debian12`. Source: patch-baselines.md 1.3."""
    return f"{_PRODUCT_PREFIX.get(system, system.value)}{os_version}"
