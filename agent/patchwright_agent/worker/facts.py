"""The facts document of this host, version 1: content-addressed parts without clock values.

An unchanged host gives byte-identical parts, so that a node whose facts did not change sends digests alone. A document
of rpms has one part more, the notices; rows name them by their own digests, so a new notice changes only rows it lists.
"""

import hashlib
import json
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Union

from patchwright_agent.managers.model import ManagerFacts, Notice, Offer, Package, Repository
from patchwright_agent.platform import OperatingSystem
from patchwright_agent.worker.reboot import Reboot
from patchwright_agent.worker.stale_services import StaleService

FACTS_VERSION = 1
_NOTICE_DIGESTS = {}  # type: Dict[Notice, str]  # one notice lists many packages


class HostFacts(NamedTuple):
    """What the worker sees of the host itself."""

    system: OperatingSystem
    boot_id: str
    running_kernel: str
    newest_kernel: str
    reboot: Reboot
    stale_services: Sequence[StaleService]


class Part(NamedTuple):
    """One part: its canonical JSON text and the SHA-256 (hex) of that text's UTF-8 bytes."""

    name: str
    body: str
    digest: str


class Document(NamedTuple):
    """A facts document. `collected_at` is epoch seconds; `digest` covers the parts alone."""

    agent_version: str
    collected_at: float
    digest: str
    parts: Sequence[Part]


def document(manager: ManagerFacts, host: HostFacts, agent_version: str, collected_at: float) -> Document:
    """Put the facts into their parts. Pure."""
    contents = {
        "installed": _installed(manager),
        "upgradable": _upgradable(manager),
        "times": [package.installed_at for package in manager.packages],
        "state": _state(manager, host),
    }  # type: Dict[str, Any]
    if manager.has_notices:
        contents["notices"] = _notices(manager)
    parts = [part(name, contents[name]) for name in sorted(contents)]
    digest = hashlib.sha256("".join("%s:%s\n" % (p.name, p.digest) for p in parts).encode()).hexdigest()
    return Document(agent_version, collected_at, digest, tuple(parts))


def part(name: str, content: Any) -> Part:
    """A part from JSON-like values: sorted keys, no blanks, UTF-8 as it is."""
    body = canonical(content)
    return Part(name, body, hashlib.sha256(body.encode("utf-8")).hexdigest())


def canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def printed(facts: Document, pretty: bool = False) -> str:
    """The whole document as one JSON text, for a file or a terminal (where escapes keep every byte plain ASCII)."""
    whole = {
        "facts_version": FACTS_VERSION,
        "agent_version": facts.agent_version,
        "collected_at": facts.collected_at,
        "digest": facts.digest,
    }
    if pretty:
        parts = {p.name: json.loads(p.body) for p in facts.parts}
        return json.dumps(dict(whole, parts=parts), sort_keys=True, indent=2)
    bodies = ",".join('"%s":%s' % (p.name, p.body) for p in facts.parts)
    return '%s,"parts":{%s}}' % (canonical(whole)[:-1], bodies)


def _numbered(repositories: Iterable[Repository]) -> Dict[Repository, str]:
    """Each repository's place in the part's own sorted list, as text."""
    return {repository: str(number) for number, repository in enumerate(sorted(set(repositories)))}


def _references(repositories: Sequence[Repository], numbers: Mapping[Repository, str]) -> str:
    return ",".join(numbers[repository] for repository in repositories)


def _installed(manager: ManagerFacts) -> Dict[str, Any]:
    numbers = _numbered(repository for package in manager.packages for repository in package.repositories)
    lines = ["\t".join(_package_fields(package, numbers)) for package in manager.packages]
    if manager.has_notices:
        lines = [line + _rpm_fields(package) for line, package in zip(lines, manager.packages)]
    return {"repositories": [repository.row() for repository in numbers], "packages": lines}


def _package_fields(package: Package, numbers: Mapping[Repository, str]) -> Sequence[str]:
    references = _references(package.repositories, numbers)
    return (
        package.name,
        package.arch,
        package.version,
        package.section,
        package.priority,
        package.source,
        package.source_version,
        references,
    )


def _upgradable(manager: ManagerFacts) -> Dict[str, Any]:
    numbers = _numbered(r for line in manager.lines for offer in line.offers for r in offer.repositories)
    lines: List[List[Any]] = []
    for line in manager.lines:
        offers = [
            "\t".join((*offer[:5], _references(offer.repositories, numbers), offer.pin, offer.phased))
            + (_rpm_fields(offer) if manager.has_notices else "")
            for offer in line.offers
        ]
        lines.append(["\t".join((line.name, line.arch, line.installed_version)), line.candidate, offers])
    return {"repositories": [repository.row() for repository in numbers], "lines": lines}


def _rpm_fields(version: Union[Package, Offer]) -> str:
    """The two last fields of a row of rpms: the build time and the digests of the notices that list the version."""
    return "\t%d\t%s" % (version.built_at, ",".join(sorted(notice_digest(notice) for notice in version.notices)))


def notice_row(notice: Notice) -> List[Any]:
    return [*notice[:5], list(notice.cves), list(notice.bugzillas)]


def notice_digest(notice: Notice) -> str:
    """What rows name a notice by: the first 16 hexadecimal digits of the SHA-256 of its row's canonical text."""
    known = _NOTICE_DIGESTS.get(notice)
    if known is None:
        known = hashlib.sha256(canonical(notice_row(notice)).encode("utf-8")).hexdigest()[:16]
        _NOTICE_DIGESTS[notice] = known
    return known


def _notices(manager: ManagerFacts) -> Dict[str, Any]:
    found = {notice for package in manager.packages for notice in package.notices}
    found.update(notice for line in manager.lines for offer in line.offers for notice in offer.notices)
    return {"notices": [notice_row(notice) for notice in sorted(found)]}


def _state(manager: ManagerFacts, host: HostFacts) -> Dict[str, Any]:
    state = {
        "manager": manager.manager,
        "manager_version": manager.manager_version,
        "os": host.system._asdict(),
        "arch": manager.arch,
        "boot_id": host.boot_id,
        "kernel": {"running": host.running_kernel, "newest_installed": host.newest_kernel},
        "reboot": host.reboot._asdict(),
        "holds": ["%s\t%s" % hold for hold in manager.holds],
        "problems": [problem._asdict() for problem in manager.problems],
        "stale_services": [service._asdict() for service in host.stale_services],
        "sources": [dict(source.repository._asdict(), released_at=source.released_at) for source in manager.sources],
        "sources_digest": manager.sources_digest,
    }  # type: Dict[str, Any]
    if manager.has_notices:
        state["modules"] = list(manager.modules)
        state["obsoleted"] = ["\t".join(row) for row in manager.obsoleted]
    return state
