"""Parsers of what apt-get and dpkg print about transactions. Pure: captured text in, values out.

Repositories and maintainer scripts choose much of the text: it is matched strictly, and made safe where it is quoted.
"""

import re
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

from patchwright_agent import text
from patchwright_agent.managers import apt_output
from patchwright_agent.managers.installer import (
    BROKEN,
    DISK_FULL,
    DOWNLOAD,
    LOCKED,
    MANAGER_FAILED,
    SIGNATURE,
    Change,
    Slot,
)

MAX_WORDS_LINES = 5  # of a failing script's own words, its last ones
MAX_REASON_CHARACTERS = 400
MAX_CONFIGURATION_FILES = 100

# Inst NAME[:ARCH] [OLD] (NEW ORIGINS [ARCH]) ...; OLD is absent for a package that comes in anew.
_INST = re.compile(r"Inst (\S+?)(?::(\S+))?(?: \[([^\]\s]+)\])? \((\S+) (?:[^\[\]]* )?\[([^\]\s]+)\]\)")
_REMOVED = re.compile(r"(?:Remv|Purg) (\S+?)(?::(\S+))? \[")
_UNMET = re.compile(r" \S+ : ")
# After a question about a configuration file that nobody could answer, it stands at the end of the question's line.
_PROCESSING = re.compile(r"(?:.*\? )?dpkg: error processing (package|archive) (\S+) \(-+[\w-]+\):")
_ARCHIVE = re.compile(r"(?:.*/)?([^/_]+)_[^/_]*_([^/_]+)\.deb\Z")
_BEGIN = re.compile(
    r"(?:Setting up|Unpacking|Removing|Processing triggers for) (\S+) \("
    r"|Preparing to unpack (?:\S*/)?(?:\d+-)?([^/_\s]+)_"
    r"|dpkg: dependency problems prevent (?:configuration|processing triggers) (?:of|for) (\S+):"
)
_DPKG_OWN = re.compile(r"dpkg(?:-deb|-split)?: |Configuration file '| ==> |debconf: |Errors were encountered|E: |W: ")
_CONFIGURATION_FILE = re.compile(r"Configuration file '(/[^']*)'")
_KEPT = (" ==> Keeping old config file as default.", " ==> Using current old file as you requested.")
DEPENDENCY_PROBLEMS = "dependency problems"  # how dpkg's reason begins where another package is to blame
# The first that fits says why a call failed.
_REASONS = (
    (DISK_FULL, re.compile(r"No space left on device|don't have enough free space|Disk quota exceeded")),
    (LOCKED, re.compile(r"Could not get lock|Unable to (?:acquire|lock) |frontend lock was locked|is another process")),
    (
        SIGNATURE,
        re.compile(
            r"unauthenticated|cannot be authenticated|NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|GPG error|is not signed"
            r"|signatures? (?:were|was) invalid|signatures? couldn't be verified|signature verification|sqv"
        ),
    ),
    (BROKEN, re.compile(r"dpkg was interrupted|Unmet dependencies\. Try|very bad inconsistent state")),
    (
        DOWNLOAD,
        re.compile(r"Failed to fetch|Unable to fetch|Hash Sum mismatch|unexpected size|can't find an archive"),
    ),
)


class Inst(NamedTuple):
    """An `Inst` line: `foreign` is the architecture after the name, "" for the native one; `arch` the new version's."""

    name: str
    foreign: str
    from_version: str
    version: str
    arch: str


def parse_simulation(output: str) -> Tuple[List[Inst], List[Tuple[str, str]]]:
    """What `apt-get -s` would install and what it would remove ((name, foreign architecture or "")).

    Raises ValueError for such a line that can't be read: an unread change must not pass for none.
    """
    installed: List[Inst] = []
    removed: List[Tuple[str, str]] = []
    for line in output.split("\n"):
        if line.startswith("Inst "):
            match = _INST.match(line)
            if match is None or not apt_output.NAME.match(match.group(1)):
                raise ValueError("apt-get's line cannot be read: %s" % text.field(line, 200))
            name, foreign, before, version, arch = match.groups()
            installed.append(Inst(name, foreign or "", before or "", version, arch))
        elif line.startswith(("Remv ", "Purg ")):
            match = _REMOVED.match(line)
            if match is None or not apt_output.NAME.match(match.group(1)):
                raise ValueError("apt-get's line cannot be read: %s" % text.field(line, 200))
            removed.append((match.group(1), match.group(2) or ""))
    return installed, removed


def changes_of(installed: Sequence[Inst], arches: Mapping[Slot, str], native: str) -> List[Change]:
    """The changes, each in its slot as the facts call it.

    `arches` maps (name, architecture, the native one for `all`) of what is installed to its own architecture.
    """
    changes = []
    for line in installed:
        key = (line.name, line.foreign or native)
        arch = arches.get(key, line.arch) if line.from_version else line.arch
        changes.append(Change(line.name, arch, line.from_version, line.version))
    return changes


def problem_of(stdout: str, stderr: str) -> str:
    """Why apt-get could not resolve something, in its words: the error, and the unmet dependencies if it names any."""
    reason = apt_output.first_error(stderr, "apt-get could not resolve it")
    unmet = [text.field(line.strip(), 200) for line in stdout.split("\n") if _UNMET.match(line)]
    return text.field("; ".join(unmet[:3] + [reason]), MAX_REASON_CHARACTERS)


def reason_code(output: str) -> str:
    """The problem code of a failed call, by what it said."""
    for code, pattern in _REASONS:
        if pattern.search(output):
            return code
    return MANAGER_FAILED


def parse_failures(output: str) -> Dict[Slot, str]:
    """What dpkg could not process: (name, architecture or "") -> its reason, and what the package's script said."""
    failures: Dict[Slot, str] = {}
    words: Dict[str, List[str]] = {}
    current = ""
    lines = output.split("\n")
    for number, line in enumerate(lines):
        begun = _BEGIN.match(line)
        error = _PROCESSING.match(line)
        if begun:
            current = (begun.group(1) or begun.group(2) or begun.group(3)).partition(":")[0]
            words[current] = []
        elif error:
            slot = _slot_of(*error.groups())
            reason = lines[number + 1].strip() if number + 1 < len(lines) else ""
            failures.setdefault(slot, _message(reason, words.get(slot[0], ())))
        elif current and line.strip() and not _DPKG_OWN.match(line):
            words[current].append(line.strip())
    return failures


def _slot_of(kind: str, subject: str) -> Slot:
    if kind == "archive":
        match = _ARCHIVE.match(subject)
        return (match.group(1), "") if match else (text.field(subject, 200), "")
    name, _, arch = subject.partition(":")
    return text.field(name, 200), text.field(arch, 32)


def _message(reason: str, words: Sequence[str]) -> str:
    said = " / ".join(text.field(line, 150) for line in words[-MAX_WORDS_LINES:])
    return text.field(reason + ("; it said: " + said if said else ""), MAX_REASON_CHARACTERS)


def kept_configuration_files(output: str) -> List[str]:
    """The configuration files that dpkg left as they are, their new versions beside them. In the order of the text."""
    kept: List[str] = []
    path = ""
    for line in output.split("\n"):
        named = _CONFIGURATION_FILE.match(line)
        if named:
            path = text.field(named.group(1))
        elif line in _KEPT and path:
            kept.append(path)
            path = ""
    return kept[:MAX_CONFIGURATION_FILES]


def parse_sizes(output: str) -> Dict[Tuple[str, str], Tuple[int, int]]:
    """(download, installed) sizes in bytes by (name, version), from the records of `apt-cache show`."""
    sizes = {}
    for stanza in output.split("\n\n"):
        values = dict(line.split(": ", 1) for line in stanza.split("\n") if ": " in line and not line.startswith(" "))
        download, installed = values.get("Size", ""), values.get("Installed-Size", "")
        if "Package" in values and "Version" in values and download.isdigit():
            room = int(installed) * 1024 if installed.isdigit() else 0
            sizes[values["Package"], values["Version"]] = int(download), room
    return sizes
