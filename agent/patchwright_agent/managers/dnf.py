"""The facts of an rpm host, by its own dnf 4: its Python bindings, in a child run by the interpreter that has them.

One process, one sack: what `dnf check-update`, `updateinfo` and `versionlock` would say costs no more than the first.
"""

import hashlib
import json
import os
import re
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import patchwright_agent
from patchwright_agent import platform, run, text
from patchwright_agent.managers import dnf_child, locks
from patchwright_agent.managers.model import LOCKED, ManagerError, ManagerFacts, Problem
from patchwright_agent.platform import UnsupportedPlatform

TIMEOUT_SECONDS = 120
REFRESH_TIMEOUT_SECONDS = 900
DNF = "/usr/bin/dnf-3"
DNF5 = "/usr/bin/dnf5"
# Where rpm keeps its database, and so its transaction lock: the old place and the new.
RPM_LOCKS = ("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock")
DNF_LOCK = "/var/lib/dnf/rpmdb_lock.pid"
MODULES_DIR = "/etc/dnf/modules.d"
_POLL_SECONDS = 0.5
_INTERPRETERS = ("/usr/libexec/platform-python", "/usr/bin/python3")
_SHEBANG = re.compile(r"#!\s*(/[\w./+-]+)")
_MAX_SOURCE_BYTES = 4 * 1024 * 1024  # subscriptions write files of hundreds of repositories
_ENTRY = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from patchwright_agent.managers import dnf_child; "
    "sys.exit(dnf_child.main(sys.argv[1:]))"
)


class Request(NamedTuple):
    """`refresh`: True fetches the metadata first, False never, None only into own caches that are empty.

    `cache_dir` is the agent's own folder for metadata; "" reads the system's. `notice_cache` is a file of the agent's.
    """

    refresh: Optional[bool]
    cache_dir: str
    notice_cache: str = ""


def start(request: Request) -> "Asked":
    """Begin to ask dnf; `facts` of what this returns waits for the answer."""
    fetch = "always" if request.refresh else "never"
    if request.refresh is None and request.cache_dir:
        fetch = "missing"
    timeout = TIMEOUT_SECONDS if fetch == "never" else REFRESH_TIMEOUT_SECONDS
    question = {
        "fetch": fetch,
        "cache_dir": request.cache_dir,
        "releasever": releasever(),
        "notice_cache": request.notice_cache,
    }
    return Asked("facts", question, timeout)


def releasever() -> str:
    """What `$releasever` of repositories is to be, "" for what the host says.

    Amazon Linux pins a host to the release it was made with; patches come from the latest.
    Source: spec/patch-baselines.md 4.3.
    """
    return "latest" if platform.operating_system().id == "amzn" else ""


class Asked:
    """A question that the child is answering. `path`: a file that has the request; `interpreter`: one that is known."""

    def __init__(
        self, word: str, request: Dict[str, Any], timeout_seconds: float, path: str = "", interpreter: str = ""
    ) -> None:
        self._word, self._request, self._timeout_seconds = word, request, timeout_seconds
        self._argument = "@" + path if path else json.dumps(request)
        self._interpreters = [interpreter] if interpreter else interpreters()
        self._child = self._started()

    def facts(self) -> ManagerFacts:
        """The facts. What goes wrong is among their problems.

        Raises ManagerError if dnf or the rpm database cannot be asked, UnsupportedPlatform where there is no dnf 4.
        """
        from patchwright_agent.managers import dnf_output  # while the child is at work

        modules = _modules(dnf_output.MAX_MODULES, dnf_output.parse_modules)
        answer = self.answer()
        answer["fetch"] = self._request["fetch"]
        try:
            if not answer["installed"]:
                raise ManagerError("the rpm database holds no package or cannot be read; rpm --rebuilddb may mend it")
            digest = _digest([str(path) for path in answer["source_files"]])
            return dnf_output.manager_facts(answer, modules, digest, lock_problems())
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ManagerError("dnf's answer cannot be understood: %r" % error)

    def answer(self) -> Dict[str, Any]:
        """What the child says. Raises ManagerError with dnf's words, UnsupportedPlatform without dnf 4."""
        done = self._child.wait()
        while done.returncode in (dnf_child.EXIT_NO_BINDINGS, run.RETURN_CODE_NOT_STARTED):
            if not self._interpreters:
                raise UnsupportedPlatform(missing_dnf())
            done = self._started().wait()
        return understood(done, self._timeout_seconds)

    def _started(self) -> run.Child:
        """Start the child by the next interpreter that may have dnf's bindings: `interpreter` is the one in use."""
        self.interpreter = self._interpreters.pop(0)
        return run.start(child_argv(self.interpreter, self._word, self._argument), self._timeout_seconds)


def child_argv(interpreter: str, word: str, argument: str) -> List[str]:
    """The command of a child: isolated from the caller's Python settings, importing this agent's own files."""
    archive = os.path.dirname(os.path.dirname(os.path.abspath(patchwright_agent.__file__)))
    return [interpreter, "-I", "-B", "-c", _ENTRY, archive, word, argument]


def understood(done: run.Completed, timeout_seconds: float) -> Dict[str, Any]:
    """The answer of a child that ended. Raises ManagerError."""
    if done.timed_out:
        holder = lock_holder()
        by = " (%s is held by %s)" % holder if holder else ""
        raise ManagerError("dnf did not answer within %d seconds%s" % (timeout_seconds, by))
    try:
        answer = json.loads(done.text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        said = text.field(done.error_text.strip().split("\n")[-1]) or "exit code %d" % done.returncode
        raise ManagerError("dnf cannot be asked: %s" % said)
    if "error" in answer:
        raise ManagerError("dnf failed: %s; run dnf check to see more" % text.field(str(answer["error"])))
    return answer


def interpreters() -> List[str]:
    """Interpreters that may have dnf's bindings, the likeliest first: the one that runs dnf itself."""
    match = _SHEBANG.match(platform.small_file(DNF)[:200])
    found = [match.group(1)] if match else []
    return found + [path for path in _INTERPRETERS if path not in found]


def missing_dnf() -> str:
    """Why this host has no dnf 4 to ask, in words."""
    if os.path.exists(DNF5) and not os.path.exists(DNF):
        return "this host is patched by dnf5, which this version of the agent does not support; nothing was changed"
    return "this host has no dnf 4 with its Python bindings (python3-dnf); nothing was changed"


def lock_problems() -> List[Problem]:
    """A transaction of somebody else that is under way, as a problem."""
    holder = lock_holder()
    if holder is None:
        return []
    message = "%s is held by %s" % (holder.path, holder.program or "a process that cannot be seen from here")
    return [Problem(LOCKED, message, "fuser -v " + holder.path)]


def wait_for_locks(tell: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> locks.Wait:
    """Wait for whoever holds rpm's transaction lock or dnf's own."""
    seconds, waited = locks.wait_seconds(), 0.0
    first = holder = lock_holder()
    while holder is not None and waited < seconds:
        if not waited:
            tell("waiting for %s, which holds %s" % (holder.program or "another process", holder.path))
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        holder = lock_holder()
    return locks.Wait(holder, first, waited)


def lock_holder() -> Optional[locks.Holder]:
    """Who changes packages by dnf or rpm just now."""
    return locks.first_holder(RPM_LOCKS) or pid_file_holder(DNF_LOCK)


def pid_file_holder(path: str) -> Optional[locks.Holder]:
    """The living process whose number stands in dnf's own lock file, None if there is none."""
    content = platform.small_file(path).strip()
    if not content.isdigit() or len(content) > 9 or not _is_alive(int(content)):
        return None
    return locks.Holder(path, locks.program_of(int(content)))


def _is_alive(pid: int) -> bool:
    """Whether a process runs. One that is dead, and that its parent has not asked after yet, holds nothing any more."""
    _, _, after = platform.small_file("/proc/%d/stat" % pid).rpartition(")")  # the name before may hold anything
    return after.split()[:1] not in ([], ["Z"], ["X"])


def _digest(paths: Sequence[str]) -> str:
    """SHA-256 of what the files define that name the repositories."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read(_MAX_SOURCE_BYTES)
        except OSError:
            continue
        kept = [line.rstrip() for line in content.split(b"\n") if line.strip() and not line.lstrip().startswith(b"#")]
        digest.update(b"%s\n%s\n" % (os.path.basename(path).encode("utf-8", "replace"), b"\n".join(kept)))
    return digest.hexdigest()


def _modules(limit: int, parse: Callable[[str], List[str]]) -> Sequence[str]:
    try:
        names = sorted(os.listdir(MODULES_DIR))[:limit]
    except OSError:
        return []
    enabled = []  # type: List[str]
    for name in names:
        if name.endswith(".module"):
            enabled += parse(platform.small_file(os.path.join(MODULES_DIR, name)))
    return enabled
