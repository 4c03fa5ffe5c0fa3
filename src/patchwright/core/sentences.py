"""The words of an explanation: one sentence per situation, and the command or API call that changes it."""

import shlex
from dataclasses import dataclass
from datetime import datetime

from patchwright.core.baselines import PatchBaseline
from patchwright.core.failures import ProblemCode, read_kept
from patchwright.core.judgement import Reason, ReasonCode, ReleaseSource
from patchwright.core.plan import DropCode
from patchwright.core.values import FAMILY_OF, Family

INSTALL = "aws ssm send-command --document-name AWS-RunPatchBaseline --parameters Operation=Install"
SCAN = "aws ssm send-command --document-name AWS-RunPatchBaseline --parameters Operation=Scan"
"""Both still want the node's `--instance-ids`, which the rules do not know."""

_SOURCE_WORDS = {
    ReleaseSource.NOTICE_UPDATED: "its notice was last updated",
    ReleaseSource.NOTICE_ISSUED: "its notice was issued",
    ReleaseSource.BUILD_TIME: "it was built",
    ReleaseSource.REPOSITORY_FIRST_SEEN: "its repository's Release file is dated",
    ReleaseSource.FIRST_REPORT: "a node first reported it",
    ReleaseSource.NONE: "nothing dates it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a sentence speaks of. `newest` is the newest version on offer, "" if none is newer than `installed`."""

    name: str
    patch_id: str
    baseline: PatchBaseline
    installed: str = ""
    target: str = ""
    newest: str = ""


def printable(text: str, limit: int = 400) -> str:
    """`text` with everything that a terminal would obey replaced, and cut: names and messages come from hosts."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:limit])
    return shown + "..." if len(text) > limit else shown


def sentence_for(code: ReasonCode, reason: Reason, subject: Subject) -> str:
    """One sentence in an operator's words. Control characters of host-supplied text are replaced."""
    return printable(_sentence(code, reason, subject))


def _sentence(code: ReasonCode, reason: Reason, subject: Subject) -> str:
    name, baseline = subject.patch_id, subject.baseline.name
    step = f"{name} {subject.installed} -> {subject.target}"
    match code:
        case ReasonCode.APPROVED_BY_RULE:
            return f"{step} is missing: rule {reason.rule} of {baseline} approves it{_since(reason)}."
        case ReasonCode.APPROVED_BY_LIST:
            return f"{step} is missing: the approved entry {reason.entry!r} of {baseline} names it."
        case ReasonCode.NEWER_NOT_APPROVED:
            return f"{step} is missing; {subject.newest} is newer, but not approved: {_why_not(reason, baseline)}."
        case ReasonCode.HELD:
            return f"{step} is approved and missing, but {_held(subject)}; a hold is never overridden."
        case ReasonCode.PHASED:
            return f"{step} is approved and missing, but the vendor's gradual roll-out has not reached this node."
        case ReasonCode.FAILED_LAST_INSTALL:
            return f"{step} is approved, but the last Install could not bring it in{_words(reason)}."
        case ReasonCode.LEFT_OUT_OF_PLAN:
            return f"{step} is approved and missing, but the last Plan leaves it out{_words(reason)}."
        case ReasonCode.SCRIPT_FAILED:
            return (
                f"{name} {subject.installed} is there, but a script of it failed in the last Install{_words(reason)}."
            )
        case ReasonCode.PENDING_REBOOT:
            return f"{name} {subject.installed} was installed without a reboot; the node has not been booted since."
        case ReasonCode.UP_TO_DATE:
            return f"{name} {subject.installed} is installed and {baseline} approves it; nothing newer is on offer."
        case ReasonCode.NO_UPDATE_ON_OFFER:
            return f"{name} {subject.installed} is the newest version that the node's repositories offer."
        case ReasonCode.LOCAL_PACKAGE:
            return f"{name} {subject.installed} is in none of the node's repositories: no update can come from them."
        case ReasonCode.NOT_INSTALLED:
            return f"{name} is not installed; a baseline upgrades what is there and never installs a package anew."
        case ReasonCode.REJECTED_BLOCKED:
            return f"{name} {subject.installed} is installed, yet {_why_not(reason, baseline)}; the action is BLOCK."
        case ReasonCode.NOT_APPLICABLE:
            return f"{name} is approved, but does not apply to this node."
        case ReasonCode.AVAILABLE_SECURITY_UPDATE:
            return f"{name} applies and is a security update, but {baseline} does not approve it."
        case _ if not subject.newest:
            return f"{name} {subject.installed} is installed beside the baseline: {_why_not(reason, baseline)}."
        case _:
            return f"{name} {subject.installed} is not upgraded to {subject.newest}: {_why_not(reason, baseline)}."


def _held(subject: Subject) -> str:
    if FAMILY_OF[subject.baseline.operating_system] is Family.DNF:
        return "the node holds the package by a version lock, or by exclude= in its dnf.conf, which counts here"
    return "the package is held on the node"


def _words(reason: Reason) -> str:
    """What was kept of a failure, after a colon."""
    words = read_kept(reason.details[0]).words.rstrip(".") if reason.details else ""
    return f": {words}" if words else ""


def _why_not(reason: Reason, baseline: str) -> str:
    rule = f"rule {reason.rule} of {baseline}"
    match reason.code:
        case ReasonCode.PENDING_APPROVAL:
            return f"{rule} approves it on {_day(reason.approved_at)}, since {_dated(reason)}"
        case ReasonCode.AFTER_CUTOFF:
            return f"{rule} approves only what was released until its cut-off date, and {_dated(reason)}"
        case ReasonCode.REJECTED | ReasonCode.REJECTED_BLOCKED:
            return f"the rejected entry {reason.entry!r} of {baseline} names it"
        case ReasonCode.NOT_SECURITY if reason.entry is not None:
            return f"the approved entry {reason.entry!r} takes security updates only, which it is not"
        case ReasonCode.NOT_SECURITY:
            return f"it is no security update, and no matching rule of {baseline} takes others"
        case ReasonCode.UNTRUSTED_REPOSITORY:
            return "only repositories whose signature the node does not trust offer it, so it is no security update"
        case ReasonCode.FILTERED_OUT:
            return f"no rule of {baseline} accepts it"
        case ReasonCode.GLOBAL_FILTER:
            return f"the global filters of {baseline} leave it out"
        case ReasonCode.NO_RULES:
            return f"{baseline} has no rules, and its approved list does not name it"
        case _:
            return f"{baseline} does not approve it"


def _since(reason: Reason) -> str:
    return f" since {_day(reason.approved_at)}, because {_dated(reason)}" if reason.approved_at else ""


def _dated(reason: Reason) -> str:
    words = _SOURCE_WORDS[reason.release_source]
    return f"{words} {reason.released_at:%Y-%m-%d %H:%M}Z" if reason.released_at else words


def _day(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M}Z" if instant else "no known date"


def remedy_for(code: ReasonCode, reason: Reason, subject: Subject) -> str:
    """The command or API call that changes the situation, "" if there is nothing to do. Names are shell-quoted."""
    match code:
        case ReasonCode.APPROVED_BY_RULE | ReasonCode.APPROVED_BY_LIST:
            return INSTALL
        case ReasonCode.FAILED_LAST_INSTALL | ReasonCode.LEFT_OUT_OF_PLAN:
            return _after_failure(reason, subject)
        case ReasonCode.SCRIPT_FAILED:
            return _run_scripts_again(subject)
        case ReasonCode.HELD:
            return _unhold(subject)
        case ReasonCode.PENDING_REBOOT:
            return "reboot the node, or " + INSTALL + ",RebootOption=RebootIfNeeded"
        case ReasonCode.REJECTED | ReasonCode.REJECTED_BLOCKED:
            kept = [entry for entry in subject.baseline.rejected_patches if entry != reason.entry]
            return _update(subject.baseline, "--rejected-patches", kept)
        case ReasonCode.NO_RULES | ReasonCode.FILTERED_OUT | ReasonCode.GLOBAL_FILTER | ReasonCode.AFTER_CUTOFF:
            return _approve(subject)
        case ReasonCode.PENDING_APPROVAL | ReasonCode.NEWER_NOT_APPROVED:
            return "" if reason.code is ReasonCode.REJECTED else _approve(subject)
        case ReasonCode.NOT_SECURITY:
            return _approve(subject, "--approved-patches-enable-non-security")
        case ReasonCode.UNTRUSTED_REPOSITORY:
            return "install the repository's signing key on the node and scan again"
        case _:
            return ""


_FIRST: dict[str, str] = {
    DropCode.HELD_DEPENDENCY: "release the hold",
    DropCode.REMOVAL: "decide on the package that would go",
    DropCode.DOWNGRADE: "downgrade that package by hand if it may be downgraded",
    ProblemCode.LOCKED: "let the other program end",
    ProblemCode.DISK_FULL: "make room on the node's disk",
    ProblemCode.BROKEN: "repair the package manager by the remedy that the node names",
    ProblemCode.SIGNATURE: "install the repository's signing key on the node",
    ProblemCode.DOWNLOAD: "make the node's repositories reachable",
}
"""What to do before the next Install, by the code of the last one's failure."""


def _after_failure(reason: Reason, subject: Subject) -> str:
    code = read_kept(reason.details[0]).code if reason.details else ""
    if code == DropCode.BLOCKED_DEPENDENCY:
        return f"take that package off the rejected list of {printable(subject.baseline.name)}, or reject this one too"
    first = _FIRST.get(code)
    return f"{first}, then {INSTALL}" if first else INSTALL


def _run_scripts_again(subject: Subject) -> str:
    name = shlex.quote(printable(subject.name))
    calls = {Family.ZYPPER: f"zypper install --force {name}", Family.YUM: f"yum -y reinstall {name}"}
    family = FAMILY_OF[subject.baseline.operating_system]
    return f"correct the cause, then {calls.get(family, f'dnf -y reinstall {name}')}"


def _unhold(subject: Subject) -> str:
    name = shlex.quote(printable(subject.name))
    match FAMILY_OF[subject.baseline.operating_system]:
        case Family.APT:
            return f"apt-mark unhold {name}"
        case Family.ZYPPER:
            return f"zypper removelock {name}"
        case Family.YUM:
            return f"yum versionlock delete {name}"
        case _:
            return f"dnf versionlock delete {name}, or take it out of exclude= in /etc/dnf/dnf.conf"


def _approve(subject: Subject, *flags: str) -> str:
    # The call replaces the whole list, so the remedy repeats what is already in it.
    entries = [*subject.baseline.approved_patches, subject.name]
    return _update(subject.baseline, "--approved-patches", list(dict.fromkeys(entries)), *flags)


def _update(baseline: PatchBaseline, option: str, entries: list[str], *flags: str) -> str:
    if baseline.predefined:
        return f"{baseline.name} can't be changed: create a baseline of your own and register it for the node"
    words = " ".join(shlex.quote(printable(entry)) for entry in entries) or "'[]'"
    return " ".join(("aws ssm update-patch-baseline --baseline-id", baseline.id, option, words, *flags))
