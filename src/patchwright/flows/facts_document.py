"""The facts document, version 1: its parts' text -> checked core values. Everything in it is hostile.

A report that breaks a rule is refused whole, and the node's last good one stays. Source: decisions.md 11.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from patchwright.core.errors import Invalid, Kind
from patchwright.core.facts import HostState, Problem, SourceRelease, StaleService
from patchwright.core.patches import SECURITY_HOSTS, PackageVersion, Repository
from patchwright.core.values import Family, Slot

T = TypeVar("T")
FACTS_VERSIONS = (1,)
PARTS = ("installed", "state", "times", "upgradable")
MAX_PACKAGES = 65_535
"""Counters of a node's lines are 16 bits wide when a fleet is judged at once (judging.md 11.4)."""
MAX_OFFERS = 500
MAX_FIELD = 255
_FAMILIES = {"apt": Family.APT, "dnf": Family.DNF, "yum": Family.YUM, "zypper": Family.ZYPPER}


class _Installed(msgspec.Struct):
    repositories: list[tuple[str, str, str, str, str, str, bool]]
    packages: list[str]


class _Upgradable(msgspec.Struct):
    repositories: list[tuple[str, str, str, str, str, str, bool]]
    lines: list[tuple[str, str, list[str]]]


class _System(msgspec.Struct):
    id: str = ""
    version_id: str = ""
    codename: str = ""
    name: str = ""
    pretty_name: str = ""
    id_like: str = ""


class _Kernel(msgspec.Struct):
    running: str = ""
    newest_installed: str = ""


class _Reboot(msgspec.Struct):
    required: bool = False
    evidence: list[str] = []
    packages: list[str] = []


class _Problem(msgspec.Struct):
    code: str
    message: str
    remedy: str = ""
    packages: list[str] = []


class _Stale(msgspec.Struct):
    unit: str
    libraries: list[str] = []


class _Source(msgspec.Struct):
    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    component: str = ""
    site: str = ""
    trusted: bool = False
    released_at: int = 0


class _State(msgspec.Struct):
    manager: str
    manager_version: str = ""
    os: _System = msgspec.field(default_factory=_System)
    arch: str = ""
    boot_id: str = ""
    kernel: _Kernel = msgspec.field(default_factory=_Kernel)
    reboot: _Reboot = msgspec.field(default_factory=_Reboot)
    holds: list[str] = []
    problems: list[_Problem] = []
    stale_services: list[_Stale] = []
    sources: list[_Source] = []
    sources_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part as it came: its digest, and its text unless the server is said to hold it."""

    name: str
    digest: str
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLine:
    """An upgradable line before its installed version is looked up."""

    name: str
    arch: str
    installed_version: str
    candidate: str
    offers: tuple[PackageVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A checked report. A part that was not sent is None: the server holds it already."""

    facts_version: int
    digest: str
    part_digests: dict[str, str]
    collected_at: datetime
    state: HostState | None = None
    id_like: str = ""
    installed: tuple[PackageVersion, ...] | None = None
    times: tuple[int, ...] | None = None
    lines: tuple[ReportedLine, ...] | None = None
    state_body: str | None = None


def document_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 over "name:digest\\n" of the parts in name order: the digest of a whole facts document."""
    text = "".join(f"{name}:{digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()


def read_report(
    facts_version: int, digest: str, collected_at: datetime, parts: Sequence[Part], family: Family | None
) -> Report:
    """Check and decode a report. `family` is the node's, for reports that leave the state out.

    Raises Invalid(REPORT) naming what is wrong; nothing is kept of such a report.
    """
    if facts_version not in FACTS_VERSIONS:
        raise _bad(f"facts version {facts_version} is not known to this server, which accepts {FACTS_VERSIONS}")
    digests = {p.name: p.digest for p in parts}
    if tuple(sorted(digests)) != PARTS or len(parts) != len(PARTS):
        raise _bad(f"a report names each of the parts {', '.join(PARTS)} once")
    if document_digest(digests) != digest:
        raise _bad("the report's digest is not that of its parts")
    bodies = {p.name: p.body for p in parts if p.body is not None}
    for name, body in bodies.items():
        if hashlib.sha256(body.encode()).hexdigest() != digests[name]:
            raise _bad(f"the digest of part {name} is not that of its text")
    state_body = bodies.get("state")
    id_like = ""
    state = None
    if state_body is not None:
        state, id_like = _read_state(state_body)
        family = _FAMILIES.get(state.manager)
    if family is None and ("installed" in bodies or "upgradable" in bodies):
        raise _bad("the package manager is not one that this server knows")
    return Report(
        facts_version=facts_version,
        digest=digest,
        part_digests=digests,
        collected_at=collected_at,
        state=state,
        id_like=id_like,
        state_body=state_body,
        installed=_read_installed(bodies["installed"], family) if family and "installed" in bodies else None,
        times=_read_times(bodies["times"]) if "times" in bodies else None,
        lines=_read_upgradable(bodies["upgradable"], family) if family and "upgradable" in bodies else None,
    )


def read_state(body: str) -> HostState:
    """The state part's text, as it was accepted once, as a value."""
    return _read_state(body)[0]


def _bad(text: str) -> Invalid:
    return Invalid(Kind.REPORT, f"The report was refused: {text}. The node's last good facts were kept.")


def _decode(body: str, shape: type[T], name: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeEncodeError) as wrong:
        raise _bad(f"part {name}: {wrong}") from wrong


def _repositories(rows: Sequence[tuple[str, str, str, str, str, str, bool]]) -> tuple[Repository, ...]:
    if len(rows) > 1_000:
        raise _bad("a part names more than 1,000 repositories")
    return tuple(
        Repository(
            origin=_clean(origin),
            label=_clean(label),
            suite=_clean(suite),
            codename=_clean(codename),
            component=_clean(component),
            site=site if site in SECURITY_HOSTS else "",
            trusted=trusted,
        )
        for origin, label, suite, codename, component, site, trusted in rows
    )


def _clean(text: str) -> str:
    """A host's text as it may be stored and shown: no control characters, bounded."""
    if len(text) > MAX_FIELD:
        raise _bad(f"a field is longer than {MAX_FIELD} characters")
    if not text.isprintable():
        raise _bad("a field holds characters that can't be printed")
    return text


def _picked(repositories: tuple[Repository, ...], indexes: str) -> tuple[Repository, ...]:
    try:
        chosen = {repositories[int(i)] for i in indexes.split(",") if i.isdigit()} if indexes else set()
    except IndexError as wrong:
        raise _bad("a package names a repository that the part does not have") from wrong
    return tuple(sorted(chosen))


def _read_installed(body: str, family: Family) -> tuple[PackageVersion, ...]:
    raw = _decode(body, _Installed, "installed")
    if len(raw.packages) > MAX_PACKAGES:
        raise _bad(f"more than {MAX_PACKAGES} packages are installed")
    repositories = _repositories(raw.repositories)
    packages = tuple(_read_installed_row(row, repositories, family) for row in raw.packages)
    if len({(p.name, p.arch, p.version) for p in packages}) != len(packages):
        raise _bad("a package version is installed twice")
    return packages


def _read_installed_row(row: str, repositories: tuple[Repository, ...], family: Family) -> PackageVersion:
    fields = row.split("\t")
    if len(fields) != 8:
        raise _bad("a row of part installed has not its 8 fields")
    name, arch, version, section, priority, source, source_version, indexes = fields
    if not name or not version:
        raise _bad("a row of part installed has no name or no version")
    return PackageVersion(
        family=family,
        name=_clean(name),
        arch=_clean(arch),
        version=_clean(version),
        section=_clean(section),
        priority=_clean(priority),
        source=_clean(source),
        source_version=_clean(source_version),
        repositories=_picked(repositories, indexes),
    )


def _read_upgradable(body: str, family: Family) -> tuple[ReportedLine, ...]:
    raw = _decode(body, _Upgradable, "upgradable")
    if len(raw.lines) > MAX_PACKAGES:
        raise _bad(f"more than {MAX_PACKAGES} packages can be upgraded")
    repositories = _repositories(raw.repositories)
    lines = []
    for key, candidate, rows in raw.lines:
        fields = key.split("\t")
        if len(fields) != 3 or not rows or len(rows) > MAX_OFFERS:
            raise _bad(f"a line of part upgradable has not its 3 fields, no offer or more than {MAX_OFFERS}")
        name, arch, installed = (_clean(f) for f in fields)
        offers = tuple(_read_offer(row, name, arch, repositories, family) for row in rows)
        lines.append(
            ReportedLine(
                name=name,
                arch=arch,
                installed_version=installed,
                candidate=_clean(candidate),
                # The host's order is a claim; ours is computed, and proven equal to the manager's own.
                offers=tuple(sorted(offers, key=lambda o: o.sort_key)),
            )
        )
    if len({(line.name, line.arch, line.installed_version) for line in lines}) != len(lines):
        raise _bad("a package is listed as upgradable twice")
    return tuple(lines)


def _read_offer(
    row: str, name: str, arch: str, repositories: tuple[Repository, ...], family: Family
) -> PackageVersion:
    fields = row.split("\t")
    if len(fields) != 8 or not fields[0]:
        raise _bad("an offer of part upgradable has not its 8 fields")
    version, section, priority, source, source_version, indexes, pin, phased = fields
    return PackageVersion(
        family=family,
        name=name,
        arch=arch,
        version=_clean(version),
        section=_clean(section),
        priority=_clean(priority),
        source=_clean(source),
        source_version=_clean(source_version),
        repositories=_picked(repositories, indexes),
        pin=_number(pin, "pin"),
        phased=_number(phased, "phased"),
    )


def _number(text: str, what: str) -> int | None:
    if not text:
        return None
    if len(text) > 6 or not text.lstrip("-").isdecimal() or not text.isascii():
        raise _bad(f"{what} is not a number")
    return int(text)


def _read_times(body: str) -> tuple[int, ...]:
    times = _decode(body, list[int], "times")
    if len(times) > MAX_PACKAGES or any(not 0 <= t < 2**31 for t in times):
        raise _bad("part times holds an instant out of range, or too many")
    return tuple(times)


def _read_state(body: str) -> tuple[HostState, str]:
    raw = _decode(body, _State, "state")
    holds = []
    for hold in raw.holds[:MAX_PACKAGES]:
        name, _, arch = _hold_fields(hold)
        holds.append(Slot(name=name, arch=arch))
    return (
        HostState(
            manager=_clean(raw.manager),
            manager_version=_clean(raw.manager_version),
            os_id=_clean(raw.os.id),
            os_version=_clean(raw.os.version_id),
            os_codename=_clean(raw.os.codename),
            os_name=_clean(raw.os.pretty_name or raw.os.name),
            arch=_clean(raw.arch),
            boot_id=_clean(raw.boot_id),
            kernel_running=_clean(raw.kernel.running),
            kernel_newest=_clean(raw.kernel.newest_installed),
            reboot_required=raw.reboot.required,
            reboot_evidence=tuple(_shown(e) for e in raw.reboot.evidence[:20]),
            reboot_packages=tuple(_shown(p) for p in raw.reboot.packages[:500]),
            holds=frozenset(holds),
            problems=tuple(
                Problem(
                    code=_shown(p.code, 64),
                    message=_shown(p.message, 1_000),
                    remedy=_shown(p.remedy, 500),
                    packages=tuple(_shown(n) for n in p.packages[:200]),
                )
                for p in raw.problems[:50]
            ),
            stale_services=tuple(
                StaleService(unit=_shown(s.unit), libraries=tuple(_shown(x) for x in s.libraries[:50]))
                for s in raw.stale_services[:500]
            ),
            sources=tuple(_source(s) for s in raw.sources[:1_000]),
            sources_digest=_clean(raw.sources_digest),
        ),
        _clean(raw.os.id_like),
    )


def _hold_fields(text: str) -> tuple[str, str, str]:
    name, tab, arch = text.partition("\t")
    return _clean(name), tab, _clean(arch)


def _shown(text: str, limit: int = MAX_FIELD) -> str:
    """Free text of the host, made harmless rather than refused."""
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def _source(raw: _Source) -> SourceRelease:
    (repository,) = _repositories(
        [(raw.origin, raw.label, raw.suite, raw.codename, raw.component, raw.site, raw.trusted)]
    )
    dated = 0 < raw.released_at < 2**33
    return SourceRelease(
        repository=repository, released_at=datetime.fromtimestamp(raw.released_at, UTC) if dated else None
    )
