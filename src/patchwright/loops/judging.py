"""Nodes due for judging: after a changed baseline, group, tag, default, new facts, or a passed approval instant."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from patchwright.core.approval import AptDelays
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import NodeId, Scope
from patchwright.flows.judge_node import JudgedNode, Shared, judge_node, save_if_current
from patchwright.store import due_judgements, judgements, nodes
from patchwright.store.columns import from_micros
from patchwright.store.due_judgements import Change
from patchwright.store.engine import Engine, Tx
from patchwright.store.judgements import Due

if TYPE_CHECKING:
    from patchwright.flows.judge_bulk import FleetJudge, Renewal, Verdicts
    from patchwright.store.bulk_facts import DueNode

BATCH = 200
BULK_FROM = 100
"""Nodes due at once from which the bulk judge is worth its memory. A small server never loads its arrays."""
WRITE = 20
"""Verdicts a transaction: judging is done outside it, so it is short."""
BULK_WRITE = {"sqlite": 500, "postgresql": 5_000}
"""Verdicts of the first bulk transaction; the next are fitted to what it took."""
BULK_SECONDS = {"sqlite": 0.004, "postgresql": 0.25}
"""What a bulk transaction may take, its commit aside. On SQLite nobody holds the write lock over 10 ms
(decisions.md 26); on PostgreSQL it keeps few rows from others."""
MAX_BULK_WRITE = 10_000

BROKEN_FACTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What a bug of ours makes of one node's facts; anything of the store ends the turn instead."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class NotJudged(Exception):
    """Some nodes of a batch could not be judged; the rest was."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What is due: changes, and whether the nodes that are due for any cause are many."""

    changes: Sequence[Change]
    many: bool


class JudgingLoop:
    """Judges what is due, in batches, and keeps each verdict unless its inputs moved on meanwhile."""

    def __init__(self, store: Engine, apt_delays: AptDelays) -> None:
        self._store = store
        self._apt_delays = apt_delays
        self._fleet: FleetJudge | None = None
        self._size = BULK_WRITE[store.dialect]

    def turn(self, now: datetime) -> datetime | None:
        """One batch. Returns `now` while there is more, else when time alone next changes something."""
        found = self._store.read(lambda tx: _look(tx, now))
        if found.many:
            self._judge_many(found.changes, now)
            return now
        for change in found.changes:
            self._store.write(lambda tx, change=change: due_judgements.expand(tx, change))  # type: ignore[misc]
        return self._judge_few(now)

    def _judge_few(self, now: datetime) -> datetime | None:
        found = self._store.read(lambda tx: judgements.due(tx, limit=BATCH))
        by_time = [] if found else self._store.read(lambda tx: judgements.changed_by_time(tx, now, limit=BATCH))
        items = found or [Due(node_id=n, cause="approval", caused_at=now, ticket="") for n in by_time]
        self._judge_items(items)
        if len(items) == BATCH:
            return now
        return self._store.read(judgements.next_change)

    def _judge_items(self, items: Sequence[Due]) -> None:
        """By the plain judge. Raises NotJudged when that did not work for some; the others are judged."""
        failed: list[str] = []
        judged = self._store.read(lambda tx: self._judge(tx, items, failed))
        for start in range(0, len(judged), WRITE):
            self._store.write(partial(_keep, judged=judged[start : start + WRITE]))
        if failed:
            # The others are judged; these stay due, and /readyz names them until they can be.
            raise NotJudged(f"{len(failed)} nodes could not be judged: {', '.join(failed[:5])}")

    def _judge(self, tx: Tx, items: Sequence[Due], failed: list[str]) -> list[tuple[Due, JudgedNode | None]]:
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

    def _judge_many(self, changes: Sequence[Change], now: datetime) -> None:
        """Everything that is due, slice by slice. The changes are forgotten when all their nodes are judged.

        A kill at any line loses nothing: what is judged once more gives the same verdicts, which are not written again.
        """
        # A changed baseline leaves each node under it: its verdict says all that is needed.
        renewing = [change for change in changes if change.only_baseline]
        others = self._judge_moved([change for change in changes if not change.only_baseline])
        others += self._renew(renewing, now)
        if changes:
            self._store.write(lambda tx: due_judgements.forget(tx, [change.ticket for change in changes]))
        self._store.write(due_judgements.forget_unknown)
        for start in range(0, len(others), BATCH):
            self._judge_items(others[start : start + BATCH])

    def _judge_moved(self, changes: Sequence[Change]) -> list[Due]:
        """Nodes that may have other facts or another baseline now; returns those for the plain judge."""
        fleet, after, others = self._bulk(), "", list[Due]()
        while True:
            part = self._store.read(partial(fleet.judge, changes=changes, after=after))
            for verdicts in part.verdicts:
                self._write_many(verdicts)
            others += self._keep_due(part.others)
            if part.last is None:
                return others
            after = part.last

    def _renew(self, changes: Sequence[Change], now: datetime) -> list[Due]:
        """Nodes of which the baseline or the time alone is another; returns those for the plain judge."""
        from patchwright.store import standing_verdicts

        others, parts = list[Due](), self._renewals(changes, now)
        if self._store.dialect == "postgresql":
            parts = _one_ahead(parts)
        for part in parts:
            for renewed in part.renewed:
                self._in_parts(len(renewed), partial(standing_verdicts.renewal, self._store.dialect, renewed))
            others += self._keep_due(part.others)
        return others

    def _renewals(self, changes: Sequence[Change], now: datetime) -> Iterator["Renewal"]:
        """What is now said of standing verdicts, some nodes at a time."""
        fleet = self._bulk()
        for work in self._store.read(partial(fleet.standing, changes=changes, now=now)):
            after: bytes | None = b""
            while after is not None:
                part = self._store.read(partial(fleet.renew, work=work, after=after))
                if part.renewed or part.others:
                    yield part
                after = part.last

    def _bulk(self) -> "FleetJudge":
        if self._fleet is None:
            from patchwright.flows.judge_bulk import FleetJudge  # loads numpy: only a server with a fleet needs it

            self._fleet = FleetJudge(self._apt_delays)
        return self._fleet

    def _write_many(self, verdicts: "Verdicts") -> None:
        from patchwright.store import verdict_rows

        def part(first: int, last: int) -> Callable[[Tx], None]:
            rows = list(verdicts.rows(first, last))
            tickets = [(node.id, node.ticket) for node in verdicts.nodes[first:last] if node.ticket]
            return partial(verdict_rows.write, rows=rows, tickets=tickets)

        self._in_parts(len(verdicts.nodes), part)

    def _in_parts(self, count: int, part: Callable[[int, int], Callable[[Tx], None]]) -> None:
        """One transaction after another, each fitted to what the last one took. `part` makes the work of one.

        This thread rests meanwhile: the writer gives up the interpreter at every row, and would wait for its turn each
        time, with the write lock in its hands.
        """
        first = 0
        while first < count:
            last = min(first + self._size, count)
            seconds = self._store.write(partial(_timed, write=part(first, last)))
            self._size = _fitted(last - first, seconds, BULK_SECONDS[self._store.dialect])
            first = last

    def _keep_due(self, others: Sequence["DueNode"]) -> list[Due]:
        """Nodes for the plain judge get a row of their own before the change that concerned them is forgotten."""
        items = []
        for node in others:
            caused_at, ticket = from_micros(node.caused_at), node.ticket or f"plain-{node.id}"
            if not node.ticket:
                scope = Scope(account=node.account, region=node.region)
                self._store.write(
                    partial(
                        due_judgements.mark_nodes,
                        scope=scope,
                        node_ids=[NodeId(node.id)],
                        cause="bulk",
                        caused_at=caused_at,
                        ticket=ticket,
                    )
                )
            items.append(Due(node_id=NodeId(node.id), cause="bulk", caused_at=caused_at, ticket=ticket))
        return items


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items. A thread makes the next one while the caller uses one: another process writes, this one judges.

    On SQLite nothing is won: the writer needs the interpreter as the judge does, and would wait for it with its lock.
    """
    with ThreadPoolExecutor(1, "judging-ahead") as ahead:
        following = ahead.submit(next, items, None)
        while (item := following.result()) is not None:
            following = ahead.submit(next, items, None)
            yield item


def _look(tx: Tx, now: datetime) -> _Look:
    changes = due_judgements.changes(tx)
    return _Look(changes, due_judgements.count(tx, changes, now, limit=BULK_FROM) >= BULK_FROM)


def _timed(tx: Tx, write: Callable[[Tx], None]) -> float:
    """Run `write` and answer the seconds that it took."""
    began = time.perf_counter()
    write(tx)
    return time.perf_counter() - began


def _fitted(count: int, seconds: float, may_take: float) -> int:
    """How many verdicts the next transaction may have, if `count` took `seconds`."""
    return max(50, min(MAX_BULK_WRITE, 2 * count, int(count * may_take / max(seconds, 1e-6))))


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
