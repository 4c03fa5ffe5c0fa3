"""Patch groups: which baseline governs a node, and what may be registered for a group."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.errors import AlreadyExists, InUse, Invalid, Kind, LimitExceeded
from patchwright.core.values import BaselineId, OperatingSystem, Tag

PATCH_GROUP_KEYS = ("PatchGroup", "Patch Group")
"""Both are valid and case-sensitive; the first wins where a node carries both. Source: patch-baselines.md 2.1."""
MAX_GROUPS_PER_BASELINE = 25
"""The vendor's quota. Source: patch-baselines.md 9.3."""
MAX_GROUP_CHARS = 256
_PUNCTUATION = frozenset("_.:/=+-@")


class BaselineSource(StrEnum):
    """How a node came by its baseline."""

    PATCH_GROUP = "PATCH_GROUP"
    DEFAULT = "DEFAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The baseline of one node. `patch_group` is "" for a node without the tag, and reported even if unregistered."""

    baseline_id: BaselineId
    patch_group: str
    source: BaselineSource


Registrations = Mapping[tuple[str, OperatingSystem], BaselineId]
"""(patch group, operating system) -> baseline, of one account and region."""


def patch_group_of(tags: Iterable[Tag] | Mapping[str, str]) -> str:
    """The patch group that a node's tags name, "" if none. Source: patch-baselines.md 2.1."""
    values = dict(tags) if isinstance(tags, Mapping) else {tag.key: tag.value for tag in tags}
    return next((values[key] for key in PATCH_GROUP_KEYS if values.get(key)), "")


def has_conflicting_groups(tags: Iterable[Tag] | Mapping[str, str]) -> bool:
    """Whether both tag keys are there and disagree: worth a warning to the operator."""
    values = dict(tags) if isinstance(tags, Mapping) else {tag.key: tag.value for tag in tags}
    return len({values[key] for key in PATCH_GROUP_KEYS if values.get(key)}) > 1


def resolve(
    operating_system: OperatingSystem,
    tags: Iterable[Tag] | Mapping[str, str],
    registered: Registrations,
    default: BaselineId,
) -> Resolution:
    """The node's group if it is registered for its system, else `default`, the system's default baseline.

    Source: patch-baselines.md 2.2, steps 3 and 4.
    """
    group = patch_group_of(tags)
    baseline_id = registered.get((group, operating_system)) if group else None
    if baseline_id is None:
        return Resolution(baseline_id=default, patch_group=group, source=BaselineSource.DEFAULT)
    return Resolution(baseline_id=baseline_id, patch_group=group, source=BaselineSource.PATCH_GROUP)


def check_patch_group(group: str) -> None:
    """Raise Invalid unless `group` may name a patch group: 1-256 letters, numbers, separators or `_.:/=+-@`."""
    allowed = all(unicodedata.category(char)[0] in "LZN" or char in _PUNCTUATION for char in group)
    if not 1 <= len(group) <= MAX_GROUP_CHARS or not allowed:
        raise Invalid(
            Kind.PATCH_GROUP,
            "a patch group has 1 to 256 characters: letters, numbers, separators or any of _ . : / = + - @",
            id=group[:MAX_GROUP_CHARS],
        )


def register(existing: Registrations, group: str, operating_system: OperatingSystem, baseline_id: BaselineId) -> bool:
    """Whether registering `baseline_id` for `group` adds a row; False when it is already there.

    Raises AlreadyExists if the group has another baseline for this system, LimitExceeded for the 26th
    group of a baseline, Invalid for an impossible name. Source: patch-baselines.md 2.3, 9.3.
    """
    check_patch_group(group)
    taken = existing.get((group, operating_system))
    if taken == baseline_id:
        return False
    if taken is not None:
        raise AlreadyExists(
            Kind.PATCH_GROUP,
            f"Patch Group baseline already has a baseline registered for OperatingSystem {operating_system}.",
            id=group,
        )
    groups = {name for (name, _), registered in existing.items() if registered == baseline_id}
    if len(groups) >= MAX_GROUPS_PER_BASELINE:
        raise LimitExceeded(
            Kind.PATCH_GROUP,
            f"The baseline already has {MAX_GROUPS_PER_BASELINE} patch groups; deregister one first.",
            id=baseline_id,
        )
    return True


def check_removable(existing: Registrations, baseline_id: BaselineId, defaults: Collection[BaselineId]) -> None:
    """Raise InUse, naming the group, while `baseline_id` serves a patch group or is a system's default.

    Source: patch-baselines.md 1.11, 2.3.
    """
    groups = sorted({group for (group, _), registered in existing.items() if registered == baseline_id})
    if groups:
        raise InUse(
            Kind.BASELINE, f"PatchBaseline to be deleted is used for Patch Group: {', '.join(groups)}", id=baseline_id
        )
    if baseline_id in defaults:
        raise InUse(
            Kind.BASELINE,
            "PatchBaseline to be deleted is the default of its operating system; register another default first.",
            id=baseline_id,
        )
