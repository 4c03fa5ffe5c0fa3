"""Effective patches are the judge's approvals in other words, and a merged patch forgets nothing that was said."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.bulk_fleets import FleetOfNodes, fleets
from tests.property.fleets import EPOCH

from patchwright.core.approval import Approver
from patchwright.core.available import merged, words_of
from patchwright.core.effective import DeploymentStatus, effective

moments = st.integers(-20 * 24, 20 * 24).map(lambda hours: EPOCH + timedelta(hours=hours))


@settings(max_examples=20, deadline=None)
@given(fleets(), moments)
def test_approved_is_what_the_judge_approves(fleet: FleetOfNodes, now) -> None:  # type: ignore[no-untyped-def]
    nodes, baselines, catalogue = fleet
    approved = {DeploymentStatus.APPROVED, DeploymentStatus.EXPLICIT_APPROVED}
    for baseline in baselines:
        approver = Approver(baseline, nodes[0][0].product, catalogue, now)
        for facts, _ in nodes:
            for version in (offer for line in facts.upgradable for offer in line.offers):
                approval = approver.approval_of(version)
                said = effective(approval)
                assert (said is not None and said.status in approved) == approval.approved
                if said is None:
                    assert not approval.hits
                    assert not approval.pending
                elif said.status is DeploymentStatus.PENDING_APPROVAL:
                    # On that day, and not before, the judge approves it with that level.
                    assert said.approval_date is not None
                    assert said.approval_date > now
                    then = Approver(baseline, nodes[0][0].product, catalogue, said.approval_date)
                    assert then.approval_of(version).approved
                    assert then.approval_of(version).level == said.level
                    before = Approver(
                        baseline, nodes[0][0].product, catalogue, said.approval_date - timedelta(microseconds=1)
                    )
                    assert not before.approval_of(version).approved
                else:
                    assert said.level == approval.level


@settings(max_examples=40, deadline=None)
@given(fleets())
def test_a_merged_patch_has_the_words_of_each_report_in_any_order(fleet: FleetOfNodes) -> None:
    versions = [v for facts, _ in fleet[0] for line in facts.upgradable for v in line.offers]
    by_title = {v.title: [w for w in versions if w.title == v.title] for v in versions}
    for reports in by_title.values():
        one, other = None, None
        for report in reports:
            one = merged(one, report)
        for report in reversed(reports):
            other = merged(other, report)
        assert one is not None
        assert other is not None
        assert set(words_of(one)) >= {
            word for report in reports for word in words_of(report) if word[0] == "REPOSITORY"
        }
        assert one.repositories == other.repositories
        assert {n.id for n in one.notices} == {n.id for r in reports for n in r.notices}
        assert merged(one, reports[-1]) == one, "said again it is nothing new"
