"""Patch groups as a client sees them: registration, resolution, listing, and which nodes become due."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import Fleet, due

from patchwright.core.predefined import DEFAULT_FOR
from patchwright.core.values import OperatingSystem
from patchwright.store.engine import Engine

MISSING = "pb-0123456789abcdef0"
REGISTER, DEREGISTER = "RegisterPatchBaselineForPatchGroup", "DeregisterPatchBaselineForPatchGroup"


def _create(api: Api, name: str = "own", system: str = "UBUNTU") -> str:
    made: str = api("CreatePatchBaseline", Name=name, OperatingSystem=system)["BaselineId"]
    return made


def _refused(api: Api, operation: str, **members: Any) -> AnswerError:
    with pytest.raises(AnswerError) as refusal:
        api(operation, **members)
    return refusal.value


def _vendor(system: OperatingSystem) -> str:
    return f"arn:aws:ssm:local-1:000000000000:patchbaseline/{DEFAULT_FOR[system].id}"


def _rows(api: Api, **members: Any) -> list[tuple[str, str, str]]:
    """(group, system, baseline id) of every page."""
    return [
        (m["PatchGroup"], m["BaselineIdentity"]["OperatingSystem"], m["BaselineIdentity"]["BaselineId"])
        for page in api.pages("DescribePatchGroups", **members)
        for m in page["Mappings"]
    ]


def test_a_group_gets_its_baseline_and_other_systems_their_default(api: Api) -> None:
    made = _create(api)
    assert api(REGISTER, BaselineId=made, PatchGroup="web") == {"BaselineId": made, "PatchGroup": "web"}
    assert api("GetPatchBaselineForPatchGroup", PatchGroup="web", OperatingSystem="UBUNTU") == {
        "BaselineId": made,
        "PatchGroup": "web",
        "OperatingSystem": "UBUNTU",
    }
    assert api("GetPatchBaselineForPatchGroup", PatchGroup="web") == {
        "BaselineId": _vendor(OperatingSystem.WINDOWS),
        "PatchGroup": "web",
        "OperatingSystem": "WINDOWS",
    }
    unknown = api("GetPatchBaselineForPatchGroup", PatchGroup="Web", OperatingSystem="UBUNTU")
    assert unknown["BaselineId"] == _vendor(OperatingSystem.UBUNTU)
    assert api("GetPatchBaseline", BaselineId=made)["PatchGroups"] == ["web"]


def test_the_same_registration_again_is_fine_and_another_for_the_system_is_not(api: Api) -> None:
    one, two, debian = _create(api), _create(api, "two"), _create(api, "three", "DEBIAN")
    for _ in range(2):
        api(REGISTER, BaselineId=one, PatchGroup="web")
    error = _refused(api, REGISTER, BaselineId=two, PatchGroup="web")
    assert error.code == "AlreadyExistsException"
    assert error.message == "Patch Group baseline already has a baseline registered for OperatingSystem UBUNTU."
    api(REGISTER, BaselineId=debian, PatchGroup="web")
    assert _rows(api) == [("web", "DEBIAN", debian), ("web", "UBUNTU", one)]


def test_a_baseline_has_at_most_25_groups(api: Api) -> None:
    made = _create(api)
    for number in range(25):
        api(REGISTER, BaselineId=made, PatchGroup=f"g{number}")
    assert _refused(api, REGISTER, BaselineId=made, PatchGroup="g25").code == "ResourceLimitExceededException"
    api(REGISTER, BaselineId=made, PatchGroup="g7")
    assert len(_rows(api)) == 25


def test_what_does_not_exist_is_told_by_each_operation_as_it_declares(api: Api) -> None:
    assert _refused(api, REGISTER, BaselineId=MISSING, PatchGroup="g").code == "DoesNotExistException"
    assert _refused(api, DEREGISTER, BaselineId=MISSING, PatchGroup="g").code == "InvalidResourceId"
    for operation in (REGISTER, DEREGISTER):
        assert _refused(api, operation, BaselineId="pb-nonsense-of-20-ch", PatchGroup="g").code == "InvalidResourceId"
        assert _refused(api, operation, BaselineId=MISSING, PatchGroup="a;b").code == "ValidationException"


def test_deregistering_touches_the_very_pair_and_forgives_a_repeat(api: Api) -> None:
    one, two = _create(api), _create(api, "two")
    api(REGISTER, BaselineId=one, PatchGroup="web")
    assert api(DEREGISTER, BaselineId=two, PatchGroup="web") == {"BaselineId": two, "PatchGroup": "web"}
    assert _rows(api) == [("web", "UBUNTU", one)]
    for _ in range(2):
        assert api(DEREGISTER, BaselineId=one, PatchGroup="web") == {"BaselineId": one, "PatchGroup": "web"}
    assert _rows(api) == []


def test_a_predefined_baseline_is_registered_by_its_arn_and_listed_by_it(api: Api) -> None:
    arn = _vendor(OperatingSystem.UBUNTU)
    assert api(REGISTER, BaselineId=arn, PatchGroup="web")["BaselineId"] == arn
    mapping = api("DescribePatchGroups")["Mappings"][0]
    assert mapping["BaselineIdentity"].pop("BaselineDescription")
    assert mapping == {
        "PatchGroup": "web",
        "BaselineIdentity": {
            "BaselineId": arn,
            "BaselineName": "AWS-UbuntuDefaultPatchBaseline",
            "OperatingSystem": "UBUNTU",
            "DefaultBaseline": True,
        },
    }
    api(DEREGISTER, BaselineId=arn.rpartition("/")[2], PatchGroup="web")
    assert _rows(api) == []


def test_filters_and_pages(api: Api) -> None:
    ubuntu, suse = _create(api), _create(api, "two", "SUSE")
    for group in ("web", "web-b", "Web", "db"):
        api(REGISTER, BaselineId=ubuntu, PatchGroup=group)
    api(REGISTER, BaselineId=suse, PatchGroup="web")
    groups = [row[:2] for row in _rows(api, MaxResults=2)]
    assert groups == [("Web", "UBUNTU"), ("db", "UBUNTU"), ("web", "SUSE"), ("web", "UBUNTU"), ("web-b", "UBUNTU")]
    prefix = {"Key": "NAME_PREFIX", "Values": ["web"]}
    system = {"Key": "OPERATING_SYSTEM", "Values": ["UBUNTU"]}
    assert [row[0] for row in _rows(api, MaxResults=1, Filters=[prefix, system])] == ["web", "web-b"]
    error = _refused(api, "DescribePatchGroups", Filters=[{"Key": "OWNER", "Values": ["AWS"]}])
    assert error.code == "ValidationException"


def test_a_listing_goes_on_where_it_stopped_when_that_row_is_gone(api: Api) -> None:
    made = _create(api)
    for group in ("a", "b", "c"):
        api(REGISTER, BaselineId=made, PatchGroup=group)
    first = api("DescribePatchGroups", MaxResults=2)
    api(DEREGISTER, BaselineId=made, PatchGroup="b")
    api(REGISTER, BaselineId=made, PatchGroup="aa")
    rest = api("DescribePatchGroups", MaxResults=2, NextToken=first["NextToken"])
    assert [m["PatchGroup"] for m in rest["Mappings"]] == ["c"]
    assert "NextToken" not in rest


def test_the_groups_nodes_of_that_system_become_due_when_something_changes(api: Api, store: Engine) -> None:
    made = _create(api)
    fleet = Fleet(store)
    node = fleet.add(Patch_Group="web")
    fleet.add(Patch_Group="web", system=OperatingSystem.DEBIAN), fleet.add(Patch_Group="db"), fleet.add()
    api(REGISTER, BaselineId=made, PatchGroup="web")
    assert {n: (cause, at) for n, (cause, at, _) in due(store).items()} == {node: ("patch_group", api.now)}
    ticket = due(store)[node][2]
    api.later(hours=1)
    api(REGISTER, BaselineId=made, PatchGroup="web")
    assert due(store)[node][2] == ticket
    api(DEREGISTER, BaselineId=made, PatchGroup="web")
    assert due(store)[node][1:] != (api.now, ticket)
    assert due(store)[node][1] == api.now


def test_registrations_at_once_do_not_lose_one_another(api: Api) -> None:
    made = _create(api)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: api(REGISTER, BaselineId=made, PatchGroup=f"g{n:02d}"), range(20)))
    assert [row[0] for row in _rows(api)] == [f"g{n:02d}" for n in range(20)]
