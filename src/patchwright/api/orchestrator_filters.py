"""PatchOrchestratorFilter: the filters of DescribePatchBaselines and DescribePatchGroups."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import OperatingSystem

OWNERS = ("AWS", "Self", "All")
"""`All` is what Terraform sends for both. Source: patch-baselines.md 8."""


def orchestrator_filters(
    wire: Sequence[Mapping[str, Any]] | None, allowed: Sequence[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """[{Key, Values}] -> (key, values): values are OR-ed, filters AND-ed. Source: patch-baselines.md 8.

    Raises Invalid for a key that is absent or not allowed, for no values, and for a value that its key can't have.
    """
    return tuple(_one(entry, allowed) for entry in wire or ())


def matches(filters: Sequence[tuple[str, tuple[str, ...]]], tests: Mapping[str, Callable[[str], bool]]) -> bool:
    """Whether every filter has a value that passes the test of its key."""
    return all(any(tests[key](value) for value in values) for key, values in filters)


def _one(entry: Mapping[str, Any], allowed: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    key = entry.get("Key", "")
    if key not in allowed:
        raise Invalid(Kind.FILTER, f"The filter key {key[:128]!a} is not valid; valid are {', '.join(allowed)}.")
    values = tuple(entry.get("Values", ()))
    if not values:
        raise Invalid(Kind.FILTER, f"The filter {key} needs at least one value.")
    known = {"OWNER": OWNERS, "OPERATING_SYSTEM": tuple(OperatingSystem)}.get(key)
    for value in values:
        if known is not None and value not in known:
            raise Invalid(Kind.FILTER, f"{value[:128]!a} is not a value of {key}; valid are {', '.join(known)}.")
    return key, values
