"""Why a version is not approved: one Reason, chosen so that it names the no which is nearest to a yes."""

from dataclasses import replace
from datetime import datetime

from patchwright.core.approval import Approval, Approver, Refusal, RuleHit, Trace
from patchwright.core.judgement import Reason, ReasonCode, ReleaseSource
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family


def refusal_of(version: PackageVersion, approver: Approver) -> Reason:
    """Why the baseline does not approve `version`.

    The order is that of what would have to change: the rejected list, a wait, a cut-off date, the
    security definition, a rule's filter, the global filters, no rule at all.
    `details` holds each rule's no. Source: patch-baselines.md 1.4 to 1.8, 3.4.
    """
    approval, trace = approver.traced(version)
    if approval.rejected_entry is not None:
        return Reason(code=ReasonCode.REJECTED, entry=approval.rejected_entry, details=(f"version {version.version}",))
    details = (f"version {version.version}", *map(_sentence, trace.refusals))
    if approval.pending:
        hit = approval.pending[0]
        return _dated(ReasonCode.PENDING_APPROVAL, hit, details, approved_at=hit.approved_at)
    if approval.cut_off:
        return _dated(ReasonCode.AFTER_CUTOFF, approval.cut_off[0], details, approved_at=None)
    return replace(_undated(version, approval, trace), details=details)


def _undated(version: PackageVersion, approval: Approval, trace: Trace) -> Reason:
    not_security = next((no for no in trace.refusals if no.code is ReasonCode.NOT_SECURITY), None)
    if approval.unused_entry is not None or not_security is not None:
        rule = not_security.rule if not_security is not None else None
        return Reason(code=_security_code(version), rule=rule, entry=approval.unused_entry)
    filtered = [no for no in trace.refusals if no.code is ReasonCode.FILTERED_OUT]
    if filtered:
        return Reason(code=ReasonCode.FILTERED_OUT, rule=filtered[0].rule)
    if any(no.code is ReasonCode.GLOBAL_FILTER for no in trace.refusals):
        return Reason(code=ReasonCode.GLOBAL_FILTER)
    return Reason(code=ReasonCode.NO_RULES)


def _security_code(version: PackageVersion) -> ReasonCode:
    untrusted = version.repositories and not any(repository.trusted for repository in version.repositories)
    if version.family is Family.APT and untrusted:
        return ReasonCode.UNTRUSTED_REPOSITORY
    return ReasonCode.NOT_SECURITY


def _sentence(refusal: Refusal) -> str:
    who = "global filter" if refusal.rule is None else f"rule {refusal.rule}"
    return f"{who}: {refusal.text}"


def _dated(code: ReasonCode, hit: RuleHit, details: tuple[str, ...], *, approved_at: datetime | None) -> Reason:
    return Reason(
        code=code,
        rule=hit.rule,
        released_at=hit.release.at,
        release_source=hit.release.source,
        approved_at=approved_at,
        details=details,
    )


def approved_reason(approval: Approval) -> Reason:
    """By which list entry, or which rule and date, a version is approved. Source: patch-baselines.md 1.8."""
    hit = approval.best_hit
    return Reason(
        code=ReasonCode.APPROVED_BY_LIST if approval.approved_entry is not None else ReasonCode.APPROVED_BY_RULE,
        rule=hit.rule if hit else None,
        entry=approval.approved_entry,
        released_at=hit.release.at if hit else None,
        release_source=hit.release.source if hit else ReleaseSource.NONE,
        approved_at=hit.approved_at if hit else None,
    )
