"""explain(): why a package, CVE or advisory is, or is not, there on one node - by the very rules that judge it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from patchwright.core.approval import Approver, AptDelays
from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Invalid, Kind
from patchwright.core.facts import NodeFacts
from patchwright.core.failures import SCRIPT_FAILED, read_kept
from patchwright.core.judge import HostHistory, host_history, judge, judge_slot, nearest_refusal
from patchwright.core.judgement import (
    Catalogue,
    History,
    Judgement,
    PatchLine,
    Reason,
    ReasonCode,
    Unjudged,
    UnjudgedCode,
)
from patchwright.core.patches import PackageVersion
from patchwright.core.refusals import refusal_of
from patchwright.core.sentences import SCAN, Subject, printable, remedy_for, sentence_for
from patchwright.core.slots import SlotFacts, native_slot, slots_of
from patchwright.core.unjudged import judgeable
from patchwright.core.values import Family, PatchState, Slot

MAX_QUERY_CHARS = 256
"""Longer than any package name, advisory or CVE id."""

CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{1,19}", re.IGNORECASE)
ADVISORY = re.compile(
    r"(RH[SBE]A|RL[SBE]A|AL[SBE]A|EL[SBE]A|CE[SBE]A|ALAS[0-9A-Z.]*|FEDORA|DSA|DLA|USN|(open)?SUSE)-[0-9A-Z:._-]+",
    re.IGNORECASE,
)


LeftOut = Mapping[tuple[Slot, str], str]
"""Why the node's last Plan leaves targets out, by exact target: a failure as it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One situation: its code, a sentence, the details behind it, and what would change it.

    `sentence`, `details` and `remedy` are safe to print; `slot` and `state` are None where no package is concerned.
    """

    code: ReasonCode
    sentence: str
    details: tuple[str, ...] = ()
    remedy: str = ""
    slot: Slot | None = None
    state: PatchState | None = None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One node under one baseline, ready to be asked about."""

    facts: NodeFacts
    history: HostHistory
    approver: Approver
    slots: tuple[SlotFacts, ...]
    left_out: LeftOut = field(default_factory=dict)

    @property
    def baseline(self) -> PatchBaseline:
        return self.approver.baseline

    @property
    def knows_repositories(self) -> bool:
        """Whether the report says where installed versions come from; without that none can be called local."""
        return any(slot.installed.repositories for slot in self.slots)


def explain(
    facts: NodeFacts | None,
    history: History,
    baseline: PatchBaseline,
    catalogue: Catalogue,
    now: datetime,
    query: str,
    *,
    apt_delays: AptDelays = "honour",
    left_out: LeftOut | None = None,
) -> tuple[Explanation, ...]:
    """Explain a package (`name` or `name.arch`), a CVE or an advisory id: one Explanation per slot concerned.

    There is always at least one. Raises Invalid for an empty or oversized query.
    Source: the rules are those of `judge`.
    """
    wanted = query.strip()
    if not 1 <= len(wanted) <= MAX_QUERY_CHARS:
        raise Invalid(Kind.PARAMETERS, f"ask for a package, a CVE or an advisory, in 1 to {MAX_QUERY_CHARS} characters")
    checked = judgeable(facts, baseline)
    if isinstance(checked, Unjudged):
        return (_unjudged(checked, baseline),)
    approver = Approver(baseline, checked.product, catalogue, now, apt_delays=apt_delays)
    case = Case(
        facts=checked,
        history=host_history(history, checked),
        approver=approver,
        slots=slots_of(checked),
        left_out=left_out or {},
    )
    notices = _notice_ids(checked)
    if CVE.fullmatch(wanted) or ADVISORY.fullmatch(wanted) or wanted.lower() in notices:
        return explain_notice(case, wanted, known=bool(notices))
    if approver.family is Family.WINDOWS:
        return _update(case, judge(checked, history, baseline, catalogue, now), wanted)
    found = [slot for slot in case.slots if _is_named(slot, wanted.lower())]
    return tuple(explain_slot(case, slot) for slot in found) or (_not_installed(case, wanted),)


def _is_named(slot: SlotFacts, wanted: str) -> bool:
    return wanted in (slot.slot.name.lower(), slot.slot.patch_id.lower())


def _unjudged(unjudged: Unjudged, baseline: PatchBaseline) -> Explanation:
    reason = Reason(code=ReasonCode.UNJUDGED, details=(unjudged.code,))
    return Explanation(
        code=ReasonCode.UNJUDGED,
        sentence=printable(f"The node can't be judged under {baseline.name}: {unjudged.reason}."),
        details=(str(unjudged.code),),
        remedy=SCAN if unjudged.code in (UnjudgedCode.NO_FACTS, UnjudgedCode.NEEDS_SCAN) else "",
        reason=reason,
    )


def _not_installed(case: Case, name: str) -> Explanation:
    subject = Subject(name=name, patch_id=name, baseline=case.baseline)
    return _explanation(ReasonCode.NOT_INSTALLED, Reason(code=ReasonCode.NOT_INSTALLED), subject, None)


def explain_slot(case: Case, slot: SlotFacts) -> Explanation:
    """Why the slot's line is what it is. The line is the one that `judge` gives."""
    line = judge_slot(slot, case.history, case.approver).line
    code, reason = line.reason.code, line.reason
    out, script = _left_out(case, line), _failed_script(case, line)
    if script is not None:
        code, reason = ReasonCode.SCRIPT_FAILED, replace(reason, code=ReasonCode.SCRIPT_FAILED, details=(script,))
    elif out is not None:
        code, reason = ReasonCode.LEFT_OUT_OF_PLAN, replace(reason, code=ReasonCode.LEFT_OUT_OF_PLAN, details=(out,))
    elif code in (ReasonCode.APPROVED_BY_RULE, ReasonCode.APPROVED_BY_LIST) and _is_below_newest(slot, line):
        code = ReasonCode.NEWER_NOT_APPROVED
        reason = refusal_of(slot.offers[-1], case.approver)
    elif code is ReasonCode.NO_UPDATE_ON_OFFER and case.knows_repositories and not slot.installed.repositories:
        code = ReasonCode.LOCAL_PACKAGE
        reason = replace(reason, code=code)
    return _explanation(code, reason, _subject(case, slot, line), line)


def _left_out(case: Case, line: PatchLine) -> str | None:
    """Why the last Plan leaves the line's target out: for what is missing and would otherwise be installed."""
    if line.state is not PatchState.MISSING or line.target is None:
        return None
    if line.reason.code not in (ReasonCode.APPROVED_BY_RULE, ReasonCode.APPROVED_BY_LIST):
        return None
    return case.left_out.get((line.slot, line.target.version))


def _failed_script(case: Case, line: PatchLine) -> str | None:
    """What was kept of a script that failed in the last Install, if that installed the version that is there.

    A newer version that is missing is what concerns an operator then: it brings its own scripts.
    """
    if line.target is not None or line.installed is None:
        return None
    key = (native_slot(line.slot, case.history.native_arch), line.installed.version)
    said = case.history.failed_reasons.get(key, "")
    return said if read_kept(said).code == SCRIPT_FAILED else None


def _is_below_newest(slot: SlotFacts, line: PatchLine) -> bool:
    return line.target is not None and line.target.sort_key < slot.offers[-1].sort_key


def _subject(case: Case, slot: SlotFacts, line: PatchLine) -> Subject:
    newest = ""
    if slot.offers:
        refused = nearest_refusal(slot.offers, case.approver)[0] if line.target is None else slot.offers[-1]
        newest = refused.version
    return Subject(
        name=slot.slot.name,
        patch_id=slot.slot.patch_id,
        baseline=case.baseline,
        installed=slot.installed.version,
        target=line.target.version if line.target else "",
        newest=newest,
    )


def _explanation(code: ReasonCode, reason: Reason, subject: Subject, line: PatchLine | None) -> Explanation:
    return Explanation(
        code=code,
        sentence=sentence_for(code, reason, subject),
        details=tuple(map(printable, reason.details)),
        remedy=remedy_for(code, reason, subject),
        slot=line.slot if line else None,
        state=line.state if line else None,
        reason=reason,
    )


def _update(case: Case, judgement: Judgement | Unjudged, wanted: str) -> tuple[Explanation, ...]:
    """Windows: the lines of one KB; an update without a line is explained from what the node was offered."""
    lines = judgement.lines if isinstance(judgement, Judgement) else ()
    found = [line for line in lines if line.slot.name.lower() == wanted.lower()]
    if not found:
        return (_not_installed(case, wanted),)
    explanations = []
    for line in found:
        code = line.reason.code
        if line.state is PatchState.AVAILABLE_SECURITY_UPDATE:
            code = ReasonCode.AVAILABLE_SECURITY_UPDATE
        subject = Subject(name=line.slot.name, patch_id=line.slot.name, baseline=case.baseline)
        explanations.append(_explanation(code, line.reason, subject, line))
    return tuple(explanations)


def _notice_ids(facts: NodeFacts) -> frozenset[str]:
    installed = (item.package for item in facts.installed)
    offered = (offer for line in facts.upgradable for offer in line.offers)
    return frozenset(notice.id.lower() for version in (*installed, *offered) for notice in version.notices)


def _names(version: PackageVersion, wanted: str) -> bool:
    return any(wanted == identifier.lower() for notice in version.notices for identifier in (notice.id, *notice.cves))


def explain_notice(case: Case, query: str, *, known: bool) -> tuple[Explanation, ...]:
    """Why a CVE or an advisory is open or fixed, per slot that a notice of the node's repositories names.

    On apt no notice exists (NO_CVE_SOURCE). Source: decisions.md 16. `known`: the node knows any notice at all.
    """
    shown = printable(query)
    is_cve = CVE.fullmatch(query) is not None
    if case.approver.family is Family.APT and not known:
        reason = Reason(code=ReasonCode.NO_CVE_SOURCE)
        sentence = f"{shown}: the node's repositories publish no CVE or advisory data, so this can't be said."
        return (Explanation(code=reason.code, sentence=sentence, remedy="ask for the package by name", reason=reason),)
    found = tuple(_slots_named(case, query.lower(), is_cve))
    if found:
        return found
    reason = Reason(code=ReasonCode.CVE_NOT_FOUND if is_cve else ReasonCode.ADVISORY_NOT_FOUND)
    sentence = (
        f"{shown}: no notice for an installed version, or for a newer one on offer, names it; "
        "it does not concern this node, or an older version has already fixed it."
    )
    return (Explanation(code=reason.code, sentence=sentence, reason=reason),)


def _slots_named(case: Case, wanted: str, is_cve: bool) -> Iterable[Explanation]:
    for slot in case.slots:
        fixing = next((offer for offer in slot.offers if _names(offer, wanted)), None)
        if _names(slot.installed, wanted):
            yield _fixed(case, slot, wanted, is_cve)
        elif fixing is not None:
            yield _open(case, slot, fixing, wanted, is_cve)


def _fixed(case: Case, slot: SlotFacts, wanted: str, is_cve: bool) -> Explanation:
    line = judge_slot(slot, case.history, case.approver).line
    code = ReasonCode.CVE_FIXED if is_cve else ReasonCode.UP_TO_DATE
    text = f"{wanted.upper()} is fixed: {slot.slot.patch_id} {slot.installed.version} is installed and has the fix."
    return Explanation(
        code=code, sentence=printable(text), slot=line.slot, state=line.state, reason=replace(line.reason, code=code)
    )


def _open(case: Case, slot: SlotFacts, fixing: PackageVersion, wanted: str, is_cve: bool) -> Explanation:
    """Open, with what is on the way to the fix: the judged line if its target has it, else why the fix is refused."""
    line = judge_slot(slot, case.history, case.approver).line
    comes = line.target is not None and line.target.sort_key >= fixing.sort_key
    reason = line.reason if comes else refusal_of(fixing, case.approver)
    subject = replace(_subject(case, slot, line), newest=fixing.version)
    way = _explanation(reason.code, reason, subject, line)
    opening = f"{wanted.upper()} is open: {slot.slot.patch_id} {fixing.version} fixes it."
    code = ReasonCode.CVE_OPEN if is_cve else reason.code
    return replace(way, code=code, sentence=printable(opening) + " " + way.sentence)
