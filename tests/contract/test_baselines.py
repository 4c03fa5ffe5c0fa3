"""Patch baselines through boto3: what a client, and Terraform's provider above all, relies on."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

MISSING = "pb-0123456789abcdef0"
RULES = {
    "PatchRules": [
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["Required", "Important"]}]},
            "ComplianceLevel": "UNSPECIFIED",
            "ApproveAfterDays": 0,
            "EnableNonSecurity": False,
        }
    ]
}


def _create(ssm: Any, **members: Any) -> str:
    made: str = ssm.create_patch_baseline(**{"Name": "web", "OperatingSystem": "UBUNTU", **members})["BaselineId"]
    return made


def _code(call: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refusal:
        call(**members)
    error = refusal.value.response["Error"]
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Code"], error["Message"]


def _own(ssm: Any) -> list[str]:
    """The custom baselines of this region, by page."""
    pages = ssm.get_paginator("describe_patch_baselines").paginate(Filters=[{"Key": "OWNER", "Values": ["Self"]}])
    return [i["BaselineId"] for page in pages for i in page["BaselineIdentities"]]


def test_a_baseline_lives_as_terraform_drives_it(ssm: Any) -> None:
    made = _create(ssm, Description="first", ApprovalRules=RULES, ApprovedPatches=["zlib1g", "bash"],
                   Tags=[{"Key": "a", "Value": ""}])  # fmt: skip
    read = ssm.get_patch_baseline(BaselineId=made)
    assert read["GlobalFilters"] == {"PatchFilters": []}
    assert read["ApprovalRules"] == RULES
    assert read["ApprovedPatches"] == ["zlib1g", "bash"]
    assert read["CreatedDate"] == read["ModifiedDate"]
    assert ssm.list_tags_for_resource(ResourceType="PatchBaseline", ResourceId=made)["TagList"] == [
        {"Key": "a", "Value": ""}
    ]
    ssm.update_patch_baseline(BaselineId=made)
    ssm.update_patch_baseline(BaselineId=made, Description="second")
    changed = ssm.get_patch_baseline(BaselineId=made)
    assert (changed["Description"], changed["ApprovalRules"]) == ("second", RULES)
    assert changed["ModifiedDate"] > changed["CreatedDate"] == read["CreatedDate"]
    assert ssm.delete_patch_baseline(BaselineId=made)["BaselineId"] == made
    code = _code(ssm.get_patch_baseline, BaselineId=made)
    assert code == ("DoesNotExistException", "Patch Baseline to be retrieved does not exist.")


def test_emptied_lists_clear(ssm: Any) -> None:
    made = _create(ssm, Description="x", ApprovedPatches=["a"], RejectedPatches=["b"], ApprovalRules=RULES)
    answer = ssm.update_patch_baseline(
        BaselineId=made, ApprovedPatches=[], RejectedPatches=[], ApprovalRules={"PatchRules": []}
    )
    assert answer["ApprovedPatches"] == answer["RejectedPatches"] == answer["ApprovalRules"]["PatchRules"] == []
    assert answer["Description"] == "x"


def test_an_emptied_text_clears_though_the_model_asks_for_one_character(ssm: Any) -> None:
    made = _create(ssm, Description="x")
    assert "Description" not in ssm.update_patch_baseline(BaselineId=made, Description="")
    assert "Description" not in ssm.get_patch_baseline(BaselineId=made)


def test_the_data_source_finds_predefined_baselines_by_owner_and_prefix_on_the_first_page(ssm: Any) -> None:
    for number in range(20):
        _create(ssm, Name=f"AWS-own-{number}")
    filters = [{"Key": "OWNER", "Values": ["AWS"]}, {"Key": "NAME_PREFIX", "Values": ["AWS-"]}]
    first = ssm.describe_patch_baselines(Filters=filters)
    assert "NextToken" not in first
    defaults = [i["OperatingSystem"] for i in first["BaselineIdentities"] if i["DefaultBaseline"]]
    assert len(defaults) == len(set(defaults)) == 15


def test_destroying_a_default_finds_the_vendors_and_restores_it(ssm: Any) -> None:
    made = _create(ssm)
    ssm.register_default_patch_baseline(BaselineId=made)
    assert _code(ssm.delete_patch_baseline, BaselineId=made)[0] == "ResourceInUseException"
    listed = ssm.describe_patch_baselines(
        Filters=[{"Key": "OWNER", "Values": ["AWS"]}, {"Key": "OPERATING_SYSTEM", "Values": ["UBUNTU"]}]
    )["BaselineIdentities"]
    assert [i["BaselineName"] for i in listed] == ["AWS-UbuntuDefaultPatchBaseline"]
    ssm.register_default_patch_baseline(BaselineId=listed[0]["BaselineId"])
    answer = ssm.get_default_patch_baseline(OperatingSystem="UBUNTU")
    assert (answer["BaselineId"], answer["OperatingSystem"]) == (listed[0]["BaselineId"], "UBUNTU")
    ssm.delete_patch_baseline(BaselineId=made)
    assert _own(ssm) == []


def test_a_repeated_create_answers_the_first(ssm: Any) -> None:
    first = _create(ssm, ClientToken="11111111-1111-4111-8111-111111111111")
    assert _create(ssm, ClientToken="11111111-1111-4111-8111-111111111111") == first
    code, _ = _code(ssm.create_patch_baseline, Name="other", ClientToken="11111111-1111-4111-8111-111111111111")
    assert code == "IdempotentParameterMismatch"
    assert _own(ssm) == [first]


def test_each_declared_error(ssm: Any) -> None:
    assert _code(ssm.update_patch_baseline, BaselineId=MISSING, Name="new")[0] == "DoesNotExistException"
    assert _code(ssm.register_default_patch_baseline, BaselineId=MISSING)[0] == "DoesNotExistException"
    for call in (ssm.get_patch_baseline, ssm.register_default_patch_baseline):
        assert _code(call, BaselineId="pb-of-no-known-form-at-all")[0] == "InvalidResourceId"
    made = _create(ssm)
    ssm.register_patch_baseline_for_patch_group(BaselineId=made, PatchGroup="web")
    assert _code(ssm.delete_patch_baseline, BaselineId=made) == (
        "ResourceInUseException",
        "PatchBaseline to be deleted is used for Patch Group: web",
    )
    for _ in range(49):
        _create(ssm)
    assert _code(ssm.create_patch_baseline, Name="one-more")[0] == "ResourceLimitExceededException"


def test_the_paginator_walks_three_pages_and_a_token_serves_no_other_listing(ssm: Any) -> None:
    made = {_create(ssm, Name=f"own-{n}") for n in range(5)}
    own = [{"Key": "OWNER", "Values": ["Self"]}]
    paginator = ssm.get_paginator("describe_patch_baselines")
    pages = list(paginator.paginate(Filters=own, PaginationConfig={"PageSize": 2}))
    assert [len(p["BaselineIdentities"]) for p in pages] == [2, 2, 1]
    assert {i["BaselineId"] for p in pages for i in p["BaselineIdentities"]} == made
    token = pages[0]["NextToken"]
    assert _code(ssm.describe_patch_baselines, NextToken=token)[0] == "ValidationException"
    assert _code(ssm.describe_patch_groups, NextToken=token)[0] == "ValidationException"


def test_an_unknown_filter_key_and_a_bad_value_are_refused(ssm: Any) -> None:
    for bad in ({"Key": "NAME", "Values": ["x"]}, {"Key": "OPERATING_SYSTEM", "Values": ["Ubuntu"]}):
        assert _code(ssm.describe_patch_baselines, Filters=[bad])[0] == "ValidationException"


def test_regions_are_apart(ssm: Any, server: Any) -> None:
    made = _create(ssm)
    elsewhere = server.client("ssm", region="elsewhere-1")
    assert _code(elsewhere.get_patch_baseline, BaselineId=made)[0] == "DoesNotExistException"
