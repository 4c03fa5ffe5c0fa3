"""Register and deregister baselines for patch groups; the group's nodes become due for judging."""

from datetime import datetime

from patchwright.core import groups
from patchwright.core.values import BaselineId, OperatingSystem, Scope
from patchwright.flows.find_baseline import get_baseline
from patchwright.flows.judge_fleet import Cause, mark_due
from patchwright.flows.ports import Ids
from patchwright.store import patch_groups
from patchwright.store.engine import Tx
from patchwright.store.patch_groups import GroupMapping


def register_group(tx: Tx, scope: Scope, group: str, baseline_id: BaselineId, *, now: datetime, ids: Ids) -> None:
    """Let a baseline govern a patch group on its system; the same again changes nothing.

    Raises NotFound for the baseline, AlreadyExists when the group has another one for the system, LimitExceeded for
    too many groups of one baseline. Source: patch-baselines.md 2.3.
    """
    system = get_baseline(tx, scope, baseline_id).baseline.operating_system
    existing = {(m.patch_group, m.operating_system): m.baseline_id for m in patch_groups.all_of(tx, scope)}
    if not groups.register(existing, group, system, baseline_id):
        return
    mapping = GroupMapping(patch_group=group, operating_system=system, baseline_id=baseline_id)
    patch_groups.register(tx, scope, mapping)
    _mark(tx, scope, group, system, now, ids)


def deregister_group(tx: Tx, scope: Scope, group: str, baseline_id: BaselineId, *, now: datetime, ids: Ids) -> None:
    """Take a baseline from a patch group; a pair that is not registered is no error. Raises NotFound. Source: 2.3."""
    system = get_baseline(tx, scope, baseline_id).baseline.operating_system
    if patch_groups.deregister(tx, scope, group, baseline_id):
        _mark(tx, scope, group, system, now, ids)


def _mark(tx: Tx, scope: Scope, group: str, system: OperatingSystem, now: datetime, ids: Ids) -> None:
    # Only the baseline's own system: the group's other nodes keep what governs them.
    mark_due(tx, scope, patch_group=group, operating_system=system, cause=Cause.PATCH_GROUP, now=now, ids=ids)
