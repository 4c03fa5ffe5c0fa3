"""Find a baseline wherever it lives: the account's own in the store, the predefined ones in the code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from patchwright.core.baselines import PatchBaseline
from patchwright.core.predefined import BY_ID, DEFAULT_FOR, PREDEFINED
from patchwright.core.values import BaselineId, OperatingSystem, Scope
from patchwright.store import baselines, patch_groups
from patchwright.store.baselines import StoredBaseline
from patchwright.store.engine import Tx

PREDEFINED_AT = datetime(2025, 1, 1, tzinfo=UTC)
"""When predefined baselines say that they were made: before every installation, and always the same."""
PREDEFINED_VERSION = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineIdentity:
    """A baseline as listings show it."""

    baseline: PatchBaseline
    is_default: bool


def find_baseline(tx: Tx, scope: Scope, baseline_id: BaselineId) -> StoredBaseline | None:
    """A predefined baseline, or one of the scope's own that is not deleted; else None."""
    predefined = BY_ID.get(baseline_id)
    return baselines.find(tx, scope, baseline_id) if predefined is None else _stored(predefined)


def get_baseline(tx: Tx, scope: Scope, baseline_id: BaselineId) -> StoredBaseline:
    """The same for those who need one. Raises NotFound."""
    predefined = BY_ID.get(baseline_id)
    return baselines.get(tx, scope, baseline_id) if predefined is None else _stored(predefined)


def default_baseline(tx: Tx, scope: Scope, operating_system: OperatingSystem) -> BaselineId:
    """The system's default baseline: the one registered, else the predefined one. Source: patch-baselines.md 1.11."""
    registered = patch_groups.defaults_of(tx, scope).get(operating_system)
    return DEFAULT_FOR[operating_system].id if registered is None else registered


def baseline_of_group(tx: Tx, scope: Scope, group: str, operating_system: OperatingSystem) -> BaselineId:
    """The baseline registered for the group on this system, else the system's default. Source: 2.3."""
    registered = patch_groups.find(tx, scope, group, operating_system)
    return default_baseline(tx, scope, operating_system) if registered is None else registered


def all_baselines(tx: Tx, scope: Scope) -> Sequence[BaselineIdentity]:
    """Predefined baselines first, then the scope's own; by name and id within each. Source: patch-baselines.md 8."""
    registered = patch_groups.defaults_of(tx, scope)
    own = [stored.baseline for stored in baselines.all_of(tx, scope)]
    ordered = sorted((*PREDEFINED, *own), key=lambda b: (not b.predefined, b.name, b.id))
    return [BaselineIdentity(baseline=b, is_default=_is_default(b, registered)) for b in ordered]


def _is_default(baseline: PatchBaseline, registered: Mapping[OperatingSystem, BaselineId]) -> bool:
    system = baseline.operating_system
    return registered.get(system, DEFAULT_FOR[system].id) == baseline.id


def _stored(predefined: PatchBaseline) -> StoredBaseline:
    return StoredBaseline(
        baseline=predefined, version=PREDEFINED_VERSION, created_at=PREDEFINED_AT, modified_at=PREDEFINED_AT
    )
