"""Filters of the compliance listings: what a condition means, and which spelling of a value is the one compared.

Source: patch-baselines.md 7.3, operations.md 7.2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import LEVELS, ComplianceLevel, ComplianceStatus, PatchState


class Operator(StrEnum):
    """How a filter compares; old examples of the vendor write `Equal`."""

    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    BEGIN_WITH = "BEGIN_WITH"
    LESS_THAN = "LESS_THAN"
    GREATER_THAN = "GREATER_THAN"


COMPLIANCE_TYPE = "Patch"
RESOURCE_TYPE = "ManagedInstance"
EXECUTION_TYPE = "Command"
"""What executed: patch operations come by Run Command alone."""
SEVERITY_KEYS = frozenset({"Severity", "OverallSeverity"})
TIME_KEY = "ExecutionTime"
MAX_FILTERS = 20
"""Of one request; more would only make a statement that no engine plans well."""

_FIRST_YEAR, _LAST_YEAR = 1970, 9000
"""Instants beyond can't be kept or added to."""
_LISTED_STATUSES = (ComplianceStatus.COMPLIANT, ComplianceStatus.NON_COMPLIANT)
_ORDERED = (Operator.LESS_THAN, Operator.GREATER_THAN)


def folded(value: str) -> str:
    """`InstalledOther`, `INSTALLED_OTHER` and `Non-Compliant` by one spelling each."""
    return value.replace("_", "").replace("-", "").replace(" ", "").casefold()


_WORDS: Mapping[str, Mapping[str, str]] = {
    "Status": {folded(s): s for s in _LISTED_STATUSES},
    "PatchState": {folded(s): s for s in PatchState},
    **{key: {folded(level): level for level in ComplianceLevel} for key in SEVERITY_KEYS},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One filter: its values are OR-ed (NOT_EQUAL: none of them), filters are AND-ed. Values are in `normal` form."""

    key: str
    operator: Operator
    values: tuple[str, ...]


def condition_of(key: str, values: Iterable[str], operator: str | None) -> Condition:
    """A filter as it was given. Raises Invalid(FILTER) for no values, and for values that can't be compared so."""
    how = _operator(operator)
    chosen = tuple(normal(key, value) for value in values)
    if not chosen:
        raise Invalid(Kind.FILTER, f"The filter {key} needs at least one value.")
    if key == TIME_KEY and how is Operator.BEGIN_WITH:
        raise Invalid(Kind.FILTER, f"{key} can't be compared by {how}: it is an instant.")
    if key in SEVERITY_KEYS and how in _ORDERED:
        unknown = [v for v in chosen if v not in LEVELS]
        if unknown:
            raise Invalid(Kind.FILTER, f"'{unknown[0][:100]}' is not a value of {key}: {', '.join(LEVELS)}.")
    return Condition(key=key, operator=how, values=chosen)


def _operator(text: str | None) -> Operator:
    found = {folded(o): o for o in Operator}.get(folded(text or Operator.EQUAL))
    if found is None:
        raise Invalid(Kind.FILTER, f"'{str(text)[:100]}' is not a filter type: {', '.join(Operator)}.")
    return found


def normal(key: str, value: str) -> str:
    """The one spelling in which values of `key` are compared. Raises Invalid(FILTER) for an instant that is none."""
    if key == TIME_KEY:
        return instant_text(_instant(value))
    if key == "PatchBaselineId":
        return value.rpartition("/")[2]  # a predefined baseline is shown by its ARN
    return _WORDS.get(key, {}).get(folded(value), value)


def instant_text(moment: datetime) -> str:
    """To the second, as the vendor's compliance data have it: such texts sort as their instants do."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _instant(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
        moment = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise ValueError(moment)
        return moment
    except (ValueError, OverflowError) as wrong:
        said = f"{TIME_KEY}: '{text[:40]}' is not an ISO 8601 time such as 2030-01-02T03:04:05Z."
        raise Invalid(Kind.FILTER, said) from wrong


def holds(condition: Condition, actual: str) -> bool:
    """Whether a value, in `normal` form, fulfils the condition. Severities are ordered by weight, all else as text."""
    match condition.operator:
        case Operator.EQUAL:
            return actual in condition.values
        case Operator.NOT_EQUAL:
            return actual not in condition.values
        case Operator.BEGIN_WITH:
            return actual.startswith(condition.values)
        case Operator.LESS_THAN:
            return any(_sorted(condition.key, actual) < _sorted(condition.key, v) for v in condition.values)
        case Operator.GREATER_THAN:
            return any(_sorted(condition.key, actual) > _sorted(condition.key, v) for v in condition.values)


def _sorted(key: str, value: str) -> tuple[int, str]:
    return (ComplianceLevel(value).rank, "") if key in SEVERITY_KEYS else (0, value)
