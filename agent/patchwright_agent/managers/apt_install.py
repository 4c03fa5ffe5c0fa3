"""Installs exact versions by apt-get: one transaction, then, where that fails, one target after another.

What apt-get exits with is a hint; what the dpkg database holds afterwards decides.
Source: spec/patch-baselines.md 4.4; research/feasibility.md 2.4.
"""

import os
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from patchwright_agent import platform, run, text
from patchwright_agent.managers import apt_folders, apt_output, locks
from patchwright_agent.managers import apt_install_checks as checks
from patchwright_agent.managers import apt_install_options as options
from patchwright_agent.managers import apt_install_output as output
from patchwright_agent.managers.apt_install_checks import Database
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import (
    BROKEN,
    CANCELLED,
    DISK_FULL,
    DOWNLOAD,
    LOCKED,
    MANAGER_FAILED,
    REPOSITORY_CHANGED,
    SIGNATURE,
    Applied,
    Change,
    Executed,
    Failure,
    Installer,
    Simulation,
    Slot,
    Target,
    Workplace,
)

TIMEOUT_SECONDS = 300
DOWNLOAD_SECONDS = 5400  # three quarters of what a patch document's step may take
# The disk, the mirror, a lock: trying one package after another would not help.
_NOT_A_PACKAGES_FAULT = (DISK_FULL, DOWNLOAD, LOCKED, SIGNATURE)
_PREFERENCES = "preferences"


class _Progress(NamedTuple):
    """What an attempt at a Plan has come to so far; its lists grow."""

    failures: List[Failure]
    notes: List[str]
    culprits: Set[Slot]


class AptInstaller(Installer):
    """apt-get and dpkg of this host."""

    def __init__(self, workplace: Workplace) -> None:
        Installer.__init__(self, workplace)
        answer = run.run(["apt-config", "dump"], TIMEOUT_SECONDS)
        if not answer.succeeded:
            raise ManagerError("apt-config failed: %s" % apt_output.first_error(answer.error_text, "it said nothing"))
        self._settings = apt_output.parse_config(answer.text)
        self._native = (self._settings.get("apt::architecture") or [""])[0]
        self._dpkg_options = options.dpkg_options(self._settings)
        self._notes: List[str] = []
        self._preferences: Optional[str] = None  # as it was written last

    def simulate(self, targets: Sequence[Target], available: Sequence[Target]) -> Simulation:
        self._pin(available)
        return self._simulated([options.spec(target, self._native) for target in targets])

    def preflight(self, items: Sequence[Change]) -> Optional[Tuple[str, str]]:
        """As the interface says; with items, whatever is to be fetched is fetched here, so that a file that is missing
        changes nothing, and a cancel need not wait for a slow mirror."""
        problem = checks.locked(self._settings, self._notes.append, self.workplace.tell)
        problem = problem or checks.broken(checks.read_database())
        if problem is None and items:
            problem = checks.crowded(items, [options.spec(item, self._native) for item in items], self._settings)
        return problem or (self._download(items) if items else None)

    def apply(self, items: Sequence[Change]) -> Applied:
        self._pin(items)
        progress = _Progress([], list(self._notes), set())
        self._notes = []
        objection = self._objection([options.spec(item, self._native) for item in items], items, progress.culprits)
        if objection:
            return Applied((), progress.notes, REPOSITORY_CHANGED, objection)
        if self.workplace.is_cancelled():
            return Applied((), progress.notes, CANCELLED, "the end was asked for before the transaction")
        done = self._install(items, progress)
        if done.returncode == 0 and not self._missing(items):
            return self._ended(items, progress, "", "")
        code, message = output.reason_code(done.output), _said(done)
        if code == DISK_FULL:
            message = self._out_of_room(items, done, progress)
        elif code not in _NOT_A_PACKAGES_FAULT or _has_begun(done):
            code, message = self._one_by_one(items, done, progress)
        return self._ended(items, progress, code, message)

    def repair(self) -> Sequence[str]:
        notes: List[str] = []
        problem = checks.locked(self._settings, notes.append, self.workplace.tell)
        if problem is not None:
            raise ManagerError(problem[1])
        database = checks.read_database()
        if database.unfinished() or database.is_pending:
            notes.append(self._configure(_names(database)))
        if checks.broken_dependencies() is not None:
            fixed = self._execute(["apt-get", *options.COMMON, "--no-remove", *self._forced(), "-f", "install"])
            notes.append("mended by: apt-get -f install (exit code %d)" % fixed.returncode)
        problem = checks.broken_dependencies()
        if problem is not None:
            raise ManagerError("an interrupted transaction could not be mended: %s" % problem[1])
        return notes

    def database(self) -> Mapping[Slot, FrozenSet[str]]:
        found: Dict[Slot, FrozenSet[str]] = {}
        for record in checks.read_database().present:
            if checks.is_in_place(record):
                for slot in _slots(record.name, record.arch, self._native):
                    found[slot] = frozenset([record.version])
        return found

    def _pin(self, items: Sequence[options.Item]) -> None:
        """Make the items the candidates of every call to come, by a file of this run's own."""
        own = apt_folders.setting_path(self._settings, "dir::etc::preferences")
        content = options.preferences(items, self._native, platform.small_file(own) if own else "")
        if content != self._preferences:
            self._write_preferences(content)
            self._preferences = content

    def _write_preferences(self, content: str) -> None:
        """Durably, and whole or not at all: the node's own pins are in it, and what mends after a power cut uses it."""
        path = os.path.join(self.workplace.folder, _PREFERENCES)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(path + ".new", flags, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)

    def _pinned(self) -> List[str]:
        path = os.path.join(self.workplace.folder, _PREFERENCES)
        return ["-o", "Dir::Etc::Preferences=" + path] if os.path.exists(path) else []

    def _forced(self) -> List[str]:
        given = [word for option in self._dpkg_options for word in ("-o", "Dpkg::Options::=" + option)]
        return given + self._pinned()

    def _simulated(self, arguments: Sequence[str], *more: str) -> Simulation:
        argv = ["apt-get", "-s", *options.COMMON, *self._pinned(), *more, "install", *arguments]
        answer = run.run(argv, TIMEOUT_SECONDS)
        if answer.timed_out:
            raise ManagerError("apt-get -s did not end within %d seconds" % TIMEOUT_SECONDS)
        try:
            installed, removed = output.parse_simulation(answer.text)
        except ValueError as error:
            raise ManagerError(str(error))
        arches = checks.read_database().arches(self._native) if installed or removed else {}
        changes = output.changes_of(installed, arches, self._native)
        gone = [
            (name, arches.get((name, foreign or self._native), foreign or self._native)) for name, foreign in removed
        ]
        problem = "" if answer.succeeded else output.problem_of(answer.text, answer.error_text)
        return Simulation(tuple(changes), tuple(gone), problem)

    def _objection(self, specs: Sequence[str], items: Sequence[Change], culprits: Set[Slot]) -> str:
        """Why installing `specs` would do anything else than (a part of) the items, "" if it would not."""
        simulated = self._simulated(specs)
        if simulated.problem:
            return simulated.problem
        if simulated.removed:
            return "%s would be removed" % simulated.removed[0][0]
        for change in simulated.changes:
            if culprits & _slots(change.name, change.arch, self._native):
                return "it needs %s %s, which failed" % (change.name, change.version)
            if not any(_same(change, item, self._native) for item in items):
                return "%s %s would come in, which is not in the Plan" % (change.name, change.version)
        return ""

    def _download(self, items: Sequence[Change]) -> Optional[Tuple[str, str]]:
        """Fetch everything into apt's archive folder; the problem if that fails."""
        self._pin(items)
        specs = [options.spec(item, self._native) for item in items]
        argv = ["apt-get", *options.COMMON, "--no-remove", *self._pinned(), "--download-only", "install", *specs]
        answer = run.run(argv, DOWNLOAD_SECONDS)
        if answer.succeeded:
            return None
        if answer.timed_out:
            return DOWNLOAD, "the packages were not fetched in %d seconds; nothing was changed" % DOWNLOAD_SECONDS
        reason = apt_output.first_error(answer.error_text, "exit code %d" % answer.returncode)
        code = output.reason_code(answer.text + "\n" + answer.error_text)
        return code, "the packages were not fetched: %s; nothing was changed" % reason

    def _install(self, items: Sequence[Change], progress: _Progress) -> Executed:
        specs = [options.spec(item, self._native) for item in items]
        done = self._execute(["apt-get", *options.COMMON, "--no-remove", *self._forced(), "install", *specs])
        self._note_kept(done, progress)
        return done

    def _execute(self, argv: Sequence[str]) -> Executed:
        """Run a command. A signal that ends apt-get (out of memory) leaves its dpkg at work: that one is waited for.

        Raises ManagerError if it goes on and on.
        """
        done = self.workplace.execute(argv)
        if done.returncode < 0:
            files = checks.lock_files(self._settings)
            wait = locks.wait_until_free(files, locks.MAX_WAIT_SECONDS, tell=self.workplace.tell)
            if wait.holder is not None:
                message = "%s was ended by signal %d, and what it had started still holds %s; see: fuser -v %s"
                raise ManagerError(message % (argv[0], -done.returncode, wait.holder.path, wait.holder.path))
        return done

    def _missing(self, items: Sequence[Change]) -> List[Change]:
        """The items that are not installed whole."""
        database = self.database()
        return [item for item in items if item.version not in database.get((item.name, item.arch), ())]

    def _one_by_one(self, items: Sequence[Change], joint: Executed, progress: _Progress) -> Tuple[str, str]:
        """After a joint transaction that failed: settle what it left, then try what is missing, each by itself."""
        self._settle(items, joint, progress)
        for item in items:
            if not item.from_version or (item.name, item.arch) in progress.culprits or not self._missing([item]):
                continue  # what comes in anew comes with what needs it
            if self.workplace.is_cancelled():
                return CANCELLED, "the end was asked for before %s %s was tried" % (item.name, item.version)
            objection = self._objection([options.spec(item, self._native)], items, progress.culprits)
            if objection:
                progress.failures.append(Failure(item.name, item.arch, objection))
                continue
            self.workplace.tell("trying %s %s by itself" % (item.name, item.version))
            done = self._install([item], progress)
            if output.reason_code(done.output) == DISK_FULL and done.returncode:
                return DISK_FULL, self._out_of_room(items, done, progress)
            self._settle(items, done, progress)
            if self._missing([item]) and (item.name, item.arch) not in progress.culprits:
                progress.culprits.add((item.name, item.arch))
                words = output.parse_failures(done.output)
                message = words.get((item.name, item.arch)) or words.get((item.name, "")) or _said(done)
                progress.failures.append(Failure(item.name, item.arch, message))
        if not self._missing(items):
            return "", ""
        return MANAGER_FAILED, _not_installed(joint, progress)

    def _out_of_room(self, items: Sequence[Change], done: Executed, progress: _Progress) -> str:
        """After a disk was full: what is unpacked is configured, and nothing more is written there. The message."""
        self._settle(items, done, progress, takes_back=False)
        return _not_installed(done, progress)

    def _settle(self, items: Sequence[Change], done: Executed, progress: _Progress, takes_back: bool = True) -> None:
        """Name the culprits of a transaction, configure what can be, take back what can't."""
        words = output.parse_failures(done.output)
        database = checks.read_database()
        if done.returncode and (database.unfinished() or database.is_pending):
            configured = self._execute(["dpkg", *self._dpkg_options, "--configure", "-a"])
            self._note_kept(configured, progress)
            words.update(output.parse_failures(configured.output))
        for item in items:
            message = words.get((item.name, item.arch)) or words.get((item.name, ""))
            slot = (item.name, item.arch)
            if not message or message.startswith(output.DEPENDENCY_PROBLEMS):
                continue  # what merely waits for another one is tried again by itself
            if slot not in progress.culprits and self._missing([item]):
                progress.culprits.add(slot)
                progress.failures.append(Failure(item.name, item.arch, message))
        records = checks.read_database().unfinished()
        for name in sorted({record.name for record in records} - {item.name for item in items}):
            said = next((message for slot, message in sorted(words.items()) if slot[0] == name), "it said nothing")
            note = "%s, which is not in the Plan, is not configured: %s" % (name, said)
            if note not in progress.notes:
                progress.notes.append(note)
        left = {(record.name, record.arch) for record in records if not checks.is_in_place(record)}
        unfinished = [item for item in items if _slots(item.name, item.arch, self._native) & left]
        if unfinished and takes_back:
            self._take_back(unfinished, progress)

    def _take_back(self, unfinished: Sequence[Change], progress: _Progress) -> None:
        """Put the earlier versions back in place of packages that can't be configured: dpkg is sound again then.

        What had come in anew goes again. Source: research/feasibility.md 2.4.
        """
        names = ", ".join(item.name for item in unfinished)
        remedy = "%s is left half-configured; correct the cause, then run: dpkg --configure -a" % names
        back = [
            options.spec(item._replace(version=item.from_version), self._native)
            for item in unfinished
            if item.from_version
        ]
        gone = [options.qualified(item, self._native) + "-" for item in unfinished if not item.from_version]
        simulated = self._simulated(back + gone, "--allow-downgrades")
        allowed = {item.name for item in unfinished}
        changed = {change.name for change in simulated.changes} | {name for name, _ in simulated.removed}
        fresh = {item.name for item in unfinished if not item.from_version}
        if simulated.problem or changed - allowed or {name for name, _ in simulated.removed} - fresh:
            progress.notes.append(remedy)
            return
        done = self._execute(
            ["apt-get", *options.COMMON, "--allow-downgrades", *self._forced(), "install", *back, *gone]
        )
        left = {record.name for record in checks.read_database().unfinished()}
        if done.returncode and allowed & left:
            progress.notes.append(remedy)
        else:
            progress.notes.append("taken back to the version before, since it could not be configured: %s" % names)

    def _configure(self, names: str) -> str:
        """`dpkg --configure -a`; what it did, as a note."""
        done = self._execute(["dpkg", *self._dpkg_options, "--configure", "-a"])
        return "an interrupted transaction was taken up by: dpkg --configure -a (exit code %d)%s" % (
            done.returncode,
            ": " + names if names else "",
        )

    def _note_kept(self, done: Executed, progress: _Progress) -> None:
        for path in output.kept_configuration_files(done.output):
            note = "configuration file kept as it was changed here; the package's own version is beside it: %s" % path
            if note not in progress.notes:
                progress.notes.append(note)

    def _ended(self, items: Sequence[Change], progress: _Progress, code: str, message: str) -> Applied:
        """The outcome. A host that is not sound is told of, even if all items are in place."""
        database = checks.read_database()
        unsound = database.unfinished() or database.is_pending
        if unsound and code == DISK_FULL:
            progress.notes.append("make room, then run: dpkg --configure -a")
        elif unsound:
            names = _names(database)
            code = code or BROKEN
            message = message or "not configured: %s; correct the cause, then run: dpkg --configure -a" % names
        elif not self._missing(items):
            code, message = "", ""
        elif not code:
            code = MANAGER_FAILED
        return Applied(tuple(progress.failures), tuple(progress.notes), code, message)


def _same(change: Change, item: Change, native: str) -> bool:
    slots = _slots(item.name, item.arch, native)
    return (change.name, change.arch) in slots and change.version == item.version


def _slots(name: str, arch: str, native: str) -> Set[Slot]:
    """The slots in which dpkg may hold a package: its architecture may change between native and `all`."""
    return {(name, native), (name, "all")} if arch in (native, "all") else {(name, arch)}


def _has_begun(done: Executed) -> bool:
    """Whether dpkg came to the packages: then whatever they print, downloads, signatures and locks were in order."""
    database = checks.read_database()
    return bool(database.unfinished() or database.is_pending or output.parse_failures(done.output))


def _names(database: Database) -> str:
    return ", ".join(sorted({record.name for record in database.unfinished()})[:10])


def _not_installed(done: Executed, progress: _Progress) -> str:
    """The first of the failures and how many more there are; without any, what the call said."""
    if not progress.failures:
        return _said(done)
    first = progress.failures[0]
    more = " and %d more" % (len(progress.failures) - 1) if len(progress.failures) > 1 else ""
    return "not installed: %s%s: %s" % (first.name, more, first.message)


def _said(done: Executed) -> str:
    """The call's error in one line."""
    if done.returncode == 0:
        return "apt-get ended well, but not everything is installed"
    return text.field(apt_output.first_error(done.output, "exit code %d" % done.returncode), 400)
