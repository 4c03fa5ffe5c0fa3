"""Nodes due for judging: after a changed baseline, group, tag, default, new facts, or a passed approval instant."""

import logging
from datetime import datetime
from functools import partial

from patchwright.core.approval import AptDelays
from patchwright.core.nodes import ManagedNode
from patchwright.flows.judge_node import JudgedNode, Shared, judge_node, save_if_current
from patchwright.store import judgements, nodes
from patchwright.store.engine import Engine, Tx
from patchwright.store.judgements import Due

BATCH = 200
WRITE = 20
"""Verdicts a transaction: judging is done outside it, so it is short."""


BROKEN_FACTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What a bug of ours makes of one node's facts; anything of the store ends the turn instead."""

log = logging.getLogger(__name__)


class NotJudged(Exception):
    """Some nodes of a batch could not be judged; the rest was."""


class JudgingLoop:
    """Judges what is due, in batches, and keeps each verdict unless its inputs moved on meanwhile."""

    def __init__(self, store: Engine, apt_delays: AptDelays) -> None:
        self._store = store
        self._apt_delays = apt_delays

    def turn(self, now: datetime) -> datetime | None:
        """One batch. Returns `now` while there is more, else when time alone next changes something."""
        found = self._store.read(lambda tx: judgements.due(tx, limit=BATCH))
        by_time = [] if found else self._store.read(lambda tx: judgements.changed_by_time(tx, now, limit=BATCH))
        items = found or [Due(node_id=n, cause="approval", caused_at=now, ticket="") for n in by_time]
        failed: list[str] = []
        judged = self._store.read(lambda tx: self._judge(tx, items, failed))
        for start in range(0, len(judged), WRITE):
            self._store.write(partial(_keep, judged=judged[start : start + WRITE]))
        if failed:
            # The others are judged; these stay due, and /readyz names them until they can be.
            raise NotJudged(f"{len(failed)} nodes could not be judged: {', '.join(failed[:5])}")
        if len(items) == BATCH:
            return now
        return self._store.read(judgements.next_change)

    def _judge(self, tx: Tx, items: list[Due], failed: list[str]) -> list[tuple[Due, JudgedNode | None]]:
        """All in one snapshot, so that what the nodes have in common is worked out once."""
        shared = Shared(self._apt_delays)
        judged: list[tuple[Due, JudgedNode | None]] = []
        for item in items:
            node: ManagedNode | None = nodes.find(tx, item.node_id)
            active = node is not None and node.deregistered_at is None
            try:
                outcome = judge_node(tx, node, item.caused_at, self._apt_delays, shared) if node and active else None
            except BROKEN_FACTS:
                log.exception("node %s could not be judged", item.node_id)
                failed.append(item.node_id)
            else:
                judged.append((item, outcome))
        return judged


def _keep(tx: Tx, judged: list[tuple[Due, JudgedNode | None]]) -> None:
    for item, outcome in judged:
        # A node that was deregistered meanwhile must not get its verdict back.
        if outcome is None or _is_gone(tx, item) or save_if_current(tx, outcome):
            judgements.done(tx, item)
        else:
            # Facts or baseline moved on: the node stays due and comes again in the next turn.
            tx.wake("judging")


def _is_gone(tx: Tx, item: Due) -> bool:
    """Whether the node was deregistered while it was judged: nothing may be kept of it then."""
    node = nodes.find(tx, item.node_id)
    return node is None or node.deregistered_at is not None
