"""From what dnf said to the facts of a host. Pure: the child's answer in, values of `model` out.

Everything in the answer comes from packages and repositories, so all texts are made safe to store and to print.
"""

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Set, Tuple

from patchwright_agent.managers.model import (
    INDEX_EXPIRED,
    INDEX_MISSING,
    PACKAGES_BROKEN,
    PACKAGES_DUPLICATED,
    REFRESH_FAILED,
    Line,
    ManagerFacts,
    Notice,
    Offer,
    Package,
    Problem,
    Repository,
    Source,
)
from patchwright_agent.text import field

MAX_NAMED_PACKAGES = 200
MAX_OFFERS = 500  # of one package, the newest: what the server accepts
MAX_REFERENCES = 5000  # CVEs or bugs of one notice
MAX_MODULES = 1000
_REMOVE_DUPLICATES = "dnf -y remove --duplicates"

Answer = Mapping[str, Any]


class _Known(NamedTuple):
    """Look-ups made of an answer once: notices by (name, arch, evr), repositories by id."""

    notices: Mapping[Tuple[str, str, str], Tuple[Notice, ...]]
    repositories: Mapping[str, Repository]


def manager_facts(
    answer: Answer, modules: Sequence[str], sources_digest: str, problems: Sequence[Problem]
) -> ManagerFacts:
    """Everything that the child's `facts` said. Raises KeyError, TypeError or ValueError if it is no such answer."""
    arch = field(answer["arch"], 32)
    known = _Known(_notices(answer), _repositories(answer["repositories"]))
    packages = _packages(answer, known)
    held = {_key(row) for row in answer["held_offers"]}
    lines = _lines(packages, answer["offers"], known, held, arch)
    return ManagerFacts(
        manager="dnf",
        manager_version=field(answer["version"]),
        arch=arch,
        packages=packages,
        lines=lines,
        holds=_holds(packages, lines, set(map(field, answer["locked_names"]))),
        kernels=[field(release) for release in answer["kernels"]],
        sources=_sources(answer["repositories"], known),
        sources_digest=sources_digest,
        problems=list(problems) + answered_problems(answer),
        has_notices=True,
        modules=list(modules)[:MAX_MODULES],
        obsoleted=[(field(name), field(arch), field(by)) for name, arch, by in answer["obsoleted"]],
    )


def parse_modules(content: str) -> List[str]:
    """The enabled streams in a file of /etc/dnf/modules.d, as `name:stream`."""
    enabled = []
    section, values = "", {}  # type: str, Dict[str, str]
    for line in content.split("\n") + ["[]"]:
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            if values.get("state", "").lower() in ("enabled", "1") and values.get("stream"):
                enabled.append(field("%s:%s" % (section, values["stream"])))
            section, values = stripped[1:-1], {}
        else:
            name, _, value = stripped.partition("=")
            values[name.strip()] = value.strip()
    return enabled


def answered_problems(answer: Answer) -> List[Problem]:
    """What the child found wrong: repositories that can't be read, and the rpm database's own troubles."""
    problems = []
    for identifier, message, cached in answer["failures"]:
        problems.append(_failure(field(identifier), field(message), cached, answer["fetch"] == "always"))
    if answer["expired"]:
        names = ", ".join(map(field, answer["expired"]))
        message = "the metadata of %s are older than dnf's configuration lets them be" % names
        problems.append(Problem(INDEX_EXPIRED, field(message), "dnf makecache"))
    if not answer["repositories"] and not answer["failures"]:
        problems.append(Problem(INDEX_MISSING, "no repository is enabled", "dnf repolist --all"))
    duplicates = tuple(map(field, answer["duplicates"]))
    if duplicates:
        message = "%d packages are installed in two versions: a transaction was interrupted" % len(duplicates)
        problems.append(Problem(PACKAGES_DUPLICATED, message, _REMOVE_DUPLICATES, duplicates[:MAX_NAMED_PACKAGES]))
    # Duplicates contradict one another; what else the solver says is then the same trouble in other words.
    elif answer["broken"]:
        message = "; ".join(map(field, answer["broken"][:3]))
        problems.append(Problem(PACKAGES_BROKEN, field(message), "dnf check"))
    return problems


def _failure(identifier: str, message: str, cached: bool, fetched: bool) -> Problem:
    if not fetched:
        return Problem(INDEX_MISSING, field("no metadata on hand of %s: %s" % (identifier, message)), "dnf makecache")
    then = "the metadata on hand are used" if cached else "nothing of it is known"
    return Problem(REFRESH_FAILED, field("%s cannot be fetched, %s: %s" % (identifier, then, message)), "dnf makecache")


def _key(row: Sequence[Any]) -> Tuple[str, str, str]:
    return (field(row[0]), field(row[1], 32), field(row[2]))


def _repositories(rows: Iterable[Sequence[Any]]) -> Dict[str, Repository]:
    return {row[0]: Repository("", field(row[0]), "", "", "", "", bool(row[1])) for row in rows}


def _sources(rows: Iterable[Sequence[Any]], known: _Known) -> List[Source]:
    return sorted(Source(known.repositories[row[0]], _moment(row[2], 2**33)) for row in rows)


def _moment(value: Any, limit: int = 2**31) -> int:
    """Epoch seconds that a package or a repository claims; what can't be is 0, unknown."""
    return value if isinstance(value, int) and 0 <= value < limit else 0


def _notices(answer: Answer) -> Dict[Tuple[str, str, str], Tuple[Notice, ...]]:
    notices = {row[0]: _notice(row) for row in answer["notices"]}
    listed = {}  # type: Dict[Tuple[str, str, str], Set[Notice]]
    for name, arch, version, identifiers in answer["listed"]:
        key = (field(name), field(arch, 32), field(version))
        listed.setdefault(key, set()).update(notices[identifier] for identifier in identifiers)
    return {key: tuple(sorted(found)) for key, found in listed.items()}


def _notice(row: Sequence[Any]) -> Notice:
    identifier, kind, severity, issued, updated, cves, bugzillas = row
    return Notice(
        field(identifier, 255),
        field(kind, 64),
        field(severity, 64),
        _moment(issued, 2**33),
        _moment(updated, 2**33),
        tuple(sorted({field(cve, 64) for cve in cves}))[:MAX_REFERENCES],
        tuple(sorted({field(bug, 64) for bug in bugzillas}))[:MAX_REFERENCES],
    )


def _packages(answer: Answer, known: _Known) -> List[Package]:
    carried = {}  # type: Dict[Tuple[str, str, str], Set[Repository]]
    for row in answer["same"]:
        carried.setdefault(_key(row), set()).add(known.repositories[row[3]])
    found = {}  # type: Dict[Tuple[str, str, str], Package]
    for row in answer["installed"]:
        key = _key(row)
        name, version = source_of(field(row[3]))
        found[key] = Package(
            key[0],
            key[1],
            key[2],
            "",
            "",
            name,
            version,
            tuple(sorted(carried.get(key, ()))),
            _moment(row[5]),
            _moment(row[4]),
            known.notices.get(key, ()),
        )
    # The sort is stable: versions of one package stay in the order that dnf gave.
    return sorted(found.values(), key=lambda package: (package.name, package.arch))


def source_of(source_rpm: str) -> Tuple[str, str]:
    """Name and version-release of `bash-5.1.8-9.el9.src.rpm`; ("", "") of anything else."""
    parts = source_rpm.rsplit("-", 2)
    if len(parts) != 3 or not source_rpm.endswith(".rpm"):
        return ("", "")
    release = parts[2].rsplit(".", 2)[0]
    return (parts[0], "%s-%s" % (parts[1], release))


def _lines(
    packages: Sequence[Package],
    rows: Iterable[Sequence[Any]],
    known: _Known,
    held: Set[Tuple[str, str, str]],
    native_arch: str,
) -> List[Line]:
    """A line per package with newer versions. What changes from noarch to the native architecture stays one package."""
    offers = {}  # type: Dict[Tuple[str, str], Dict[str, Offer]]
    allowed = {}  # type: Dict[Tuple[str, str], str]
    for row in rows:
        key = _key(row)
        slot = (key[0], native_arch if key[1] == "noarch" else key[1])
        if key not in held:
            allowed[slot] = key[2]  # rows ascend, so the last is what dnf itself would take
        before = offers.setdefault(slot, {}).get(key[2])
        offers[slot][key[2]] = _offer(row, key, known, before)
    newest = {(p.name, native_arch if p.arch == "noarch" else p.arch): p for p in packages}
    lines = []
    for slot, package in newest.items():
        if slot in offers:
            found = tuple(offers[slot].values())[-MAX_OFFERS:]
            lines.append(Line(package.name, package.arch, package.version, allowed.get(slot, ""), found))
    return sorted(lines, key=lambda line: (line.name, line.arch))


def _offer(row: Sequence[Any], key: Tuple[str, str, str], known: _Known, before: Any) -> Offer:
    name, version = source_of(field(row[3]))
    repositories = {known.repositories[row[5]]} | set(before.repositories if before else ())
    notices = set(known.notices.get(key, ())) | set(before.notices if before else ())
    built_at = before.built_at if before else _moment(row[4])
    return Offer(key[2], "", "", name, version, tuple(sorted(repositories)), "", "", built_at, tuple(sorted(notices)))


def _holds(packages: Iterable[Package], lines: Iterable[Line], locked: Set[str]) -> List[Tuple[str, str]]:
    """What dnf would not touch: every newer version is shut out, or a lock names the package and none is on offer."""
    by_slot = {(line.name, line.arch): line for line in lines}
    held = set()
    for package in packages:
        line = by_slot.get((package.name, package.arch))
        shut = package.name in locked if line is None else not line.candidate
        if shut:
            held.add((package.name, package.arch))
    return sorted(held)
