"""One step's process: its own process group, its environment, its output in files, its end.

Output goes to files and not through pipes, so that a package transaction outlives the daemon.
"""

import os
import shlex
import signal
import threading
import time

from patchwright_agent.daemon import outcomes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Dict, List, Optional, Union

MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS = 5, 172800, 3600
KEPT_OUTPUT_BYTES = 64 * 1024  # of each stream; 24,000 are reported
TRIM_ABOVE_BYTES = 4 * 1024 * 1024  # a stream's file is cut back to what is kept when it has grown beyond this
STOP_GRACE_SECONDS = 5.0
_CHECK_SECONDS = 1.0
TRANSACTION_FILE = "transaction"
WAITING_FILE = "waiting"  # what the worker says of a transaction that makes no progress
GOES_ON = "\nThe %s came during a package transaction, which is not cut short and goes on without this command: %s"
LET_FINISH = "\nThe %s came during a package transaction, which was let finish first."

_CAUSE = {outcomes.CANCELLED: "cancel", outcomes.TIMED_OUT: "time-out"}

# From the moment a script is open for writing until its process has started, no other process may be started: it would
# inherit the open file, and the script would be refused as "text file busy".
starting = threading.Lock()


class Abandoned(Exception):
    """The daemon is ending: the step was stopped (or left to its transaction) and has no result."""


class Control:
    """How another thread ends a step: `cancel` for the operator, `shut_down` when the daemon ends."""

    def __init__(self) -> None:
        self._changed = threading.Event()
        self.is_cancelled = False
        self.is_shutting_down = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self._changed.set()

    def shut_down(self) -> None:
        self.is_shutting_down = True
        self._changed.set()

    def process_ended(self) -> None:
        self._changed.set()

    def wait(self, seconds: float) -> None:
        self._changed.wait(seconds)
        self._changed.clear()


class Outcome:
    """Status and code as in section 9.2 and 10 of the protocol, and the head of each stream."""

    __slots__ = ("code", "status", "stderr", "stdout")

    def __init__(self, status: str, code: int, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.code = code
        self.stdout = stdout
        self.stderr = stderr


def timeout_seconds(value: "object") -> int:
    """5 to 172,800 as a number or text; anything else means 3,600."""
    try:
        seconds = int(str(value).strip(), 10)
    except ValueError:
        return DEFAULT_TIMEOUT_SECONDS
    return seconds if MIN_TIMEOUT_SECONDS <= seconds <= MAX_TIMEOUT_SECONDS else DEFAULT_TIMEOUT_SECONDS


class StepFolder:
    """The files of one step in its command's folder: script, and the streams of all of its runs one after the other.

    `label` is the step's index, for one of a nested document "outer-inner".
    """

    def __init__(self, command_dir: str, label: "Union[int, str]") -> None:
        self.command_dir = command_dir
        self.label = str(label)
        self.script = os.path.join(command_dir, "step-%s.sh" % label)
        self.stdout = os.path.join(command_dir, "step-%s.stdout" % label)
        self.stderr = os.path.join(command_dir, "step-%s.stderr" % label)

    def streams(self) -> "List[bytes]":
        """The head of standard output and of standard error; empty where there is no file."""
        return [_head(self.stdout), _head(self.stderr)]


def run_script(
    lines: "List[str]", folder: StepFolder, environment: "Dict[str, str]", cwd: str, timeout: float, control: Control
) -> Outcome:
    """Write the script and run it by `sh -c <its path>`. Raises Abandoned, OSError when it can't be started.

    With `exec`, since not every sh does it by itself: so the step's process is the script and not a shell in between,
    and signals to it, and its death by one, are its own.
    """
    with starting:
        descriptor = os.open(folder.script, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o700)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
        process = _start(["sh", "-c", "exec " + shlex.quote(folder.script)], folder, environment, cwd)
    return _attend(process, folder, timeout, control)


def run_program(
    argv: "List[str]",
    folder: StepFolder,
    environment: "Dict[str, str]",
    timeout: float,
    control: Control,
    cwd: str = "/",
) -> Outcome:
    """Run a program by its arguments. Raises Abandoned, OSError when it can't be started."""
    with starting:
        process = _start(argv, folder, environment, cwd)
    return _attend(process, folder, timeout, control)


def _start(argv: "List[str]", folder: StepFolder, environment: "Dict[str, str]", cwd: str) -> "subprocess.Popen[bytes]":
    import subprocess  # not at the top: a resting agent that never ran a command doesn't hold it

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    stdout = os.open(folder.stdout, flags, 0o600)
    try:
        stderr = os.open(folder.stderr, flags, 0o600)
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                cwd=cwd,
                close_fds=True,
                start_new_session=True,
            )
        finally:
            os.close(stderr)
    finally:
        os.close(stdout)


def _attend(process: "subprocess.Popen[bytes]", folder: StepFolder, timeout: float, control: Control) -> Outcome:
    """Wait for the end, or bring it about when the time is over, on a cancel, or when the daemon ends."""
    ended = threading.Event()
    threading.Thread(target=_watch, args=(process, ended, control), daemon=True).start()
    deadline = time.monotonic() + timeout
    status = ""
    was_let_finish = False
    while not ended.is_set():
        if control.is_shutting_down:
            _stop_for_shutdown(process, folder, ended)
            raise Abandoned()
        if not status and (control.is_cancelled or time.monotonic() >= deadline):
            status = outcomes.CANCELLED if control.is_cancelled else outcomes.TIMED_OUT
            was_let_finish = not _kill(process, folder)
        stalled = _stalled(folder) if was_let_finish and not ended.is_set() else ""
        if stalled:
            stdout, stderr = folder.streams()
            stderr += (GOES_ON % (_CAUSE[status], stalled)).encode("utf-8", "replace")
            return Outcome(status, outcomes.KILLED, stdout, stderr)
        remaining = deadline - time.monotonic()
        control.wait(min(_CHECK_SECONDS, max(remaining, 0.0)) if not status else _CHECK_SECONDS)
        _trim(folder)
    if status and not was_let_finish:
        _kill_group(process, signal.SIGKILL)  # what was frozen too late to be killed with the rest
    code = process.returncode
    stdout, stderr = folder.streams()
    if status:
        if was_let_finish:
            stderr += (LET_FINISH % _CAUSE[status]).encode("ascii")
        return Outcome(status, outcomes.KILLED, stdout, stderr)
    if code > 0 and code != outcomes.EXIT_REBOOT and code != outcomes.EXIT_SUCCESS:
        stderr += b"%sfailed to run commands: exit status %d\n" % (b"" if stderr[-1:] in (b"", b"\n") else b"\n", code)
    return Outcome(*outcomes.status_of_exit(code), stdout=stdout, stderr=stderr)


def _watch(process: "subprocess.Popen[bytes]", ended: threading.Event, control: Control) -> None:
    process.wait()
    ended.set()
    control.process_ended()


def _kill(process: "subprocess.Popen[bytes]", folder: StepFolder) -> bool:
    """End the step now; or, in a package transaction, ask its worker to end after it. Whether it was killed.

    The group is frozen before looking, so that no transaction begins between the look and the kill.
    """
    _kill_group(process, signal.SIGSTOP)
    worker = transaction_worker(folder.command_dir, process.pid)
    if worker is None:
        _kill_group(process, signal.SIGKILL)
        return True
    _kill_group(process, signal.SIGCONT)
    _signal(worker, signal.SIGTERM)
    return False


def _stop_for_shutdown(process: "subprocess.Popen[bytes]", folder: StepFolder, ended: threading.Event) -> None:
    if transaction_worker(folder.command_dir, process.pid) is not None:
        return  # it goes on without the daemon; its own journal tells the next run what it did
    _kill_group(process, signal.SIGTERM)
    if not ended.wait(STOP_GRACE_SECONDS):
        _kill(process, folder)


def transaction_worker(command_dir: str, step_pid: int) -> "Optional[int]":
    """The process in a package transaction, if the step is in one: the pid in the file, else the step's own."""
    try:
        with open(os.path.join(command_dir, TRANSACTION_FILE), "rb") as file:
            content = file.read(32).strip()
    except OSError:
        return None
    pid = int(content) if content.isdigit() else step_pid
    return pid if _belongs_to(pid, command_dir) else step_pid


def _belongs_to(pid: int, command_dir: str) -> bool:
    """Whether a process was started for this command, by its environment: a stale pid may be anybody's."""
    marker = ("PATCHWRIGHT_COMMAND_DIR=" + command_dir).encode("utf-8", "surrogateescape")
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            return marker in file.read().split(b"\0")
    except OSError:
        return False


def _kill_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(KEPT_OUTPUT_BYTES)
    except OSError:
        return b""


def _stalled(folder: StepFolder) -> str:
    """What a transaction waits for that makes no progress: nobody may wait for its end."""
    try:
        with open(os.path.join(folder.command_dir, WAITING_FILE), "rb") as file:
            return file.read(2000).decode("utf-8", "replace")
    except OSError:
        return ""


def _trim(folder: StepFolder) -> None:
    """Keep a talkative step from filling the disk: writing goes on at the new end, what is reported is the head."""
    for path in (folder.stdout, folder.stderr):
        try:
            if os.path.getsize(path) > TRIM_ABOVE_BYTES:
                os.truncate(path, KEPT_OUTPUT_BYTES)
        except OSError:
            pass
