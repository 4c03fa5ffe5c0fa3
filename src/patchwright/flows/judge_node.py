"""One node's facts, baseline and history -> its Judgement, and the Verdict that keeps its counts."""

from dataclasses import dataclass
from datetime import datetime

from patchwright.core.approval import AptDelays
from patchwright.core.baselines import PatchBaseline
from patchwright.core.facts import NodeFacts
from patchwright.core.groups import Resolution, patch_group_of, resolve
from patchwright.core.judge import judge
from patchwright.core.judgement import Catalogue, Counts, History, Judgement, Unjudged, UnjudgedCode
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
    def counts(self) -> Counts:
        return self.outcome.counts if isinstance(self.outcome, Judgement) else Counts()


def governed_by(tx: Tx, node: ManagedNode, system: OperatingSystem) -> Governed:
    """The baseline of the node: its group's for this system, else the system's default. Source: 2.2."""
    scope = node.scope
    node_tags = {t.key: t.value for t in tags.of(tx, scope, TaggedType.MANAGED_INSTANCE, node.id)}
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


def judge_node(tx: Tx, node: ManagedNode, now: datetime, apt_delays: AptDelays) -> JudgedNode:
    """The node's live judgement at `now`, from the facts that it last reported. Reads only."""
    record = facts.current(tx, node.id)
    known = load_facts(tx, node, record)
    # A node that never said what it is gets the answer for Debian: NO_FACTS, whatever the baseline.
    system = node.operating_system or OperatingSystem.DEBIAN
    governed = governed_by(tx, node, system)
    history = judgements.history(tx, node.id)
    catalogue = _catalogue(tx, node, known, governed.baseline)
    if known is None and record is not None:
        outcome: Judgement | Unjudged = Unjudged(
            code=UnjudgedCode.UNSUPPORTED_MANAGER, reason="The node's operating system is not one that baselines know."
        )
    else:
        outcome = judge(known, history, governed.baseline, catalogue, now, apt_delays=apt_delays)
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


def _catalogue(tx: Tx, node: ManagedNode, known: NodeFacts | None, baseline: PatchBaseline) -> Catalogue:
    """First-seen times, read only where a rule's wait can use them."""
    waits = any(r.approve_after_days or r.approve_until_date for r in baseline.rules) and not baseline.predefined
    if known is None or not waits or FAMILY_OF[known.operating_system] is not Family.APT:
        return Catalogue()
    return first_seen.catalogue(tx, node.scope.account, sorted({p.package.name for p in known.installed}))


def with_catalogue(tx: Tx, judged: JudgedNode) -> Catalogue:
    """First-seen times for an explanation, which speaks of dates even where no rule waits for one."""
    if judged.facts is None or FAMILY_OF[judged.facts.operating_system] is not Family.APT:
        return judged.catalogue
    names = sorted({line.installed.name for line in judged.facts.upgradable})
    return judged.catalogue if judged.catalogue.first_seen else first_seen.catalogue(tx, judged.node.scope.account, names)


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
        facts_id=judged.record.id if judged.record else None,
        judged_at=judged.judged_at,
        next_change_at=outcome.next_change_at if isinstance(outcome, Judgement) else None,
    )


def save_if_current(tx: Tx, judged: JudgedNode) -> bool:
    """Keep the verdict unless the node's facts or its baseline moved on since it was judged. Source: judging.md 11.6."""
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
    if same:
        judgements.save(tx, verdict_of(judged))
    return same
