"""What a baseline says of a patch on offer, in the words of DescribeEffectivePatchesForPatchBaseline.

The answer is the approval's own (`core/approval.py`): nothing is decided here. Source: patch-baselines.md 8, 1.8.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from patchwright.core.approval import Approval, RuleHit
from patchwright.core.values import ComplianceLevel


class DeploymentStatus(StrEnum):
    """AWS's PatchDeploymentStatus, the one that decides first."""

    EXPLICIT_REJECTED = "EXPLICIT_REJECTED"
    EXPLICIT_APPROVED = "EXPLICIT_APPROVED"
    APPROVED = "APPROVED"
    PENDING_APPROVAL = "PENDING_APPROVAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """`approval_date`: release plus delay of the rule that approves first; None for lists, and where nothing waits."""

    status: DeploymentStatus
    level: ComplianceLevel
    approval_date: datetime | None


def effective(approval: Approval) -> Effective | None:
    """None for a patch that the baseline does not concern."""
    if approval.rejected_entry is not None:
        return Effective(
            status=DeploymentStatus.EXPLICIT_REJECTED, level=ComplianceLevel.UNSPECIFIED, approval_date=None
        )
    if approval.approved_entry is not None:
        return Effective(status=DeploymentStatus.EXPLICIT_APPROVED, level=approval.level, approval_date=None)
    if approval.hits:
        return Effective(status=DeploymentStatus.APPROVED, level=approval.level, approval_date=_first(approval.hits))
    if approval.pending:
        # The level that it will have on that day: of all that are due by then, the highest.
        date = _first(approval.pending)
        levels = [hit.level for hit in approval.pending if hit.approved_at == date]
        level = max(levels, key=lambda level: level.rank)
        return Effective(status=DeploymentStatus.PENDING_APPROVAL, level=level, approval_date=date)
    return None


def _first(hits: tuple[RuleHit, ...]) -> datetime | None:
    """Under ApproveUntilDate there is no wait: the release itself is the day."""
    dates = [hit.approved_at or hit.release.at for hit in hits]
    return min((date for date in dates if date is not None), default=None)
