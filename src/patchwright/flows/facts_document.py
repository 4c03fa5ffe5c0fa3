"""The facts document, version 1: its parts' text -> checked core values. Everything in it is hostile.

A report that breaks a rule is refused whole, and the node's last good one stays. Source: decisions.md 11.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import le

import msgspec

from patchwright.core.facts import HostState
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family
from patchwright.flows.facts_fields import RepositoryRow, bad, decode
from patchwright.flows.facts_notices import KnownNotices, read_notices
from patchwright.flows.facts_rows import PackageKey, RawLine, ReportedLine, Rows, rows_of
from patchwright.flows.facts_state import read_state_part

FACTS_VERSIONS = (1,)
PARTS = ("installed", "state", "times", "upgradable")
NOTICES = "notices"
"""The part more that reports of rpm systems have."""
RPM_FAMILIES = frozenset({Family.DNF, Family.YUM, Family.ZYPPER})
MAX_PACKAGES = 65_535
"""Counters of a node's lines are 16 bits wide when a fleet is judged at once (judging.md 11.4)."""
MAX_ALL_OFFERS = 65_535
"""Of all packages: what one report may make the store keep."""
_FAMILIES = {"apt": Family.APT, "dnf": Family.DNF, "yum": Family.YUM, "zypper": Family.ZYPPER}


_RowsOf = Callable[[Sequence[RepositoryRow]], Rows]


class _Installed(msgspec.Struct):
    repositories: list[RepositoryRow]
    packages: list[str]


class _Upgradable(msgspec.Struct):
    repositories: list[RepositoryRow]
    lines: list[RawLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part as it came: its digest, and its text unless the server is said to hold it."""

    name: str
    digest: str
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A checked report. A part that was not sent is None: the server holds it already."""

    facts_version: int
    digest: str
    part_digests: dict[str, str]
    collected_at: datetime
    state: HostState | None = None
    id_like: str = ""
    installed: Mapping[PackageKey, PackageVersion] | None = None
    """In the order of the part."""
    times: tuple[int, ...] | None = None
    lines: tuple[ReportedLine, ...] | None = None
    state_body: str | None = None
    has_notices: bool = False

    @property
    def is_remembered(self) -> bool:
        """Whether its versions and lines are those that other reports gave too, one and the same object each."""
        return NOTICES not in self.part_digests


def document_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 over "name:digest\\n" of the parts in name order: the digest of a whole facts document."""
    text = "".join(f"{name}:{digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()


def read_report(
    facts_version: int, digest: str, collected_at: datetime, parts: Sequence[Part], family: Family | None
) -> Report:
    """Check and decode a report. `family` is that of the node's last facts, for reports that leave the state out.

    Raises Invalid(REPORT) naming what is wrong; nothing is kept of such a report.
    """
    check_parts(facts_version, digest, parts)
    digests = {p.name: p.digest for p in parts}
    bodies = {p.name: p.body for p in parts if p.body is not None}
    for name, body in bodies.items():
        if hashlib.sha256(body.encode()).hexdigest() != digests[name]:
            raise bad(f"the digest of part {name} is not that of its text")
    state_body = bodies.get("state")
    id_like = ""
    state = None
    if state_body is not None:
        state, id_like = read_state_part(state_body)
        before, family = family, _FAMILIES.get(state.manager)
        if before is not None and before is not family and not {"installed", "upgradable"} <= bodies.keys():
            raise bad("the package manager is another one, but the packages are said to be the same")
    notices = _read_notices(digests, bodies, family)

    def rows(repositories: Sequence[RepositoryRow]) -> Rows:
        if family is None:
            raise bad("the package manager is not one that this server knows")
        return rows_of(family, repositories, notices)

    return Report(
        facts_version=facts_version,
        digest=digest,
        part_digests=digests,
        collected_at=collected_at,
        state=state,
        id_like=id_like,
        state_body=state_body,
        installed=_read_installed(bodies["installed"], rows) if "installed" in bodies else None,
        times=_read_times(bodies["times"]) if "times" in bodies else None,
        lines=_read_upgradable(bodies["upgradable"], rows) if "upgradable" in bodies else None,
        has_notices=NOTICES in bodies,
    )


def _read_notices(digests: Mapping[str, str], bodies: Mapping[str, str], family: Family | None) -> KnownNotices | None:
    """The notices of an rpm system's report, None of others. Raises Invalid(REPORT) where rows come without them."""
    if (family in RPM_FAMILIES) != (NOTICES in digests) and family is not None:
        raise bad("a report has the part notices if, and only if, the package manager is one of rpms")
    if NOTICES in bodies:
        return read_notices(bodies[NOTICES])
    if NOTICES in digests and not {"installed", "upgradable"}.isdisjoint(bodies):
        raise bad("rows of packages came without the part notices, which they name")
    return None


def check_parts(facts_version: int, digest: str, parts: Sequence[Part]) -> None:
    """Raise Invalid(REPORT) unless the announcement of a report is sound: its version, its parts' names, its digest."""
    if facts_version not in FACTS_VERSIONS:
        raise bad(f"facts version {facts_version} is not known to this server, which accepts {FACTS_VERSIONS}")
    digests = {p.name: p.digest for p in parts}
    if set(digests) - {NOTICES} != set(PARTS) or len(parts) != len(digests):
        raise bad(f"a report names each of the parts {', '.join(PARTS)} once, and of rpms {NOTICES} too")
    if document_digest(digests) != digest:
        raise bad("the report's digest is not that of its parts")


def read_state(body: str) -> HostState:
    """The state part's text, as it was accepted once, as a value."""
    return read_state_part(body)[0]


def _read_installed(body: str, rows: _RowsOf) -> dict[PackageKey, PackageVersion]:
    raw = decode(body, _Installed, "installed")
    if len(raw.packages) > MAX_PACKAGES:
        raise bad(f"more than {MAX_PACKAGES} packages are installed")
    named = rows(raw.repositories).installed(raw.packages)
    by_key = {key: package for package, _, key in named}
    if len(by_key) != len(named):
        raise bad("a package version is installed twice")
    _in_order("installed", [slot for _, slot, _ in named])
    return by_key


def _in_order(part: str, keys: Sequence[tuple[str, str]]) -> None:
    """Parts are canonical: another order is another digest for the same host."""
    if not all(map(le, keys, keys[1:])):
        raise bad(f"part {part} is not sorted by name and architecture")


def _read_upgradable(body: str, rows: _RowsOf) -> tuple[ReportedLine, ...]:
    raw = decode(body, _Upgradable, "upgradable")
    if len(raw.lines) > MAX_PACKAGES:
        raise bad(f"more than {MAX_PACKAGES} packages can be upgraded")
    if sum(len(offers) for _, _, offers in raw.lines) > MAX_ALL_OFFERS:
        raise bad(f"more than {MAX_ALL_OFFERS} versions are on offer")
    lines = rows(raw.repositories).lines(raw.lines)
    if len({(line.name, line.arch, line.installed_version) for line in lines}) != len(lines):
        raise bad("a package is listed as upgradable twice")
    _in_order("upgradable", [(line.name, line.arch) for line in lines])
    return lines


def _read_times(body: str) -> tuple[int, ...]:
    times = decode(body, list[int], "times")
    if len(times) > MAX_PACKAGES or any(not 0 <= t < 2**31 for t in times):
        raise bad("part times holds an instant out of range, or too many")
    return tuple(times)
