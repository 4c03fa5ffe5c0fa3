"""The facts of a Debian-like host, by its own dpkg and apt.

As few apt calls as possible: each one that finds no package cache builds it (half a second with full archive lists). So
the first call writes the cache into the agent's own folder, and the others, all at once, read it there.
"""

import os
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import run
from patchwright_agent.managers import (
    apt_assemble,
    apt_folders,
    apt_index_files,
    apt_output,
    apt_refresh,
    locks,
)
from patchwright_agent.managers.apt_folders import AptFolders
from patchwright_agent.managers.apt_output import IndexTarget, Policy, Record
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.model import (
    INDEX_MISSING,
    LOCKED,
    MANAGER_FAILED,
    PACKAGES_BROKEN,
    SOURCES_BROKEN,
    ManagerFacts,
    Problem,
    Repository,
    Source,
)

TIMEOUT_SECONDS = 120

_DPKG = "/var/lib/dpkg"
_PACKAGES_ONLY = "Created-By: Packages"
_SOURCE_FILE = re.compile(r"(/[\w/.+-]+\.(?:list|sources))\b")


class Request(NamedTuple):
    """`refresh`: True fetches the indexes first, False never, None only into own lists that are empty.

    `index_dir` is the agent's folder for caches and, with `own_lists`, for the lists as well.
    """

    refresh: Optional[bool]
    index_dir: str
    own_lists: bool


class _Answers(NamedTuple):
    """What apt said, parsed."""

    policies: Mapping[str, Policy]
    targets: Sequence[IndexTarget]
    all_targets: Sequence[IndexTarget]
    problems: List[Problem]


def collect(request: Request) -> ManagerFacts:
    """Ask dpkg and apt. What goes wrong is among the facts' problems; raises ManagerError if neither can be asked."""
    dpkg = run.start(["dpkg-query", "-W", "-f", apt_output.DPKG_QUERY_FORMAT], TIMEOUT_SECONDS)
    config = run.run(["apt-config", "dump"], TIMEOUT_SECONDS)
    database = dpkg.wait()
    for answer in (config, database):
        if not answer.succeeded:
            reason = apt_output.first_error(answer.error_text, "exit code %d" % answer.returncode)
            raise ManagerError("%s failed: %s; run it by hand to see more" % (answer.argv[0], reason))
    settings = apt_output.parse_config(config.text)
    folders = apt_folders.folders_for(settings, request.index_dir, request.own_lists)
    problems = _refreshed(folders, settings, request.refresh)
    parsed, unreadable = apt_output.parse_dpkg_query(database.text)
    records = apt_assemble.present(parsed)
    problems += apt_assemble.database_problems(records, unreadable, updates_pending())
    problems += _lock_problems(folders)
    return _facts(folders, records, problems)


def _refreshed(folders: AptFolders, settings: Mapping[str, List[str]], refresh: Optional[bool]) -> List[Problem]:
    """Bring the lists to where this run reads them, fetching them if asked to."""
    if not folders.owns_lists:
        return apt_refresh.refresh((), folders.lists) if refresh else []
    apt_folders.seed_lists(folders, apt_folders.system_lists(settings), copy=bool(refresh))
    if refresh or (refresh is None and not apt_folders.has_lists(folders.lists)):
        return apt_refresh.refresh(folders.options, folders.lists)
    return []


def _facts(folders: AptFolders, records: Sequence[Record], problems: List[Problem]) -> ManagerFacts:
    answers = _ask(folders, records)
    problems = problems + answers.problems
    repositories = {target.description: apt_assemble.repository_of(target) for target in answers.targets}
    wanted = apt_assemble.wanted_records(records, answers.policies, folders.native_arch)
    found = apt_index_files.find_records(wanted, answers.targets)
    lines, unread = apt_assemble.lines(records, answers.policies, repositories, found, folders.native_arch)
    problems += apt_assemble.unread_problem(unread)
    problems += _missing_indexes(folders, answers)
    moments = _installed_at(records)
    versions = {record.name: record.version for record in records}
    return ManagerFacts(
        manager="apt",
        manager_version=versions.get("apt", ""),
        arch=folders.native_arch,
        packages=apt_assemble.packages(records, answers.policies, repositories, folders.native_arch, moments),
        lines=lines,
        holds=apt_assemble.holds(records),
        kernels=apt_assemble.kernels(records),
        sources=_sources(repositories, answers.targets),
        sources_digest=apt_folders.sources_digest(folders.source_files),
        problems=problems,
    )


def _ask(folders: AptFolders, records: Sequence[Record]) -> _Answers:
    """Ask apt for versions, sources and the state of dependencies; in parallel if the cache is there to be read."""
    apt_folders.borrow_system_cache(folders)
    names = ["%s:%s" % (r.name, folders.native_arch if r.arch == "all" else r.arch) for r in records]
    table = _start(folders, ["apt-cache", "policy"] + names)
    policy = None if apt_folders.cache_seems_fresh(folders) else table.wait()
    check = _start(folders, ["apt-get", "check", "-o", "Debug::NoLocking=1"])
    known = _start(folders, ["apt-get", "indextargets", _PACKAGES_ONLY])
    every = _start(folders, ["apt-get", "indextargets", "--no-release-info", _PACKAGES_ONLY])
    policy = policy or table.wait()
    targets, all_targets, checked = known.wait(), every.wait(), check.wait()
    problems = _failures([policy, targets, all_targets])
    if not problems and not checked.succeeded:
        problems.append(_broken(checked))
    return _Answers(
        policies=apt_output.parse_policy(policy.text),
        targets=apt_output.parse_index_targets(targets.text),
        all_targets=apt_output.parse_index_targets(all_targets.text),
        problems=problems,
    )


def _start(folders: AptFolders, argv: Sequence[str]) -> run.Child:
    return run.start(list(argv) + list(folders.options), TIMEOUT_SECONDS)


def _failures(answers: Sequence[run.Completed]) -> List[Problem]:
    """The first call that failed as a problem: the others fail for the same reason."""
    for answer in answers:
        if not answer.succeeded:
            fallback = "timed out after %d seconds" % TIMEOUT_SECONDS if answer.timed_out else "it said nothing"
            reason = apt_output.first_error(answer.error_text, fallback)
            message = "%s %s failed: %s" % (*answer.argv[:2], reason)
            file = _SOURCE_FILE.search(answer.error_text)
            if file:
                return [Problem(SOURCES_BROKEN, message, "sensible-editor " + file.group(1))]
            return [Problem(MANAGER_FAILED, message, "apt-get check")]
    return []


def _broken(check: run.Completed) -> Problem:
    unmet = apt_output.parse_unmet(check.text)
    message = apt_output.first_error(check.error_text, "apt-get check ended with %d" % check.returncode)
    return Problem(PACKAGES_BROKEN, message, "apt-get -f install", unmet[: apt_assemble.MAX_NAMED_PACKAGES])


def _lock_problems(folders: AptFolders) -> List[Problem]:
    paths = [_DPKG + "/lock-frontend", _DPKG + "/lock"]
    if not folders.owns_lists:
        paths.append(os.path.join(folders.lists, "lock"))
    holder = locks.first_holder(paths)
    if holder is None:
        return []
    message = "%s is held by %s" % (holder.path, holder.program or "a process that cannot be seen from here")
    return [Problem(LOCKED, message, "fuser -v " + holder.path)]


def _missing_indexes(folders: AptFolders, answers: _Answers) -> List[Problem]:
    """Sources that were never fetched. One whose Release file is here merely has nothing for this architecture."""
    have = {target.base_uri for target in answers.targets}
    have.update(t.base_uri for t in answers.all_targets if apt_index_files.release_path(t) and answers.targets)
    missing = apt_assemble.missing_sources(answers.all_targets, have)
    if not missing:
        return []
    remedy = "apt-get update" if not folders.owns_lists else "patchwright-agent facts --refresh"
    shown = ", ".join(missing[:5]) + (" and %d more" % (len(missing) - 5) if len(missing) > 5 else "")
    return [Problem(INDEX_MISSING, "no package index on hand of " + shown, remedy)]


def _sources(repositories: Mapping[str, Repository], targets: Sequence[IndexTarget]) -> List[Source]:
    released: Dict[Repository, int] = {}
    for target in targets:
        repository = repositories[target.description]
        released[repository] = max(released.get(repository, 0), apt_index_files.released_at(target))
    return [Source(repository, released[repository]) for repository in sorted(released)]


def _installed_at(records: Sequence[Record]) -> Dict[Tuple[str, str], int]:
    """The time of the last change of each package's file list. Source: spec/patch-baselines.md 4.4."""
    moments = {}
    for record in records:
        for stem in ("%s:%s" % (record.name, record.arch), record.name):
            try:
                moments[record.name, record.arch] = int(os.stat("%s/info/%s.list" % (_DPKG, stem)).st_mtime)
                break
            except OSError:
                continue
    return moments


def updates_pending() -> bool:
    """Whether dpkg's journal holds work of an interrupted run: files whose names are numbers."""
    try:
        return any(name.isdigit() for name in os.listdir(_DPKG + "/updates"))
    except OSError:
        return False
