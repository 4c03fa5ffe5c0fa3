"""What a package manager says about its host, in terms that all managers share."""

from typing import List, NamedTuple, Sequence, Tuple, Union

DPKG_INTERRUPTED = "DPKG_INTERRUPTED"
PACKAGES_BROKEN = "PACKAGES_BROKEN"
PACKAGES_DUPLICATED = "PACKAGES_DUPLICATED"
LOCKED = "LOCKED"
INDEX_MISSING = "INDEX_MISSING"
INDEX_EXPIRED = "INDEX_EXPIRED"
REFRESH_FAILED = "REFRESH_FAILED"
MANAGER_FAILED = "MANAGER_FAILED"
SOURCES_BROKEN = "SOURCES_BROKEN"


class Repository(NamedTuple):
    """Where versions come from; "" where the repository says nothing. `site` is a host name, without port or path.

    A repository of rpms has no Release file: its id in dnf's configuration is the label. It is trusted if signatures
    are checked, of its packages or of its metadata.
    """

    origin: str
    label: str
    suite: str
    codename: str
    component: str
    site: str
    trusted: bool

    def row(self) -> List[Union[str, bool]]:
        return list(self)


class Source(NamedTuple):
    """An enabled repository with the date of its Release file (epoch seconds, 0 if unknown)."""

    repository: Repository
    released_at: int


class Notice(NamedTuple):
    """An update notice of an rpm repository. `kind` is its type as published; dates are epoch seconds, 0 if absent."""

    id: str
    kind: str
    severity: str
    issued: int
    updated: int
    cves: Tuple[str, ...]
    bugzillas: Tuple[str, ...]


class Package(NamedTuple):
    """A package that has files on the system. `repositories` are those that carry exactly this version.

    `built_at` (epoch seconds) and `notices`, those that list this version, are known of rpms alone.
    """

    name: str
    arch: str
    version: str
    section: str
    priority: str
    source: str
    source_version: str
    repositories: Tuple[Repository, ...]
    installed_at: int
    built_at: int = 0
    notices: Tuple[Notice, ...] = ()


class Offer(NamedTuple):
    """A version newer than the installed one. `pin` and `phased` (percent, "" if not phased) are integers as text."""

    version: str
    section: str
    priority: str
    source: str
    source_version: str
    repositories: Tuple[Repository, ...]
    pin: str
    phased: str
    built_at: int = 0
    notices: Tuple[Notice, ...] = ()


class Line(NamedTuple):
    """An installed package with every newer version on offer, oldest first.

    `candidate` is the newer version that the manager itself would take, "" if it would keep the installed one.
    """

    name: str
    arch: str
    installed_version: str
    candidate: str
    offers: Tuple[Offer, ...]


class Problem(NamedTuple):
    """What keeps this host from being patched, or its facts from being complete; `remedy` is an exact command."""

    code: str
    message: str
    remedy: str
    packages: Tuple[str, ...] = ()


class ManagerFacts(NamedTuple):
    """Everything that a manager reports.

    `has_notices`: its repositories can publish update notices, so the document has a part for them. `modules` are the
    enabled module streams (`name:stream`), `obsoleted` rows of name, arch and the package that would replace it.
    """

    manager: str
    manager_version: str
    arch: str
    packages: Sequence[Package]
    lines: Sequence[Line]
    holds: Sequence[Tuple[str, str]]
    kernels: Sequence[str]
    sources: Sequence[Source]
    sources_digest: str
    problems: Sequence[Problem]
    has_notices: bool = False
    modules: Sequence[str] = ()
    obsoleted: Sequence[Tuple[str, str, str]] = ()
