"""Compliance items that others put: what a report must be, and what it amounts to. Source: operations.md 7.2."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from patchwright.core.compliance import COMPLIANCE_TYPE
from patchwright.core.errors import Invalid, Kind, LimitExceeded
from patchwright.core.inventory import clean
from patchwright.core.judgement import Levels
from patchwright.core.values import LEVELS, ComplianceLevel, ComplianceStatus

ASSOCIATION = "Association"
MAX_CUSTOM_TYPES = 10
"""Of one node. Source: patch-baselines.md 9.3."""
MAX_ITEMS = 10_000
MAX_ID = 300
MAX_DETAILS = 50
MAX_ITEM_CHARACTERS = 256 * 1024
MAX_TOTAL_CHARACTERS = 8 * 1024 * 1024
_CUSTOM = re.compile(r"Custom:[A-Za-z0-9_\-]\w+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceItem:
    """One item as it was put, its texts clean."""

    id: str
    title: str
    severity: ComplianceLevel
    status: ComplianceStatus
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All items of one type on one node, in the order in which they are listed, and the execution that found them."""

    compliance_type: str
    execution_id: str
    execution_type: str
    executed_at: datetime
    content_hash: str
    items: tuple[ComplianceItem, ...]


def check_type(compliance_type: str) -> None:
    """Raises Invalid for a type that nobody may put: Patch is the server's own judgement."""
    if compliance_type == COMPLIANCE_TYPE:
        raise Invalid(
            Kind.ITEM_CONTENT,
            "Items of type Patch are the server's own judgement of what the node reports: use a type Custom:… for "
            "other findings.",
        )
    if compliance_type != ASSOCIATION and not _CUSTOM.fullmatch(compliance_type):
        raise Invalid(
            Kind.REQUEST,
            f"'{clean(compliance_type)}' is not a compliance type: {ASSOCIATION}, or Custom: and a name.",
        )


def check_items(items: Sequence[ComplianceItem], *, partial: bool) -> None:
    """Raises Invalid for an id that occurs twice, or is absent where it says what is replaced; LimitExceeded."""
    seen: set[str] = set()
    total = 0
    for item in items:
        if item.id in seen:
            raise Invalid(Kind.ITEM_CONTENT, f"The item id '{item.id[:100]}' occurs twice; nothing was kept.")
        if item.id:
            seen.add(item.id)
        elif partial:
            raise Invalid(Kind.ITEM_CONTENT, "With UploadType PARTIAL each item needs an Id: it says what is replaced.")
        size = len(item.id) + len(item.title) + sum(len(k) + len(v) for k, v in item.details.items())
        if len(item.id) > MAX_ID or len(item.details) > MAX_DETAILS or size > MAX_ITEM_CHARACTERS:
            raise LimitExceeded(
                Kind.ITEM,
                f"The item '{item.id[:100]}' is too large: an Id has at most {MAX_ID} characters, Details "
                f"{MAX_DETAILS} entries, an item {MAX_ITEM_CHARACTERS} characters.",
            )
        total += size
    check_total(len(items), total)


def check_total(count: int, characters: int) -> None:
    """Raises LimitExceeded."""
    if count > MAX_ITEMS or characters > MAX_TOTAL_CHARACTERS:
        raise LimitExceeded(
            Kind.ITEMS,
            f"{count} items with {characters} characters; a type has at most {MAX_ITEMS} with {MAX_TOTAL_CHARACTERS} "
            "on a node.",
        )


def in_order(items: Iterable[ComplianceItem]) -> tuple[ComplianceItem, ...]:
    """By title, then by id."""
    return tuple(sorted(items, key=lambda item: (item.title, item.id)))


def merged(before: Sequence[ComplianceItem], new: Sequence[ComplianceItem]) -> tuple[ComplianceItem, ...]:
    """PARTIAL: the new items in the place of those with the same ids; the others stay."""
    by_id = {item.id: item for item in new}
    return in_order([*(item for item in before if item.id not in by_id), *new])


def levels_of(items: Iterable[ComplianceItem]) -> Levels:
    """How many items have which severity, by their status."""
    compliant, non_compliant = [0] * len(LEVELS), [0] * len(LEVELS)
    for item in items:
        side = compliant if item.status is ComplianceStatus.COMPLIANT else non_compliant
        side[LEVELS.index(item.severity)] += 1
    return Levels(compliant=tuple(compliant), non_compliant=tuple(non_compliant))


def status_of(levels: Levels) -> tuple[ComplianceStatus, ComplianceLevel]:
    """NON_COMPLIANT if any item is, with the highest severity among those. Source: patch-baselines.md 7.3."""
    for level, count in zip(LEVELS, levels.non_compliant, strict=True):
        if count:
            return ComplianceStatus.NON_COMPLIANT, level
    return ComplianceStatus.COMPLIANT, ComplianceLevel.UNSPECIFIED
