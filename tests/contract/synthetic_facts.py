"""Facts of synthetic Debian hosts, as a patch worker reports them."""

import json
from dataclasses import dataclass, field
from typing import Any


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, order=True)
class Repo:
    """An archive of a synthetic Debian host."""

    suite: str
    origin: str = "Debian"
    label: str = "Debian"
    site: str = "deb.debian.org"
    trusted: bool = True
    released_at: int = 1_767_000_000

    def row(self) -> list[Any]:
        return [self.origin, self.label, self.suite, "bookworm", "main", self.site, self.trusted]

    def source(self) -> dict[str, Any]:
        names = ("origin", "label", "suite", "codename", "component", "site", "trusted")
        return {**dict(zip(names, self.row(), strict=True)), "released_at": self.released_at}


MAIN = Repo("stable")
SECURITY = Repo("stable-security", label="Debian-Security", site="security.debian.org")
UPDATES = Repo("stable-updates")


@dataclass
class Package:
    """An installed package and what is newer of it: (version, repositories)."""

    version: str
    offers: tuple[tuple[str, tuple[Repo, ...]], ...] = ()
    repos: tuple[Repo, ...] = (MAIN,)
    priority: str = "optional"
    arch: str = "amd64"
    installed_at: int = 1_700_000_000
    phased: str = ""


@dataclass
class DebianHost:
    """Synthetic facts of a Debian 12 host, in the agent's own canonical form."""

    packages: dict[str, Package] = field(default_factory=dict)
    holds: tuple[str, ...] = ()
    boot_id: str = "boot-1"
    problems: tuple[dict[str, Any], ...] = ()
    reboot: bool = False
    system: dict[str, str] = field(
        default_factory=lambda: {
            "id": "debian",
            "version_id": "12",
            "codename": "bookworm",
            "name": "Debian",
            "pretty_name": "Debian GNU/Linux 12 (bookworm)",
            "id_like": "",
        }
    )
    sources: tuple[Repo, ...] = (MAIN, SECURITY, UPDATES)
    manager: str = "apt"

    def parts(self) -> dict[str, str]:
        """The four parts as JSON texts."""
        return {name: canonical(value) for name, value in self.values().items()}

    def values(self) -> dict[str, Any]:
        """The four parts as JSON values, for a test to spoil."""
        ordered = sorted(self.packages.items(), key=lambda item: (item[0], item[1].arch))
        mine = sorted({r for _, p in ordered for r in p.repos})
        theirs = sorted({r for _, p in ordered for _, repos in p.offers for r in repos})
        lines = [
            [
                f"{n}\t{p.arch}\t{p.version}",
                p.offers[-1][0],
                [f"{v}\tutils\t{p.priority}\t{n}\t{v}\t{_indexes(rs, theirs)}\t500\t{p.phased}" for v, rs in p.offers],
            ]
            for n, p in ordered
            if p.offers
        ]
        rows = [
            f"{n}\t{p.arch}\t{p.version}\tutils\t{p.priority}\t{n}\t{p.version}\t{_indexes(p.repos, mine)}"
            for n, p in ordered
        ]
        return {
            "installed": {"repositories": [r.row() for r in mine], "packages": rows},
            "upgradable": {"repositories": [r.row() for r in theirs], "lines": lines},
            "times": [p.installed_at for _, p in ordered],
            "state": {
                "manager": self.manager,
                "manager_version": "2.6.1",
                "os": self.system,
                "arch": "amd64",
                "boot_id": self.boot_id,
                "kernel": {"running": "6.1.0-18-amd64", "newest_installed": "6.1.0-18-amd64"},
                "reboot": {"required": self.reboot, "evidence": [], "packages": []},
                "holds": [f"{h}\tamd64" for h in self.holds],
                "problems": list(self.problems),
                "stale_services": [],
                "sources": [r.source() for r in self.sources],
                "sources_digest": "",
            },
        }


def _indexes(repos: tuple[Repo, ...], numbered: list[Repo]) -> str:
    return ",".join(str(numbered.index(r)) for r in sorted(repos))


def usual_host() -> DebianHost:
    """openssl has a security fix, vim only an ordinary update, bash is up to date."""
    return DebianHost(
        packages={
            "bash": Package("5.2.15-2+b2", priority="required"),
            "openssl": Package("3.0.11-1", offers=(("3.0.13-1~deb12u1", (SECURITY,)),)),
            "vim": Package("2:9.0.1378-2", offers=(("2:9.0.1378-3", (UPDATES,)),)),
        }
    )
