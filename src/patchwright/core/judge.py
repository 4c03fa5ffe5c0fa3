"""judge(): one node's facts under one baseline at one instant -> a line per patch with state and reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from patchwright.core.approval import Approval, Approver, AptDelays
from patchwright.core.baselines import PatchBaseline, RejectedAction
from patchwright.core.facts import NodeFacts
from patchwright.core.filters import SECURITY_CLASSIFICATIONS
from patchwright.core.judge_updates import judge_updates
from patchwright.core.judgement import (
    Catalogue,
    Counts,
    History,
    Judgement,
    Levels,
    PatchLine,
    Reason,
    ReasonCode,
    Unjudged,
)
from patchwright.core.patches import PackageVersion
from patchwright.core.refusals import approved_reason, refusal_of
from patchwright.core.slots import SlotFacts, native_slot, slots_of
from patchwright.core.unjudged import judgeable
from patchwright.core.values import LEVELS, ComplianceLevel, ComplianceStatus, Family, PatchState, Slot

_NO_UPDATE = Reason(code=ReasonCode.NO_UPDATE_ON_OFFER)
_STATUS = {
    PatchState.INSTALLED: ComplianceStatus.COMPLIANT,
    PatchState.INSTALLED_OTHER: ComplianceStatus.COMPLIANT,
    PatchState.INSTALLED_PENDING_REBOOT: ComplianceStatus.NON_COMPLIANT,
    PatchState.INSTALLED_REJECTED: ComplianceStatus.NON_COMPLIANT,
    PatchState.MISSING: ComplianceStatus.NON_COMPLIANT,
    PatchState.FAILED: ComplianceStatus.NON_COMPLIANT,
}
"""Source: patch-baselines.md 6.1. The two states of Windows are decided in judge_updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotJudgement:
    """One line, whether something newer waits for its day, and when time alone may change any of it."""

    line: PatchLine
    pending_approval: bool
    next_change_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHistory:
    """History as one host sees it: slots in native form, and only the pending rows of the running boot."""

    native_arch: str = ""
    failed: frozenset[tuple[Slot, str]] = frozenset()
    failed_reasons: dict[tuple[Slot, str], str]
    pending_reboot: frozenset[tuple[Slot, str]] = frozenset()


def host_history(history: History, facts: NodeFacts) -> HostHistory:
    """Narrow `history` to the boot that `facts` were taken in. Source: decisions.md 12."""
    native = facts.state.arch
    return HostHistory(
        native_arch=native,
        failed=frozenset((native_slot(slot, native), version) for slot, version in history.failed),
        failed_reasons={
            (native_slot(slot, native), version): text for (slot, version), text in history.failed_reasons.items()
        },
        pending_reboot=frozenset(
            (native_slot(slot, native), version)
            for slot, version, boot_id in history.pending_reboot
            if boot_id == facts.state.boot_id
        ),
    )


def judge(
    facts: NodeFacts | None,
    history: History,
    baseline: PatchBaseline,
    catalogue: Catalogue,
    now: datetime,
    *,
    apt_delays: AptDelays = "honour",
    approver: Approver | None = None,
) -> Judgement | Unjudged:
    """Judge one node under one baseline at `now` (aware, UTC).

    `approver` may be shared by nodes of one product: it must have been made from the same baseline,
    product, catalogue, instant and setting. Source: patch-baselines.md 3.4, 3.5, 6.1, 6.2; decisions.md 9 to 17.
    """
    checked = judgeable(facts, baseline)
    if isinstance(checked, Unjudged):
        return checked
    if approver is None:
        approver = Approver(baseline, checked.product, catalogue, now, apt_delays=apt_delays)
    seen = host_history(history, checked)
    judged = [judge_slot(slot, seen, approver) for slot in slots_of(checked)]
    lines = [one.line for one in judged]
    not_applicable = 0
    if approver.family is Family.WINDOWS:
        lines += judge_updates(checked, seen.failed, seen.failed_reasons, approver)
    else:
        matched = (version for version in checked.repository_matches if approver.approval_of(version).approved)
        not_applicable = len({version.slot for version in matched})
    lines.sort(key=lambda line: (line.title, line.slot))
    absent = [approver.approval_of(version) for version in (*checked.applicable_updates, *checked.repository_matches)]
    waiting = sum(one.pending_approval for one in judged) + sum(
        _waits(approver.approval_of(update)) for update in checked.applicable_updates
    )
    return Judgement(
        baseline_id=baseline.id,
        lines=tuple(lines),
        counts=count(lines, not_applicable, waiting, approver.family),
        levels=levels_of(lines),
        status=status_of(lines),
        overall_level=overall_level(lines),
        next_change_at=_earliest((*(one.next_change_at for one in judged), *(one.next_change_at for one in absent))),
    )


def judge_slot(slot: SlotFacts, history: HostHistory, approver: Approver) -> SlotJudgement:
    """The scalar rule for one slot: what `judge` runs for each, and what an explanation runs for one.

    Source: patch-baselines.md 3.5.
    """
    own = approver.approval_of(slot.installed)
    offers = [(approver.approval_of(version), version) for version in slot.offers]
    approved = [offer for offer in offers if offer[0].approved]
    target = _best(approved) if approved else None
    line = _missing(slot, target, history) if target is not None else _installed(slot, own, history, approver)
    newer = offers if target is None else [o for o in offers if o[1].sort_key > target[1].sort_key]
    return SlotJudgement(
        line=line,
        pending_approval=any(_waits(approval) for approval, _ in newer),
        next_change_at=_earliest((own.next_change_at, *(approval.next_change_at for approval, _ in offers))),
    )


def _best(approved: list[tuple[Approval, PackageVersion]]) -> tuple[Approval, PackageVersion]:
    """The newest approved version; of equal versions the one with the highest level. Source: 1.8, 3.5."""
    newest = max(version.sort_key for _, version in approved)
    ties = [offer for offer in approved if offer[1].sort_key == newest]
    # repr only settles records that differ in nothing the rules weigh: the answer must not follow the report's order.
    return ties[0] if len(ties) == 1 else max(ties, key=lambda tie: (tie[0].level.rank, repr(tie[1])))


def _missing(slot: SlotFacts, target: tuple[Approval, PackageVersion], history: HostHistory) -> PatchLine:
    approval, version = target
    reason = approved_reason(approval)
    key = (native_slot(slot.slot, history.native_arch), version.version)
    state = PatchState.MISSING
    if key in history.failed:
        state = PatchState.FAILED
        said = history.failed_reasons.get(key, "")
        reason = replace(reason, code=ReasonCode.FAILED_LAST_INSTALL, details=(said,) if said else ())
    if slot.held:
        reason = replace(reason, code=ReasonCode.HELD)
    elif is_phased_out(slot, version):
        percent = f"rolled out to {version.phased} % of machines"
        reason = replace(reason, code=ReasonCode.PHASED, details=(*reason.details, percent))
    closed = [offer for offer in slot.offers if offer.sort_key <= version.sort_key]
    return PatchLine(
        slot=slot.slot,
        state=state,
        status=_STATUS[state],
        title=version.title,
        level=approval.level,
        classification=approval.classification,
        severity=approval.severity,
        cves=tuple(sorted({cve for offer in closed for notice in offer.notices for cve in notice.cves})),
        installed=slot.installed,
        installed_at=slot.installed_at,
        target=version,
        reason=reason,
    )


def is_phased_out(slot: SlotFacts, version: PackageVersion) -> bool:
    """Whether the vendor's gradual roll-out has not reached this node: the manager itself would not take `version`.

    Such a patch is approved, so it is MISSING; like a held one it is no target of a Plan.
    """
    return version.phased is not None and version.phased < 100 and slot.candidate != version.version


def _installed(slot: SlotFacts, own: Approval, history: HostHistory, approver: Approver) -> PatchLine:
    """INSTALLED, INSTALLED_OTHER or INSTALLED_REJECTED, and INSTALLED_PENDING_REBOOT over any of them."""
    blocked = approver.baseline.rejected_patches_action is RejectedAction.BLOCK
    described = own.approved
    if own.approved:
        state = PatchState.INSTALLED
        reason = replace(approved_reason(own), code=ReasonCode.UP_TO_DATE)
        if slot.offers:
            reason = nearest_refusal(slot.offers, approver)[1]
    elif own.rejected_entry is not None and blocked:
        state, described = PatchState.INSTALLED_REJECTED, True
        reason = Reason(code=ReasonCode.REJECTED_BLOCKED, entry=own.rejected_entry)
    else:
        state = PatchState.INSTALLED_OTHER
        reason = _why_other(slot, own, approver)
    if history.pending_reboot and _pending_reboot(slot, history):
        state = PatchState.INSTALLED_PENDING_REBOOT
        reason = replace(reason, code=ReasonCode.PENDING_REBOOT, details=())
    return PatchLine(
        slot=slot.slot,
        state=state,
        status=_STATUS[state],
        title=slot.installed.title,
        level=own.level,
        classification=own.classification if described else "",
        severity=own.severity if described else "",
        installed=slot.installed,
        installed_at=slot.installed_at,
        reason=reason,
    )


def _why_other(slot: SlotFacts, own: Approval, approver: Approver) -> Reason:
    if slot.offers:
        return nearest_refusal(slot.offers, approver)[1]
    if own.rejected_entry is not None:
        return Reason(code=ReasonCode.REJECTED, entry=own.rejected_entry)
    return _NO_UPDATE


def nearest_refusal(offers: tuple[PackageVersion, ...], approver: Approver) -> tuple[PackageVersion, Reason]:
    """Of offers that are all refused: the one that will be approved first, else the newest, and why it is refused."""
    waiting = [offer for offer in offers if approver.approval_of(offer).pending]
    if waiting:
        return min(((offer, refusal_of(offer, approver)) for offer in waiting), key=_soonest)
    newest = max((offer for offer in offers if offer.sort_key == offers[-1].sort_key), key=repr)
    return newest, refusal_of(newest, approver)


def _soonest(refused: tuple[PackageVersion, Reason]) -> tuple[object, ...]:
    version, reason = refused
    return (reason.approved_at, version.sort_key, repr(version))


def _pending_reboot(slot: SlotFacts, history: HostHistory) -> bool:
    native = native_slot(slot.slot, history.native_arch)
    return any((native, version) in history.pending_reboot for version in slot.versions)


def _waits(approval: Approval) -> bool:
    return bool(approval.pending) and not approval.approved


def count(lines: Iterable[PatchLine], not_applicable: int, pending_approval: int, family: Family) -> Counts:
    """Counts of the lines; each line is in one state, and may count as critical and as security. Source: 6.2."""
    states: Counter[PatchState] = Counter()
    critical = security = other = 0
    for line in lines:
        states[line.state] += 1
        if line.status is ComplianceStatus.NON_COMPLIANT:
            is_critical = line.level is ComplianceLevel.CRITICAL
            is_security = line.classification.lower() in SECURITY_CLASSIFICATIONS
            critical += is_critical
            security += is_security
            other += not (is_critical or is_security)
    return Counts(
        installed=states[PatchState.INSTALLED],
        installed_other=states[PatchState.INSTALLED_OTHER],
        installed_pending_reboot=states[PatchState.INSTALLED_PENDING_REBOOT],
        installed_rejected=states[PatchState.INSTALLED_REJECTED],
        missing=states[PatchState.MISSING],
        failed=states[PatchState.FAILED],
        not_applicable=not_applicable + states[PatchState.NOT_APPLICABLE],
        unreported_not_applicable=0 if family is Family.WINDOWS else -1,
        available_security_update=states[PatchState.AVAILABLE_SECURITY_UPDATE],
        critical_non_compliant=critical,
        security_non_compliant=security,
        other_non_compliant=other,
        pending_approval=pending_approval,
    )


def status_of(lines: Iterable[PatchLine]) -> ComplianceStatus:
    """NON_COMPLIANT if at least one line is. Source: patch-baselines.md 6.1."""
    guilty = any(line.status is ComplianceStatus.NON_COMPLIANT for line in lines)
    return ComplianceStatus.NON_COMPLIANT if guilty else ComplianceStatus.COMPLIANT


def levels_of(lines: Iterable[PatchLine]) -> Levels:
    """Count the lines by status and level. Source: patch-baselines.md 7.3."""
    found = Counter((line.status, line.level) for line in lines)
    return Levels(
        compliant=tuple(found[ComplianceStatus.COMPLIANT, level] for level in LEVELS),
        non_compliant=tuple(found[ComplianceStatus.NON_COMPLIANT, level] for level in LEVELS),
    )


def overall_level(lines: Iterable[PatchLine]) -> ComplianceLevel:
    """The highest level among non-compliant lines, UNSPECIFIED if there is none. Source: patch-baselines.md 7.3."""
    levels = [line.level for line in lines if line.status is ComplianceStatus.NON_COMPLIANT]
    return max(levels, key=lambda level: level.rank, default=ComplianceLevel.UNSPECIFIED)


def _earliest(instants: Iterable[datetime | None]) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)
