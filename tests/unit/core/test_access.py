"""IAM-style policies: denied unless allowed, a deny beats any allow, nothing unknown is ignored."""

from typing import Any

import pytest

from patchwright.core.access import NAMED_POLICIES, Principal, could, may, parse_policy
from patchwright.core.errors import Invalid

NODE = "arn:aws:ssm:local-1:000000000001:managed-instance/mi-0123456789abcdef0"


def _principal(*statements: dict[str, Any]) -> Principal:
    parsed = parse_policy({"Version": "2012-10-17", "Statement": list(statements)}) if statements else ()
    return Principal(account="000000000001", user_name="u", access_key_id="AKIAX", statements=parsed)


def _allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def _deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def test_no_policy_may_nothing() -> None:
    nobody = _principal()
    assert not could(nobody, "ssm:ListCommands").allowed
    assert "no identity-based policy allows the ssm:ListCommands action" in may(nobody, "ssm:ListCommands", "*").reason


def test_actions_match_in_any_case_and_by_wildcards() -> None:
    user = _principal(_allow(["ssm:Describe*", "ssm:Get?atchBaseline"]))
    assert may(user, "SSM:describeInstancePatches", "*").allowed
    assert may(user, "ssm:GetPatchBaseline", "*").allowed
    assert not may(user, "ssm:GetPatchBaselines", "*").allowed
    assert not may(user, "ssm:SendCommand", "*").allowed


def test_a_deny_beats_every_allow() -> None:
    user = _principal(_allow("*"), _deny("ssm:SendCommand", NODE))
    assert may(user, "ssm:SendCommand", NODE[:-1] + "1").allowed
    refused = may(user, "ssm:SendCommand", NODE)
    assert not refused.allowed
    assert "explicit deny" in refused.reason
    assert could(user, "ssm:SendCommand").allowed


def test_a_narrow_allow_does_not_reach_all_resources() -> None:
    user = _principal(_allow("ssm:DescribeInstanceInformation", NODE))
    assert could(user, "ssm:DescribeInstanceInformation").allowed
    assert not may(user, "ssm:DescribeInstanceInformation", "*").allowed


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike"])
def test_tag_conditions_speak_of_tagged_resources_only(operator: str) -> None:
    condition = {operator: {"ssm:resourceTag/env": ["dev", "q*"]}}
    user = _principal(_allow("ssm:SendCommand", "*", Condition=condition))
    assert may(user, "ssm:SendCommand", NODE, {"env": "dev"}).allowed
    assert may(user, "ssm:SendCommand", NODE, {"env": "qa"}).allowed is (operator == "StringLike")
    assert not may(user, "ssm:SendCommand", NODE, {"env": "prod"}).allowed
    assert not may(user, "ssm:SendCommand", NODE, {}).allowed
    assert not may(user, "ssm:SendCommand", NODE).allowed


def test_a_conditional_deny_holds_where_tags_are_not_known() -> None:
    user = _principal(_allow("*"), _deny("*", Condition={"StringEquals": {"aws:ResourceTag/env": "prod"}}))
    assert not may(user, "ssm:SendCommand", NODE).allowed
    assert may(user, "ssm:SendCommand", NODE, {"env": "dev"}).allowed


def test_stars_of_a_string_equals_condition_are_letters() -> None:
    user = _principal(_allow("*", Condition={"StringEquals": {"ssm:resourceTag/a": "*"}}))
    assert not may(user, "ssm:SendCommand", NODE, {"a": "x"}).allowed
    assert may(user, "ssm:SendCommand", NODE, {"a": "*"}).allowed


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"Statement": []},
        {"Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": [1], "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "NotAction": "*", "Action": "*", "Resource": "*"}]},
        {"Statement": [_allow("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})]},
        {"Statement": [_allow("*", Condition={"StringEquals": {"aws:username": "x"}})]},
        {"Statement": [_allow("*" * 1000)]},
        {"Statement": [_allow("*")] * 51},
    ],
)
def test_what_is_not_understood_is_refused_and_never_ignored(document: object) -> None:
    with pytest.raises(Invalid):
        parse_policy(document)


@pytest.mark.parametrize(
    ("name", "action", "allowed"),
    [
        ("admin", "patchwright:CreateAccessKey", True),
        ("operator", "ssm:SendCommand", True),
        ("operator", "patchwright:CreateAccessKey", False),
        ("operator", "patchwright:CreateAccount", False),
        ("auditor", "ssm:DescribeInstancePatches", True),
        ("auditor", "patchwright:ExplainPatch", True),
        ("auditor", "ssm:SendCommand", False),
        ("auditor", "ssm:CreateActivation", False),
    ],
)
def test_the_named_policies(name: str, action: str, allowed: bool) -> None:
    user = Principal(account="1" * 12, user_name="u", access_key_id="A", statements=parse_policy(NAMED_POLICIES[name]))
    assert could(user, action).allowed is allowed
    assert may(user, action, "*").allowed is allowed


def test_a_hostile_pattern_costs_no_time() -> None:
    user = _principal(_allow("*a" * 200 + "b"))
    assert not may(user, "a" * 300, "*").allowed
