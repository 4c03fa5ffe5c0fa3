"""The facts that dnf knows of this host, from one sack. Runs in the child only.

Offers are all newer versions of what is installed. Packages of module streams that are not enabled are not among them,
nor what a repository's own exclusions hide; those of dnf.conf and version locks hide nothing here, but hold packages.
"""

import calendar
import hashlib
import os
from typing import Any, Dict, Iterable, List, Sequence, Set, Tuple

import dnf
import dnf.goal
import dnf.subject
import hawkey

from patchwright_agent.managers import dnf_child_sack, dnf_locklist
from patchwright_agent.managers.dnf_child_sack import COMMAND_PLUGINS, FETCH_NEVER, Opened, evr
from patchwright_agent.managers.dnf_notice_cache import NoticeCache
from patchwright_agent.managers.model import Notice

MAX_OBSOLETED = 500
# Its list is read here instead, to tell holds from what is not on offer.
LOCK_PLUGIN = "versionlock"
TRANSACTION_PLUGINS = ["post-transaction-actions"]  # nothing of theirs is wanted where nothing is installed
_KERNEL_NAMES = ["kernel", "kernel-core"]
_ADVISORY_KINDS = {
    hawkey.ADVISORY_SECURITY: "security",
    hawkey.ADVISORY_BUGFIX: "bugfix",
    hawkey.ADVISORY_ENHANCEMENT: "enhancement",
    hawkey.ADVISORY_NEWPACKAGE: "newpackage",
}


def facts(request: Dict[str, Any]) -> Dict[str, Any]:
    """`request`: `fetch`, `cache_dir`, `releasever` (see dnf_child_sack.configured) and `notice_cache`, a file.

    dnf_output reads the answer. Packages of one name stand in version order, the oldest first.
    """
    opened = _opened(request)
    if opened.failures and request["fetch"] == FETCH_NEVER and request["releasever"]:
        opened = _better(opened, request)
    files = _notice_files(opened.base)
    cache = NoticeCache(request["notice_cache"], _read_notices)
    unread = cache.unread(files)
    if unread:
        from patchwright_agent.managers.dnf_notices_ahead import ReadAhead  # not above: seldom needed, slow to import

        cache.reader = ReadAhead(unread).read
    # Neither is read unless it is needed; that shows only when the rest has been.
    filelists, updateinfo = False, not cache.may_know(files)
    while True:
        dnf_child_sack.fill_with(opened.base, filelists, updateinfo)
        answer = _answer(opened, cache, updateinfo)
        if answer["broken"] and not filelists:
            filelists = True  # which package would mend it may depend on its files
        elif answer["listed"] is None:
            updateinfo = True
        else:
            break
    cache.save()
    return answer


def _answer(opened: Opened, cache: NoticeCache, updateinfo: bool) -> Dict[str, Any]:
    """The facts by the sack as it is filled; `listed` is None where the notices would have to be in it."""
    base = opened.base
    query = base.sack.query()
    installed, upgrades = query.installed(), query.upgrades()
    present, offers = sorted(installed), sorted(upgrades)
    answer = {
        "version": dnf.VERSION,
        "arch": base.conf.substitutions["basearch"],
        "installed": [_row(package) + [package.installtime] for package in present],
        "offers": [_row(package) + [package.reponame] for package in offers],
        "same": [[p.name, p.arch, evr(p), p.reponame] for p in _still_offered(query, present)],
        "repositories": [
            [repo.id, bool(repo.gpgcheck or repo.repo_gpgcheck), repo._repo.getMaxTimestamp()]
            for repo in base.repos.iter_enabled()
        ],
        "kernels": _kernels(installed),
        "duplicates": _duplicates(present, base),
        "broken": _broken(base),
        "obsoleted": _obsoleted(base, query, installed),
        "failures": opened.failures,
        "expired": opened.expired,
        "source_files": _source_files(base),
    }  # type: Dict[str, Any]
    answer.update(_notices(base, installed.union(upgrades), answer["installed"] + answer["offers"], cache, updateinfo))
    answer.update(_locked(base, offers))
    return answer


def _opened(request: Dict[str, Any]) -> Opened:
    base = dnf_child_sack.configured(request, [LOCK_PLUGIN, *COMMAND_PLUGINS, *TRANSACTION_PLUGINS])
    base.conf.disable_excludes = ["main"]
    return dnf_child_sack.loaded(base, request["fetch"])


def _better(opened: Opened, request: Dict[str, Any]) -> Opened:
    """Where the release that this agent's runs fetch is not on hand, what the host itself fetched may be."""
    failures = len(opened.failures)
    dnf_child_sack.closed(opened.base)
    own = _opened(dict(request, releasever=""))
    if len(own.failures) < failures:
        return own
    dnf_child_sack.closed(own.base)
    return _opened(request)


def _row(package: Any) -> List[Any]:
    return [package.name, package.arch, evr(package), package.sourcerpm or "", package.buildtime]


def _still_offered(query: Any, present: Iterable[Any]) -> List[Any]:
    """The available packages that are exactly what is installed: they say which repositories carry it."""
    have = {(p.name, p.arch, p.evr) for p in present}
    available = query.available().filter(name=sorted({name for name, _, _ in have}))
    return [package for package in available if (package.name, package.arch, package.evr) in have]


def _notice_files(base: Any) -> List[str]:
    """The enabled repositories' files of update notices, those that have one."""
    paths = [repo.get_metadata_path("updateinfo") for repo in base.repos.iter_enabled()]
    return [path for path in paths if path]


def _notices(
    base: Any, query: Any, rows: Sequence[Sequence[Any]], cache: NoticeCache, updateinfo: bool
) -> Dict[str, Any]:
    """`listed`: rows of name, arch, evr, ids of notices; `notices`: what is known of each id.

    `rows` are the packages that `query` finds, by which the cache knows what it was asked before.
    """
    files = _notice_files(base)
    key = _listing_key(base, rows)
    listed, advisories = cache.listed(files, key), {}  # type: Optional[List[List[Any]]], Dict[str, Any]
    if listed is None:
        if not updateinfo:
            return {"listed": None, "notices": []}
        advisories, listed = _advisories(base, query)
    wanted = {identifier for row in listed for identifier in row[3]}
    found = {}  # type: Dict[str, Notice]
    for path in files if wanted else ():
        for identifier, notice in cache.read(path, wanted).items():
            known = found.get(identifier)
            if known is None or notice.updated > known.updated:
                found[identifier] = notice
    if wanted.issubset(found):
        cache.keep_listed(files, key, listed)
    elif not updateinfo:
        return {"listed": None, "notices": []}
    notices = [found.get(identifier) or _as_dnf_says(advisories[identifier]) for identifier in sorted(wanted)]
    return {"listed": listed, "notices": [list(notice) for notice in notices]}


def _advisories(base: Any, query: Any) -> Tuple[Dict[str, Any], List[List[Any]]]:
    """The advisories that list a package of `query`, by id, and the rows of `listed`: dnf's word, modules weighed."""
    by_package = {}  # type: Dict[Tuple[str, str, str], Set[str]]
    advisories = {}  # type: Dict[str, Any]
    for named in query.get_advisory_pkgs(hawkey.EQ):
        advisory = named.get_advisory(base.sack)
        identifier, version = advisory.id, named.evr
        advisories.setdefault(identifier, advisory)
        key = (named.name, named.arch, version if ":" in version else "0:" + version)
        by_package.setdefault(key, set()).add(identifier)
    return advisories, [[*key, sorted(identifiers)] for key, identifiers in sorted(by_package.items())]


def _listing_key(base: Any, rows: Sequence[Sequence[Any]]) -> str:
    """What `_advisories` depends on besides the notices: the packages, the active modules, and dnf itself."""
    container = getattr(base, "_moduleContainer", None)
    modules = container.getModulePackages() if container is not None else ()
    active = sorted(module.getFullIdentifier() for module in modules if container.isModuleActive(module.getId()))
    lines = [dnf.VERSION, hawkey.VERSION, *active, *("%s %s %s" % tuple(row[:3]) for row in rows)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _read_notices(path: str, wanted: Set[str]) -> Dict[str, Notice]:
    from patchwright_agent.managers import dnf_updateinfo  # not above, as with ReadAhead

    return dnf_updateinfo.read_file(path, wanted)


def _as_dnf_says(advisory: Any) -> Notice:
    """What the binding has: one date, the later of both, and no type that it does not know."""
    moment = advisory.updated
    references = [(reference.type, reference.id) for reference in advisory.references]
    return Notice(
        id=advisory.id,
        kind=_ADVISORY_KINDS.get(advisory.type, ""),
        severity=advisory.severity or "",
        issued=0,
        updated=max(calendar.timegm(moment.timetuple()), 0) if moment else 0,
        cves=tuple(sorted({i for kind, i in references if kind == hawkey.REFERENCE_CVE})),
        bugzillas=tuple(sorted({i for kind, i in references if kind == hawkey.REFERENCE_BUGZILLA})),
    )


def _kernels(installed: Any) -> List[str]:
    """Releases of the installed kernels, as `uname -r` prints them but for a flavour's suffix."""
    images = set(installed.filter(provides="kernel-uname-r")) | set(installed.filter(name=_KERNEL_NAMES))
    return sorted({"%s-%s.%s" % (p.version, p.release, p.arch) for p in images})


def _duplicates(present: Iterable[Any], base: Any) -> List[str]:
    """Names that are installed in two versions, kernels and their like left out: an interrupted transaction's mark."""
    several = {str(p) for p in base.sack.query().installed().filter(provides=list(base.conf.installonlypkgs))}
    seen = set()  # type: Set[Tuple[str, str]]
    twice = set()  # type: Set[str]
    for package in present:
        if str(package) not in several:
            key = (package.name, package.arch)
            if key in seen:
                twice.add("%s.%s" % key)
            seen.add(key)
    return sorted(twice)


def _broken(base: Any) -> List[str]:
    """What the solver finds wrong with the installed packages among themselves, in its words."""
    goal = dnf.goal.Goal(base.sack)
    if goal.run(verify=True, ignore_weak_deps=True):
        lacking = [str(package) for package in goal.list_installs() + goal.list_upgrades()]
        return ["installed packages need what is not installed: %s would fill it" % name for name in sorted(lacking)]
    return sorted({str(problem) for rules in goal.problem_rules() for problem in rules})


def _obsoleted(base: Any, query: Any, installed: Any) -> List[List[str]]:
    """Installed packages that an available one would replace: [name, arch, what replaces it]. They are not followed."""
    rows = []  # type: List[List[str]]
    if base.conf.obsoletes:
        for successor in query.available().filter(obsoletes=installed).latest():
            by = "%s-%s.%s" % (successor.name, evr(successor), successor.arch)
            replaced = installed.filter(provides=list(successor.obsoletes))
            rows += [[package.name, package.arch, by] for package in replaced if package.name != successor.name]
    return sorted(rows)[:MAX_OBSOLETED]


def _locked(base: Any, offers: Iterable[Any]) -> Dict[str, Any]:
    """`held_offers`: newer versions that dnf.conf or a version lock shuts out; `locked_names`: what locks name."""
    sack = base.sack
    shut = sack.query().filter(empty=True)
    for pattern in base.conf.excludepkgs:
        shut = shut.union(_matching(sack, pattern))
    if base.conf.includepkgs:
        let_in = sack.query().filter(empty=True)
        for pattern in base.conf.includepkgs:
            let_in = let_in.union(_matching(sack, pattern))
        shut = shut.union(sack.query().available().difference(let_in))
    names = set()  # type: Set[str]
    allowed = sack.query().filter(empty=True)
    for pattern, is_exclusion in dnf_locklist.read(list(base.conf.pluginconfpath), base.conf.plugins):
        for nevra in dnf.subject.Subject(pattern).get_nevra_possibilities():
            matched = nevra.to_query(sack)
            if is_exclusion:
                shut = shut.union(matched)
            else:
                names.add(nevra.name)
                allowed = allowed.union(matched)
    if names:
        shut = shut.union(sack.query().filter(name__glob=sorted(names)).difference(allowed))
    known = {(str(p), p.reponame) for p in shut.available()}
    held = [[p.name, p.arch, evr(p)] for p in offers if (str(p), p.reponame) in known]
    locked = {p.name for p in sack.query().installed().filter(name__glob=sorted(names))} if names else set()
    return {"held_offers": held, "locked_names": sorted(locked)}


def _matching(sack: Any, pattern: str) -> Any:
    subject = dnf.subject.Subject(pattern)
    return subject.get_best_query(sack, with_nevra=True, with_provides=False, with_filenames=False)


def _source_files(base: Any) -> List[str]:
    """The files that say which repositories there are, variables included."""
    root = base.conf.installroot
    files = [base.conf.config_file_path]
    for folder in list(base.conf.reposdir) + list(base.conf.varsdir):
        path = os.path.join(root, folder.lstrip("/"))
        try:
            files += [os.path.join(path, name) for name in sorted(os.listdir(path))]
        except OSError:
            continue
    return files
