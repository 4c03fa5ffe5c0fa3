"""Installs exact versions by dnf's own machinery: one transaction, then, where that fails, one target after another.

What dnf ends with is a hint (a failed script ends with 0); what the rpm database holds afterwards decides.
Source: spec/patch-baselines.md 4.3; research/feasibility.md 2.5.
"""

import json
import os
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent.managers import dnf, dnf_asked, locks
from patchwright_agent.managers import dnf_install_output as output
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import (
    BROKEN,
    CANCELLED,
    DISK_FULL,
    LOCKED,
    MANAGER_FAILED,
    Applied,
    Change,
    Failure,
    Installer,
    Simulation,
    Slot,
    Target,
    Workplace,
)
from patchwright_agent.text import field

TIMEOUT_SECONDS = 600
DOWNLOAD_SECONDS = 5400  # three quarters of what a patch document's step may take
RESERVE_BYTES = 16 * 1024 * 1024  # for the rpm database, logs, what scripts write
# What comes in to mend comes from where the Plan's versions come from, and nothing optional with it.
_MENDING = ("--setopt=clean_requirements_on_remove=False", "--setopt=install_weak_deps=False")
REMEDY = "dnf -y remove --duplicates"

Rows = Tuple[Tuple[str, ...], ...]
Problem = Tuple[str, str]


class _Database(NamedTuple):
    """`duplicates`: names that are installed in two versions though they must not be."""

    versions: Mapping[Slot, FrozenSet[str]]
    duplicates: Sequence[str]


class _Attempt(NamedTuple):
    """One transaction: why it was refused or broke off (code and message, "" if not), and what scripts failed."""

    code: str
    message: str
    errors: Sequence[output.ScriptError]
    limited: Sequence[str]


class DnfInstaller(Installer):
    """dnf 4 and rpm of this host."""

    def __init__(self, workplace: Workplace) -> None:
        Installer.__init__(self, workplace)
        self._answers = {}  # type: Dict[Tuple[Rows, Rows], Simulation]
        self._notes = []  # type: List[str]
        self._count = 0
        self._interpreter = ""  # known from the first answer on
        self._metadata = {"fetch": "missing", "cache_dir": "", "releasever": dnf_asked.releasever()}  # type: Dict[str, Any]

    def simulate(self, targets: Sequence[Target], available: Sequence[Target]) -> Simulation:
        """One child answers all the questions that the server is about to ask in this mode, since each costs a start.

        Every answer is given once, so a question that is asked again is asked of dnf again.
        """
        key = (_rows(targets), _rows(available))
        if key not in self._answers:
            self._ask(targets, available)
        return self._answers.pop(key)

    def _ask(self, targets: Sequence[Target], available: Sequence[Target]) -> None:
        request = dict(self._metadata, available=_rows(available))
        rows, every = list(_rows(targets)), list(_rows(available))
        if len(targets) == 1 and len(available) > 1:
            request["questions"] = [[row] for row in [rows[0]] + [row for row in every if row != rows[0]]]
        elif len(targets) > 1 and len(targets) < len(available) and rows[-1] in every:
            request.update(fitting=rows[:-1], chain=every[every.index(rows[-1]) :])
        else:
            request["questions"] = [rows]
        answer = self._asked("simulate", request)
        self._answers.clear()
        for one in answer["answers"]:
            asked = tuple(tuple(row) for row in one["targets"])
            self._answers[asked, _rows(available)] = _simulation(one)
        if (_rows(targets), _rows(available)) not in self._answers:
            raise ManagerError("dnf answered another question than the one asked")

    def _simulated(self, targets: Sequence[Target], available: Sequence[Target]) -> Simulation:
        """The answer to one question alone, as the host is now."""
        request = dict(self._metadata, available=_rows(available), questions=[_rows(targets)])
        return _simulation(self._asked("simulate", request)["answers"][0])

    def preflight(self, items: Sequence[Change]) -> Optional[Problem]:
        self._answers.clear()
        problem = self._locked()
        if problem is not None:
            return problem
        answer = self._asked("ready", dict(self._metadata, items=_rows(items)))
        database = _database(answer)
        problem = _broken(database) if database.duplicates else _crowded(answer)
        return problem or (self._download(items) if items else None)

    def _download(self, items: Sequence[Change]) -> Optional[Problem]:
        """Fetch everything into dnf's cache, outside of the transaction: a cancel need not wait for a slow mirror."""
        answer = self._asked("download", dict(self._metadata, items=_rows(items)), DOWNLOAD_SECONDS)
        if not answer["problem"]:
            return None
        words = output.one_line(str(answer["problem"]))
        return output.reason_code("download", words), "the packages were not fetched: %s; nothing was changed" % words

    def apply(self, items: Sequence[Change]) -> Applied:
        self._answers.clear()
        notes, self._notes = self._notes, []
        if self.workplace.is_cancelled():
            return Applied((), notes, CANCELLED, "the end was asked for before the transaction")
        failures = []  # type: List[Failure]
        attempt = self._install(items, notes)
        self._judge(items, attempt, failures, notes)
        code, message = attempt.code, attempt.message
        # Only what rpm itself refuses may have a culprit: everything else holds for each target alike.
        if code == MANAGER_FAILED and len(items) > 1:
            code, message = self._one_by_one(items, attempt, failures, notes)
        return self._ended(items, failures, notes, (code, message))

    def repair(self) -> Sequence[str]:
        notes = []  # type: List[str]
        problem = self._locked()
        if problem is not None:
            raise ManagerError(problem[1])
        duplicates = self._database().duplicates
        if duplicates:
            words = "dnf ended well"
            if self._transaction(self._begun(), "mend").code:  # its versions are on offer no more
                release = ["--releasever=" + dnf_asked.releasever()] if dnf_asked.releasever() else []
                done = self.workplace.execute(["dnf", "-y", *release, *_MENDING, "remove", "--duplicates"])
                words = output.last_words(done.output)
            notes.append(
                "an interrupted transaction was taken up, as by: %s: %s" % (REMEDY, ", ".join(duplicates[:10]))
            )
            left = self._database().duplicates
            if left:
                raise ManagerError(
                    "%s: still installed in two versions: %s; correct the cause, then run: %s"
                    % (words, ", ".join(left[:10]), REMEDY)
                )
        return notes

    def database(self) -> Mapping[Slot, FrozenSet[str]]:
        return self._database().versions

    def _database(self) -> _Database:
        return _database(self._asked("ready", {"fetch": "none", "cache_dir": "", "items": []}))

    def _asked(self, word: str, request: Dict[str, Any], seconds: float = TIMEOUT_SECONDS) -> Dict[str, Any]:
        """The child's answer, by a file: a Plan is longer than an argument may be. Raises ManagerError."""
        path = self._file(word, request)
        try:
            asked = dnf_asked.Asked(word, request, seconds, path, self._interpreter)
            answer = asked.answer()
            self._interpreter = asked.interpreter
            return answer
        finally:
            os.unlink(path)

    def _file(self, word: str, content: Dict[str, Any]) -> str:
        self._count += 1
        path = os.path.join(self.workplace.folder, "%s-%d-%d.json" % (word, os.getpid(), self._count))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        return path

    def _locked(self) -> Optional[Problem]:
        """Wait for who holds a lock; the problem if it is held still."""
        wait = dnf.wait_for_locks(self.workplace.tell)
        if wait.holder is not None:
            who = wait.holder.program or "a process that cannot be seen from here"
            message = "%s holds %s and did not end within %d seconds; nothing was changed; see: fuser -v %s"
            return LOCKED, message % (who, wait.holder.path, locks.wait_seconds(), wait.holder.path)
        if wait.first is not None:
            note = "waited %d s for %s"
            self._notes.append(note % (round(wait.seconds), wait.first.program or "another package manager"))
        return None

    def _install(self, items: Sequence[Change], notes: List[str]) -> _Attempt:
        """One transaction; where another program came in between, once more when that has ended."""
        attempt = self._transaction(items)
        if attempt.code == LOCKED:
            problem = self._locked()
            if problem is not None:
                return attempt._replace(message=problem[1])
            attempt = self._transaction(items)
        notes += ["removed, since dnf keeps installonly_limit of its kind: %s" % name for name in attempt.limited]
        return attempt

    def _begun(self) -> List[Change]:
        """All items of this run's transactions so far, earlier workers' included."""
        found = set()
        for name in os.listdir(self.workplace.folder):
            if name.startswith("apply-"):
                try:
                    with open(os.path.join(self.workplace.folder, name), encoding="utf-8") as file:
                        found.update(Change(*row) for row in json.load(file)["items"])
                except (OSError, ValueError, KeyError, TypeError):
                    continue  # written in part: its transaction never began
        return sorted(found)

    def _transaction(self, items: Sequence[Change], word: str = "apply") -> _Attempt:
        answer_file = self._file("answer", {})
        request = dict(self._metadata, items=_rows(items), answer_file=answer_file)
        path = self._file(word, request)
        interpreter = self._interpreter or dnf_asked.interpreters()[0]
        done = self.workplace.execute(dnf_asked.child_argv(interpreter, word, "@" + path))
        try:
            with open(answer_file, encoding="utf-8") as file:
                answer = json.load(file)
        except (OSError, ValueError):
            answer = {}
        if not answer:
            said = "dnf was ended by signal %d" % -done.returncode if done.returncode < 0 else ""
            words = said or output.last_words(done.output)
            return _Attempt(output.reason_code("", done.output), words, (), ())
        errors = [output.script_error(message, said) for message, said in answer.get("errors", ())]
        known = tuple(error for error in errors if error is not None)
        limited = tuple(field(name) for name in answer.get("limited", ()))
        if "error" not in answer:
            return _Attempt("", "", known, limited)
        refused = str(answer.get("refused", ""))
        code = output.reason_code(
            refused, "%s\n%s" % (answer["error"], done.output if refused == "transaction" else "")
        )
        return _Attempt(code, output.one_line(str(answer["error"])), known, ())

    def _judge(self, items: Sequence[Change], attempt: _Attempt, failures: List[Failure], notes: List[str]) -> None:
        """Name the packages whose scripts failed. What merely left badly is a note."""
        by_name = {item.name: item for item in items}
        for error in attempt.errors:
            item = by_name.get(error.name)
            if item is None or not error.is_incoming:
                notes.append("%s: %s" % (error.name, error.message))
            elif not any((failure.name, failure.arch) == (item.name, item.arch) for failure in failures):
                failures.append(Failure(item.name, item.arch, error.message))

    def _one_by_one(
        self, items: Sequence[Change], joint: _Attempt, failures: List[Failure], notes: List[str]
    ) -> Problem:
        """After a joint transaction that rpm refused: try what is missing, each with what it needs of the Plan."""
        targets = [Target(*item) for item in items]
        for target in targets:
            if not target.from_version or not _missing([Change(*target)], self._database()):
                continue  # what comes in anew comes with what needs it
            if self.workplace.is_cancelled():
                return CANCELLED, "the end was asked for before %s %s was tried" % (target.name, target.version)
            simulated = self._simulated([target], targets)
            foreign = [change for change in simulated.changes if change not in items]
            if simulated.problem or simulated.removed or foreign:
                words = simulated.problem or "it would not come in as the Plan says"
                failures.append(Failure(target.name, target.arch, words))
                continue
            self.workplace.tell("trying %s %s by itself" % (target.name, target.version))
            attempt = self._install(simulated.changes, notes)
            if attempt.code == DISK_FULL:
                return attempt.code, attempt.message
            self._judge(items, attempt, failures, notes)
            if _missing([Change(*target)], self._database()) and not any(f.name == target.name for f in failures):
                failures.append(Failure(target.name, target.arch, attempt.message or joint.message))
        if not _missing(items, self._database()):
            return "", ""
        first = output.named(["%s: %s" % (failure.name, failure.message) for failure in failures] or [joint.message])
        return MANAGER_FAILED, "not installed: %s" % first

    def _ended(self, items: Sequence[Change], failures: List[Failure], notes: List[str], problem: Problem) -> Applied:
        """The outcome by the rpm database: what is not there has failed, whatever dnf said."""
        code, message = problem
        database = self._database()
        if database.duplicates:
            try:
                notes += self.repair()
            except ManagerError as error:
                return Applied(tuple(failures), tuple(notes), code or BROKEN, message or str(error))
            database = self._database()
        missing = _missing(items, database)
        if missing and not code:
            code, message = MANAGER_FAILED, "dnf ended well, but not everything is installed"
        there = [failure.name for failure in failures if not any(failure[:2] == item[:2] for item in missing)]
        if there:
            notes.append("run the failed scripts again by: dnf -y reinstall %s" % " ".join(there))
        if code in ("", MANAGER_FAILED):
            told = {failure[:2] for failure in failures}
            failures += [Failure(item.name, item.arch, message) for item in missing if item[:2] not in told]
        if failures and not code:
            code = MANAGER_FAILED
            message = output.named(["%s: %s" % (failure.name, failure.message) for failure in failures])
        return Applied(tuple(failures), tuple(notes), code, message)


def _missing(items: Sequence[Change], database: _Database) -> List[Change]:
    return [item for item in items if item.version not in database.versions.get(item[:2], ())]


def _broken(database: _Database) -> Problem:
    names = ", ".join(database.duplicates[:5])
    message = "%d packages are installed in two versions (%s): a transaction was interrupted; nothing was changed; "
    return BROKEN, message % (len(database.duplicates), names) + "repair it by: %s" % REMEDY


def _database(answer: Mapping[str, Any]) -> _Database:
    found = {}  # type: Dict[Slot, Set[str]]
    duplicates = [field(name) for name in answer["duplicates"]]
    native = field(answer["arch"])
    for name, arch, version in answer["installed"]:
        if name in duplicates:
            continue  # neither version is whole
        for other in (native, "noarch") if arch in (native, "noarch") else (arch,):
            found.setdefault((field(name), field(other)), set()).add(field(version))
    return _Database({slot: frozenset(versions) for slot, versions in found.items()}, duplicates)


def _crowded(answer: Mapping[str, Any]) -> Optional[Problem]:
    """Whether a disk has too little room. rpm looks at each file system again; this keeps it from coming so far."""
    needs = {}  # type: Dict[int, Tuple[str, int]]
    for folder, need in (
        (str(answer["cache_dir"]), int(answer["download"])),
        ("/usr", int(answer["growth"]) + int(answer["largest"])),
        ("/var/lib", RESERVE_BYTES if answer["download"] or answer["growth"] else 0),
    ):
        status = _status(folder)
        if status is not None:
            place, sum_so_far = needs.get(status[0], (folder, 0))
            needs[status[0]] = place, sum_so_far + need
    for folder, need in needs.values():
        status = _status(folder)
        if status is not None and status[1] < need:
            message = "%s has %.1f MB free and %.1f MB are needed; nothing was changed; make room, for example by: %s"
            return DISK_FULL, message % (folder, status[1] / 1e6, need / 1e6, "dnf clean packages")
    return None


def _rows(items: Sequence[Any]) -> Rows:
    return tuple(tuple(item) for item in items)


def _simulation(answer: Mapping[str, Any]) -> Simulation:
    changes = tuple(Change(*(field(value) for value in row)) for row in answer["changes"])
    removed = tuple((field(name), field(arch)) for name, arch in answer["removed"])
    return Simulation(changes, removed, output.one_line(str(answer["problem"])))


def _status(folder: str) -> Optional[Tuple[int, int]]:
    """Device and free bytes of a folder's file system; None where there is no such folder."""
    try:
        status = os.statvfs(folder)
        return os.stat(folder).st_dev, status.f_bavail * status.f_frsize
    except OSError:
        return None
