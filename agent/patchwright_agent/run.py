"""The only place where a child process is started.

A child gets an argument list (never a shell), the C locale, no terminal to ask questions on, a small environment, a
time limit and an output limit; passing either limit ends its whole process group. Several children may run at once:
`start` returns immediately, `Child.wait` gives the outcome. The one exception is a child that must not be cut in two,
a transaction of a package manager: `detached` lets it live on whatever becomes of this process.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

MAX_OUTPUT_BYTES = 64 * 1024 * 1024  # ten times what `apt-cache policy` says about ten thousand packages
_CHUNK_BYTES = 1024 * 1024
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a package manager may need from its caller. Everything else, secrets of the agent included, stays here.
_PASSED_ON = (
    "HOME",
    "TMPDIR",
    "APT_CONFIG",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
)

RETURN_CODE_NOT_STARTED = 127


class Completed(NamedTuple):
    """The outcome of a child. `returncode` is negative for a signal, 127 when the program could not be started."""

    argv: Sequence[str]
    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    overflowed: bool

    @property
    def succeeded(self) -> bool:
        return self.returncode == 0 and not self.timed_out and not self.overflowed

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode("utf-8", "replace")


class Child:
    """A running child whose output a thread collects."""

    def __init__(
        self, argv: Sequence[str], timeout_seconds: float, max_bytes: int, sink: Optional[Callable[[bytes], None]]
    ) -> None:
        self._argv = tuple(argv)
        self._deadline = time.monotonic() + timeout_seconds
        self._max_bytes = max_bytes
        self._sink = sink
        self._outputs: Dict[str, List[bytes]] = {"stdout": [], "stderr": []}
        self._timed_out = self._overflowed = False
        self._failure: Optional[BaseException] = None
        self._not_started = b""
        self._thread: Optional[threading.Thread] = None
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                cwd="/",
                close_fds=True,
                start_new_session=True,  # an own process group, so that all of it can be ended
            )
        except OSError as error:
            self._not_started = ("%s: %s" % (self._argv[0], error.strerror)).encode()
            return
        self._thread = threading.Thread(target=self._collect, name="output of " + self._argv[0], daemon=True)
        self._thread.start()

    def wait(self) -> Completed:
        """Wait for the end. An interruption (a signal's exception) ends the child's process group first."""
        if self._thread is None:
            return Completed(self._argv, RETURN_CODE_NOT_STARTED, b"", self._not_started, False, False)
        try:
            self._thread.join()
        except BaseException:
            self.kill()
            raise
        if self._failure is not None:
            raise self._failure
        stdout, stderr = (b"".join(self._outputs[name]) for name in ("stdout", "stderr"))
        return Completed(self._argv, self._process.returncode, stdout, stderr, self._timed_out, self._overflowed)

    def kill(self) -> None:
        """End the child and everything that it started in its process group."""
        if self._thread is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _collect(self) -> None:
        try:
            self._read_outputs()
        except BaseException as error:  # handed to whoever waits: a thread must not lose it
            self._failure = error
            self.kill()
        finally:
            self._reap()

    def _read_outputs(self) -> None:
        collected = 0
        with selectors.DefaultSelector() as selector:
            for name, stream in {"stdout": self._process.stdout, "stderr": self._process.stderr}.items():
                if stream is not None:  # always: both are pipes
                    selector.register(stream.fileno(), selectors.EVENT_READ, name)
            while selector.get_map():
                remaining = self._deadline - time.monotonic()
                ready = selector.select(max(remaining, 0))
                if not ready and remaining <= 0:
                    self._timed_out = True
                    return
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    if not chunk:
                        selector.unregister(key.fd)
                        continue
                    collected += len(chunk)
                    if collected > self._max_bytes:
                        self._overflowed = True
                        return
                    self._keep(key.data, chunk)

    def _keep(self, name: str, chunk: bytes) -> None:
        if name == "stdout" and self._sink is not None:
            self._sink(chunk)
        else:
            self._outputs[name].append(chunk)

    def _reap(self) -> None:
        if self._timed_out or self._overflowed:
            self.kill()
        try:
            self._process.wait(max(self._deadline - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            self._timed_out = True
            self.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def start(
    argv: Sequence[str],
    timeout_seconds: float,
    max_bytes: int = MAX_OUTPUT_BYTES,
    sink: Optional[Callable[[bytes], None]] = None,
) -> Child:
    """Start `argv` and return at once. With `sink`, standard output goes there piece by piece and is not kept."""
    return Child(argv, timeout_seconds, max_bytes, sink)


def run(argv: Sequence[str], timeout_seconds: float, max_bytes: int = MAX_OUTPUT_BYTES) -> Completed:
    """Start `argv` and wait for its end."""
    return start(argv, timeout_seconds, max_bytes).wait()


class Detached:
    """A running child that does not depend on this process: an own session, output in a file, its pid in another."""

    def __init__(self, argv: Sequence[str], output_path: str, pid_path: str, extra: Dict[str, str]) -> None:
        self._argv = tuple(argv)
        self._output_path = output_path
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        output = os.open(output_path, flags, 0o600)
        pid_file = os.open(pid_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

        def record_pid() -> None:  # in the child, so that there is no moment in which it runs unrecorded
            os.write(pid_file, b"%d" % os.getpid())

        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment(), **extra),
                cwd="/",
                close_fds=True,
                start_new_session=True,
                preexec_fn=record_pid,  # noqa: PLW1509 (no other thread of this process is alive then)
            )
        finally:
            os.close(output)
            os.close(pid_file)

    def wait(self, look: Callable[[], None], every_seconds: float) -> int:
        """Wait for the end, however long; the exit code, negative for a signal. The output is kept from flooding.

        `look` is called from time to time.
        """
        while True:
            try:
                return self._process.wait(every_seconds)
            except subprocess.TimeoutExpired:
                look()
                if os.path.getsize(self._output_path) > MAX_OUTPUT_BYTES:
                    os.truncate(self._output_path, 0)  # it goes on at the new end; its beginning is lost


def detached(argv: Sequence[str], output_path: str, pid_path: str, extra: Dict[str, str]) -> Detached:
    """Start a child that outlives this process. `extra` are more environment variables. Raises OSError."""
    return Detached(argv, output_path, pid_path, extra)


def environment() -> Dict[str, str]:
    """The environment of every child: the C locale, nobody to ask, and the few variables that are passed on."""
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    variables["PATH"] = os.environ.get("PATH") or _DEFAULT_PATH
    variables["LC_ALL"] = "C"
    variables["DEBIAN_FRONTEND"] = "noninteractive"
    variables["NEEDRESTART_MODE"] = "l"  # list only: it must neither ask nor restart what runs us
    variables["APT_LISTCHANGES_FRONTEND"] = "none"
    variables["APT_LISTBUGS_FRONTEND"] = "none"
    return variables
