"""Mark the nodes that a change concerns, so that the judging loop judges them again."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from patchwright.core.values import BaselineId, NodeId, OperatingSystem, Scope
from patchwright.flows.ports import Ids
from patchwright.store import due_judgements
from patchwright.store.due_judgements import Concerned
from patchwright.store.engine import Tx

CHANNEL = "judging"
"""Woken when something is due."""


class Cause(StrEnum):
    """What made a judgement due, as operators see it."""

    BASELINE = "baseline"
    PATCH_GROUP = "patch_group"
    DEFAULT_BASELINE = "default_baseline"
    TAGS = "tags"


def mark_due(
    tx: Tx,
    scope: Scope,
    *,
    baseline_id: BaselineId | None = None,
    operating_system: OperatingSystem | None = None,
    patch_group: str | None = None,
    node_ids: Collection[NodeId] | None = None,
    cause: str,
    now: datetime,
    ids: Ids,
) -> int:
    """Make due the registered nodes of `scope` that fit all that is given; nothing given means all of them.

    `baseline_id`: their verdict names it; `patch_group`: their tags name it. `now` becomes the time at which they are
    judged (decisions.md 24). Answers how many they are; wakes the judging loop if there are any.
    """
    concerned = Concerned(
        baseline_id=baseline_id, operating_system=operating_system, patch_group=patch_group, node_ids=node_ids
    )
    count = due_judgements.mark(tx, scope, concerned, cause=cause, caused_at=now, ticket=ids.uuid())
    if count:
        tx.wake(CHANNEL)
    return count
