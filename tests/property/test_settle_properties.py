"""Whatever a worker answers, settling ends and its Plan keeps the rules. Source: style.md, Tests; decisions.md 3, 4."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.fleets import ARCHES, RELEASES, SYSTEM, node_facts
from tests.property.test_judge_properties import EPOCH

from patchwright.core.baselines import ApprovalRule, PatchBaseline, RejectedAction
from patchwright.core.facts import NodeFacts
from patchwright.core.judge import judge
from patchwright.core.judgement import Catalogue, History, Judgement
from patchwright.core.lists import listed
from patchwright.core.plan import Change, Closure, Ground, ItemRole, Plan, Target, in_order, targets_of
from patchwright.core.settle import MAX_QUESTIONS, Mode, Settling, answered, begin
from patchwright.core.values import BaselineId, Family, RebootOption, Slot
from patchwright.flows.plan_record import Basis, draft_record, plan_record, read_plan, read_settling

BASIS = Basis(facts_digest="f" * 64, baseline_id="pb-0123456789abcdef0", baseline_version=1)
OPTION = RebootOption.NO_REBOOT


@st.composite
def changes(draw: st.DrawFn, facts: NodeFacts) -> Change:
    family = facts.installed[0].package.family
    slots = [item.package.slot for item in facts.installed]
    return Change(
        slot=draw(st.sampled_from((*slots, *[Slot(name="extra", arch=ARCHES[family][0])] * len(slots)))),
        from_version=draw(st.sampled_from(("", f"1{RELEASES[family]}"))),
        version=f"{draw(st.integers(1, 7))}{RELEASES[family]}",
    )


@st.composite
def honest(draw: st.DrawFn, facts: NodeFacts, asked: tuple[Target, ...], slot: Slot | None) -> Closure:
    """A closure that names what was asked for, so that settling gets as far as it can."""
    own = tuple(Change(slot=t.slot, from_version=t.from_version, version=t.version) for t in asked)
    more = draw(st.lists(changes(facts), max_size=1))
    return Closure(slot=slot, incoming=(*own, *more), problem="it can't" if draw(st.integers(0, 9)) == 9 else "")


@st.composite
def lies(draw: st.DrawFn, facts: NodeFacts) -> Closure:
    slots = st.sampled_from([item.package.slot for item in facts.installed])
    return Closure(
        slot=draw(st.none() | slots),
        incoming=tuple(draw(st.lists(changes(facts), max_size=4))),
        removed=tuple(draw(st.lists(slots, max_size=1))),
        problem=draw(st.sampled_from(("", "", "it can't"))),
    )


def answer(data: st.DataObject, facts: NodeFacts, question: Settling) -> list[Closure]:
    if data.draw(st.integers(0, 9)) == 9:
        return data.draw(st.lists(lies(facts), max_size=6))
    rest = question.rest
    if question.mode is Mode.TOGETHER:
        return [data.draw(honest(facts, rest, None))]
    each = [
        data.draw(honest(facts, rest[: i + 1] if question.mode is Mode.CUMULATIVE else (t,), t.slot))
        for i, t in enumerate(rest)
    ]
    return each if question.mode is Mode.EACH else [*each, data.draw(honest(facts, rest, None))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[NodeFacts, PatchBaseline]:
    """A node under a baseline that approves nearly everything, with something on offer, rejected and held at times."""
    family = draw(st.sampled_from((Family.DNF, Family.APT)))
    facts = draw(node_facts(family).filter(lambda facts: facts.upgradable))
    entries = st.sampled_from(("curl-libs", f"5{RELEASES[family]}", f"curl-3{RELEASES[family]}"))
    rule = ApprovalRule(filters=(), approve_after_days=0, enable_non_security=True)
    baseline = PatchBaseline(
        id=BaselineId("pb-0123456789abcdef0"),
        name="all",
        operating_system=SYSTEM[family],
        rules=(rule,),
        rejected_patches=("extra", *draw(st.lists(entries, max_size=1))),
        rejected_patches_action=draw(st.sampled_from(RejectedAction)),
    )
    return facts, baseline


@settings(max_examples=200, deadline=None)
@given(cases(), st.data())
def test_settling_ends_and_its_plan_keeps_the_rules(case: tuple[NodeFacts, PatchBaseline], data: st.DataObject) -> None:
    facts, baseline = case
    judgement = judge(facts, History(), baseline, Catalogue(), EPOCH)
    assert isinstance(judgement, Judgement)
    targets = in_order(targets_of(judgement))
    ground = Ground(facts, baseline)
    state, said, questions = begin(targets, OPTION), set(), 0
    while isinstance(state, Settling):
        questions += 1
        assert questions == state.asked <= MAX_QUESTIONS
        assert read_settling(draft_record(state, BASIS, "last")) == state
        closures = answer(data, facts, state)
        said |= {(c.slot, c.from_version, c.version) for closure in closures for c in closure.incoming}
        state = answered(state, closures, OPTION, ground)
    picked = {line.slot: line.target for line in judgement.lines}
    assert all(listed(picked[t.slot], baseline.rejected_patches) is None for t in targets if picked[t.slot])
    check_plan(state, targets, said, ground, case)
    assert read_plan(plan_record(state, BASIS)) == state


def check_plan(
    plan: Plan,
    targets: tuple[Target, ...],
    said: set[object],
    ground: Ground,
    case: tuple[NodeFacts, PatchBaseline],
) -> None:
    facts, baseline = case
    versions = {ground.slot(t.slot): t.version for t in targets}
    exact = {(t.slot, t.from_version, t.version) for t in targets}
    holds = {ground.slot(slot) for slot in facts.state.holds}
    for item in plan.items:
        row = (item.slot, item.from_version, item.to_version)
        version = ground.version(item.slot, item.to_version)
        if item.role is ItemRole.TARGET:
            assert row in exact
        else:
            assert row in said
        if baseline.rejected_patches_action is RejectedAction.BLOCK:
            assert listed(version, baseline.rejected_patches) is None
        assert ground.slot(item.slot) not in holds
        assert item.to_version == versions.get(ground.slot(item.slot), item.to_version)
    going = [item.slot for item in plan.items if item.role is ItemRole.TARGET]
    assert sorted([*going, *(drop.slot for drop in plan.dropped)]) == sorted(t.slot for t in targets)
    assert len({(item.slot, item.to_version) for item in plan.items}) == len(plan.items)
