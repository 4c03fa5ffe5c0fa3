"""What judging answers: a line per patch with its state and its reason, the counts, and when it may change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from patchwright.core.patches import PackageVersion
from patchwright.core.values import BaselineId, ComplianceLevel, ComplianceStatus, PatchState, Slot


class ReasonCode(StrEnum):
    """Why a patch is, or is not, there. One code per situation that an operator can tell apart."""

    APPROVED_BY_RULE = "APPROVED_BY_RULE"
    APPROVED_BY_LIST = "APPROVED_BY_LIST"
    UP_TO_DATE = "UP_TO_DATE"
    NOT_SECURITY = "NOT_SECURITY"
    FILTERED_OUT = "FILTERED_OUT"
    GLOBAL_FILTER = "GLOBAL_FILTER"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    AFTER_CUTOFF = "AFTER_CUTOFF"
    REJECTED = "REJECTED"
    REJECTED_BLOCKED = "REJECTED_BLOCKED"
    NO_RULES = "NO_RULES"
    NEWER_NOT_APPROVED = "NEWER_NOT_APPROVED"
    NO_UPDATE_ON_OFFER = "NO_UPDATE_ON_OFFER"
    NOT_INSTALLED = "NOT_INSTALLED"
    HELD = "HELD"
    PHASED = "PHASED"
    FAILED_LAST_INSTALL = "FAILED_LAST_INSTALL"
    LEFT_OUT_OF_PLAN = "LEFT_OUT_OF_PLAN"
    SCRIPT_FAILED = "SCRIPT_FAILED"
    PENDING_REBOOT = "PENDING_REBOOT"
    NO_CVE_SOURCE = "NO_CVE_SOURCE"
    CVE_NOT_FOUND = "CVE_NOT_FOUND"
    CVE_FIXED = "CVE_FIXED"
    CVE_OPEN = "CVE_OPEN"
    ADVISORY_NOT_FOUND = "ADVISORY_NOT_FOUND"
    UNTRUSTED_REPOSITORY = "UNTRUSTED_REPOSITORY"
    LOCAL_PACKAGE = "LOCAL_PACKAGE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    AVAILABLE_SECURITY_UPDATE = "AVAILABLE_SECURITY_UPDATE"
    UNJUDGED = "UNJUDGED"


class ReleaseSource(StrEnum):
    """What dated a version. Source: spec/patch-baselines.md 1.4; decisions.md 15 for the two of apt."""

    NOTICE_UPDATED = "NOTICE_UPDATED"
    NOTICE_ISSUED = "NOTICE_ISSUED"
    BUILD_TIME = "BUILD_TIME"
    REPOSITORY_FIRST_SEEN = "REPOSITORY_FIRST_SEEN"
    """The repository's own Release date, when the server saw the whole repository for the first time."""
    FIRST_REPORT = "FIRST_REPORT"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a line has its state. `rule` counts from 1; `entry` is the list entry as the operator wrote it."""

    code: ReasonCode
    rule: int | None = None
    entry: str | None = None
    released_at: datetime | None = None
    release_source: ReleaseSource = ReleaseSource.NONE
    approved_at: datetime | None = None
    """When the rule's wait is (or was) over; None where nothing waits."""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchLine:
    """One patch of one node: `(name, arch)` on Linux, a KB on Windows. Source: patch-baselines.md 3.2, 7.1.

    `target` is set where something is to be installed (MISSING, FAILED). `status` is None for
    NOT_APPLICABLE. `classification` and `severity` are the vendor's words, `level` is the baseline's.
    """

    slot: Slot
    state: PatchState
    status: ComplianceStatus | None
    title: str
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    classification: str = ""
    severity: str = ""
    cves: tuple[str, ...] = ()
    installed: PackageVersion | None = None
    installed_at: datetime | None = None
    target: PackageVersion | None = None
    reason: Reason

    @property
    def patch_id(self) -> str:
        """The `Id` on the wire: `name.arch`; a bare name where the system has no architectures."""
        return self.slot.patch_id if self.slot.arch else self.slot.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """AWS's counts of InstancePatchState, and `pending_approval`, which is ours. Source: patch-baselines.md 6.2."""

    installed: int = 0
    installed_other: int = 0
    installed_pending_reboot: int = 0
    installed_rejected: int = 0
    missing: int = 0
    failed: int = 0
    not_applicable: int = 0
    unreported_not_applicable: int = -1
    available_security_update: int = 0
    critical_non_compliant: int = 0
    security_non_compliant: int = 0
    other_non_compliant: int = 0
    pending_approval: int = 0
    """Lines with a version newer than what is installed or targeted that only waits for its day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How many lines have which compliance level, by their status; a line without a status counts nowhere.

    Each tuple has a number per ComplianceLevel, the highest level first. Source: patch-baselines.md 7.3.
    """

    compliant: tuple[int, ...] = (0,) * len(ComplianceLevel)
    non_compliant: tuple[int, ...] = (0,) * len(ComplianceLevel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A node under a baseline at one instant. Lines are sorted by title.

    `overall_level` is the highest level among non-compliant lines. `next_change_at` is the first
    future instant at which time alone can change anything in here; None if there is none.
    """

    baseline_id: BaselineId
    lines: tuple[PatchLine, ...]
    counts: Counts
    levels: Levels
    status: ComplianceStatus
    overall_level: ComplianceLevel
    next_change_at: datetime | None


class UnjudgedCode(StrEnum):
    """Why no judgement can be given."""

    NO_FACTS = "NO_FACTS"
    WRONG_OPERATING_SYSTEM = "WRONG_OPERATING_SYSTEM"
    NEEDS_SCAN = "NEEDS_SCAN"
    NO_MATCHING_SOURCE = "NO_MATCHING_SOURCE"
    UNSUPPORTED_MANAGER = "UNSUPPORTED_MANAGER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A node that can't be judged, in words for the operator: absence is a value, never a silent COMPLIANT."""

    code: UnjudgedCode
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What earlier runs left behind. Source: decisions.md 12.

    `failed`: exact targets (slot, version) of the last Install that didn't go in, or did with a failed script;
    `failed_reasons` says why. What is installed is not FAILED by it.
    `pending_reboot`: (slot, version, boot_id) that a NoReboot install wrote under that boot.
    """

    failed: frozenset[tuple[Slot, str]] = frozenset()
    failed_reasons: Mapping[tuple[Slot, str], str] = field(default_factory=dict, hash=False)
    pending_reboot: frozenset[tuple[Slot, str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSeenKey:
    """`repository` is `Repository.identity`. Source: decisions.md 15."""

    repository: str
    name: str
    arch: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSeen:
    """When a version was first seen (aware, UTC), and which clock said so."""

    at: datetime
    source: ReleaseSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the server knows of publications beyond the records themselves: first-seen times of apt versions."""

    first_seen: Mapping[FirstSeenKey, FirstSeen] = field(default_factory=dict, hash=False)
