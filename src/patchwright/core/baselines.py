"""PatchBaseline and its parts: frozen, and valid because they exist."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from patchwright.core.values import BaselineId, ComplianceLevel, OperatingSystem


class FilterKey(StrEnum):
    """AWS's PatchFilterKey; which are meaningful depends on the system. Source: patch-baselines.md 1.3."""

    ARCH = "ARCH"
    ADVISORY_ID = "ADVISORY_ID"
    BUGZILLA_ID = "BUGZILLA_ID"
    PATCH_SET = "PATCH_SET"
    PRODUCT = "PRODUCT"
    PRODUCT_FAMILY = "PRODUCT_FAMILY"
    CLASSIFICATION = "CLASSIFICATION"
    CVE_ID = "CVE_ID"
    EPOCH = "EPOCH"
    MSRC_SEVERITY = "MSRC_SEVERITY"
    NAME = "NAME"
    PATCH_ID = "PATCH_ID"
    SECTION = "SECTION"
    PRIORITY = "PRIORITY"
    REPOSITORY = "REPOSITORY"
    RELEASE = "RELEASE"
    SEVERITY = "SEVERITY"
    SECURITY = "SECURITY"
    VERSION = "VERSION"


class RejectedAction(StrEnum):
    """AWS's PatchAction."""

    ALLOW_AS_DEPENDENCY = "ALLOW_AS_DEPENDENCY"
    BLOCK = "BLOCK"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFilter:
    """Values are OR-ed; `*` is any value, a missing one included. Stored as given, compared in any case."""

    key: FilterKey
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """AWS's PatchRule. Filters are AND-ed. At most one of the two timings is set. Source: 1.2, 1.4."""

    filters: tuple[PatchFilter, ...]
    compliance_level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    approve_after_days: int | None = None
    approve_until_date: date | None = None
    enable_non_security: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSource:
    """An alternative repository. `configuration` may hold credentials: never logged."""

    name: str
    products: tuple[str, ...]
    configuration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchBaseline:
    """The rules that say which patches a node must have. Rules are OR-ed. Source: patch-baselines.md 1."""

    id: BaselineId
    name: str
    operating_system: OperatingSystem
    description: str | None = None
    global_filters: tuple[PatchFilter, ...] = ()
    rules: tuple[ApprovalRule, ...] = ()
    approved_patches: tuple[str, ...] = ()
    approved_patches_level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    approved_patches_enable_non_security: bool = False
    rejected_patches: tuple[str, ...] = ()
    rejected_patches_action: RejectedAction = RejectedAction.ALLOW_AS_DEPENDENCY
    sources: tuple[PatchSource, ...] = ()
    available_security_updates_non_compliant: bool | None = None
    """None: never set, acts as COMPLIANT. Windows only."""
    predefined: bool = False
    """Vendor-owned (`AWS-*`): echoed as an ARN, can't be changed; on apt its delays act as 0."""
