"""A snapshot in the form in which a node reads it. Source: patch-baselines.md 2.4."""

from typing import Any

from patchwright.core.baselines import ApprovalRule, PatchFilter
from patchwright.core.snapshots import Snapshot


def snapshot_document(snapshot: Snapshot) -> dict[str, Any]:
    """The JSON document, keys in lower camel case. `patches` is empty: Linux nodes are judged by their own facts."""
    baseline, frozen_at = snapshot.baseline, snapshot.frozen_at.timestamp()
    return {
        "patchBaseline": {
            "accountId": snapshot.key.scope.account,
            "baselineId": baseline.id,
            "name": baseline.name,
            "operatingSystem": baseline.operating_system,
            "globalFilters": {"filters": [_filter(one) for one in baseline.global_filters]},
            "approvalRules": {"rules": [_rule(rule) for rule in baseline.rules]},
            "approvedPatches": list(baseline.approved_patches),
            "approvedPatchesComplianceLevel": baseline.approved_patches_level,
            "approvedPatchesEnableNonSecurity": baseline.approved_patches_enable_non_security,
            "rejectedPatches": list(baseline.rejected_patches),
            "rejectedPatchesAction": baseline.rejected_patches_action,
            "createdTime": frozen_at,
            "modifiedTime": frozen_at,
            "description": baseline.description,
            "sources": [
                {"name": s.name, "products": list(s.products), "configuration": s.configuration}
                for s in baseline.sources
            ],
        },
        "patchGroup": snapshot.key.patch_group or None,
        "patches": [],
        "enableApplicationPatches": False,
        "requiredFeatures": [],
    }


def _rule(rule: ApprovalRule) -> dict[str, Any]:
    until = rule.approve_until_date
    return {
        "filterGroup": {"filters": [_filter(one) for one in rule.filters]},
        "complianceLevel": rule.compliance_level,
        "enableNonSecurity": rule.enable_non_security,
        "approveAfterDays": rule.approve_after_days,
        "approveUntilDate": None if until is None else until.isoformat(),
    }


def _filter(one: PatchFilter) -> dict[str, Any]:
    return {"key": one.key, "values": list(one.values)}
