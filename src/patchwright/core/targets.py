"""Targets of a command: which keys exist, and what a request may say. Source: operations.md 3.1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.errors import Invalid, Kind


class TargetKey(StrEnum):
    """What a criterion selects by."""

    INSTANCE_IDS = "InstanceIds"
    TAG = "tag:"
    TAG_KEY = "tag-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One criterion; its values are OR-ed, criteria of one request are AND-ed. `tag` is set for TAG."""

    key: TargetKey
    values: tuple[str, ...]
    tag: str = ""


def targets_from(raw: Sequence[Mapping[str, object]]) -> tuple[Target, ...]:
    """Wire targets [{Key, Values}] -> targets. Raises Invalid(REQUEST) for keys that nothing can select by."""
    return tuple(_target(str(t.get("Key", "")), t.get("Values", ())) for t in raw)


def _target(key: str, raw: object) -> Target:
    values = tuple(str(v) for v in raw) if isinstance(raw, Sequence) else ()
    if not values:
        raise Invalid(
            Kind.REQUEST, f"Please specify at least one target.  Filter values can't be null and {key or 'the key'} is."
        )
    if key.startswith("tag:") and len(key) > len("tag:"):
        return Target(key=TargetKey.TAG, values=values, tag=key[len("tag:") :])
    if key.lower() == "instanceids":
        return Target(key=TargetKey.INSTANCE_IDS, values=values)
    if key == "tag-key":
        return Target(key=TargetKey.TAG_KEY, values=values)
    if key.startswith("resource-groups:"):
        raise Invalid(Kind.REQUEST, f"Target key '{key}': resource groups are not served by this release.")
    raise Invalid(Kind.REQUEST, f"Target key '{key}' is not one of InstanceIds, tag:<key>, tag-key.")
