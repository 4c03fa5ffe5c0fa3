"""From what dpkg and apt said to the facts of a host. Pure: parsed values in, values of `model` out."""

import re
from typing import Container, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

from patchwright_agent import text
from patchwright_agent.managers import apt_output
from patchwright_agent.managers.apt_index import IndexRecord
from patchwright_agent.managers.apt_output import IndexTarget, Policy, PolicyVersion, Record
from patchwright_agent.managers.model import (
    DPKG_INTERRUPTED,
    MANAGER_FAILED,
    PACKAGES_BROKEN,
    Line,
    Offer,
    Package,
    Problem,
    Repository,
)

# dpkg's state letters (second of `dpkg -l`) of packages that have files on the system, and of those left half-way.
_WITH_FILES = frozenset("iUFHWt")
_INTERRUPTED = frozenset("UFHWt")
_KERNEL_IMAGE = re.compile(r"linux-image-(?:unsigned-)?(\d.*)\Z")
MAX_NAMED_PACKAGES = 200  # a message stays readable; the count in it is exact


class Wanted(NamedTuple):
    """A record to look up: the version of a package as one repository describes it."""

    description: str
    name: str
    version: str


def present(records: Iterable[Record]) -> List[Record]:
    """The packages with files on the system, sorted by (name, arch); those that left only configuration are not."""
    kept = [record for record in records if len(record.status) >= 2 and record.status[1] in _WITH_FILES]
    return sorted(kept, key=lambda record: (record.name, record.arch))


def holds(records: Iterable[Record]) -> List[Tuple[str, str]]:
    return [(record.name, record.arch) for record in records if record.status[0] == "h"]


def kernels(records: Iterable[Record]) -> List[str]:
    """The releases (as `uname -r` prints them) of the installed kernel images; metapackages carry no release."""
    matches = [_KERNEL_IMAGE.match(record.name) for record in records if record.status[1] == "i"]
    return sorted({match.group(1) for match in matches if match and "-dbg" not in match.group(1)})


def repository_of(target: IndexTarget) -> Repository:
    return Repository(
        target.origin, target.label, target.suite, target.codename, target.component, target.site, target.trusted
    )


def wanted_records(records: Sequence[Record], policies: Mapping[str, Policy], native_arch: str) -> List[Wanted]:
    """The index records that complete the offers: of each newer version, its first repository's."""
    wanted: List[Wanted] = []
    for record in records:
        policy = policies.get(apt_output.policy_key(record.name, record.arch, native_arch))
        newer = apt_output.newer_versions(policy, record.version) if policy else ()
        wanted += [Wanted(v.descriptions[0], record.name, v.version) for v in newer if v.descriptions]
    return wanted


def packages(
    records: Sequence[Record],
    policies: Mapping[str, Policy],
    repositories: Mapping[str, Repository],
    native_arch: str,
    installed_at: Mapping[Tuple[str, str], int],
) -> List[Package]:
    """The installed packages with the repositories that carry exactly the installed version."""
    result = []
    for record in records:
        policy = policies.get(apt_output.policy_key(record.name, record.arch, native_arch))
        position = apt_output.installed_position(policy) if policy else None
        known = _known(policy.versions[position], repositories) if policy and position is not None else ()
        moment = installed_at.get((record.name, record.arch), 0)
        result.append(Package(*record[1:], repositories=known, installed_at=moment))
    return result


def lines(
    records: Sequence[Record],
    policies: Mapping[str, Policy],
    repositories: Mapping[str, Repository],
    found: Mapping[Wanted, IndexRecord],
    native_arch: str,
) -> Tuple[List[Line], List[str]]:
    """A line per package with a newer version on offer, and the names of those whose index records could not be read.

    A version without a readable record stays on offer: its source is then taken for the package's own.
    """
    result: List[Line] = []
    unread: List[str] = []
    for record in records:
        policy = policies.get(apt_output.policy_key(record.name, record.arch, native_arch))
        offers = []
        for version in apt_output.newer_versions(policy, record.version) if policy else ():
            known = _known(version, repositories)
            if not known:  # the version is in no index (an installed rebuild, a local file): nothing offers it
                continue
            index_record = found.get(Wanted(version.descriptions[0], record.name, version.version))
            if index_record is None:
                unread.append(record.name)
                index_record = IndexRecord("", "", record.name, version.version, version.phased)
            offers.append(_offer(version, index_record, known))
        if policy and offers:
            candidate = policy.candidate if any(offer.version == policy.candidate for offer in offers) else ""
            result.append(Line(record.name, record.arch, record.version, candidate, tuple(offers)))
    return result, unread


def _offer(version: PolicyVersion, record: IndexRecord, known: Tuple[Repository, ...]) -> Offer:
    phased = record.phased or version.phased
    return Offer(
        version.version,
        record.section,
        record.priority,
        record.source,
        record.source_version,
        known,
        version.pin,
        "" if phased == "100" else phased,
    )


def _known(version: PolicyVersion, repositories: Mapping[str, Repository]) -> Tuple[Repository, ...]:
    known = {repositories[name] for name in version.descriptions if name in repositories}
    return tuple(sorted(known))


def database_problems(records: Sequence[Record], unreadable: int, updates_pending: bool) -> List[Problem]:
    """What is wrong with the dpkg database itself."""
    problems = []
    interrupted = _names(record for record in records if record.status[1] in _INTERRUPTED)
    if interrupted or updates_pending:
        left = "%d packages are not fully installed" % len(interrupted)
        message = "dpkg was interrupted: " + (left if interrupted else "its journal holds unfinished work")
        problems.append(Problem(DPKG_INTERRUPTED, message, "dpkg --configure -a", interrupted[:MAX_NAMED_PACKAGES]))
    damaged = _names(record for record in records if record.status[2:3] == "R")
    if damaged:
        message = "%d packages are damaged and must be installed again" % len(damaged)
        remedy = "apt-get install --reinstall " + " ".join(damaged[:MAX_NAMED_PACKAGES])
        problems.append(Problem(PACKAGES_BROKEN, message, remedy, damaged[:MAX_NAMED_PACKAGES]))
    if unreadable:
        message = "%d records of the dpkg database cannot be read and are left out" % unreadable
        problems.append(Problem(MANAGER_FAILED, message, "dpkg --audit"))
    return problems


def _names(records: Iterable[Record]) -> Tuple[str, ...]:
    return tuple(sorted({record.name for record in records}))


def unread_problem(names: Sequence[str]) -> List[Problem]:
    """The versions on offer whose section, priority and source are unknown, as a problem."""
    if not names:
        return []
    unique = tuple(sorted(set(names)))
    message = "%d offered versions have no readable record in the package indexes" % len(names)
    return [Problem(MANAGER_FAILED, message, "apt-get update", unique[:MAX_NAMED_PACKAGES])]


def missing_sources(all_targets: Sequence[IndexTarget], have: Container[str]) -> List[str]:
    """The sources whose base URI is not among `have`, as `URI distribution/component`, sorted."""
    lacking = {target.description for target in all_targets if target.base_uri not in have}
    # A description is: URI, distribution/component, architecture, kind.
    return sorted({text.field(" ".join(description.split(" ")[:2])) for description in lacking})
