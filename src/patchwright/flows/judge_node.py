"""One node's facts, baseline and history -> its Judgement, and the Verdict that keeps its counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from patchwright.core.approval import Approver, AptDelays
from patchwright.core.baselines import PatchBaseline
from patchwright.core.facts import NodeFacts
from patchwright.core.groups import Resolution, patch_group_of, resolve
from patchwright.core.judge import judge
from patchwright.core.judgement import (
    Catalogue,
    Counts,
    FirstSeen,
    FirstSeenKey,
    History,
    Judgement,
    Levels,
    Unjudged,
    UnjudgedCode,
)
from patchwright.core.nodes import ManagedNode, product_of
from patchwright.core.predefined import BY_ID, DEFAULT_FOR
from patchwright.core.tags import TaggedType
from patchwright.core.values import (
    FAMILY_OF,
    BaselineId,
    ComplianceLevel,
    ComplianceStatus,
    Family,
    OperatingSystem,
    Scope,
)
from patchwright.flows.facts_document import read_state
from patchwright.store import baselines, facts, first_seen, judgements, patch_groups, tags
from patchwright.store.engine import Tx
from patchwright.store.facts import FactsRecord
from patchwright.store.judgements import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """Which baseline governs a node, how it came by it, and its version (0: predefined)."""

    baseline: PatchBaseline
    version: int
    resolution: Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedNode:
    """A node's live judgement with everything that it was made from."""

    node: ManagedNode
    governed: Governed
    record: FactsRecord | None
    facts: NodeFacts | None
    history: History
    catalogue: Catalogue
    outcome: Judgement | Unjudged
    judged_at: datetime

    @property
    def status(self) -> ComplianceStatus:
        return self.outcome.status if isinstance(self.outcome, Judgement) else ComplianceStatus.UNJUDGED

    @property
    def levels(self) -> Levels:
        return self.outcome.levels if isinstance(self.outcome, Judgement) else Levels()

    @property
    def counts(self) -> Counts:
        return self.outcome.counts if isinstance(self.outcome, Judgement) else Counts()


class Shared:
    """First-seen times and approvals that nodes judged together have in common.

    Belongs to one snapshot of the store: facts and the first-seen times of their versions are written together, and
    a version whose time is unknown would not have to wait.
    """

    def __init__(self, apt_delays: AptDelays) -> None:
        self.apt_delays = apt_delays
        self._seen: dict[str, tuple[set[str], dict[FirstSeenKey, FirstSeen]]] = {}
        self._approvers: dict[tuple[object, ...], Approver] = {}

    def catalogue(self, tx: Tx, node: ManagedNode, known: NodeFacts | None, baseline: PatchBaseline) -> Catalogue:
        """First-seen times of the node's packages, read only where a rule's wait can use them."""
        if known is None or not waits_for_dates(baseline):
            return Catalogue()
        account = node.scope.account
        names, times = self._seen.setdefault(account, (set(), {}))
        new = {p.package.name for p in known.installed} - names
        if new:
            names |= new
            times |= first_seen.catalogue(tx, account, sorted(new)).first_seen
        return Catalogue(first_seen=times)

    def approver(
        self, governed: Governed, node: ManagedNode, product: str, catalogue: Catalogue, now: datetime
    ) -> Approver:
        """One approver for all nodes under the same version of a baseline, of one product, at one instant."""
        key = (node.scope, governed.baseline.id, governed.version, product, now)
        if key not in self._approvers:
            self._approvers[key] = Approver(governed.baseline, product, catalogue, now, apt_delays=self.apt_delays)
        return self._approvers[key]


def waits_for_dates(baseline: PatchBaseline) -> bool:
    """Whether first-seen times have a say: on apt, where a rule waits, in a baseline of the operator's own."""
    waits = any(r.approve_after_days or r.approve_until_date for r in baseline.rules) and not baseline.predefined
    return waits and FAMILY_OF[baseline.operating_system] is Family.APT


def governed_by(tx: Tx, node: ManagedNode, system: OperatingSystem) -> Governed:
    """The baseline of the node: its group's for this system, else the system's default. Source: 2.2."""
    node_tags = {t.key: t.value for t in tags.of(tx, node.scope, TaggedType.MANAGED_INSTANCE, node.id)}
    return governed_by_tags(tx, node.scope, system, node_tags)


def governed_by_tags(tx: Tx, scope: Scope, system: OperatingSystem, node_tags: Mapping[str, str]) -> Governed:
    """The baseline of any node of `scope` with that system and those tags."""
    group = patch_group_of(node_tags)
    registered = {}
    if group:
        found = patch_groups.find(tx, scope, group, system)
        if found is not None:
            registered[group, system] = found
    default = patch_groups.defaults_of(tx, scope).get(system) or DEFAULT_FOR[system].id
    resolution = resolve(system, node_tags, registered, default)
    baseline, version = _load(tx, scope, resolution.baseline_id)
    return Governed(baseline=baseline, version=version, resolution=resolution)


def _load(tx: Tx, scope: Scope, baseline_id: BaselineId) -> tuple[PatchBaseline, int]:
    predefined = BY_ID.get(baseline_id)
    if predefined is not None:
        return predefined, 0
    stored = baselines.get(tx, scope, baseline_id)
    return stored.baseline, stored.version


def load_facts(tx: Tx, node: ManagedNode, record: FactsRecord | None) -> NodeFacts | None:
    """A facts record as the judge reads it; None without one, or for a system that is not known."""
    if record is None or node.operating_system is None:
        return None
    state = read_state(facts.state_body(tx, record.state))
    return NodeFacts(
        operating_system=node.operating_system,
        product=product_of(node.operating_system, state.os_version),
        installed=facts.installed(tx, record),
        upgradable=facts.upgradable(tx, record),
        state=state,
    )


def judge_node(
    tx: Tx,
    node: ManagedNode,
    now: datetime,
    apt_delays: AptDelays,
    shared: Shared | None = None,
    governed: Governed | None = None,
) -> JudgedNode:
    """The node's live judgement at `now`, from the facts that it last reported. Reads only.

    `shared` serves nodes that are judged in one transaction; it must have been made for it. `governed` judges by
    another baseline than the node's own.
    """
    shared = shared or Shared(apt_delays)
    record = facts.current(tx, node.id)
    known = load_facts(tx, node, record)
    # A node that never said what it is gets the answer for Debian: NO_FACTS, whatever the baseline.
    system = node.operating_system or OperatingSystem.DEBIAN
    governed = governed or governed_by(tx, node, system)
    history = judgements.history(tx, node.id)
    catalogue = shared.catalogue(tx, node, known, governed.baseline)
    if known is None and record is not None:
        outcome: Judgement | Unjudged = Unjudged(
            code=UnjudgedCode.UNSUPPORTED_MANAGER, reason="The node's operating system is not one that baselines know."
        )
    else:
        approver = shared.approver(governed, node, known.product, catalogue, now) if known else None
        outcome = judge(known, history, governed.baseline, catalogue, now, apt_delays=apt_delays, approver=approver)
    return JudgedNode(
        node=node,
        governed=governed,
        record=record,
        facts=known,
        history=history,
        catalogue=catalogue,
        outcome=outcome,
        judged_at=now,
    )


def with_catalogue(tx: Tx, judged: JudgedNode) -> Catalogue:
    """First-seen times for an explanation, which speaks of dates even where no rule waits for one."""
    if judged.facts is None or FAMILY_OF[judged.facts.operating_system] is not Family.APT:
        return judged.catalogue
    names = sorted({line.installed.name for line in judged.facts.upgradable})
    return (
        judged.catalogue if judged.catalogue.first_seen else first_seen.catalogue(tx, judged.node.scope.account, names)
    )


def verdict_of(judged: JudgedNode) -> Verdict:
    """What is kept of a judgement."""
    outcome = judged.outcome
    return Verdict(
        node_id=judged.node.id,
        scope=judged.node.scope,
        baseline_id=judged.governed.baseline.id,
        baseline_version=judged.governed.version,
        baseline_source=judged.governed.resolution.source,
        patch_group=judged.governed.resolution.patch_group,
        status=judged.status,
        unjudged_reason=None if isinstance(outcome, Judgement) else outcome.reason,
        overall_level=outcome.overall_level if isinstance(outcome, Judgement) else ComplianceLevel.UNSPECIFIED,
        counts=judged.counts,
        levels=judged.levels,
        facts_id=judged.record.id if judged.record else None,
        judged_at=judged.judged_at,
        next_change_at=outcome.next_change_at if isinstance(outcome, Judgement) else None,
    )


def save_if_current(tx: Tx, judged: JudgedNode) -> bool:
    """Keep the verdict unless the node's facts, baseline or history moved on since it was judged.

    An Install that ends while a turn of the loop judges leaves failures behind that the turn has not seen.
    Source: judging.md 11.6.
    """
    node = judged.node
    record = facts.current(tx, node.id)
    if (record.id if record else None) != (judged.record.id if judged.record else None):
        return False
    system = node.operating_system or OperatingSystem.DEBIAN
    governed = governed_by(tx, node, system)
    same = (governed.baseline.id, governed.version, governed.resolution.patch_group) == (
        judged.governed.baseline.id,
        judged.governed.version,
        judged.governed.resolution.patch_group,
    )
    same = same and judgements.history(tx, node.id) == judged.history
    if same:
        judgements.save(tx, verdict_of(judged))
    return same
