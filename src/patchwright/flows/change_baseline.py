"""Make, change, delete and promote baselines; what that alters in the fleet becomes due for judging."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from patchwright.core.baseline_checks import MAX_BASELINES, check
from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import InUse, Invalid, Kind, LimitExceeded, NotFound
from patchwright.core.predefined import BY_ID
from patchwright.core.tags import TaggedType, with_tags
from patchwright.core.values import BaselineId, Scope, Tag
from patchwright.flows.find_baseline import default_baseline, get_baseline
from patchwright.flows.judge_fleet import Cause, mark_due
from patchwright.flows.ports import Ids
from patchwright.store import baselines, patch_groups, tags
from patchwright.store.baselines import StoredBaseline
from patchwright.store.engine import Tx


def create_baseline(
    tx: Tx, scope: Scope, baseline: PatchBaseline, baseline_tags: Sequence[Tag], *, now: datetime
) -> StoredBaseline:
    """Keep a new baseline with its tags. It governs no node yet, so nothing becomes due.

    Raises Invalid for fields or tags that break a rule, LimitExceeded beyond the quota. Source: 1.2, 9.2, 9.3.
    """
    check(baseline)
    if baselines.count(tx, scope) >= MAX_BASELINES:
        raise LimitExceeded(
            Kind.BASELINE,
            f"An account has at most {MAX_BASELINES} patch baselines in a region; none was made. "
            "Delete one that is not used, then try again.",
        )
    checked = with_tags((), baseline_tags)
    stored = baselines.insert(tx, scope, baseline, now=now)
    tags.put(tx, scope, TaggedType.PATCH_BASELINE, baseline.id, checked)
    return stored


def own_baseline(tx: Tx, scope: Scope, baseline_id: BaselineId) -> StoredBaseline:
    """A baseline that may be changed. NotFound for a predefined one too: it isn't the account's. Source: 1.12."""
    if baseline_id in BY_ID:
        raise NotFound(
            Kind.BASELINE,
            f"Patch Baseline {baseline_id} is predefined, so it can't be changed; nothing was. Create one of your own.",
            id=baseline_id,
        )
    return baselines.get(tx, scope, baseline_id)


def update_baseline(
    tx: Tx, scope: Scope, before: StoredBaseline, after: PatchBaseline, *, now: datetime, ids: Ids
) -> StoredBaseline:
    """Make `after` the current version of `before`; what changes nothing makes no version.

    The nodes that were judged by it become due unless only its name or description changed. Raises Invalid.
    """
    if after == before.baseline:
        return before
    check(after)
    stored = baselines.add_version(tx, scope, after, now=now)
    relabelled = replace(before.baseline, name=after.name, description=after.description)
    if after != relabelled:
        mark_due(tx, scope, baseline_id=after.id, cause=Cause.BASELINE, now=now, ids=ids)
    return stored


def delete_baseline(tx: Tx, scope: Scope, baseline_id: BaselineId, *, now: datetime) -> None:
    """Delete a baseline that governs nothing, with its tags; one that does not exist is no error.

    Raises InUse while a patch group or a default refers to it, Invalid for a predefined one. Source: 1.11, 2.3.
    """
    if baseline_id in BY_ID:
        raise Invalid(
            Kind.BASELINE, f"Patch Baseline {baseline_id} is predefined and can't be deleted.", id=baseline_id
        )
    found = baselines.find(tx, scope, baseline_id)
    if found is None:
        return
    groups = patch_groups.of_baseline(tx, scope, baseline_id)
    if groups:
        raise InUse(Kind.BASELINE, f"PatchBaseline to be deleted is used for Patch Group: {groups[0]}", id=baseline_id)
    system = found.baseline.operating_system
    if default_baseline(tx, scope, system) == baseline_id:
        raise InUse(
            Kind.BASELINE,
            f"PatchBaseline to be deleted is the default for {system}; it was kept. Register another default first.",
            id=baseline_id,
        )
    baselines.delete(tx, scope, baseline_id, now=now)
    tags.remove_all(tx, scope, TaggedType.PATCH_BASELINE, baseline_id)


def register_default(tx: Tx, scope: Scope, baseline_id: BaselineId, *, now: datetime, ids: Ids) -> None:
    """Make a baseline the default of its system; the system's nodes become due. Raises NotFound. Source: 1.11."""
    system = get_baseline(tx, scope, baseline_id).baseline.operating_system
    if default_baseline(tx, scope, system) == baseline_id:
        return
    patch_groups.set_default(tx, scope, system, baseline_id)
    mark_due(tx, scope, operating_system=system, cause=Cause.DEFAULT_BASELINE, now=now, ids=ids)
