"""The bulk judge is the plain judge, number by number."""

from dataclasses import replace
from datetime import datetime, timedelta
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.property.bulk_fleets import FleetOfNodes, Loader, fleets
from tests.property.fleets import EPOCH

from patchwright.core import bulk_lists, bulk_memos, bulk_pairs, bulk_records, bulk_sets, bulk_table, judge_bulk
from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter
from patchwright.core.bulk_memos import Dates
from patchwright.core.bulk_table import CountingApprover
from patchwright.core.facts import HostState, InstalledPackage, NodeFacts, UpgradeLine
from patchwright.core.judge import judge
from patchwright.core.judge_bulk import summary
from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey, History, Judgement, ReleaseSource
from patchwright.core.patches import PackageVersion, Repository
from patchwright.core.values import BaselineId, ComplianceLevel, Family, OperatingSystem

moments = st.integers(-20 * 24, 20 * 24).map(lambda hours: EPOCH + timedelta(hours=hours))


def compare(fleet: FleetOfNodes, now: datetime, loader: Loader | None = None) -> None:
    nodes, baselines, catalogue = fleet
    loader = loader or Loader()
    bulk = loader.judge
    pairs = loader.load([facts for facts, _ in nodes])
    for number, baseline in enumerate(baselines):
        approver = CountingApprover(baseline, nodes[0][0].product, catalogue, now)
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


@settings(max_examples=80, deadline=None)
@given(fleets(), moments)
def test_bulk_is_plain(fleet: FleetOfNodes, now: datetime) -> None:
    compare(fleet, now)


@settings(max_examples=30, deadline=None)
@given(fleets(), moments)
def test_bulk_is_plain_with_versions_in_several_blocks(fleet: FleetOfNodes, now: datetime) -> None:
    # A fleet of more than 65,536 versions, without the versions.
    with patch.object(bulk_sets, "BLOCK", 3):
        compare(fleet, now)


@pytest.mark.slow
@settings(max_examples=4000, deadline=None)
@given(fleets(), moments)
def test_bulk_is_plain_on_many_more(fleet: FleetOfNodes, now: datetime) -> None:
    compare(fleet, now)


def _next_day(*arguments: object) -> object:
    day = bulk_memos.release_of(*arguments).at
    return None if day is None else (day + timedelta(days=1)).date()


WRONG = {
    "no list names anything": (bulk_lists, "any_spelled", lambda texts, entries, wildcards: [False] * len(texts)),  # noqa: ARG005
    "a list's older answers stand": (
        bulk_lists.Lists,
        "_ask",
        lambda self, answers, entries, family, *, of=None: of is None and ask(self, answers, entries, family),
    ),
    "a slot's steps are alike": (
        bulk_table.Steps,
        "outcome",
        lambda self, approver, before, standing, make: step(self, approver, None, standing, make),  # noqa: ARG005
    ),
    "every rule matches": (
        bulk_memos,
        "facets_match",
        lambda facets, baseline: tuple(range(1, len(baseline.rules) + 1)),  # noqa: ARG005
    ),
    "releases are a day late": (bulk_memos, "_release_day", _next_day),
    "all releases are alike": (bulk_memos, "_effect", lambda release, approver: (None,) * len(approver.baseline.rules)),  # noqa: ARG005
    "noarch is a slot of its own": (bulk_records, "native_slot", lambda slot, native: slot),  # noqa: ARG005
    "several versions count each": (
        bulk_pairs,
        "_repeated",
        lambda slots, places: (repeated(slots, places), slots < 0)[1],
    ),
    "equal versions are in order": (bulk_records.Records, "units_by_themselves", lambda self, family: []),  # noqa: ARG005
    "history is forgotten": (bulk_table.Table, "outcome", lambda self, place, history: (0,) * bulk_table.WIDTH),  # noqa: ARG005
    "older versions bring dates": (judge_bulk, "_with_any", lambda blobs, units: np.zeros(len(blobs), bool)),  # noqa: ARG005
    "levels are all alike": (
        bulk_table,
        "_standing",
        lambda approval: standing(replace(approval, level=ComplianceLevel.LOW)),
    ),
    "security is not told": (bulk_table, "_standing", lambda approval: standing(replace(approval, classification=""))),
    "nothing waits": (bulk_table, "_standing", lambda approval: standing(replace(approval, pending=()))),
}
"""What an error in the bulk judge's own part would be: (where, what, wrongly)."""
repeated, standing = bulk_pairs._repeated, bulk_table._standing
ask, step = bulk_lists.Lists._ask, bulk_table.Steps.outcome


@pytest.mark.slow  # mutation of the tests themselves, not of the product
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize("wrong", WRONG)
def test_an_error_would_be_found(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, wrongly = WRONG[wrong]
    monkeypatch.setattr(where, what, wrongly)

    @settings(max_examples=3_000, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck), report_multiple_bugs=False)  # fmt: skip
    @given(fleets(), moments)
    def search(fleet: FleetOfNodes, now: datetime) -> None:
        compare(fleet, now)

    with pytest.raises((AssertionError, IndexError, ValueError)):
        compare(_one_waits(), EPOCH)
        search()


def _one_waits() -> FleetOfNodes:
    """Two hosts with one offer each, both refused: one of them only for some days."""
    seen, nodes = {}, []
    for number, priority in enumerate(("optional", "required")):
        installed, offer = (_curl("1-1", "standard"), _curl(f"{2 + number}-1", priority))
        key = FirstSeenKey(repository=offer.repositories[0].identity, name="curl", arch="amd64", version=offer.version)
        seen[key] = FirstSeen(at=EPOCH - timedelta(days=1), source=ReleaseSource.FIRST_REPORT)
        facts = NodeFacts(
            operating_system=OperatingSystem.UBUNTU,
            product="Ubuntu22.04",
            installed=(InstalledPackage(package=installed),),
            upgradable=(UpgradeLine(installed=installed, offers=(offer,)),),
            state=HostState(manager="apt", arch="amd64", boot_id="boot"),
        )
        nodes.append((facts, History()))
    rule = ApprovalRule(
        filters=(PatchFilter(key=FilterKey.PRIORITY, values=("Optional",)),),
        approve_after_days=7,
        enable_non_security=True,
    )
    baseline = PatchBaseline(
        id=BaselineId("pb-0123456789abcdef0"), name="one", operating_system=OperatingSystem.UBUNTU, rules=(rule,)
    )
    return nodes, [baseline], Catalogue(first_seen=seen)


def _curl(version: str, priority: str) -> PackageVersion:
    updates = (Repository(suite="jammy-updates"),)
    return PackageVersion(
        family=Family.APT, name="curl", arch="amd64", version=version, priority=priority, repositories=updates
    )


def test_a_wait_is_not_a_refusal() -> None:
    compare(_one_waits(), EPOCH)
