"""Windows: updates that are not installed. A KB is its own patch; nothing is older or newer than it."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from patchwright.core.approval import Approver
from patchwright.core.facts import NodeFacts
from patchwright.core.filters import SECURITY_CLASSIFICATIONS
from patchwright.core.judgement import PatchLine, Reason, ReasonCode
from patchwright.core.patches import PackageVersion
from patchwright.core.refusals import approved_reason, refusal_of
from patchwright.core.values import ComplianceStatus, PatchState, Slot


def judge_updates(
    facts: NodeFacts,
    failed: Set[tuple[Slot, str]],
    failed_reasons: Mapping[tuple[Slot, str], str],
    approver: Approver,
) -> Iterator[PatchLine]:
    """A line for each update that deserves one.

    Approved and applicable: MISSING, or FAILED after an Install that didn't bring it. Approved, not
    applicable: NOT_APPLICABLE. Applicable security update without approval: AVAILABLE_SECURITY_UPDATE.
    A rejected update that is not installed is skipped. Source: patch-baselines.md 1.7, 4.7, 6.1.
    """
    for update in facts.applicable_updates:
        approval = approver.approval_of(update)
        if approval.approved:
            reason = approved_reason(approval)
            key = (update.slot, update.version)
            state = PatchState.MISSING
            if key in failed:
                state, said = PatchState.FAILED, failed_reasons.get(key, "")
                reason = replace(reason, code=ReasonCode.FAILED_LAST_INSTALL, details=(said,) if said else ())
            line = _line(update, state, ComplianceStatus.NON_COMPLIANT, reason, approver)
            yield replace(line, target=update)
        elif approval.rejected_entry is None and approval.classification.lower() in SECURITY_CLASSIFICATIONS:
            reason = refusal_of(update, approver)
            yield _available(update, reason, approver)
    for update in facts.repository_matches:
        if approver.approval_of(update).approved:
            reason = Reason(code=ReasonCode.NOT_APPLICABLE)
            yield _line(update, PatchState.NOT_APPLICABLE, None, reason, approver)


def _available(update: PackageVersion, reason: Reason, approver: Approver) -> PatchLine:
    non_compliant = approver.baseline.available_security_updates_non_compliant
    status = ComplianceStatus.NON_COMPLIANT if non_compliant else ComplianceStatus.COMPLIANT
    return _line(update, PatchState.AVAILABLE_SECURITY_UPDATE, status, reason, approver)


def _line(
    update: PackageVersion, state: PatchState, status: ComplianceStatus | None, reason: Reason, approver: Approver
) -> PatchLine:
    approval = approver.approval_of(update)
    described = state is not PatchState.NOT_APPLICABLE
    return PatchLine(
        slot=update.slot,
        state=state,
        status=status,
        title=update.title,
        level=approval.level,
        classification=approval.classification if described else "",
        severity=approval.severity if described else "",
        reason=reason,
    )
