"""Tags between the wire's list of Key and Value and core's values."""

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.core.values import Tag


def tags_from(wire: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    """[{Key, Value}] -> tags; of a key given twice the last counts."""
    latest = {t["Key"]: t.get("Value", "") for t in wire or ()}
    return tuple(Tag(key=k, value=v) for k, v in latest.items())


def tags_to(tags: Sequence[Tag]) -> list[dict[str, str]]:
    """Tags -> [{Key, Value}] in key order."""
    return [{"Key": t.key, "Value": t.value} for t in sorted(tags, key=lambda t: t.key)]
