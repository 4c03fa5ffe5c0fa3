"""What the lab's four hosts have installed, what their repositories offer, and what a baseline makes of it.

Every baseline has two rules: security updates count as CRITICAL, others (of Debian's section `net`, of every kind on
rpm systems) as MEDIUM. `system-release.*` and `lab-telemetry` are rejected with BLOCK. Expectations were worked out by
hand from spec/patch-baselines.md 1.6, 1.7, 3.4, 3.5 and 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.repository import Deb
from tests.e2e.rpm_repository import Notice, Rpm

DEB_1, DEB_2, AMZN, ROCKY = "deb-1", "deb-2", "amzn-1", "rocky-1"
HOSTS = (DEB_1, DEB_2, AMZN, ROCKY)
STABLE, SECURITY = "stable", "stable-security"
REJECTED = ("system-release.*", "lab-telemetry")


def _baseline(name: str, system: str, critical: list[dict[str, Any]], medium: list[dict[str, Any]]) -> dict[str, Any]:
    rules = [
        {"PatchFilterGroup": {"PatchFilters": critical}, "ApproveAfterDays": 0, "ComplianceLevel": "CRITICAL"},
        {"PatchFilterGroup": {"PatchFilters": medium}, "ApproveAfterDays": 0, "ComplianceLevel": "MEDIUM",
         "EnableNonSecurity": True},
    ]  # fmt: skip
    return {
        "Name": name,
        "OperatingSystem": system,
        "ApprovalRules": {"PatchRules": rules},
        "RejectedPatches": list(REJECTED),
        "RejectedPatchesAction": "BLOCK",
    }


def _filter(key: str, *values: str) -> dict[str, Any]:
    return {"Key": key, "Values": list(values)}


_SECURITY = [_filter("CLASSIFICATION", "Security"), _filter("SEVERITY", "Critical", "Important")]
BASELINES: Mapping[str, Mapping[str, Any]] = {
    system: _baseline(f"lab-{system.lower()}", system, critical, medium)
    for system, critical, medium in (
        ("DEBIAN", [_filter("PRIORITY", "*")], [_filter("SECTION", "net")]),
        ("AMAZON_LINUX_2023", _SECURITY, [_filter("CLASSIFICATION", "*")]),
        ("ROCKY_LINUX", _SECURITY, [_filter("CLASSIFICATION", "*")]),
    )
}
SYSTEM_OF = {DEB_1: "DEBIAN", DEB_2: "DEBIAN", AMZN: "AMAZON_LINUX_2023", ROCKY: "ROCKY_LINUX"}


@dataclass(frozen=True, slots=True)
class Expected:
    """A patch that a host misses at first: from, to, its level, and what becomes of it under BLOCK.

    `blocked` is the package that stands in its way (then it stays as it was); `brings` what comes in with it anew.
    """

    name: str
    before: str
    target: str
    level: str
    blocked: str = ""
    brings: tuple[tuple[str, str], ...] = ()
    arch: str = "all"
    cves: str = ""


_KERNEL = "linux-image-6.1.0-2-lab"
DEBS: Mapping[str, tuple[Deb, ...]] = {
    STABLE: (
        Deb("lab-openssl", "1.0-1", section="libs"),
        Deb("lab-openssl", "2.0-1", section="libs"),  # newer than the fix, and no security update
        Deb("lab-web", "1.0-1", section="net"),
        Deb("lab-web", "2.0-1", section="net", depends="lab-web-data (= 2.0-1)"),
        Deb("lab-web-data", "2.0-1", section="net"),
        Deb("lab-tool", "1.0-1", section="utils"),
        Deb("lab-tool", "2.0-1", section="utils"),  # of a section that no rule names
        Deb("lab-agentd", "1.0-1"),
        Deb("lab-cloud", "1.0-1"),
        Deb("lab-conflict", "1.0-1"),
        Deb("lab-old", "1.0-1"),
        Deb("lab-telemetry", "1.0-1"),
        Deb("system-release", "12-1"),
        Deb("linux-image-lab", "6.1.1-1", section="kernel", depends="linux-image-6.1.0-1-lab"),
        Deb("linux-image-6.1.0-1-lab", "6.1.1-1", section="kernel"),
    ),
    SECURITY: (
        Deb("lab-openssl", "1.0-1+deb12u1", section="libs"),
        Deb("lab-agentd", "1.0-1+deb12u1", depends="lab-telemetry"),
        Deb("lab-cloud", "1.0-1+deb12u1", depends="system-release"),
        Deb("lab-conflict", "1.0-1+deb12u1", fields={"Conflicts": "lab-old"}),
        Deb("linux-image-lab", "6.1.2-1", section="kernel", depends=_KERNEL),
        Deb(_KERNEL, "6.1.2-1", section="kernel"),
    ),
}

_OPENSSL = Rpm("lab-openssl", "1:1.0-1"), Rpm("lab-openssl", "1:1.0-2")
_LOW = Rpm("lab-low", "1.0-1"), Rpm("lab-low", "1.0-2")
_BUGGY = Rpm("lab-buggy", "1.0-1"), Rpm("lab-buggy", "1.1-1")
_WEB = Rpm("lab-web", "1.0-1"), Rpm("lab-web", "2.0-1", tags=("Requires: lab-web-data = 2.0",))
_WEB_DATA = Rpm("lab-web-data", "2.0-1")
_KERNELS = tuple(
    Rpm(
        "kernel",
        f"6.1.{n}-1",
        tags=(f"Provides: kernel-uname-r = 6.1.{n}-1.x86_64", "Provides: installonlypkg(kernel)"),
    )
    for n in (1, 2)
)
RPMS: tuple[Rpm, ...] = (*_OPENSSL, *_LOW, *_BUGGY, *_WEB, _WEB_DATA, *_KERNELS, Rpm("lab-telemetry", "1.0-1"))
NOTICES = (
    Notice("LAB-2026:1", packages=(_OPENSSL[1],), severity="Critical", cves=("CVE-2026-0001", "CVE-2026-0002")),
    Notice("LAB-2026:2", packages=(_LOW[1],), severity="Low", cves=("CVE-2026-0003",)),
    Notice("LAB-2026:3", packages=(_BUGGY[1],), type="bugfix", severity="None"),
    Notice("LAB-2026:4", packages=(_KERNELS[1],), severity="Important", cves=("CVE-2026-0004",)),
)

INSTALLED_DEBS: Mapping[str, tuple[str, ...]] = {
    DEB_1: (
        "lab-openssl=1.0-1", "lab-web=1.0-1", "lab-agentd=1.0-1", "lab-cloud=1.0-1", "lab-conflict=1.0-1",
        "lab-old=1.0-1", "linux-image-lab=6.1.1-1",
    ),
    DEB_2: ("lab-web=1.0-1", "lab-tool=1.0-1"),
}  # fmt: skip
INSTALLED_RPMS: Mapping[str, tuple[Rpm, ...]] = {
    AMZN: (_OPENSSL[0], _BUGGY[0], _KERNELS[0]),
    ROCKY: (_LOW[0], _WEB[0]),
}

EXPECTED: Mapping[str, tuple[Expected, ...]] = {
    DEB_1: (
        Expected("lab-openssl", "1.0-1", "1.0-1+deb12u1", "CRITICAL"),
        Expected("lab-web", "1.0-1", "2.0-1", "MEDIUM", brings=(("lab-web-data", "2.0-1"),)),
        Expected("linux-image-lab", "6.1.1-1", "6.1.2-1", "CRITICAL", brings=((_KERNEL, "6.1.2-1"),)),
        Expected("lab-agentd", "1.0-1", "1.0-1+deb12u1", "CRITICAL", blocked="lab-telemetry"),
        Expected("lab-cloud", "1.0-1", "1.0-1+deb12u1", "CRITICAL", blocked="system-release"),
        Expected("lab-conflict", "1.0-1", "1.0-1+deb12u1", "CRITICAL", blocked="lab-old"),
    ),
    DEB_2: (Expected("lab-web", "1.0-1", "2.0-1", "MEDIUM", brings=(("lab-web-data", "2.0-1"),)),),
    AMZN: (
        Expected("lab-openssl", "1:1.0-1", "1:1.0-2", "CRITICAL", arch="x86_64", cves="CVE-2026-0001,CVE-2026-0002"),
        Expected("lab-buggy", "0:1.0-1", "0:1.1-1", "MEDIUM", arch="x86_64"),
        Expected("kernel", "0:6.1.1-1", "0:6.1.2-1", "CRITICAL", arch="x86_64", cves="CVE-2026-0004"),
    ),
    ROCKY: (
        Expected("lab-low", "0:1.0-1", "0:1.0-2", "MEDIUM", arch="x86_64", cves="CVE-2026-0003"),
        Expected("lab-web", "0:1.0-1", "0:2.0-1", "MEDIUM", arch="x86_64", brings=(("lab-web-data", "0:2.0-1"),)),
    ),
}
"""What a scan finds missing, by host."""

KEPT_BESIDE = frozenset({"kernel"})
"""A new version comes in beside the old one."""
