"""Filters in, severity summaries and execution summaries out: what the compliance listings share. Source: 7.3."""

from collections.abc import Collection, Mapping
from typing import Any

from patchwright.api.context import Request
from patchwright.core.compliance import EXECUTION_TYPE, MAX_FILTERS, Condition, condition_of
from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import LEVELS, ComplianceLevel
from patchwright.store.compliance import Execution

_COUNT_OF = {level: f"{level.capitalize()}Count" for level in LEVELS}


def conditions_from(req: Request, allowed: Collection[str]) -> list[Condition]:
    """[{Key, Values, Type}] -> conditions. Raises Invalid(FILTER) for an unknown key, type or value, or too many."""
    filters = req.get("Filters", ())
    if len(filters) > MAX_FILTERS:
        raise Invalid(Kind.FILTER, f"A request has at most {MAX_FILTERS} filters.")
    for entry in filters:
        key = entry.get("Key", "")
        if key not in allowed:
            raise Invalid(Kind.FILTER, f"The filter key '{key[:128]}' is not valid: {', '.join(allowed)}.")
    return [condition_of(entry["Key"], entry.get("Values", ()), entry.get("Type")) for entry in filters]


def severity_summary(counts: Mapping[ComplianceLevel, int]) -> dict[str, int]:
    """All six buckets, whatever is in them."""
    return {name: counts.get(level, 0) for level, name in _COUNT_OF.items()}


def execution_to(execution: Execution) -> dict[str, Any]:
    """Which run the data are of; a node that reported without one has a time alone."""
    return {
        "ExecutionTime": execution.at,
        "ExecutionId": execution.id,
        "ExecutionType": EXECUTION_TYPE if execution.id is not None else None,
    }
