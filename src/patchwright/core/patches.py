"""What vendors published: package versions, the repositories that offer them, the notices that name them."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from patchwright.core.values import Family, Slot
from patchwright.core.versions import deb, rpm

SECURITY_HOSTS = frozenset({"security.debian.org"})
"""Hosts whose archives are security archives whatever their suite is called. Source: patch-baselines.md 4.4."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Repository:
    """Where a version is on offer, as its signed Release file (or repo id) names it.

    `site` is kept only where the rules read it (a host in SECURITY_HOSTS), so that mirrors do not
    multiply records. `trusted`: the host's manager verified its signature.
    """

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    component: str = ""
    site: str = ""
    trusted: bool = True

    @property
    def identity(self) -> str:
        """Release Origin/Label/Suite/component: the key of first-seen times. Source: decisions.md 15."""
        return "/".join((self.origin, self.label, self.suite, self.component))

    @property
    def is_security(self) -> bool:
        """A signed archive whose suite says security, or that lives on a security host. Source: 4.4."""
        return self.trusted and ("security" in self.suite.lower() or self.site in SECURITY_HOSTS)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Notice:
    """An update notice (advisory) that lists a package version. Only rpm systems publish them.

    `classification` is the notice's type capitalised (`Security`, `Bugfix`); `severity` as published,
    "" when absent. `updated_at`/`issued_at` are aware UTC.
    """

    id: str
    classification: str = ""
    severity: str = ""
    cves: tuple[str, ...] = ()
    bugzillas: tuple[str, ...] = ()
    issued_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WindowsUpdate:
    """What Microsoft's catalogue says of one KB. `patch_set` is OS or APPLICATION. Source: patch-baselines.md 1.3.

    `classification` is spelled without blanks (`SecurityUpdates`); `severity` is MSRC's.
    """

    title: str
    bulletin: str = ""
    products: tuple[str, ...] = ()
    product_family: str = ""
    patch_set: str = "OS"
    classification: str = ""
    severity: str = ""
    released_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PackageVersion:
    """One version of one package: every field that the rules read. Immutable; interned as a whole.

    `version` is the manager's full text (deb `epoch:upstream-revision`, rpm `epoch:version-release`).
    """

    family: Family
    name: str
    arch: str
    version: str
    section: str = ""
    priority: str = ""
    source: str = ""
    source_version: str = ""
    repositories: tuple[Repository, ...] = ()
    notices: tuple[Notice, ...] = ()
    built_at: datetime | None = None
    pin: int | None = None
    phased: int | None = None
    update: WindowsUpdate | None = None
    """Windows only; there `name` is the KB number (`KB5006670`), `arch` and `version` are empty."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # A version is looked up in many tables during one judgement: hashing all its notices once is enough.
        return hash((self.family, self.name, self.arch, self.version, self.repositories, self.notices, self.built_at))

    @cached_property
    def sort_key(self) -> tuple[object, ...]:
        """Orders versions as the manager itself does; comparable within one family only."""
        return deb.sort_key(self.version) if self.family is Family.APT else rpm.sort_key(self.version)

    @property
    def slot(self) -> Slot:
        return Slot(name=self.name, arch=self.arch)

    @property
    def title(self) -> str:
        """`name.arch:version`; an rpm's epoch is always printed. Source: decisions.md 10.

        macOS has `name.version`, Windows the update's own title. Source: patch-baselines.md 7.1.
        """
        if self.update is not None:
            return self.update.title
        if self.family is Family.MACOS:
            return f"{self.name}.{self.version}"
        version = self.version
        if self.family is not Family.APT and ":" not in version:
            version = f"0:{version}"
        return f"{self.name}.{self.arch}:{version}"
