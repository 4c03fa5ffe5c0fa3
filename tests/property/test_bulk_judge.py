"""The bulk judge is the plain judge, number by number."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.bulk_fleets import FleetOfNodes, Loader, fleets
from tests.property.fleets import EPOCH

from patchwright.core.approval import Approver
from patchwright.core.bulk_memos import Dates
from patchwright.core.judge import judge
from patchwright.core.judge_bulk import summary
from patchwright.core.judgement import Judgement

moments = st.integers(-20 * 24, 20 * 24).map(lambda hours: EPOCH + timedelta(hours=hours))


def compare(fleet: FleetOfNodes, now: datetime, loader: Loader | None = None) -> None:
    nodes, baselines, catalogue = fleet
    loader = loader or Loader()
    bulk = loader.judge
    pairs = loader.load([facts for facts, _ in nodes])
    for number, baseline in enumerate(baselines):
        approver = Approver(baseline, nodes[0][0].product, catalogue, now)
        table = bulk.table(approver, baseline_key=number, dates=Dates("one", len(catalogue.first_seen)))
        totals = bulk.judge(table, pairs)
        for place, (facts, history) in enumerate(nodes):
            expected = judge(facts, history, baseline, catalogue, now)
            assert isinstance(expected, Judgement)
            numbers = totals.numbers[place] + bulk.correction(
                table, pairs[place], history, facts.state.arch, facts.state.boot_id
            )
            found = summary(numbers.tolist())
            assert found == (expected.counts, expected.levels, expected.status, expected.overall_level)
            rank = int(totals.ranks[place])
            assert (totals.instants[rank] if rank < len(totals.instants) else None) == expected.next_change_at


@settings(max_examples=150, deadline=None)
@given(fleets(), moments)
def test_bulk_is_plain(fleet: FleetOfNodes, now: datetime) -> None:
    compare(fleet, now)


@pytest.mark.slow
@settings(max_examples=4000, deadline=None)
@given(fleets(), moments)
def test_bulk_is_plain_on_many_more(fleet: FleetOfNodes, now: datetime) -> None:
    compare(fleet, now)
