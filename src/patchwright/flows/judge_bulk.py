"""Judge all nodes that are due, however many: those that moved as plain rows, those whose verdicts stand in columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchwright.core.approval import AptDelays
from patchwright.core.bulk_records import Ids
from patchwright.core.bulk_table import COUNTS, CountingApprover, Table
from patchwright.core.facts import HostState, InstalledPackage, NodeFacts
from patchwright.core.groups import BaselineSource, Resolution
from patchwright.core.judge_bulk import Totals, statuses
from patchwright.core.judgement import Counts, Levels, Unjudged
from patchwright.core.nodes import product_of
from patchwright.core.patches import PackageVersion
from patchwright.core.unjudged import judgeable
from patchwright.core.values import FAMILY_OF, LEVELS, BaselineId, ComplianceStatus, Family, OperatingSystem, Scope
from patchwright.flows.find_baseline import find_baseline
from patchwright.flows.judge_bulk_load import GONE, NO_DATES, DatedCatalogue, HostKind, Known, boots
from patchwright.flows.judge_node import Governed, governed_by_tags, waits_for_dates
from patchwright.store import bulk_facts, judgements
from patchwright.store.bulk_facts import DueNode
from patchwright.store.columns import from_micros, to_micros
from patchwright.store.due_judgements import Change
from patchwright.store.engine import Tx
from patchwright.store.standing_verdicts import (
    NONE,
    Group,
    Numbers,
    Renewed,
    Standing,
    groups_by_time,
    groups_of_baseline,
    read,
)
from patchwright.store.verdict_rows import Row

SLICE = 100_000
"""Nodes judged from one snapshot."""
RENEWED = 20_000
"""Standing verdicts judged from one snapshot: where two can be at work, these are written while the next are judged."""
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


class Work(NamedTuple):
    """A group of standing verdicts that is due since `caused_at` (microseconds): all of it, or what time changes."""

    group: Group
    caused_at: int
    by_time: bool


@dataclass(slots=True)
class Renewal:
    """What one snapshot gave of a group. `others` and `last` as in Slice, `last` as the store has it."""

    renewed: list[Renewed] = field(default_factory=list)
    others: list[DueNode] = field(default_factory=list)
    last: bytes | None = None


def judged_at(node: DueNode) -> int:
    """The instant that caused it, but no judgement goes back in time. Source: decisions.md 24."""
    return max(node.caused_at, node.judged_at or 0)


class FleetJudge:
    """Judges slices of the fleet; keeps in memory what they have in common, up to a bound."""

    def __init__(self, apt_delays: AptDelays) -> None:
        self._apt_delays = apt_delays
        self._known = Known()

    def judge(self, tx: Tx, changes: Sequence[Change], *, after: str = "") -> Slice:
        """Judge the nodes that are due by a change or by a row of their own, those behind `after`.

        Reads only.
        """
        found = Slice()
        due, found.last = _due(tx, changes, after)
        self._make_room()
        for start in range(0, len(due), LOAD):
            self._known.load(tx, _facts_ids(due[start : start + LOAD]))
            if self._known.size > MAX_BYTES and start + LOAD < len(due):
                due = due[: start + LOAD]
                found.last = due[-1].id
                break
        for group, nodes in self._groups(tx, due, found.others).items():
            found.verdicts.append(self._judge_group(tx, group, nodes))
        return found

    def _groups(self, tx: Tx, due: Sequence[DueNode], others: list[DueNode]) -> dict[_Group, list[DueNode]]:
        known = self._known
        places: dict[tuple[str, str], tuple[Scope, Mapping[str, tuple[tuple[str, str], ...]]]] = {}
        alike: dict[_Alike, list[DueNode]] = {}
        for node in due:
            place = places.get((node.account, node.region))
            if place is None:
                scope = Scope(account=node.account, region=node.region)
                place = places[node.account, node.region] = (scope, bulk_facts.group_tags(tx, scope))
            kind, empty = known.host_of(node.facts_id)
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
        return self._governed_group(governed_by_tags(tx, scope, system, tags), system, scope, kind, empty, day)

    @staticmethod
    def _governed_group(
        governed: Governed, system: OperatingSystem, scope: Scope, kind: HostKind | None, empty: bool, day: int
    ) -> _Group | None:
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
        facts = _facts_ids(nodes)
        totals = self._totals(tx, group, group.kind.arch, [node.id for node in nodes], facts)
        changes = [to_micros(instant) for instant in totals.instants]
        return Verdicts(
            group.governed, None, nodes, totals.numbers, [[*changes, None][rank] for rank in totals.ranks.tolist()]
        )

    def _totals(self, tx: Tx, group: _Group, native: str, ids: Sequence[str], facts: NDArray[np.int64]) -> Totals:
        """The judgement of nodes of a group that have these facts, their history heard."""
        pairs = self._known.pairs(self._known.held.numbers.dense(facts), native)
        table = self._table(tx, group)
        totals = self._known.judge.judge(table, pairs)
        self._correct(tx, table, totals, ids, facts, pairs, native)
        return totals

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
        self,
        tx: Tx,
        table: Table,
        totals: Totals,
        ids: Sequence[str],
        facts: NDArray[np.int64],
        pairs: Ids,
        native: str,
    ) -> None:
        """Judge again, by the scalar rules, the slots that a node's history names."""
        marked = bulk_facts.nodes_with_history(tx)
        places = [place for place, node_id in enumerate(ids) if node_id in marked] if marked else []
        if not places:
            return
        histories = judgements.histories(tx, [ids[place] for place in places])
        boot_of = boots(tx, facts[places].tolist())
        for place in places:
            totals.numbers[place] += self._known.judge.correction(
                table, int(pairs[place]), histories[ids[place]], native, boot_of[int(facts[place])]
            )

    def standing(self, tx: Tx, changes: Sequence[Change], now: datetime) -> list[Work]:
        """What is due of verdicts that stand: the groups of changed baselines, then those that time has changed.

        One that both concern is judged at the change's instant; what time has changed since is due in the next turn.
        """
        found: dict[Group, Work] = {}
        for change in changes:
            if change.baseline_id is not None:
                for group in groups_of_baseline(tx, change.scope, change.baseline_id):
                    at = to_micros(change.caused_at)
                    found[group] = Work(group, max(at, found[group].caused_at) if group in found else at, by_time=False)
        for group in groups_by_time(tx, to_micros(now)):
            found.setdefault(group, Work(group, to_micros(now), by_time=True))
        return list(found.values())

    def renew(self, tx: Tx, work: Work, *, after: bytes = b"") -> "Renewal":
        """Judge verdicts of a group again, those behind node `after`. Reads only."""
        self._make_room()
        standing = read(tx, work.group, by_time=work.caused_at if work.by_time else None, after=after, limit=RENEWED)
        renewal = Renewal(last=bytes(standing.ids[-1]) if len(standing) == RENEWED else None)
        self._known.load(tx, standing.facts[standing.facts != NONE])
        kinds = self._known.kinds(standing.facts)
        judged_at = np.maximum(standing.judged_at, work.caused_at)
        days = judged_at // DAY
        alike, which = np.unique(np.stack([kinds, days]), axis=1, return_inverse=True)
        for number, (kind, day) in enumerate(alike.T.tolist()):
            if kind == GONE:
                continue  # facts that are no more: newer ones have made the node due
            places = np.nonzero(which.reshape(-1) == number)[0]
            some = standing if alike.shape[1] == 1 else standing.take(places)
            one = self._renew(tx, some, self._known.host(kind), day, judged_at[places])
            if one is None:
                renewal.others += _plainly_due(some, work.caused_at)
            else:
                renewal.renewed.append(one)
        return renewal

    def _renew(
        self, tx: Tx, standing: Standing, host: tuple[HostKind | None, bool], day: int, judged_at: Numbers
    ) -> Renewed | None:
        scope = Scope(account=standing.group.account, region=standing.group.region)
        governed = _as_before(tx, scope, standing.group)
        system = governed.baseline.operating_system if governed else None
        group = self._governed_group(governed, system, scope, *host, day) if governed and system else None
        if group is None:
            return None
        if group.unjudged is not None or group.kind is None:
            numbers, next_change = np.asarray([_UNJUDGED] * len(standing), np.int64), np.full(len(standing), NONE)
        else:
            totals = self._totals(tx, group, group.kind.arch, standing.ids.astype(str).tolist(), standing.facts)
            instants = np.asarray([*map(to_micros, totals.instants), NONE], np.int64)
            numbers, next_change = totals.numbers, instants.take(totals.ranks)
        guilty, level = statuses(numbers)
        reason = group.unjudged.reason if group.unjudged else None
        return Renewed(standing, group.governed.version, reason, guilty, level, numbers, judged_at, next_change)

    def _make_room(self) -> None:
        if self._known.size > MAX_BYTES:
            self._known = Known()


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


def _as_before(tx: Tx, scope: Scope, group: Group) -> Governed | None:
    """What governs nodes now that are still under the baseline of their verdicts, None if that is gone."""
    stored = find_baseline(tx, scope, BaselineId(group.baseline_id))
    if stored is None:
        return None
    source = BaselineSource(group.baseline_source)
    resolution = Resolution(baseline_id=stored.baseline.id, patch_group=group.patch_group, source=source)
    return Governed(baseline=stored.baseline, version=stored.version, resolution=resolution)


def _facts_ids(nodes: Sequence[DueNode]) -> NDArray[np.int64]:
    return np.asarray([node.facts_id for node in nodes if node.facts_id is not None], np.int64)


def _plainly_due(standing: Standing, caused_at: int) -> list[DueNode]:
    account, region = standing.group.account, standing.group.region
    return [
        DueNode(node_id, account, region, None, None, None, caused_at, "")
        for node_id in standing.ids.astype(str).tolist()
    ]


def _due(tx: Tx, changes: Sequence[Change], after: str) -> tuple[list[DueNode], str | None]:
    """Nodes that are due, each once with its latest cause, in id order; and where to go on if these are not all."""
    sources = [bulk_facts.due_by_row(tx, after=after, limit=SLICE)]
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
