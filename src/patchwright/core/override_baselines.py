"""A baseline from the plain values of an override document. Hostile input: every type and size is checked."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import TypeVar

from patchwright.core.baseline_checks import check, parse_approve_until_date
from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter, PatchSource, RejectedAction
from patchwright.core.values import BaselineId, ComplianceLevel, OperatingSystem

OVERRIDE_ID = BaselineId("pb-00000000000000000")
"""Stands for a baseline that has no id of its own."""

Plain = Mapping[str, object]
_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")
_ID = re.compile(r"pb-[0-9a-f]{17}")
_NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,128}")


class MalformedBaseline(ValueError):
    """A value of the override document has the wrong type or spelling; the message names its key."""


def baseline_from_plain(plain: Plain, operating_system: OperatingSystem) -> PatchBaseline:
    """Build and check a baseline. Raises MalformedBaseline for wrong types, Invalid for rules that contradict.

    Used keys are those of patch-baselines.md 5.5; BaselineId and Name are kept when they are usable.
    """
    rules = _map(plain, "ApprovalRules")
    status = _optional(plain, "AvailableSecurityUpdatesComplianceStatus", str)
    id, name = plain.get("BaselineId"), plain.get("Name")
    baseline = PatchBaseline(
        id=BaselineId(id) if isinstance(id, str) and _ID.fullmatch(id) else OVERRIDE_ID,
        name=name if isinstance(name, str) and _NAME.fullmatch(name) else "BaselineOverride",
        operating_system=operating_system,
        global_filters=_each(_map(plain, "GlobalFilters"), "PatchFilters", _filter),
        rules=_each(rules, "PatchRules", _rule),
        approved_patches=_texts(plain, "ApprovedPatches"),
        approved_patches_level=_level(plain, "ApprovedPatchesComplianceLevel"),
        approved_patches_enable_non_security=_optional(plain, "ApprovedPatchesEnableNonSecurity", bool) or False,
        rejected_patches=_texts(plain, "RejectedPatches"),
        rejected_patches_action=_enum(plain, "RejectedPatchesAction", RejectedAction)
        or RejectedAction.ALLOW_AS_DEPENDENCY,
        sources=_each(plain, "Sources", _source),
        available_security_updates_non_compliant=None if status is None else status == "NON_COMPLIANT",
    )
    check(baseline)
    return baseline


def _rule(plain: Plain) -> ApprovalRule:
    until = _optional(plain, "ApproveUntilDate", str)
    parsed: date | None = parse_approve_until_date(until) if until is not None else None
    return ApprovalRule(
        filters=_each(_map(plain, "PatchFilterGroup"), "PatchFilters", _filter),
        compliance_level=_level(plain, "ComplianceLevel"),
        approve_after_days=_optional(plain, "ApproveAfterDays", int),
        approve_until_date=parsed,
        enable_non_security=_optional(plain, "EnableNonSecurity", bool) or False,
    )


def _filter(plain: Plain) -> PatchFilter:
    key = _enum(plain, "Key", FilterKey)
    if key is None:
        raise MalformedBaseline("Key")
    return PatchFilter(key=key, values=_texts(plain, "Values"))


def _source(plain: Plain) -> PatchSource:
    name, configuration = _optional(plain, "Name", str), _optional(plain, "Configuration", str)
    if name is None or configuration is None:
        raise MalformedBaseline("Sources")
    return PatchSource(name=name, products=_texts(plain, "Products"), configuration=configuration)


def _level(plain: Plain, key: str) -> ComplianceLevel:
    return _enum(plain, key, ComplianceLevel) or ComplianceLevel.UNSPECIFIED


def _optional(plain: Plain, key: str, kind: type[_T]) -> _T | None:
    value = plain.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise MalformedBaseline(key)
    return value


def _enum(plain: Plain, key: str, kind: type[_E]) -> _E | None:
    value = _optional(plain, key, str)
    try:
        return None if value is None else kind(value)
    except ValueError:
        raise MalformedBaseline(key) from None


def _map(plain: Plain, key: str) -> Plain:
    value = plain.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MalformedBaseline(key)
    return value


def _list(plain: Plain, key: str) -> list[object]:
    value = plain.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedBaseline(key)
    return value


def _texts(plain: Plain, key: str) -> tuple[str, ...]:
    texts = tuple(value for value in _list(plain, key) if isinstance(value, str))
    if len(texts) != len(_list(plain, key)):
        raise MalformedBaseline(key)
    return texts


def _each(plain: Plain, key: str, build: Callable[[Plain], _T]) -> tuple[_T, ...]:
    built = []
    for value in _list(plain, key):
        if not isinstance(value, Mapping):
            raise MalformedBaseline(key)
        built.append(build(value))
    return tuple(built)
