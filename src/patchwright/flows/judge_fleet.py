"""Mark the nodes that a change concerns, so that the judging loop judges them again."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from patchwright.core.values import BaselineId, NodeId, OperatingSystem, Scope
from patchwright.flows.ports import Ids
from patchwright.store import due_judgements
from patchwright.store.due_judgements import Change
from patchwright.store.engine import Tx

CHANNEL = "judging"
"""Woken when something is due."""


class Cause(StrEnum):
    """What made a judgement due, as operators see it."""

    BASELINE = "baseline"
    PATCH_GROUP = "patch_group"
    DEFAULT_BASELINE = "default_baseline"
    TAGS = "tags"
    CATALOGUE = "catalogue"


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
) -> None:
    """Make due the registered nodes of `scope` that fit all that is given; nothing given means all of them.

    `baseline_id`: their verdict names it; `patch_group`: their tags name it. Named nodes get a row each, any other
    change is one row: whom it concerns is found out by the judging loop, which is woken. `now` becomes the time at
    which they are judged (decisions.md 24).
    """
    if node_ids is not None:
        marked = due_judgements.mark_nodes(tx, scope, node_ids, cause=cause, caused_at=now, ticket=ids.uuid())
        if not marked:
            return
    else:
        change = Change(
            ticket=ids.uuid(),
            scope=scope,
            cause=cause,
            caused_at=now,
            baseline_id=baseline_id,
            operating_system=operating_system,
            patch_group=patch_group,
        )
        due_judgements.note(tx, change)
    tx.wake(CHANNEL)


def mark_account_due(tx: Tx, account: str, *, cause: str, now: datetime, ids: Ids) -> None:
    """Make due every registered node of all regions of an account."""
    mark_due(tx, Scope(account=account, region=""), cause=cause, now=now, ids=ids)
