"""Checks across the fields of a patch baseline: what the shapes of the API can't say. One clear message each."""

import re
from collections.abc import Sequence
from datetime import date

from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter
from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import FAMILY_OF, Family, OperatingSystem

# The vendor's limits: a baseline that fits here fits there. Source: patch-baselines.md 1.2, 9.3.
MAX_BASELINES = 50
"""Custom baselines of one account and region."""
MAX_RULES = 10
MAX_FILTERS = 4
MAX_FILTER_VALUES = 20
MAX_FILTER_VALUE_CHARS = 64
MAX_LIST_ENTRIES = 50
MAX_LIST_ENTRY_CHARS = 100
MAX_SOURCES = 20
MAX_SOURCE_PRODUCTS = 20
MAX_SOURCE_CONFIGURATION_CHARS = 1024
MAX_DELAY_DAYS = 360

_NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,128}")
_SOURCE_NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,50}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_RPM_KEYS = (FilterKey.PRODUCT, FilterKey.CLASSIFICATION, FilterKey.SEVERITY)
VALID_KEYS: dict[Family, tuple[FilterKey, ...]] = {
    Family.WINDOWS: (
        FilterKey.PATCH_SET,
        FilterKey.PRODUCT,
        FilterKey.PRODUCT_FAMILY,
        FilterKey.CLASSIFICATION,
        FilterKey.MSRC_SEVERITY,
    ),
    Family.YUM: _RPM_KEYS,
    Family.DNF: _RPM_KEYS,
    Family.ZYPPER: _RPM_KEYS,
    Family.APT: (FilterKey.PRODUCT, FilterKey.PRIORITY, FilterKey.SECTION),
    Family.MACOS: (FilterKey.PRODUCT, FilterKey.CLASSIFICATION),
}
"""Source: patch-baselines.md 1.3."""

_RPM_CLASSIFICATIONS = ("Security", "Bugfix", "Enhancement", "Recommended", "Newpackage")
_RPM_SEVERITIES = ("Critical", "Important", "Medium", "Moderate", "Low", "None")
_RPM_VALUES = {FilterKey.CLASSIFICATION: _RPM_CLASSIFICATIONS, FilterKey.SEVERITY: _RPM_SEVERITIES}
VALID_VALUES: dict[Family, dict[FilterKey, tuple[str, ...]]] = {
    Family.WINDOWS: {
        FilterKey.PATCH_SET: ("OS", "APPLICATION"),
        FilterKey.CLASSIFICATION: (
            "CriticalUpdates",
            "DefinitionUpdates",
            "Drivers",
            "FeaturePacks",
            "SecurityUpdates",
            "ServicePacks",
            "Tools",
            "UpdateRollups",
            "Updates",
            "Upgrades",
        ),
        FilterKey.MSRC_SEVERITY: ("Critical", "Important", "Moderate", "Low", "Unspecified"),
    },
    Family.YUM: _RPM_VALUES,
    Family.DNF: _RPM_VALUES,
    Family.ZYPPER: {
        FilterKey.CLASSIFICATION: ("Security", "Recommended", "Optional", "Feature", "Document", "Yast"),
        FilterKey.SEVERITY: ("Critical", "Important", "Moderate", "Medium", "Low"),
    },
    Family.APT: {FilterKey.PRIORITY: ("Required", "Important", "Standard", "Optional", "Extra")},
    Family.MACOS: {FilterKey.CLASSIFICATION: ("Security", "Recommended")},
}
"""Closed value lists; PRODUCT, SECTION and PRODUCT_FAMILY take any text. Medium and Moderate are one. Source: 1.3."""

_LENIENT_TIMING = frozenset({Family.APT, Family.MACOS})
"""Where a rule may carry neither timing: then nothing waits. Source: patch-baselines.md 1.4."""


def check(baseline: PatchBaseline) -> None:
    """Raise Invalid, with the first thing wrong, unless the fields of `baseline` agree with each other.

    What one system does not use (EnableNonSecurity or Sources on Windows, BLOCK without rejected
    patches) is accepted and has no effect. Source: patch-baselines.md 1.2 to 1.4, 9.2.
    """
    if not _NAME.fullmatch(baseline.name):
        raise _invalid(baseline, "Name has 3 to 128 characters of a-z, A-Z, 0-9, _, - and .")
    if baseline.description is not None and not 1 <= len(baseline.description) <= 1024:
        raise _invalid(baseline, "Description has 1 to 1024 characters")
    _check_filters(baseline, "GlobalFilters", baseline.global_filters)
    if len(baseline.rules) > MAX_RULES:
        raise _invalid(baseline, f"ApprovalRules has {len(baseline.rules)} rules; at most {MAX_RULES} are allowed")
    for number, rule in enumerate(baseline.rules, 1):
        _check_filters(baseline, f"ApprovalRules rule {number}", rule.filters)
        _check_timing(baseline, number, rule)
    _check_list(baseline, "ApprovedPatches", baseline.approved_patches)
    _check_list(baseline, "RejectedPatches", baseline.rejected_patches)
    _check_sources(baseline)


def _invalid(baseline: PatchBaseline, message: str) -> Invalid:
    return Invalid(Kind.BASELINE, message, id=baseline.id)


def _check_filters(baseline: PatchBaseline, where: str, filters: tuple[PatchFilter, ...]) -> None:
    if len(filters) > MAX_FILTERS:
        raise _invalid(baseline, f"{where} has {len(filters)} filters; at most {MAX_FILTERS} are allowed")
    family = FAMILY_OF[baseline.operating_system]
    seen: set[FilterKey] = set()
    for filter in filters:
        if filter.key not in VALID_KEYS[family]:
            raise _invalid(
                baseline,
                f"{where}: the filter key {filter.key} is not valid for {baseline.operating_system}; "
                f"valid are {_joined(VALID_KEYS[family])}",
            )
        if filter.key in seen:
            raise _invalid(baseline, f"{where}: the filter key {filter.key} is given twice; list its values together")
        seen.add(filter.key)
        _check_values(baseline, where, filter, VALID_VALUES[family].get(filter.key))


def _check_values(baseline: PatchBaseline, where: str, filter: PatchFilter, allowed: Sequence[str] | None) -> None:
    if not 1 <= len(filter.values) <= MAX_FILTER_VALUES:
        raise _invalid(baseline, f"{where}: {filter.key} needs 1 to {MAX_FILTER_VALUES} values")
    known = None if allowed is None else {value.lower() for value in allowed}
    for value in filter.values:
        if not 1 <= len(value) <= MAX_FILTER_VALUE_CHARS:
            raise _invalid(baseline, f"{where}: a value of {filter.key} has 1 to {MAX_FILTER_VALUE_CHARS} characters")
        if known is not None and value != "*" and value.lower() not in known:
            raise _invalid(
                baseline,
                f"{where}: {value!a} is not a value of {filter.key} for {baseline.operating_system}; "
                f"valid are {_joined(allowed or ())} and *",
            )


def _check_timing(baseline: PatchBaseline, number: int, rule: ApprovalRule) -> None:
    days, until = rule.approve_after_days, rule.approve_until_date
    if days is not None and until is not None:
        raise _invalid(
            baseline, f"ApprovalRules rule {number} has both ApproveAfterDays and ApproveUntilDate; give one of them"
        )
    if days is None and until is None and FAMILY_OF[baseline.operating_system] not in _LENIENT_TIMING:
        raise _invalid(
            baseline, f"ApprovalRules rule {number} has neither ApproveAfterDays nor ApproveUntilDate; give one of them"
        )
    if days is not None and not 0 <= days <= MAX_DELAY_DAYS:
        raise _invalid(baseline, f"ApprovalRules rule {number}: ApproveAfterDays is 0 to {MAX_DELAY_DAYS}")


def _check_list(baseline: PatchBaseline, where: str, entries: tuple[str, ...]) -> None:
    if len(entries) > MAX_LIST_ENTRIES:
        raise _invalid(baseline, f"{where} has {len(entries)} entries; at most {MAX_LIST_ENTRIES} are allowed")
    for entry in entries:
        if not 1 <= len(entry) <= MAX_LIST_ENTRY_CHARS:
            raise _invalid(baseline, f"{where}: an entry has 1 to {MAX_LIST_ENTRY_CHARS} characters")


def _check_sources(baseline: PatchBaseline) -> None:
    """No message quotes a configuration: it may hold credentials."""
    if len(baseline.sources) > MAX_SOURCES:
        raise _invalid(baseline, f"Sources has {len(baseline.sources)} entries; at most {MAX_SOURCES} are allowed")
    names: set[str] = set()
    for source in baseline.sources:
        if not _SOURCE_NAME.fullmatch(source.name):
            raise _invalid(baseline, "Sources: a Name has 3 to 50 characters of a-z, A-Z, 0-9, _, - and .")
        if source.name in names:
            raise _invalid(baseline, f"Sources: the Name {source.name} is given twice")
        names.add(source.name)
        if not 1 <= len(source.products) <= MAX_SOURCE_PRODUCTS or not all(
            1 <= len(product) <= 128 for product in source.products
        ):
            raise _invalid(
                baseline,
                f"Sources: {source.name} needs 1 to {MAX_SOURCE_PRODUCTS} Products of 1 to 128 characters",
            )
        if not 1 <= len(source.configuration) <= MAX_SOURCE_CONFIGURATION_CHARS:
            raise _invalid(
                baseline,
                f"Sources: the Configuration of {source.name} has 1 to {MAX_SOURCE_CONFIGURATION_CHARS} characters",
            )


def _joined(words: Sequence[str]) -> str:
    return ", ".join(words)


def parse_approve_until_date(text: str) -> date:
    """The date of an ApproveUntilDate, `YYYY-MM-DD`. Raises Invalid unless that day exists. Source: 1.2, 9.2."""
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise Invalid(Kind.BASELINE, f"ApproveUntilDate is a real date as YYYY-MM-DD, not {text[:20]!a}")


def valid_properties(operating_system: OperatingSystem) -> tuple[FilterKey, ...]:
    """The properties that DescribePatchProperties knows for a system. Source: patch-baselines.md 8."""
    family = FAMILY_OF[operating_system]
    unlisted = {FilterKey.SECTION, FilterKey.PATCH_SET}
    return tuple(key for key in VALID_KEYS[family] if key not in unlisted)
