"""States of patch groups on both engines: the nodes of a group, their counts and how these are compared.

Source: patch-baselines.md 6.2, 8, 9.1.
"""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import NOW
from tests.unit.judged import Judged

import patchwright.api.patch_states  # noqa: F401  importing the module registers its handlers
from patchwright.core.values import ComplianceLevel, NodeId, PatchOperation, RebootOption
from patchwright.store.engine import Engine

L = ComplianceLevel
STATES, STATE = "DescribeInstancePatchStatesForPatchGroup", "DescribePatchGroupState"


@pytest.fixture
def fleet(store: Engine) -> Judged:
    return Judged(store)


def test_a_groups_nodes_are_counted_by_what_they_have(api: Api, fleet: Judged) -> None:
    fleet.add(group="g", installed=5, installed_other=1)
    fleet.add(group="g", level=L.CRITICAL, installed=5, missing=2, critical_non_compliant=1, security_non_compliant=2)
    fleet.add(
        group="g",
        level=L.LOW,
        failed=1,
        installed_rejected=1,
        installed_pending_reboot=1,
        other_non_compliant=3,
        not_applicable=9,
        unreported_not_applicable=4,
        available_security_update=1,
    )
    fleet.unjudged(group="g")
    fleet.unjudged(group="g", reported=False)
    fleet.add(group="G", missing=1)
    state = api(STATE, PatchGroup="g")
    assert state == {
        "Instances": 4,
        "InstancesWithInstalledPatches": 2,
        "InstancesWithInstalledOtherPatches": 1,
        "InstancesWithInstalledPendingRebootPatches": 1,
        "InstancesWithInstalledRejectedPatches": 1,
        "InstancesWithMissingPatches": 1,
        "InstancesWithFailedPatches": 1,
        "InstancesWithNotApplicablePatches": 1,
        "InstancesWithUnreportedNotApplicablePatches": 1,  # -1 says that nobody counted
        "InstancesWithCriticalNonCompliantPatches": 1,
        "InstancesWithSecurityNonCompliantPatches": 1,
        "InstancesWithOtherNonCompliantPatches": 1,
        "InstancesWithAvailableSecurityUpdates": 1,
    }
    listed = api(STATES, PatchGroup="g")["InstancePatchStates"]
    assert len(listed) == state["Instances"]


def test_an_unknown_group_has_nothing_and_is_no_error(api: Api) -> None:
    assert set(api(STATE, PatchGroup="nobody").values()) == {0}
    assert api(STATES, PatchGroup="nobody")["InstancePatchStates"] == []
    for operation in (STATE, STATES):
        with pytest.raises(AnswerError, match="ValidationException"):
            api(operation)


def _count(key: str, number: object, how: str) -> dict[str, Any]:
    return {"Key": key, "Values": [str(number)], "Type": how}


COUNTS = (
    ("InstalledCount", "installed"),
    ("InstalledOtherCount", "installed_other"),
    ("InstalledPendingRebootCount", "installed_pending_reboot"),
    ("InstalledRejectedCount", "installed_rejected"),
    ("MissingCount", "missing"),
    ("FailedCount", "failed"),
    ("UnreportedNotApplicableCount", "unreported_not_applicable"),
    ("NotApplicableCount", "not_applicable"),
)


def test_every_count_of_a_groups_nodes_can_be_compared(api: Api, fleet: Judged) -> None:
    for key, name in COUNTS:
        made = [fleet.add(group=key, **{name: number}) for number in (0, 1, 2, 3)]

        def found(*filters: dict[str, Any], key: str = key, made: list[NodeId] = made) -> list[int]:
            states = api(STATES, PatchGroup=key, Filters=list(filters))["InstancePatchStates"]
            assert all(s[key] == made.index(s["InstanceId"]) for s in states)
            return [s[key] for s in states]

        assert found(_count(key, 2, "Equal")) == [2]
        assert found(_count(key, 2, "NotEqual")) == [0, 1, 3]
        assert found(_count(key, 2, "LessThan")) == [0, 1]
        assert found(_count(key, 1, "GreaterThan")) == [2, 3]
        assert found(_count(key, 0, "GreaterThan"), _count(key, 3, "LessThan")) == [1, 2]


BAD_COUNTS = [
    _count("CriticalNonCompliantCount", 1, "Equal"),
    _count("missingcount", 1, "Equal"),
    _count("MissingCount", "many", "Equal"),
    _count("MissingCount", -1, "Equal"),
    _count("MissingCount", "", "Equal"),
    _count("MissingCount", "1.5", "Equal"),
    _count("MissingCount", "٣", "Equal"),
    _count("MissingCount", "9" * 30, "Equal"),
]


def test_a_count_filter_that_can_not_be_meant_is_refused(api: Api) -> None:
    for bad in BAD_COUNTS:
        with pytest.raises(AnswerError) as refused:
            api(STATES, PatchGroup="g", Filters=[bad])
        assert refused.value.code == "InvalidFilter", bad


def test_shapes_of_count_filters(api: Api) -> None:
    one = _count("MissingCount", 1, "Equal")
    for bad in (
        [{**one, "Values": ["1", "2"]}],
        [{**one, "Values": []}],
        [{**one, "Type": "EQUAL"}],
        [{"Key": "MissingCount", "Values": ["1"]}],
        [one] * 5,
    ):
        with pytest.raises(AnswerError, match="ValidationException"):
            api(STATES, PatchGroup="g", Filters=bad)
    for limit in (9, 101):
        with pytest.raises(AnswerError, match="ValidationException"):
            api(STATES, PatchGroup="g", MaxResults=limit)


def test_states_of_a_group_come_in_pages_with_their_operation(api: Api, fleet: Judged) -> None:
    made = [fleet.add(group="g") for _ in range(23)]
    install = {"operation": PatchOperation.INSTALL, "reboot_option": RebootOption.NO_REBOOT}
    fleet.run(made[0], NOW - timedelta(days=3), **install)
    fleet.run(made[0], NOW - timedelta(days=1), **install)
    fleet.run(made[0], NOW - timedelta(hours=1), **install, plan_only=True)
    # Refused before it did anything: no Install has happened.
    fleet.run(made[1], NOW - timedelta(hours=1), **install, facts_at=None)
    latest = fleet.run(made[0], NOW)
    fleet.run(made[0], NOW + timedelta(hours=1), plan_only=True)
    pages = [p["InstancePatchStates"] for p in api.pages(STATES, PatchGroup="g", MaxResults=10)]
    assert [len(p) for p in pages] == [10, 10, 3]
    assert [s["InstanceId"] for p in pages for s in p] == made
    first, second = pages[0][:2]
    assert (first["Operation"], first["SnapshotId"]) == ("Scan", latest.snapshot_id)
    assert first["LastNoRebootInstallOperationTime"] == (NOW - timedelta(days=1)).timestamp()
    assert "LastNoRebootInstallOperationTime" not in second
    token = api(STATES, PatchGroup="g", MaxResults=10)["NextToken"]
    with pytest.raises(AnswerError, match="InvalidNextToken"):
        api(STATES, PatchGroup="h", NextToken=token)
