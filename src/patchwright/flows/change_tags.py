"""Change a resource's tags; a node whose patch group changes becomes due for judging."""

from collections.abc import Collection, Sequence
from datetime import datetime

from patchwright.core.groups import patch_group_of
from patchwright.core.tags import TaggedType, with_tags
from patchwright.core.values import NodeId, Scope, Tag
from patchwright.flows.judge_fleet import Cause, mark_due
from patchwright.flows.ports import Ids
from patchwright.store import tags
from patchwright.store.engine import Tx


def add_tags(
    tx: Tx, scope: Scope, kind: TaggedType, resource_id: str, added: Sequence[Tag], *, now: datetime, ids: Ids
) -> None:
    """Put tags over those that are there, by key. Raises Invalid for a reserved key, LimitExceeded for too many."""
    before = tags.of(tx, scope, kind, resource_id)
    after = with_tags(before, added)
    tags.put(tx, scope, kind, resource_id, added)
    _judge_if_regrouped(tx, scope, kind, resource_id, before, after, now, ids)


def remove_tags(
    tx: Tx, scope: Scope, kind: TaggedType, resource_id: str, keys: Collection[str], *, now: datetime, ids: Ids
) -> None:
    """Take tags away by key; keys that are not there are ignored."""
    before = tags.of(tx, scope, kind, resource_id)
    after = tuple(tag for tag in before if tag.key not in keys)
    tags.remove(tx, scope, kind, resource_id, [tag.key for tag in before if tag.key in keys])
    _judge_if_regrouped(tx, scope, kind, resource_id, before, after, now, ids)


def _judge_if_regrouped(
    tx: Tx,
    scope: Scope,
    kind: TaggedType,
    resource_id: str,
    before: Sequence[Tag],
    after: Sequence[Tag],
    now: datetime,
    ids: Ids,
) -> None:
    # No other tag has a say in a judgement: re-tagging a fleet with cost centres judges nobody again.
    if kind is TaggedType.MANAGED_INSTANCE and patch_group_of(before) != patch_group_of(after):
        mark_due(tx, scope, node_ids=[NodeId(resource_id)], cause=Cause.TAGS, now=now, ids=ids)
