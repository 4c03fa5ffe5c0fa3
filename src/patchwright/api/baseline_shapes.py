"""PatchBaseline between its shape on the wire and core's value: every member, default and order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchwright.api.baseline_ids import baseline_id_to
from patchwright.api.context import Context, Request
from patchwright.core.baseline_checks import parse_approve_until_date
from patchwright.core.baselines import (
    ApprovalRule,
    FilterKey,
    PatchBaseline,
    PatchFilter,
    PatchSource,
    RejectedAction,
)
from patchwright.core.values import BaselineId, ComplianceLevel, OperatingSystem
from patchwright.flows.find_baseline import BaselineIdentity
from patchwright.store.baselines import StoredBaseline


def baseline_from(request: Request, id: BaselineId) -> PatchBaseline:
    """The baseline that a Create request describes; what is absent has its default. Source: patch-baselines.md 1.2."""
    plain = PatchBaseline(
        id=id,
        name=request["Name"],
        operating_system=OperatingSystem(request.get("OperatingSystem", OperatingSystem.WINDOWS)),
    )
    return merged(plain, request)


def merged(baseline: PatchBaseline, request: Request) -> PatchBaseline:
    """`baseline` with every member that the request has; lists are taken whole, empty ones and texts clear.

    Source: patch-baselines.md 1.12.
    """
    given = ((request.get(member), *how) for member, how in _MEMBERS.items())
    return replace(baseline, **{field: convert(value) for value, field, convert in given if value is not None})


def replaced(baseline: PatchBaseline, request: Request) -> PatchBaseline:
    """A baseline with the id and system of `baseline`, and what the request says as if it were a Create."""
    return baseline_from({**request, "OperatingSystem": baseline.operating_system}, baseline.id)


def baseline_to(ctx: Context, stored: StoredBaseline) -> dict[str, Any]:
    """All members of a Get or Update answer but PatchGroups.

    Empty filter and rule groups are said: Terraform reads both without asking whether they are there.
    """
    baseline = stored.baseline
    answer: dict[str, Any] = {
        "BaselineId": baseline_id_to(ctx, baseline.id),
        "Name": baseline.name,
        "OperatingSystem": baseline.operating_system.value,
        "GlobalFilters": _filters_to(baseline.global_filters),
        "ApprovalRules": {"PatchRules": [_rule_to(rule) for rule in baseline.rules]},
        "ApprovedPatches": list(baseline.approved_patches),
        "ApprovedPatchesComplianceLevel": baseline.approved_patches_level.value,
        "ApprovedPatchesEnableNonSecurity": baseline.approved_patches_enable_non_security,
        "RejectedPatches": list(baseline.rejected_patches),
        "RejectedPatchesAction": baseline.rejected_patches_action.value,
        "CreatedDate": stored.created_at,
        "ModifiedDate": stored.modified_at,
        "Sources": [_source_to(source) for source in baseline.sources],
    }
    if baseline.description is not None:
        answer["Description"] = baseline.description
    if baseline.available_security_updates_non_compliant is not None:
        bad = baseline.available_security_updates_non_compliant
        answer["AvailableSecurityUpdatesComplianceStatus"] = "NON_COMPLIANT" if bad else "COMPLIANT"
    return answer


def identity_to(ctx: Context, identity: BaselineIdentity) -> dict[str, Any]:
    """AWS's PatchBaselineIdentity."""
    baseline = identity.baseline
    answer = {
        "BaselineId": baseline_id_to(ctx, baseline.id),
        "BaselineName": baseline.name,
        "OperatingSystem": baseline.operating_system.value,
        "DefaultBaseline": identity.is_default,
    }
    return answer if baseline.description is None else {**answer, "BaselineDescription": baseline.description}


def _filters_from(group: Mapping[str, Any]) -> tuple[PatchFilter, ...]:
    filters = group.get("PatchFilters") or ()
    return tuple(PatchFilter(key=FilterKey(f["Key"]), values=tuple(f["Values"])) for f in filters)


def _filters_to(filters: Sequence[PatchFilter]) -> dict[str, Any]:
    return {"PatchFilters": [{"Key": f.key.value, "Values": list(f.values)} for f in filters]}


def _rules_from(group: Mapping[str, Any]) -> tuple[ApprovalRule, ...]:
    return tuple(_rule_from(rule) for rule in group.get("PatchRules") or ())


def _rule_from(rule: Mapping[str, Any]) -> ApprovalRule:
    until = rule.get("ApproveUntilDate")
    return ApprovalRule(
        filters=_filters_from(rule["PatchFilterGroup"]),
        compliance_level=ComplianceLevel(rule.get("ComplianceLevel", ComplianceLevel.UNSPECIFIED)),
        approve_after_days=rule.get("ApproveAfterDays"),
        approve_until_date=None if until is None else parse_approve_until_date(until),
        enable_non_security=rule.get("EnableNonSecurity", False),
    )


def _rule_to(rule: ApprovalRule) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "PatchFilterGroup": _filters_to(rule.filters),
        "ComplianceLevel": rule.compliance_level.value,
        "EnableNonSecurity": rule.enable_non_security,
    }
    # Only the timing that was given comes back; 0 days is one that was given.
    if rule.approve_after_days is not None:
        answer["ApproveAfterDays"] = rule.approve_after_days
    if rule.approve_until_date is not None:
        answer["ApproveUntilDate"] = rule.approve_until_date.isoformat()
    return answer


def _sources_from(sources: Sequence[Mapping[str, Any]]) -> tuple[PatchSource, ...]:
    return tuple(
        PatchSource(name=s["Name"], products=tuple(s["Products"]), configuration=s["Configuration"]) for s in sources
    )


def _source_to(source: PatchSource) -> dict[str, Any]:
    return {"Name": source.name, "Products": list(source.products), "Configuration": source.configuration}


_MEMBERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Name": ("name", str),
    "Description": ("description", lambda text: text or None),
    "GlobalFilters": ("global_filters", _filters_from),
    "ApprovalRules": ("rules", _rules_from),
    "ApprovedPatches": ("approved_patches", tuple),
    "ApprovedPatchesComplianceLevel": ("approved_patches_level", ComplianceLevel),
    "ApprovedPatchesEnableNonSecurity": ("approved_patches_enable_non_security", bool),
    "RejectedPatches": ("rejected_patches", tuple),
    "RejectedPatchesAction": ("rejected_patches_action", RejectedAction),
    "Sources": ("sources", _sources_from),
    "AvailableSecurityUpdatesComplianceStatus": (
        "available_security_updates_non_compliant",
        lambda status: status == "NON_COMPLIANT",
    ),
}
"""Member of Create and Update -> field of PatchBaseline, and how its value is made."""
