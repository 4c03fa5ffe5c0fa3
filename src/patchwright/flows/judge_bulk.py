"""Judge all nodes that are due, however many, from one snapshot: the verdicts of a fleet as plain rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from patchwright.core.approval import AptDelays
from patchwright.core.bulk_table import COUNTS, CountingApprover, Numbers, Table
from patchwright.core.facts import HostState, InstalledPackage, NodeFacts
from patchwright.core.judge_bulk import Totals, statuses
from patchwright.core.judgement import Counts, Levels, Unjudged
from patchwright.core.nodes import product_of
from patchwright.core.patches import PackageVersion
from patchwright.core.unjudged import judgeable
from patchwright.core.values import FAMILY_OF, LEVELS, ComplianceStatus, Family, OperatingSystem, Scope
from patchwright.flows.judge_bulk_load import NO_DATES, DatedCatalogue, HostKind, Known, boots
from patchwright.flows.judge_node import Governed, governed_by_tags, waits_for_dates
from patchwright.store import bulk_facts, judgements
from patchwright.store.bulk_facts import DueNode
from patchwright.store.columns import from_micros, to_micros
from patchwright.store.due_judgements import Change
from patchwright.store.engine import Tx
from patchwright.store.verdict_rows import Row

SLICE = 100_000
"""Nodes judged from one snapshot."""
LOAD = 5_000
"""Nodes loaded at once."""
MAX_BYTES = 400_000_000
"""Of sets in memory. A fleet with more is judged in several slices, each with a memory of its own."""
DAY = 86_400_000_000
"""Microseconds. Approvals change at 00:00Z only: all instants of a UTC day are judged alike (decisions.md 14)."""
_BULK_FAMILIES = frozenset({Family.APT, Family.DNF, Family.YUM, Family.ZYPPER})


_Alike = tuple[str, str, str | None, tuple[tuple[str, str], ...], HostKind | None, bool, int]
"""Account, region, system, tags that name a group, kind of host, whether nothing is installed, UTC day."""


class _Group(NamedTuple):
    """Nodes that one table judges, or that are all unjudged for one reason."""

    governed: Governed
    unjudged: Unjudged | None
    kind: HostKind | None
    product: str
    account: str
    day: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The nodes of a group with their numbers; `rows` makes what is kept of them."""

    governed: Governed
    unjudged: Unjudged | None
    nodes: Sequence[DueNode]
    numbers: Numbers
    next_changes: Sequence[int | None]

    def rows(self, first: int, last: int) -> Iterator[Row]:
        """Rows as `verdict_rows` keeps them, of the nodes from `first` up to `last`."""
        governed, reason = self.governed, self.unjudged.reason if self.unjudged else None
        resolution, numbers = governed.resolution, self.numbers[first:last]
        guilty, level = statuses(numbers)
        says = [ComplianceStatus.COMPLIANT.value, ComplianceStatus.NON_COMPLIANT.value]
        status = [ComplianceStatus.UNJUDGED.value if self.unjudged else says[g] for g in guilty.tolist()]
        levels = np.ascontiguousarray(numbers[:, COUNTS:], "<i4").tobytes()
        width = 4 * 2 * len(LEVELS)
        names = [str(name.value) for name in LEVELS]
        common = (governed.baseline.id, governed.version, resolution.source.value, resolution.patch_group)
        every = zip(
            self.nodes[first:last], status, level.tolist(), numbers[:, :COUNTS].tolist(),
            self.next_changes[first:last], strict=True,
        )  # fmt: skip
        for place, (node, state, top, counts, next_change) in enumerate(every):
            yield (
                node.id, node.account, node.region, *common, state, reason, names[top], *counts,
                levels[place * width : (place + 1) * width], node.facts_id, next_change,
                judged_at(node), node.judged_at,
            )  # fmt: skip


@dataclass(slots=True)
class Slice:
    """What one snapshot gave. `others`: nodes for the plain judge. `last`: the id to go on behind, None at the end."""

    verdicts: list[Verdicts] = field(default_factory=list)
    others: list[DueNode] = field(default_factory=list)
    last: str | None = None


def judged_at(node: DueNode) -> int:
    """The instant that caused it, but no judgement goes back in time. Source: decisions.md 24."""
    return max(node.caused_at, node.judged_at or 0)


class FleetJudge:
    """Judges slices of the fleet; keeps in memory what they have in common, up to a bound."""

    def __init__(self, apt_delays: AptDelays) -> None:
        self._apt_delays = apt_delays
        self._known = Known()

    def judge(self, tx: Tx, changes: Sequence[Change], now: datetime, *, after: str = "") -> Slice:
        """Judge the nodes that are due by a change, by a row of their own or by time, those behind `after`.

        Reads only.
        """
        found = Slice()
        due, found.last = _due(tx, changes, to_micros(now), after)
        if self._known.size > MAX_BYTES:
            self._known = Known()
        for start in range(0, len(due), LOAD):
            self._known.load(tx, due[start : start + LOAD])
            if self._known.size > MAX_BYTES and start + LOAD < len(due):
                due = due[: start + LOAD]
                found.last = due[-1].id
                break
        for group, nodes in self._groups(tx, due, found.others).items():
            found.verdicts.append(self._judge_group(tx, group, nodes))
        return found

    def _groups(self, tx: Tx, due: Sequence[DueNode], others: list[DueNode]) -> dict[_Group, list[DueNode]]:
        known, records = self._known, self._known.judge.records
        places: dict[tuple[str, str], tuple[Scope, Mapping[str, tuple[tuple[str, str], ...]]]] = {}
        alike: dict[_Alike, list[DueNode]] = {}
        for node in due:
            place = places.get((node.account, node.region))
            if place is None:
                scope = Scope(account=node.account, region=node.region)
                place = places[node.account, node.region] = (scope, bulk_facts.group_tags(tx, scope))
            held = None if node.facts_id is None else known.held(node.facts_id)
            kind, empty = (None, False) if held is None else (held.kind, not records.instsets[held.instset])
            at = node.caused_at if node.judged_at is None else max(node.caused_at, node.judged_at)
            key = (node.account, node.region, node.operating_system, place[1].get(node.id, ()), kind, empty, at // DAY)
            found = alike.get(key)
            if found is None:
                found = alike[key] = []
            found.append(node)
        groups: dict[_Group, list[DueNode]] = {}
        for (account, region, system, tagged, kind, empty, day), nodes in alike.items():
            group = self._group(tx, places[account, region][0], system, dict(tagged), kind, empty, day)
            if group is None:
                others += nodes
            else:
                groups.setdefault(group, []).extend(nodes)
        return groups

    def _group(
        self,
        tx: Tx,
        scope: Scope,
        system_name: str | None,
        tags: Mapping[str, str],
        kind: HostKind | None,
        empty: bool,
        day: int,
    ) -> _Group | None:
        """None where only the plain judge knows what to say."""
        if system_name is None and kind is not None:
            return None
        system = OperatingSystem(system_name) if system_name else OperatingSystem.DEBIAN
        governed = governed_by_tags(tx, scope, system, tags)
        if kind is None:
            said = judgeable(None, governed.baseline)
            return _Group(governed, said if isinstance(said, Unjudged) else None, None, "", scope.account, day)
        family = FAMILY_OF[system]
        if family not in _BULK_FAMILIES:
            return None
        product = product_of(system, kind.os_version)
        said = judgeable(_sample(system, product, kind, family, empty), governed.baseline)
        unjudged = said if isinstance(said, Unjudged) else None
        return _Group(governed, unjudged, kind, product, scope.account, day)

    def _judge_group(self, tx: Tx, group: _Group, nodes: list[DueNode]) -> Verdicts:
        if group.unjudged is not None or group.kind is None:
            numbers = np.asarray([_UNJUDGED] * len(nodes), np.int64)
            return Verdicts(group.governed, group.unjudged, nodes, numbers, [None] * len(nodes))
        judge, native = self._known.judge, group.kind.arch
        held = [self._known.held(node.facts_id) for node in nodes if node.facts_id is not None]
        keys = [(native, one.instset, one.upset) for one in held]
        judge.pairs.add(set(keys))
        pairs = [judge.pairs.numbers[key] for key in keys]
        table = self._table(tx, group)
        totals = judge.judge(table, pairs)
        self._correct(tx, table, totals, nodes, pairs, native)
        changes = [to_micros(instant) for instant in totals.instants]
        return Verdicts(
            group.governed, None, nodes, totals.numbers, [[*changes, None][rank] for rank in totals.ranks.tolist()]
        )

    def _table(self, tx: Tx, group: _Group) -> Table:
        governed = group.governed
        dated: DatedCatalogue = NO_DATES
        if waits_for_dates(governed.baseline):
            dated = self._known.dated(tx, group.account)
        approver = CountingApprover(
            governed.baseline, group.product, dated.catalogue, from_micros(group.day * DAY), apt_delays=self._apt_delays
        )
        key = (governed.baseline.id, governed.version, group.account)
        return self._known.judge.table(approver, baseline_key=key, dates=dated.dates)

    def _correct(
        self, tx: Tx, table: Table, totals: Totals, nodes: Sequence[DueNode], pairs: Sequence[int], native: str
    ) -> None:
        """Judge again, by the scalar rules, the slots that a node's history names."""
        marked = bulk_facts.nodes_with_history(tx)
        places = [place for place, node in enumerate(nodes) if node.id in marked]
        if not places:
            return
        histories = judgements.histories(tx, [nodes[place].id for place in places])
        boot_of = boots(tx, [facts_id for place in places if (facts_id := nodes[place].facts_id) is not None])
        for place in places:
            node = nodes[place]
            totals.numbers[place] += self._known.judge.correction(
                table, pairs[place], histories[node.id], native, boot_of[node.facts_id or 0]
            )


_UNJUDGED = (*astuple(Counts()), *Levels().compliant, *Levels().non_compliant)
"""What is kept of a node that can't be judged."""


def _sample(system: OperatingSystem, product: str, kind: HostKind, family: Family, empty: bool) -> NodeFacts:
    """As much of a host as says whether it can be judged."""
    package = InstalledPackage(package=PackageVersion(family=family, name="any", arch="", version="1"))
    return NodeFacts(
        operating_system=system,
        product=product,
        installed=() if empty else (package,),
        upgradable=(),
        state=HostState(manager=kind.manager, arch=kind.arch, sources_digest=kind.sources_digest),
    )


def _due(tx: Tx, changes: Sequence[Change], now: int, after: str) -> tuple[list[DueNode], str | None]:
    """Nodes that are due, each once with its latest cause, in id order; and where to go on if these are not all."""
    sources = [
        bulk_facts.due_by_row(tx, after=after, limit=SLICE),
        bulk_facts.due_by_time(tx, now, after=after, limit=SLICE),
    ]
    sources += [bulk_facts.due_by_change(tx, change, after=after, limit=SLICE) for change in changes]
    ends = [source[-1].id for source in sources if len(source) == SLICE]
    end = min(ends, default=None)
    found: dict[str, DueNode] = {}
    for node in (node for source in sources for node in source):
        before = found.get(node.id)
        if before is not None:
            # The row's own ticket is kept: it is what has to be taken off the list.
            node = node._replace(ticket=before.ticket, caused_at=max(before.caused_at, node.caused_at))
        found[node.id] = node
    due = sorted((node for node in found.values() if end is None or node.id <= end), key=lambda node: node.id)
    return due[:SLICE], due[SLICE - 1].id if len(due) > SLICE else end
