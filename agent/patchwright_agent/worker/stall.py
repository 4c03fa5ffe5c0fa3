"""Notices a transaction that makes no progress, and names the script that it waits for. It ends nothing.

Progress is output, a change of dpkg's database, or processor time: less than a twentieth of the time that passes is
none, since a script that waits in a loop uses a little.
"""

import os
import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from patchwright_agent import platform, text
from patchwright_agent.worker import report

STALL_VARIABLE = "PATCHWRIGHT_STALL_SECONDS"
DEFAULT_STALL_SECONDS = 300  # an initramfs on a slow disk takes minutes, but not idly
WAITING_FILE = "waiting"  # in the command's folder: the daemon tells it where it has to report without an end
RUN_WAITING_FILE = "patch-run.waiting"  # in the state folder: the next run tells it
_BUSY_SHARE = 0.05
_DATABASE = "/var/lib/dpkg/status"
_MAX_ENVIRON_BYTES = 256 * 1024
_RPM_SCRIPT = "Running scriptlet: "  # how dnf_child_transaction tells of one
_TAIL_BYTES = 16 * 1024


class Process(NamedTuple):
    """A living process: `ticks` of processor time, ended children included; `script` is dpkg's (package, name)."""

    pid: int
    parent: int
    ticks: int
    script: Tuple[str, str]


class _Mark(NamedTuple):
    """How far the transaction was, and since when it is there."""

    output: int
    database: float
    ticks: int
    monotonic: float
    moment: float


def stall_seconds() -> float:
    """How long a transaction may do nothing before that is told."""
    try:
        return max(float(os.environ.get(STALL_VARIABLE, "")), 0.1)
    except ValueError:
        return DEFAULT_STALL_SECONDS


class StallWatch:
    """Looks at one run's transaction from time to time. `mark` is `NAME=VALUE` of its processes' environment.

    While nothing goes on, the files `paths` hold a sentence that says so. `notes` are for the run's report.
    """

    def __init__(self, mark: str, paths: Sequence[str], tell: Callable[[str], None]) -> None:
        self.notes: List[str] = []
        self.interval_seconds = min(10.0, stall_seconds() / 4)
        self._mark = mark.encode("utf-8", "surrogateescape")
        self._paths = paths
        self._tell = tell
        self._last: Optional[_Mark] = None
        self._told = ""

    def look(self, output_path: str) -> None:
        """Compare with the last look; say so where nothing has gone on for long, and where something does again."""
        processes = transaction_processes(self._mark)
        now = _Mark(
            _size(output_path),
            _changed_at(_DATABASE),
            sum(process.ticks for process in processes),
            time.monotonic(),
            time.time(),
        )
        last = self._last
        if last is None or _has_moved(last, now):
            self._last = now
            self.over()
        elif not self._told and now.monotonic - last.monotonic >= stall_seconds():
            self._say(waits_for(processes, output_path), last.moment)

    def over(self) -> None:
        """Something goes on again, or the transaction has ended."""
        if self._told:
            self._tell("the transaction goes on")
        self._told = ""
        for path in self._paths:
            try:
                os.unlink(path)
            except OSError:
                continue

    def _say(self, subject: str, since: float) -> None:
        began = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(since))
        self._told = "the transaction has made no progress since %s: it waits for %s" % (began, subject)
        self.notes.append(self._told)
        for path in self._paths:
            try:
                report.write_atomically(path, self._told)
            except OSError as error:  # a full disk: the log has it
                self._tell("%s cannot be written: %s" % (path, error.strerror))
        self._tell(self._told + "; it is not cut short: end that process by hand if it hangs")


def _has_moved(last: _Mark, now: _Mark) -> bool:
    if (last.output, last.database) != (now.output, now.database) or now.ticks < last.ticks:
        return True
    passed = (now.monotonic - last.monotonic) * os.sysconf("SC_CLK_TCK")
    return now.ticks - last.ticks > passed * _BUSY_SHARE


def transaction_processes(mark: bytes) -> List[Process]:
    """All processes of a transaction by their environment, and what those have started in another one."""
    everything = {}  # type: Dict[int, Process]
    marked = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            variables = _environment(name)
            process = _process(int(name), variables)
            if process is not None:
                everything[process.pid] = process
                if mark in variables:
                    marked.add(process.pid)
    grown = True
    while grown:
        below = {pid for pid, process in everything.items() if process.parent in marked} - marked
        marked |= below
        grown = bool(below)
    return [everything[pid] for pid in sorted(marked)]


def _process(pid: int, variables: Sequence[bytes]) -> Optional[Process]:
    _, _, after = platform.small_file("/proc/%d/stat" % pid).rpartition(")")  # the name before may hold anything
    fields = after.split()
    if len(fields) < 15 or fields[0] in ("Z", "X"):
        return None
    found = dict(pair.partition(b"=")[::2] for pair in variables if pair.startswith(b"DPKG_MAINTSCRIPT_"))
    script = tuple(
        text.field(found.get(name, b"").decode("utf-8", "replace"), 100)
        for name in (b"DPKG_MAINTSCRIPT_PACKAGE", b"DPKG_MAINTSCRIPT_NAME")
    )
    return Process(pid, int(fields[1]), sum(map(int, fields[11:15])), (script[0], script[1]))


def _environment(pid: str) -> List[bytes]:
    try:
        with open("/proc/%s/environ" % pid, "rb") as file:
            return file.read(_MAX_ENVIRON_BYTES).split(b"\0")
    except OSError:
        return []


def waits_for(processes: Sequence[Process], output_path: str) -> str:
    """The script that is at work, and what runs in it, in words. Without any: the manager's own process."""
    if not processes:
        return "a process that cannot be seen from here"
    scripts = {process.pid: process for process in processes if process.script[0]}
    outer = [process for process in scripts.values() if process.parent not in scripts]
    last = processes_below(processes, outer[0] if outer else processes[0])[-1]
    running = "process %d, %s" % (last.pid, _command(last.pid))
    if outer:
        package, name = outer[0].script
        return "the %s script of %s (process %d; in it %s)" % (name or "maintainer", package, outer[0].pid, running)
    words = _last_line(output_path)
    if words.startswith(_RPM_SCRIPT):
        return "a script of %s (%s)" % (words[len(_RPM_SCRIPT) :], running)
    return "%s%s" % (running, "; its last words: " + words if words else "")


def processes_below(processes: Sequence[Process], top: Process) -> List[Process]:
    """`top` and its youngest descendants in one line, the last one at the end."""
    line = [top]
    while True:
        children = [process for process in processes if process.parent == line[-1].pid]
        if not children:
            return line
        line.append(children[-1])


def _command(pid: int) -> str:
    words = platform.small_file("/proc/%d/cmdline" % pid).replace("\0", " ")
    return text.field(words, 100) or text.field(platform.small_file("/proc/%d/comm" % pid), 64) or "already gone"


def _last_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _TAIL_BYTES, 0))
            lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").replace("\r", "\n").split("\n")
    except OSError:
        return ""
    said = [line for line in map(text.field, lines) if line]
    return said[-1][:200] if said else ""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _changed_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
