"""Asks dnf: a question to its Python bindings, in a child run by the interpreter that has them.

Little is imported here, since the child takes its time and the rest can be imported while it is at work.
"""

import json
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional

import patchwright_agent
from patchwright_agent import platform, run
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.platform import UnsupportedPlatform

TIMEOUT_SECONDS = 120
REFRESH_TIMEOUT_SECONDS = 900
DNF = "/usr/bin/dnf-3"
DNF5 = "/usr/bin/dnf5"
EXIT_NO_BINDINGS = 3  # of the child
_INTERPRETERS = ("/usr/libexec/platform-python", "/usr/bin/python3")
_SHEBANG = re.compile(r"#!\s*(/[\w./+-]+)")
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
    """Begin to ask dnf for the facts; `answer` of what this returns waits for them."""
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
        self.request = request
        self._word, self._timeout_seconds = word, timeout_seconds
        self._argument = "@" + path if path else json.dumps(request)
        self._interpreters = [interpreter] if interpreter else interpreters()
        self._child = self._started()

    def answer(self) -> Dict[str, Any]:
        """What the child says. Raises ManagerError with dnf's words, UnsupportedPlatform without dnf 4."""
        done = self._child.wait()
        while done.returncode in (EXIT_NO_BINDINGS, run.RETURN_CODE_NOT_STARTED):
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
        from patchwright_agent.managers.dnf import lock_holder

        holder = lock_holder()
        by = " (%s is held by %s)" % holder if holder else ""
        raise ManagerError("dnf did not answer within %d seconds%s" % (timeout_seconds, by))
    try:
        answer = json.loads(done.text)
    except ValueError:
        answer = None
    from patchwright_agent import text

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
