"""Facts of synthetic Rocky Linux hosts, as a patch worker reports them."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from tests.contract.synthetic_facts import canonical

BUILT_AT = 1_760_000_000
ISSUED_AT = 1_765_000_000  # 2025-12-06: any waiting time of the predefined baselines is over


@dataclass(frozen=True)
class Notice:
    """An update notice."""

    id: str
    kind: str = "security"
    severity: str = "Important"
    issued: int = ISSUED_AT
    updated: int = 0
    cves: tuple[str, ...] = ()
    bugzillas: tuple[str, ...] = ()

    def row(self) -> list[Any]:
        return [self.id, self.kind, self.severity, self.issued, self.updated, list(self.cves), list(self.bugzillas)]

    @property
    def digest(self) -> str:
        return hashlib.sha256(canonical(self.row()).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Version:
    """A version with the notices that list it."""

    evr: str
    notices: tuple[Notice, ...] = ()
    built_at: int = BUILT_AT

    def fields(self) -> str:
        return f"{self.built_at}\t{','.join(sorted(n.digest for n in self.notices))}"


@dataclass(frozen=True)
class Rpm:
    """An installed package and the newer versions on offer."""

    installed: Version
    offers: tuple[Version, ...] = ()
    arch: str = "x86_64"


@dataclass
class RockyHost:
    """Synthetic facts of a Rocky Linux 9 host, in the agent's own canonical form."""

    packages: dict[str, Rpm] = field(default_factory=dict)
    boot_id: str = "boot-1"
    holds: tuple[str, ...] = ()
    repository: str = "baseos"
    system: dict[str, str] = field(
        default_factory=lambda: {
            "id": "rocky", "version_id": "9.4", "codename": "", "name": "Rocky Linux",
            "pretty_name": "Rocky Linux 9.4 (Blue Onyx)", "id_like": "rhel centos fedora",
        }
    )  # fmt: skip

    def parts(self) -> dict[str, str]:
        """The five parts as JSON texts."""
        return {name: canonical(value) for name, value in self.values().items()}

    def values(self) -> dict[str, Any]:
        """The five parts as JSON values, for a test to spoil."""
        ordered = sorted(self.packages.items())
        repositories = [["", self.repository, "", "", "", "", True]]
        notices = {n for _, p in ordered for v in (p.installed, *p.offers) for n in v.notices}
        rows = [f"{n}\t{p.arch}\t{p.installed.evr}\t\t\t{n}\t1-1\t0\t{p.installed.fields()}" for n, p in ordered]
        lines = [
            [
                f"{n}\t{p.arch}\t{p.installed.evr}",
                p.offers[-1].evr,
                [f"{v.evr}\t\t\t{n}\t1-1\t0\t\t\t{v.fields()}" for v in p.offers],
            ]
            for n, p in ordered
            if p.offers
        ]
        return {
            "installed": {"repositories": repositories, "packages": rows},
            "upgradable": {"repositories": repositories, "lines": lines},
            "times": [1_700_000_000 for _ in ordered],
            "notices": {"notices": [n.row() for n in sorted(notices, key=canonical_row)]},
            "state": {
                "manager": "dnf", "manager_version": "4.14.0", "os": self.system, "arch": "x86_64",
                "boot_id": self.boot_id, "kernel": {"running": "5.14.0-427.el9.x86_64", "newest_installed": ""},
                "reboot": {"required": False, "evidence": [], "packages": []},
                "holds": [f"{h}\tx86_64" for h in self.holds], "problems": [], "stale_services": [],
                "sources": [], "sources_digest": "", "modules": ["nodejs:18"], "obsoleted": [],
            },
        }  # fmt: skip

    def change(self, name: str, **values: Any) -> None:
        """Replace fields of a package."""
        self.packages[name] = replace(self.packages[name], **values)


def canonical_row(notice: Notice) -> str:
    return canonical(notice.row())


OLD_FIX = Notice("RLSA-2025:0100", cves=("CVE-2025-0100",))
FIX = Notice("RLSA-2025:0200", severity="Critical", cves=("CVE-2025-0200", "CVE-2025-0201"), bugzillas=("1800000",))
LATER_FIX = Notice("RLSA-2025:0300", severity="Moderate", cves=("CVE-2025-0300",))
BUG_FIX = Notice("RLBA-2025:0400", kind="bugfix", severity="")


def usual_host() -> RockyHost:
    """openssl has a security fix below its newest version, tzdata a bug fix, vim an update that no notice lists."""
    return RockyHost(
        packages={
            "openssl": Rpm(
                Version("1:3.0.7-24.el9", (OLD_FIX,)),
                (Version("1:3.0.7-25.el9", (FIX,)), Version("1:3.0.7-27.el9", (LATER_FIX,))),
            ),
            "tzdata": Rpm(Version("0:2024a-1.el9"), (Version("0:2025b-1.el9", (BUG_FIX,)),), arch="noarch"),
            "vim-enhanced": Rpm(Version("2:8.2.2637-20.el9"), (Version("2:8.2.2637-21.el9"),)),
        }
    )
