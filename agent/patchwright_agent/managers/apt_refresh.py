"""Fetching apt's indexes: `apt-get update`, into the system's lists as root or into the agent's own."""

import os
import time
from typing import Callable, List, Sequence

from patchwright_agent import run, text
from patchwright_agent.managers import apt_output, locks
from patchwright_agent.managers.model import REFRESH_FAILED, Problem

TIMEOUT_SECONDS = 900
_REMEDY = "apt-get update"
# Of some failures apt-get says no more than a warning, and ends with 0; the option makes newer ones an error.
_STRICT = ("-o", "APT::Update::Error-Mode=any")
_WARNINGS = (
    "W: Failed to fetch",
    "W: Some index files failed",
    "W: An error occurred during the signature verification",
)


def refresh(options: Sequence[str], lists: str, sleep: Callable[[float], None] = time.sleep) -> List[Problem]:
    """Fetch the indexes of all enabled sources; old ones stay where that fails. Waits for another's refresh to end."""
    lock = os.path.join(lists, "lock")
    wait = locks.wait_until_free([lock], locks.wait_seconds(), sleep)
    if wait.holder is not None:
        who = wait.holder.program or "another process"
        return [Problem(REFRESH_FAILED, "%s kept %s locked for %d seconds" % (who, lock, wait.seconds), _REMEDY)]
    answer = run.run(["apt-get", "update", "-q"] + list(_STRICT) + list(options), TIMEOUT_SECONDS)
    if answer.timed_out:
        return [Problem(REFRESH_FAILED, "apt-get update did not end within %d seconds" % TIMEOUT_SECONDS, _REMEDY)]
    complaint = refresh_complaint(answer.error_text)
    if answer.succeeded and not complaint:
        return []
    message = complaint or apt_output.first_error(answer.error_text, "exit code %d" % answer.returncode)
    return [Problem(REFRESH_FAILED, "apt-get update failed, the indexes on hand are used: " + message, _REMEDY)]


def refresh_complaint(messages: str) -> str:
    """The first line in which apt-get says that an index is not up to date, "" if it says nothing of the kind."""
    for line in messages.split("\n"):
        if line.startswith("E: ") or line.startswith(_WARNINGS):
            return text.field(apt_output.without_password(line[3:]))
    return ""
