"""What holds for every node and every baseline, and a second evaluator that must agree with the first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.fleets import EPOCH, Situation, all_versions, entries, situations
from tests.property.second_judge import RANK, judge_again
from tests.unit.core.hosts import settled

from patchwright.core.approval import Approver, approval_of
from patchwright.core.facts import NodeFacts
from patchwright.core.judge import judge
from patchwright.core.judgement import Judgement, Reason, ReasonCode
from patchwright.core.lists import listed
from patchwright.core.plan import targets_of
from patchwright.core.values import ComplianceLevel, ComplianceStatus, PatchState

moments = st.integers(-20 * 24, 20 * 24).map(lambda hours: EPOCH + timedelta(hours=hours))


def _judged(situation: Situation, now: datetime = EPOCH, **more: Approver) -> Judgement:
    facts, baseline, catalogue, history = situation
    judgement = judge(facts, history, baseline, catalogue, now, **more)
    assert isinstance(judgement, Judgement)
    return judgement


@settings(max_examples=80, deadline=None)
@given(situations(), moments)
def test_the_second_evaluator_agrees(situation: Situation, now: datetime) -> None:
    _compare(situation, now)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(situations(), moments)
def test_the_second_evaluator_agrees_on_many_more(situation: Situation, now: datetime) -> None:
    _compare(situation, now)


def _compare(situation: Situation, now: datetime) -> None:
    facts, baseline, catalogue, history = situation
    judgement = _judged(situation, now)
    native = {"all": "amd64", "noarch": "x86_64"}
    rows = sorted(
        (
            line.slot.name,
            native.get(line.slot.arch, line.slot.arch),
            line.state.value,
            RANK[line.level],
            (line.target or line.installed).version,  # type: ignore[union-attr]
        )
        for line in judgement.lines
    )
    expected, waiting = judge_again(facts, baseline, catalogue, history, now)
    assert rows == sorted(expected)
    assert judgement.counts.pending_approval == waiting


def _shuffled(situation: Situation, random: st.DataObject) -> Situation:
    facts, baseline, catalogue, history = situation

    def mixed(items: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(random.draw(st.permutations(items)))

    lines = tuple(replace(line, offers=mixed(line.offers)) for line in facts.upgradable)
    mixed_facts = replace(facts, installed=mixed(facts.installed), upgradable=mixed(lines))
    rules = tuple(replace(rule, filters=mixed(rule.filters)) for rule in baseline.rules)
    mixed_baseline = replace(
        baseline, rules=mixed(rules), approved_patches=mixed(baseline.approved_patches),
        rejected_patches=mixed(baseline.rejected_patches),
    )  # fmt: skip
    return mixed_facts, mixed_baseline, catalogue, history


def _without_reasons(judgement: Judgement) -> Judgement:
    # A reason names one rule or entry of several that say the same; which one may follow their order.
    none = Reason(code=ReasonCode.NO_RULES)
    return replace(judgement, lines=tuple(replace(line, reason=none) for line in judgement.lines))


@settings(max_examples=40, deadline=None)
@given(situations(), st.data())
def test_order_does_not_matter(situation: Situation, data: st.DataObject) -> None:
    assert _without_reasons(_judged(situation)) == _without_reasons(_judged(_shuffled(situation, data)))


@settings(max_examples=40, deadline=None)
@given(situations(), st.data())
def test_the_order_of_packages_changes_nothing_at_all(situation: Situation, data: st.DataObject) -> None:
    mixed = _shuffled(situation, data)
    assert _judged(situation) == _judged((mixed[0], *situation[1:]))


@settings(max_examples=40, deadline=None)
@given(situations(), moments, st.integers(1, 24 * 40))
def test_age_never_un_approves(situation: Situation, now: datetime, hours: int) -> None:
    facts, baseline, catalogue, _ = situation
    for version in all_versions(facts):
        before = approval_of(version, baseline, facts.product, catalogue, now)
        after = approval_of(version, baseline, facts.product, catalogue, now + timedelta(hours=hours))
        assert after.approved or not before.approved
        assert after.level.rank >= before.level.rank


@settings(max_examples=40, deadline=None)
@given(situations())
def test_a_rejected_patch_is_never_a_target(situation: Situation) -> None:
    facts, baseline, _, _ = situation
    judgement = _judged(situation)
    for line in judgement.lines:
        if line.target is not None:
            assert listed(line.target, baseline.rejected_patches) is None
    made = settled(judgement, facts, baseline)
    assert {item.slot for item in made.items} == {line.slot for line in targets_of(judgement)}
    everything = replace(baseline, rejected_patches=("*",))
    assert targets_of(_judged((facts, everything, *situation[2:]))) == ()


@settings(max_examples=40, deadline=None)
@given(situations(), st.data())
def test_an_approved_entry_never_removes_an_approval(situation: Situation, data: st.DataObject) -> None:
    facts, baseline, catalogue, _ = situation
    family = facts.installed[0].package.family
    more = replace(baseline, approved_patches=(*baseline.approved_patches, *data.draw(entries(family))))
    for version in all_versions(facts):
        before = approval_of(version, baseline, facts.product, catalogue, EPOCH)
        after = approval_of(version, more, facts.product, catalogue, EPOCH)
        assert after.approved or not before.approved
        assert after.level.rank >= before.level.rank


@settings(max_examples=40, deadline=None)
@given(situations(), moments, st.floats(0, 1, exclude_max=True))
def test_nothing_changes_before_next_change_at(situation: Situation, now: datetime, share: float) -> None:
    first = _judged(situation, now)
    change = first.next_change_at
    horizon = change if change is not None else now + timedelta(days=400)
    assert horizon > now
    assert horizon.astimezone(UTC).time().isoformat() == "00:00:00" or change is None
    between = now + (horizon - now) * share
    assert _judged(situation, between) == first
    assert _judged(situation, horizon - timedelta(microseconds=1)) == first
    if change is not None:
        later = _judged(situation, change).next_change_at
        assert later is None or later > change


@settings(max_examples=40, deadline=None)
@given(situations())
def test_counts_level_and_status_are_those_of_the_lines(situation: Situation) -> None:
    judgement = _judged(situation)
    counts, lines = judgement.counts, judgement.lines
    for state, number in (
        (PatchState.INSTALLED, counts.installed),
        (PatchState.INSTALLED_OTHER, counts.installed_other),
        (PatchState.INSTALLED_PENDING_REBOOT, counts.installed_pending_reboot),
        (PatchState.INSTALLED_REJECTED, counts.installed_rejected),
        (PatchState.MISSING, counts.missing),
        (PatchState.FAILED, counts.failed),
    ):
        assert number == sum(line.state is state for line in lines)
    guilty = [line for line in lines if line.status is ComplianceStatus.NON_COMPLIANT]
    assert (judgement.status is ComplianceStatus.NON_COMPLIANT) == bool(guilty)
    top = max((line.level for line in guilty), key=lambda level: level.rank, default=ComplianceLevel.UNSPECIFIED)
    assert judgement.overall_level is top
    neither = [
        line for line in guilty if line.level is not ComplianceLevel.CRITICAL and line.classification != "Security"
    ]
    assert counts.other_non_compliant == len(neither)
    assert [line.title for line in lines] == sorted(line.title for line in lines)


@settings(max_examples=40, deadline=None)
@given(situations(), situations())
def test_a_shared_approver_changes_no_answer(one: Situation, other: Situation) -> None:
    if one[0].operating_system is not other[0].operating_system:
        return
    _, baseline, catalogue, _ = one
    shared = Approver(baseline, one[0].product, catalogue, EPOCH)
    for facts, history in ((one[0], one[3]), (other[0], other[3]), (one[0], one[3])):
        alone = _judged((facts, baseline, catalogue, history))
        assert _judged((facts, baseline, catalogue, history), approver=shared) == alone


@settings(max_examples=40, deadline=None)
@given(situations())
def test_after_a_successful_plan_none_of_its_items_is_missing(situation: Situation) -> None:
    facts, baseline, catalogue, history = situation
    before = _judged(situation)
    wanted = {line.slot: line.target for line in targets_of(before)}
    after = _judged((_upgraded(facts, wanted), baseline, catalogue, history))
    states = {line.slot: line.state for line in after.lines}
    assert all(states[slot] not in (PatchState.MISSING, PatchState.FAILED) for slot in wanted)


def _upgraded(facts: NodeFacts, wanted: dict[object, object]) -> NodeFacts:
    installed = tuple(replace(item, package=wanted.get(item.package.slot, item.package)) for item in facts.installed)
    lines = tuple(replace(line, installed=wanted.get(line.installed.slot, line.installed)) for line in facts.upgradable)
    return replace(facts, installed=installed, upgradable=lines)
