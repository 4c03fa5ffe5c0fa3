"""Rows of a report's packages and offers -> package versions. On apt the same row is read once, whoever reports it.

A fleet reports the same rows over and over. What a row says depends on the row and on what the report says once for
all rows (its repositories), so that both together are the key; everything about the row has been checked when it is
in the memory. A version from the memory is one and the same object, by which others know it.

Rows of rpms name notices of their own report, by short digests, and how much they may name is counted for each report:
they are read anew each time.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from patchwright.core.patches import PackageVersion, Repository
from patchwright.core.values import Family
from patchwright.flows.facts_fields import (
    MAX_ARCH,
    RepositoryRow,
    bad,
    clean,
    number,
    picked,
    repositories_of,
)
from patchwright.flows.facts_notices import KnownNotices, built_at

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
MAX_OFFERS = 500
"""Of one package; a machine that was asleep for years meets a few dozen."""
MAX_ROWS = 100_000
"""Rows in memory, about 70 MB; with more the memory begins anew."""


PackageKey = tuple[str, str, str]
"""Name, architecture and version."""


class Named(NamedTuple):
    """A package with the names by which a report is checked, made once for all reports that have the row."""

    package: PackageVersion
    slot: tuple[str, str]
    key: PackageKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLine:
    """An upgradable line before its installed version is looked up."""

    name: str
    arch: str
    installed_version: str
    candidate: str
    offers: tuple[PackageVersion, ...]

    @property
    def installed(self) -> PackageKey:
        """The package that it speaks of."""
        return self.name, self.arch, self.installed_version


_Key = tuple[Family, tuple[RepositoryRow, ...]]
RawLine = tuple[str, str, tuple[str, ...]]
"""Name, architecture and installed version in one text; the candidate; the offers."""


@dataclass(slots=True)
class Rows:
    """Reads rows that have in common what a report says once."""

    family: Family
    repositories: tuple[Repository, ...]
    notices: KnownNotices | None
    _installed: dict[str, Named] = field(default_factory=dict)
    _lines: dict[RawLine, ReportedLine] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many rows it holds; a repository's own counts for several, since a hostile one may be long."""
        return len(self._installed) + len(self._lines) + 1 + len(self.repositories)

    def installed(self, rows: Sequence[str]) -> tuple[Named, ...]:
        """The packages of part installed. Raises Invalid(REPORT)."""
        return _remembered(self._installed, rows, self._named)

    def lines(self, raw: Sequence[RawLine]) -> tuple[ReportedLine, ...]:
        """The lines of part upgradable. Raises Invalid(REPORT)."""
        return _remembered(self._lines, raw, lambda line: self._line(*line))

    def _named(self, row: str) -> Named:
        package = self._package(row)
        return Named(package, (package.name, package.arch), (package.name, package.arch, package.version))

    def _package(self, row: str) -> PackageVersion:
        fields = row.split("\t")
        if len(fields) != (8 if self.notices is None else 10):
            raise bad("a row of part installed has not its 8 fields, or of an rpm its 10")
        name, arch, version, section, priority, source, source_version, indexes, *rpm = fields
        if not name or not version:
            raise bad("a row of part installed has no name or no version")
        return PackageVersion(
            family=self.family,
            name=clean(name),
            arch=clean(arch, MAX_ARCH),
            version=clean(version),
            section=clean(section),
            priority=clean(priority),
            source=clean(source),
            source_version=clean(source_version),
            repositories=picked(self.repositories, indexes),
            built_at=built_at(rpm[0]) if rpm else None,
            notices=self.notices.named(rpm[1]) if self.notices is not None else (),
        )

    def _line(self, key: str, candidate: str, rows: Sequence[str]) -> ReportedLine:
        fields = key.split("\t")
        if len(fields) != 3 or not rows or len(rows) > MAX_OFFERS:
            raise bad(f"a line of part upgradable has not its 3 fields, no offer or more than {MAX_OFFERS}")
        name, arch, installed = (clean(f) for f in fields)
        offers = tuple(self._offer(row, name, arch) for row in rows)
        return ReportedLine(
            name=name,
            arch=arch,
            installed_version=installed,
            candidate=clean(candidate),
            # The host's order is a claim; ours is computed, and proven equal to the manager's own.
            offers=tuple(sorted(offers, key=lambda o: o.sort_key)),
        )

    def _offer(self, row: str, name: str, arch: str) -> PackageVersion:
        fields = row.split("\t")
        if len(fields) != (8 if self.notices is None else 10) or not fields[0]:
            raise bad("an offer of part upgradable has not its 8 fields, or of an rpm its 10")
        version, section, priority, source, source_version, indexes, pin, phased, *rpm = fields
        return PackageVersion(
            family=self.family,
            name=name,
            arch=arch,
            version=clean(version),
            section=clean(section),
            priority=clean(priority),
            source=clean(source),
            source_version=clean(source_version),
            repositories=picked(self.repositories, indexes),
            pin=number(pin, "pin"),
            phased=number(phased, "phased"),
            built_at=built_at(rpm[0]) if rpm else None,
            notices=self.notices.named(rpm[1]) if self.notices is not None else (),
        )


def _remembered(known: dict[K, V], keys: Sequence[K], make: Callable[[K], V]) -> tuple[V, ...]:
    try:
        return tuple(map(known.__getitem__, keys))
    except KeyError:
        for key in keys:
            if key not in known:
                known[key] = make(key)
        return tuple(map(known.__getitem__, keys))


_memory: dict[_Key, Rows] = {}


def rows_of(family: Family, repositories: Sequence[RepositoryRow], notices: KnownNotices | None) -> Rows:
    """The reader for the rows of a report. Raises Invalid(REPORT) for repositories that are not sound."""
    if notices is not None:
        return Rows(family, repositories_of(repositories), notices)
    key = (family, tuple(repositories))
    found = _memory.get(key)
    if found is None or found.size > MAX_ROWS:
        # As a list at once: other reports are read meanwhile.
        if sum(rows.size for rows in list(_memory.values())) > MAX_ROWS:
            _memory.clear()
        found = _memory.setdefault(key, Rows(family, repositories_of(repositories), None))
    return found
