"""What dnf's solver makes of targets: exact versions, nothing removed, nothing optional. Runs in the child only.

Simulating and applying mark the same packages in the same sack, so they come to the same set.
"""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import dnf
import dnf.goal
import dnf.selector
import hawkey

from patchwright_agent.managers import dnf_child_sack
from patchwright_agent.managers.dnf_child_sack import COMMAND_PLUGINS, evr

Row = Sequence[str]  # name, arch, version from, version

_NATIVE_OR_NONE = "noarch"


class Unresolved(Exception):
    """A set of targets that dnf can't or must not install; the message is in dnf's words where it has any."""


class Resolver:
    """A sack in which the versions of `available` are the only ones of their packages, and questions to its solver."""

    def __init__(self, request: Dict[str, Any]) -> None:
        self.base = dnf_child_sack.configured(request, COMMAND_PLUGINS)
        conf = self.base.conf
        conf.best = False
        conf.install_weak_deps = False
        conf.clean_requirements_on_remove = False
        conf.obsoletes = False
        self.opened = dnf_child_sack.fill(self.base, request["fetch"])
        self.native = conf.substitutions["basearch"]
        query = self.base.sack.query()
        self._installed = {}  # type: Dict[Tuple[str, str], List[Any]]
        for package in sorted(query.installed()):
            self._installed.setdefault(self._slot(package.name, package.arch), []).append(package)
        several = query.installed().union(query.available()).filter(provides=list(conf.installonlypkgs))
        self._installonly = {str(package) for package in several}
        self._shut_other_versions(request["available"])

    def _slot(self, name: str, arch: str) -> Tuple[str, str]:
        return (name, self.native if arch == _NATIVE_OR_NONE else arch)

    def offered(self, row: Row, flags: int = 0) -> List[Any]:
        """The available packages of exactly the row's version; the architecture may change to noarch and back."""
        query = self.base.sack.query(flags=flags).available().filter(name=row[0])
        wanted = self._slot(row[0], row[1])
        found = [p for p in query if self._slot(p.name, p.arch) == wanted and evr(p) == row[3]]
        return sorted(found, key=self._preference)

    def _preference(self, package: Any) -> Tuple[int, int, str]:
        repo = self.base.repos[package.reponame]
        return (repo.priority, repo.cost, repo.id)

    def _shut_other_versions(self, rows: Iterable[Row]) -> None:
        versions = {self._slot(row[0], row[1]): row[3] for row in rows}
        names = sorted({name for name, _ in versions})
        query = self.base.sack.query().available()
        others = [
            package
            for package in (query.filter(name=names) if names else ())
            if versions.get(self._slot(package.name, package.arch), evr(package)) != evr(package)
        ]
        if others:
            self.base.sack.add_excludes(self.base.sack.query().filter(pkg=others))

    def mark(self, goal: Any, rows: Iterable[Row]) -> None:
        """Ask `goal` for exactly these versions. Raises Unresolved where one is not on offer."""
        for row in rows:
            found = self.offered(row)
            if not found:
                raise Unresolved(self._why_absent(row))
            selector = dnf.selector.Selector(self.base.sack)
            selector.set(pkg=found[:1])
            goal.install(select=selector)

    def _why_absent(self, row: Row) -> str:
        title = "%s-%s.%s" % (row[0], row[3], row[1])
        if self.offered(row, hawkey.IGNORE_EXCLUDES):
            return "%s is shut out by a version lock or an exclude= of dnf's configuration" % title
        return "%s is not on offer" % title

    def simulate(self, rows: Sequence[Row]) -> Dict[str, Any]:
        """The answer to one question: `changes`, `removed`, `problem`, `limited` (see `outcome`)."""
        goal = dnf.goal.Goal(self.base.sack)
        goal.protect_running_kernel = getattr(
            self.base.conf, "protect_running_kernel", True
        )  # not in dnf before 4.2.16
        goal.add_protected(self.base.sack.query().filter(name=list(self.base.conf.protected_packages)))
        try:
            self.mark(goal, rows)
            if not goal.run(allow_uninstall=False, force_best=False, ignore_weak_deps=True):
                raise Unresolved("; ".join(str(rule) for rules in goal.problem_rules() for rule in rules))
            return self.outcome(goal)
        except Unresolved as error:
            return {"changes": [], "removed": [], "problem": str(error), "limited": []}

    def outcome(self, goal: Any) -> Dict[str, Any]:
        """What a solved goal would do. `limited`: packages that go because dnf keeps a number of them (kernels)."""
        incoming = goal.list_installs() + goal.list_upgrades()
        down = goal.list_downgrades()
        gone = goal.list_erasures() + goal.list_obsoleted()
        names = {package.name for package in incoming}
        limited = [p for p in gone if str(p) in self._installonly and p.name in names]
        removed = [p for p in gone if p not in limited]
        problem = "it would need an older version of %s" % ", ".join(sorted(map(str, down))) if down else ""
        return {
            "changes": sorted(self._change(package) for package in incoming),
            "removed": sorted([package.name, package.arch] for package in removed),
            "problem": problem,
            "limited": sorted(map(str, limited)),
        }

    def _change(self, package: Any) -> List[str]:
        """Name, the architecture that the facts report, version from, version."""
        before = self.newest_installed(package)
        return [
            package.name,
            before.arch if before is not None else package.arch,
            evr(before) if before is not None else "",
            evr(package),
        ]

    def newest_installed(self, package: Any) -> Optional[Any]:
        installed = self._installed.get(self._slot(package.name, package.arch))
        return installed[-1] if installed else None

    def database(self) -> Dict[str, Any]:
        """What is installed, and the packages that stand in the database twice though they must not."""
        rows, twice = [], set()  # type: List[List[str]], Set[str]
        for packages in self._installed.values():
            rows += [[package.name, package.arch, evr(package)] for package in packages]
            if len([p for p in packages if str(p) not in self._installonly]) > 1:
                twice.add(packages[0].name)
        return {"installed": sorted(rows), "duplicates": sorted(twice), "arch": self.native}


def questions(resolver: Resolver, request: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The answers to `questions`, lists of rows; and of a `chain`, rows that are added one by one while they fit."""
    answers = [_answered(resolver, rows) for rows in request.get("questions", ())]
    fitting = list(request.get("fitting", ()))
    for row in request.get("chain", ()):
        answer = _answered(resolver, fitting + [row])
        answers.append(answer)
        if not answer["problem"] and not answer["removed"]:
            fitting.append(row)
    return answers


def _answered(resolver: Resolver, rows: Sequence[Row]) -> Dict[str, Any]:
    return dict(resolver.simulate(rows), targets=list(rows))
