"""Patch baselines as a client sees them: every field, merge and replace, errors."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import Fleet, due

from patchwright.core.access import ADMIN
from patchwright.core.values import BaselineId
from patchwright.store.engine import Engine

OWN_ID = "pb-00000000000000001"
MISSING = "pb-0123456789abcdef0"
RULE = {
    "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["Required", "Important"]}]},
    "ComplianceLevel": "HIGH",
    "EnableNonSecurity": True,
    "ApproveAfterDays": 0,
}
UNTIL = {"PatchFilterGroup": {"PatchFilters": []}, "ApproveUntilDate": "2026-02-28"}
FULL: dict[str, Any] = {
    "Name": "web",
    "OperatingSystem": "UBUNTU",
    "Description": "the web servers",
    "GlobalFilters": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["Ubuntu22.04"]}]},
    "ApprovalRules": {"PatchRules": [RULE, UNTIL]},
    "ApprovedPatches": ["zlib1g", "bash"],
    "ApprovedPatchesComplianceLevel": "CRITICAL",
    "ApprovedPatchesEnableNonSecurity": True,
    "RejectedPatches": ["kernel*", "apt"],
    "RejectedPatchesAction": "BLOCK",
    "Sources": [{"Name": "own", "Products": ["*"], "Configuration": "deb http://h x main"}],
}


def _create(api: Api, **members: Any) -> str:
    made: str = api("CreatePatchBaseline", **{"Name": "web", "OperatingSystem": "UBUNTU", **members})["BaselineId"]
    return made


def _refused(api: Api, operation: str, **members: Any) -> AnswerError:
    with pytest.raises(AnswerError) as refusal:
        api(operation, **members)
    return refusal.value


def test_get_answers_every_field_as_it_was_sent_in_its_order(api: Api) -> None:
    made = api("CreatePatchBaseline", **FULL)["BaselineId"]
    answer = api("GetPatchBaseline", BaselineId=made)
    filled = {**UNTIL, "ComplianceLevel": "UNSPECIFIED", "EnableNonSecurity": False}
    expected = {**FULL, "ApprovalRules": {"PatchRules": [RULE, filled]}}
    assert {member: answer[member] for member in FULL} == expected
    assert answer["BaselineId"] == made == OWN_ID
    assert answer["CreatedDate"] == answer["ModifiedDate"] == api.now.timestamp()
    assert answer["PatchGroups"] == []
    assert "AvailableSecurityUpdatesComplianceStatus" not in answer


def test_what_was_not_given_has_its_default_and_what_clients_dereference_is_there(api: Api) -> None:
    made = api("CreatePatchBaseline", Name="bare")["BaselineId"]
    answer = api("GetPatchBaseline", BaselineId=made)
    assert answer == {
        "BaselineId": made,
        "Name": "bare",
        "OperatingSystem": "WINDOWS",
        "GlobalFilters": {"PatchFilters": []},
        "ApprovalRules": {"PatchRules": []},
        "ApprovedPatches": [],
        "ApprovedPatchesComplianceLevel": "UNSPECIFIED",
        "ApprovedPatchesEnableNonSecurity": False,
        "RejectedPatches": [],
        "RejectedPatchesAction": "ALLOW_AS_DEPENDENCY",
        "Sources": [],
        "PatchGroups": [],
        "CreatedDate": api.now.timestamp(),
        "ModifiedDate": api.now.timestamp(),
    }


def test_windows_says_how_available_security_updates_count_only_when_told(api: Api) -> None:
    for status in ("COMPLIANT", "NON_COMPLIANT"):
        made = api("CreatePatchBaseline", Name="win", AvailableSecurityUpdatesComplianceStatus=status)["BaselineId"]
        assert api("GetPatchBaseline", BaselineId=made)["AvailableSecurityUpdatesComplianceStatus"] == status


def test_a_client_token_makes_one_baseline(api: Api) -> None:
    first = _create(api, ClientToken="t", Tags=[{"Key": "a", "Value": "1"}])
    api.later(hours=23)
    assert _create(api, ClientToken="t", Tags=[{"Key": "a", "Value": "1"}]) == first
    assert _refused(api, "CreatePatchBaseline", Name="other", ClientToken="t").code == "IdempotentParameterMismatch"
    assert _create(api, ClientToken="t2") != first
    own = api("DescribePatchBaselines", Filters=[{"Key": "OWNER", "Values": ["Self"]}])["BaselineIdentities"]
    assert len(own) == 2


def test_a_repeat_is_allowed_to_whom_the_first_was(api: Api) -> None:
    own = "arn:aws:ssm:local-1:000000000001:patchbaseline/*"
    api.policy = {"Statement": [{"Effect": "Allow", "Action": "ssm:Create*", "Resource": own}]}
    first = _create(api, ClientToken="t")
    assert _create(api, ClientToken="t") == first
    api.policy["Statement"][0]["Resource"] = own.replace("*", MISSING)
    for token in ("t", "t2"):
        error = _refused(api, "CreatePatchBaseline", Name="web", OperatingSystem="UBUNTU", ClientToken=token)
        assert error.code == "AccessDeniedException"
    api.policy = ADMIN
    assert len(api("DescribePatchBaselines", Filters=[{"Key": "OWNER", "Values": ["Self"]}])["BaselineIdentities"]) == 1


def test_the_fifty_first_baseline_is_refused_until_one_is_deleted(api: Api) -> None:
    made = [_create(api) for _ in range(50)]
    assert _refused(api, "CreatePatchBaseline", Name="web").code == "ResourceLimitExceededException"
    api("DeletePatchBaseline", BaselineId=made[0])
    _create(api)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"ApprovalRules": {"PatchRules": [{**UNTIL, "ApproveUntilDate": "2026-02-30"}]}}, "2026-02-30"),
        ({"ApprovalRules": {"PatchRules": [{**UNTIL, "ApproveAfterDays": 1}]}}, "both"),
        ({"GlobalFilters": {"PatchFilters": [{"Key": "MSRC_SEVERITY", "Values": ["*"]}]}}, "MSRC_SEVERITY"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "at most 50"),
        ({"Name": "ab"}, "at 'name'"),
    ],
)  # fmt: skip
def test_fields_that_break_a_rule_make_nothing(api: Api, members: dict[str, Any], words: str) -> None:
    error = _refused(api, "CreatePatchBaseline", **{"Name": "web", "OperatingSystem": "UBUNTU", **members})
    assert error.code == "ValidationException"
    assert words in error.message
    own = api("DescribePatchBaselines", Filters=[{"Key": "OWNER", "Values": ["Self"]}])
    assert own["BaselineIdentities"] == []


def test_an_update_keeps_what_is_absent_and_takes_lists_whole(api: Api) -> None:
    made = api("CreatePatchBaseline", **FULL)["BaselineId"]
    before = api("GetPatchBaseline", BaselineId=made)
    api.later(days=1)
    answer = api("UpdatePatchBaseline", BaselineId=made, RejectedPatches=["vim"], ApprovedPatches=[])
    expected = {**before, "RejectedPatches": ["vim"], "ApprovedPatches": [], "ModifiedDate": api.now.timestamp()}
    assert api("GetPatchBaseline", BaselineId=made) == expected
    expected.pop("PatchGroups")
    assert answer == expected


def test_empty_groups_and_lists_clear(api: Api) -> None:
    made = api("CreatePatchBaseline", **FULL)["BaselineId"]
    answer = api(
        "UpdatePatchBaseline",
        BaselineId=made,
        GlobalFilters={"PatchFilters": []},
        Sources=[],
        RejectedPatches=[],
        ApprovalRules={"PatchRules": []},
        ApprovedPatchesEnableNonSecurity=False,
    )
    assert answer["GlobalFilters"] == {"PatchFilters": []}
    assert answer["ApprovalRules"] == {"PatchRules": []}
    assert answer["Sources"] == answer["RejectedPatches"] == []
    assert answer["ApprovedPatchesEnableNonSecurity"] is False
    assert answer["Description"] == FULL["Description"]


def test_an_update_with_nothing_but_the_id_succeeds_and_changes_nothing(api: Api) -> None:
    made = api("CreatePatchBaseline", **FULL)["BaselineId"]
    before = api("GetPatchBaseline", BaselineId=made)
    api.later(days=1)
    api("UpdatePatchBaseline", BaselineId=made)
    assert api("GetPatchBaseline", BaselineId=made) == before


def test_replace_needs_the_name_and_resets_the_rest(api: Api) -> None:
    made = api("CreatePatchBaseline", **FULL)["BaselineId"]
    error = _refused(api, "UpdatePatchBaseline", BaselineId=made, Replace=True, Description="x")
    assert error.code == "ValidationException"
    assert error.message == (
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"
    )
    answer = api("UpdatePatchBaseline", BaselineId=made, Replace=True, Name="new", ApprovedPatches=["bash"])
    assert (answer["Name"], answer["OperatingSystem"], answer["ApprovedPatches"]) == ("new", "UBUNTU", ["bash"])
    assert "Description" not in answer
    assert answer["RejectedPatchesAction"] == "ALLOW_AS_DEPENDENCY"
    assert answer["ApprovalRules"] == {"PatchRules": []}


def test_a_bad_update_leaves_the_baseline_as_it_was(api: Api) -> None:
    made = api("CreatePatchBaseline", **FULL)["BaselineId"]
    before = api("GetPatchBaseline", BaselineId=made)
    bad = {"PatchRules": [{**UNTIL, "ApproveAfterDays": 1}]}
    assert _refused(api, "UpdatePatchBaseline", BaselineId=made, ApprovalRules=bad).code == "ValidationException"
    assert api("GetPatchBaseline", BaselineId=made) == before


def test_only_changes_to_what_is_judged_make_nodes_due(api: Api, store: Engine) -> None:
    made = BaselineId(_create(api))
    fleet = Fleet(store)
    node, _ = fleet.add(baseline=made), fleet.add()
    for harmless in ({}, {"Name": "renamed"}, {"Description": "said otherwise"}, {"RejectedPatches": []}):
        api("UpdatePatchBaseline", BaselineId=made, **harmless)
        assert due(store) == {}
    api("UpdatePatchBaseline", BaselineId=made, RejectedPatches=["vim"])
    assert {n: (cause, at) for n, (cause, at, _) in due(store).items()} == {node: ("baseline", api.now)}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetPatchBaseline", "DoesNotExistException"),
        ("UpdatePatchBaseline", "DoesNotExistException"),
        ("RegisterDefaultPatchBaseline", "DoesNotExistException"),
    ],
)
def test_a_baseline_that_is_not_there(api: Api, operation: str, code: str) -> None:
    assert _refused(api, operation, BaselineId=MISSING).code == code
    made = _create(api)
    api("DeletePatchBaseline", BaselineId=made)
    assert _refused(api, operation, BaselineId=made).code == code


def test_a_missing_baseline_is_told_in_aws_words(api: Api) -> None:
    error = _refused(api, "GetPatchBaseline", BaselineId=MISSING)
    assert error.message == "Patch Baseline to be retrieved does not exist."


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetPatchBaseline", "InvalidResourceId"),
        ("RegisterDefaultPatchBaseline", "InvalidResourceId"),
        ("UpdatePatchBaseline", "DoesNotExistException"),
        ("DeletePatchBaseline", "ValidationException"),
    ],
)
def test_an_id_of_no_known_form(api: Api, operation: str, code: str) -> None:
    assert _refused(api, operation, BaselineId="pb-0123456789ABCDEF0").code == code


def test_the_arn_of_a_custom_baseline_is_taken_but_only_of_this_account_and_region(api: Api) -> None:
    made = _create(api)
    own = f"arn:aws:ssm:local-1:000000000001:patchbaseline/{made}"
    assert api("GetPatchBaseline", BaselineId=own)["BaselineId"] == made
    for foreign in ("local-2:000000000001", "local-1:000000000002", "local-1:000000000000"):
        arn = f"arn:aws:ssm:{foreign}:patchbaseline/{made}"
        assert _refused(api, "GetPatchBaseline", BaselineId=arn).code == "DoesNotExistException"


def test_a_policy_can_allow_baselines_by_their_tags(api: Api) -> None:
    mine = _create(api, Tags=[{"Key": "team", "Value": "web"}])
    theirs = _create(api, Tags=[{"Key": "team", "Value": "db"}])
    api.policy = {
        "Statement": [
            {"Effect": "Allow", "Action": "ssm:*", "Resource": "*",
             "Condition": {"StringEquals": {"ssm:resourceTag/team": "web"}}}
        ]
    }  # fmt: skip
    api("UpdatePatchBaseline", BaselineId=mine, Name="new")
    assert api.touched == [f"arn:aws:ssm:local-1:000000000001:patchbaseline/{mine}"]
    refused = [
        ("UpdatePatchBaseline", {"BaselineId": theirs, "Name": "new"}),
        ("GetPatchBaseline", {"BaselineId": MISSING}),
        ("CreatePatchBaseline", {"Name": "third"}),
    ]
    for operation, members in refused:
        assert _refused(api, operation, **members).code == "AccessDeniedException"


def test_versions_keep_what_each_change_said(api: Api, store: Engine) -> None:
    from patchwright.store import baselines

    made = BaselineId(_create(api, ApprovedPatches=["one"]))
    api.now += timedelta(hours=1)
    api("UpdatePatchBaseline", BaselineId=made, ApprovedPatches=["two"])
    api("DeletePatchBaseline", BaselineId=made)
    versions = [store.read(lambda tx, v=v: baselines.find_version(tx, api.scope, made, v)) for v in (1, 2)]
    assert [v.baseline.approved_patches for v in versions if v] == [("one",), ("two",)]
