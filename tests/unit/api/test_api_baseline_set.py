"""Which patch baselines there are, as a client sees them: predefined, default, deleted, and their listings."""

from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import Fleet, due

from patchwright.core.predefined import PREDEFINED
from patchwright.store.engine import Engine

MISSING = "pb-0123456789abcdef0"


def _create(api: Api, **members: Any) -> str:
    made: str = api("CreatePatchBaseline", **{"Name": "web", "OperatingSystem": "UBUNTU", **members})["BaselineId"]
    return made


def _refused(api: Api, operation: str, **members: Any) -> AnswerError:
    with pytest.raises(AnswerError) as refusal:
        api(operation, **members)
    return refusal.value


def test_deleting_is_gentle_with_what_is_gone_and_firm_with_what_is_used(api: Api) -> None:
    assert api("DeletePatchBaseline", BaselineId=MISSING) == {"BaselineId": MISSING}
    made = _create(api)
    api("RegisterPatchBaselineForPatchGroup", BaselineId=made, PatchGroup="web")
    error = _refused(api, "DeletePatchBaseline", BaselineId=made)
    assert error.code == "ResourceInUseException"
    assert error.message == "PatchBaseline to be deleted is used for Patch Group: web"
    api("DeregisterPatchBaselineForPatchGroup", BaselineId=made, PatchGroup="web")
    api("RegisterDefaultPatchBaseline", BaselineId=made)
    assert _refused(api, "DeletePatchBaseline", BaselineId=made).code == "ResourceInUseException"
    default = _predefined("AWS-UbuntuDefaultPatchBaseline")
    api("RegisterDefaultPatchBaseline", BaselineId=default)
    assert api("DeletePatchBaseline", BaselineId=made) == {"BaselineId": made}


def test_predefined_baselines_are_read_by_either_id_and_never_changed(api: Api) -> None:
    arn = _predefined("AWS-UbuntuDefaultPatchBaseline")
    bare = arn.rpartition("/")[2]
    for form in (arn, bare):
        answer = api("GetPatchBaseline", BaselineId=form)
        assert (answer["BaselineId"], answer["Name"]) == (arn, "AWS-UbuntuDefaultPatchBaseline")
        assert answer["ApprovalRules"]["PatchRules"][0]["ApproveAfterDays"] == 7
    assert _refused(api, "UpdatePatchBaseline", BaselineId=arn, Name="mine").code == "DoesNotExistException"
    assert _refused(api, "DeletePatchBaseline", BaselineId=arn).code == "ValidationException"
    elsewhere = arn.replace("local-1", "local-2")
    assert _refused(api, "GetPatchBaseline", BaselineId=elsewhere).code == "DoesNotExistException"


def test_the_default_is_the_predefined_one_until_another_is_registered(api: Api, store: Engine) -> None:
    vendor = _predefined("AWS-DefaultPatchBaseline")
    assert api("GetDefaultPatchBaseline") == {"BaselineId": vendor, "OperatingSystem": "WINDOWS"}
    made = _create(api)
    fleet = Fleet(store)
    node, _ = fleet.add(), fleet.add(system=None)
    assert api("RegisterDefaultPatchBaseline", BaselineId=made) == {"BaselineId": made}
    assert api("GetDefaultPatchBaseline", OperatingSystem="UBUNTU") == {"BaselineId": made, "OperatingSystem": "UBUNTU"}
    assert api("GetDefaultPatchBaseline")["BaselineId"] == vendor
    assert {n: cause for n, (cause, _, _) in due(store).items()} == {node: "default_baseline"}
    defaults = [
        i["BaselineName"]
        for i in api("DescribePatchBaselines")["BaselineIdentities"]
        if i["DefaultBaseline"] and i["OperatingSystem"] == "UBUNTU"
    ]
    assert defaults == ["web"]


def test_registering_the_same_default_again_judges_nobody(api: Api, store: Engine) -> None:
    Fleet(store).add()
    api("RegisterDefaultPatchBaseline", BaselineId=_predefined("AWS-UbuntuDefaultPatchBaseline"))
    assert due(store) == {}


def test_listing_has_vendor_baselines_first_then_by_name_and_id(api: Api) -> None:
    ids = [_create(api, Name=name) for name in ("zoo", "alpha", "alpha")]
    listed = api("DescribePatchBaselines")["BaselineIdentities"]
    assert [i["BaselineName"] for i in listed[: len(PREDEFINED)]] == sorted(b.name for b in PREDEFINED)
    assert [i["BaselineId"] for i in listed[len(PREDEFINED) :]] == [ids[1], ids[2], ids[0]]
    assert listed[-1] == {
        "BaselineId": ids[0],
        "BaselineName": "zoo",
        "OperatingSystem": "UBUNTU",
        "DefaultBaseline": False,
    }
    assert all(i["BaselineId"].startswith("arn:aws:ssm:local-1:") for i in listed[: len(PREDEFINED)])


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([("OWNER", ["Self"])], ["web", "web-2"]),
        ([("OWNER", ["AWS"]), ("OPERATING_SYSTEM", ["UBUNTU"])], ["AWS-UbuntuDefaultPatchBaseline"]),
        ([("NAME_PREFIX", ["AWS-Ubuntu", "web-"])], ["AWS-UbuntuDefaultPatchBaseline", "web-2"]),
        ([("NAME_PREFIX", ["Web"])], []),
        ([("OWNER", ["All"]), ("NAME_PREFIX", ["AWS-Ubuntu", "web"])],
         ["AWS-UbuntuDefaultPatchBaseline", "web", "web-2"]),
        ([("OPERATING_SYSTEM", ["UBUNTU", "DEBIAN"]), ("OWNER", ["Self"])], ["web"]),
    ],
)  # fmt: skip
def test_filters_narrow_the_list(api: Api, filters: list[tuple[str, list[str]]], names: list[str]) -> None:
    _create(api), _create(api, Name="web-2", OperatingSystem="SUSE")
    sent = [{"Key": key, "Values": values} for key, values in filters]
    listed = api("DescribePatchBaselines", Filters=sent)["BaselineIdentities"]
    assert [i["BaselineName"] for i in listed] == names


@pytest.mark.parametrize(
    "bad",
    [{"Key": "NAME", "Values": ["x"]}, {"Key": "OWNER", "Values": ["Amazon"]}, {"Key": "OWNER"}, {"Values": ["x"]}],
)
def test_a_filter_that_means_nothing_is_refused(api: Api, bad: dict[str, Any]) -> None:
    assert _refused(api, "DescribePatchBaselines", Filters=[bad]).code == "ValidationException"


def test_pages_cover_the_list_once_even_while_it_grows(api: Api) -> None:
    for name in ("bbb", "ddd", "fff"):
        _create(api, Name=name)
    own = [{"Key": "OWNER", "Values": ["Self"]}]
    seen: list[str] = []
    for page in api.pages("DescribePatchBaselines", Filters=own, MaxResults=1):
        seen += [i["BaselineName"] for i in page["BaselineIdentities"]]
        _create(api, Name="aaa")
    assert seen == ["bbb", "ddd", "fff"]


def test_a_token_of_another_listing_is_refused(api: Api) -> None:
    token = api("DescribePatchBaselines", MaxResults=1)["NextToken"]
    other = [{"Key": "OWNER", "Values": ["AWS"]}]
    for members in ({"Filters": other, "NextToken": token}, {"NextToken": token + "x"}):
        assert _refused(api, "DescribePatchBaselines", **members).code == "InvalidNextToken"


def test_accounts_and_regions_do_not_see_each_other(api: Api) -> None:
    made = _create(api)
    for scope in (("000000000002", "local-1"), ("000000000001", "local-2")):
        api.scope = type(api.scope)(account=scope[0], region=scope[1])
        assert _refused(api, "GetPatchBaseline", BaselineId=made).code == "DoesNotExistException"
        assert len(api("DescribePatchBaselines")["BaselineIdentities"]) == len(PREDEFINED)


def _predefined(name: str) -> str:
    found = next(b for b in PREDEFINED if b.name == name)
    return f"arn:aws:ssm:local-1:000000000000:patchbaseline/{found.id}"
