"""What became of a dnf transaction, by the words of dnf, rpm and the packages' scripts. Pure."""

import re
from typing import List, NamedTuple, Optional

from patchwright_agent import text
from patchwright_agent.managers.installer import (
    DISK_FULL,
    DOWNLOAD,
    LOCKED,
    MANAGER_FAILED,
    REPOSITORY_CHANGED,
    SIGNATURE,
)

MAX_WORDS = 400
_SCRIPT = re.compile(r"Error in (\w+) scriptlet in rpm package (\S+)")
_STATUS = re.compile(r"scriptlet failed, ((?:exit status|signal) \d+)")
_PAYLOAD = re.compile(r"Error (?:in cpio payload of|unpacking) rpm package (\S+?)-[^-\s]+-[^-\s]+\Z")
_CODES = {"differs": REPOSITORY_CHANGED, "download": DOWNLOAD, "signature": SIGNATURE, "locked": LOCKED}
_FULL = re.compile(
    r"more space needed|needs \d+[KMG]?B (?:more space )?on the|No space left on device|not enough free space",
    re.IGNORECASE,
)
_LOCK = re.compile(r"can't create transaction lock|already locked by|database is locked", re.IGNORECASE)
# Scripts of what comes in. Those of what leaves are said, and fail nothing: the new version is in.
_INCOMING = frozenset(("PRETRANS", "PREIN", "POSTIN", "POSTTRANS", "TRIGGERPREIN", "TRIGGERIN"))


class ScriptError(NamedTuple):
    """A script, or a payload, that failed. `is_incoming`: of a package that came in, not of one that went."""

    name: str
    message: str
    is_incoming: bool


def reason_code(refused: str, words: str) -> str:
    """The problem code of a transaction that was refused or broke off, by dnf's and rpm's words."""
    if _FULL.search(words):
        return DISK_FULL
    if refused == "transaction" and _LOCK.search(words):
        return LOCKED
    return _CODES.get(refused, MANAGER_FAILED)


def script_error(message: str, said: str) -> Optional[ScriptError]:
    """One of dnf's error messages of a transaction with what the script printed; None if it names no package."""
    script = _SCRIPT.search(message)
    if script:
        kind = script.group(1).upper()
        lines = [line.strip() for line in said.split("\n") if line.strip()]
        status = next((found.group(1) for found in map(_STATUS.search, lines) if found), "")
        own = [line for line in lines if not _STATUS.search(line)]
        told = "its %s script failed%s%s" % (kind, ", " + status if status else "", ": " + own[-1] if own else "")
        return ScriptError(text.field(script.group(2)), text.field(told, MAX_WORDS), kind in _INCOMING)
    payload = _PAYLOAD.search(message)
    if payload:
        return ScriptError(text.field(payload.group(1)), text.field(message, MAX_WORDS), True)
    return None


def last_words(output: str) -> str:
    """The last line of an output that says something, for a child that left no answer."""
    lines = [line.strip() for line in output.split("\n") if line.strip()]
    return text.field(lines[-1], MAX_WORDS) if lines else "it said nothing"


def one_line(message: str) -> str:
    """dnf's several lines in one."""
    parts = [part.strip() for part in message.split("\n")]
    return text.field("; ".join(part.rstrip(":;") for part in parts if part), MAX_WORDS)


def named(messages: List[str]) -> str:
    """The first of several messages, and how many more there are."""
    return messages[0] + (" and %d more" % (len(messages) - 1) if len(messages) > 1 else "")
