"""What tags a resource may carry."""

from collections.abc import Sequence
from enum import StrEnum

from patchwright.core.errors import Invalid, Kind, LimitExceeded
from patchwright.core.values import Tag

MAX_TAGS = 50
"""Per resource. Source: operations.md 7.5."""
RESERVED_PREFIX = "aws:"


class TaggedType(StrEnum):
    """The kinds of resource that carry tags here; AWS's ResourceTypeForTagging."""

    PATCH_BASELINE = "PatchBaseline"
    MANAGED_INSTANCE = "ManagedInstance"
    DOCUMENT = "Document"
    MAINTENANCE_WINDOW = "MaintenanceWindow"


def with_tags(present: Sequence[Tag], added: Sequence[Tag]) -> tuple[Tag, ...]:
    """The tags of a resource after `added` are put over `present`, by key, in key order.

    Raises Invalid for a reserved key and LimitExceeded beyond MAX_TAGS; lengths and characters are checked by shape.
    Source: operations.md 7.5.
    """
    for tag in added:
        if tag.key.lower().startswith(RESERVED_PREFIX):
            raise Invalid(
                Kind.TAG, f"Tag keys that start with {RESERVED_PREFIX!r} are reserved: {tag.key!r}. No tag was changed."
            )
    merged = {tag.key: tag for tag in (*present, *added)}
    if len(merged) > MAX_TAGS:
        raise LimitExceeded(
            Kind.TAG,
            f"A resource has at most {MAX_TAGS} tags; this would make {len(merged)}. "
            "No tag was changed: remove some, then try again.",
        )
    return tuple(merged[key] for key in sorted(merged))
