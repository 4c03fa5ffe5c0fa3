"""Targets and tasks of maintenance windows through boto3. Source: operations.md 4.4, 4.5, 13."""

from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.window_calls import NOBODY, RUN, shown, target, task, window


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


@pytest.fixture
def ssm(fleet: Fleet) -> Any:
    return fleet.ssm


def test_targets_come_back_and_change(ssm: Any) -> None:
    made = window(ssm)
    one = target(ssm, made, OwnerInformation="team web", Name="web", Description="d")
    two = target(ssm, made, Targets=[{"Key": "InstanceIds", "Values": ["mi-0123456789abcdef0"]}])
    by = ssm.describe_maintenance_window_targets
    full, bare = by(WindowId=made)["Targets"]
    assert full == {
        "WindowId": made, "WindowTargetId": one, "ResourceType": "INSTANCE", "Name": "web", "Description": "d",
        "Targets": [{"Key": "tag:env", "Values": ["prod"]}], "OwnerInformation": "team web",
    }  # fmt: skip
    assert set(bare) == {"WindowId", "WindowTargetId", "ResourceType", "Targets"}
    for key, value, expected in (
        ("WindowTargetId", two, [two]), ("OwnerInformation", "team web", [one]), ("Type", "INSTANCE", [one, two]),
    ):  # fmt: skip
        found = by(WindowId=made, Filters=[{"Key": key, "Values": [value]}])["Targets"]
        assert [t["WindowTargetId"] for t in found] == expected
    assert (
        refused(lambda: by(WindowId=made, Filters=[{"Key": "Nonsense", "Values": ["x"]}]))[0] == "ValidationException"
    )
    changed = shown(ssm.update_maintenance_window_target(WindowId=made, WindowTargetId=one, Name="new"))
    assert (changed["Name"], changed["OwnerInformation"]) == ("new", "team web")
    targets = [{"Key": "tag-key", "Values": ["env"]}]
    replaced = ssm.update_maintenance_window_target(WindowId=made, WindowTargetId=one, Targets=targets, Replace=True)
    assert shown(replaced) == {"WindowId": made, "WindowTargetId": one, "Targets": targets}
    assert refused(lambda: ssm.update_maintenance_window_target(WindowId=made, WindowTargetId=NOBODY, Name="abc"))[
        0
    ] == ("DoesNotExistException")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"Targets": []}, "at least one target"),
        ({"Targets": [{"Key": "tag:Patch Group", "Values": []}]}, "Filter values can't be null and tag:Patch Group is"),
        ({"Targets": [{"Key": "colour", "Values": ["red"]}]}, "colour"),
        ({"Targets": [{"Key": "resource-groups:Name", "Values": ["g"]}]}, "resource groups"),
        ({"ResourceType": "RESOURCE_GROUP"}, "resource groups"),
    ],
)
def test_what_a_target_can_not_be(ssm: Any, wrong: dict[str, Any], said: str) -> None:
    made = window(ssm)
    code, message = refused(lambda: target(ssm, made, **wrong))
    assert code == "ValidationException"
    assert said in message


def test_a_target_in_use_is_safe(ssm: Any) -> None:
    made = window(ssm)
    used = target(ssm, made)
    running = task(ssm, made, used)
    which = {"WindowId": made, "WindowTargetId": used}
    code, message = refused(lambda: ssm.deregister_target_from_maintenance_window(**which, Safe=True))
    assert (code, running in message) == ("TargetInUseException", True)
    assert shown(ssm.deregister_target_from_maintenance_window(**which)) == which
    assert ssm.describe_maintenance_window_targets(WindowId=made)["Targets"] == []
    assert len(ssm.describe_maintenance_window_tasks(WindowId=made)["Tasks"]) == 1


def test_a_task_comes_back_as_it_was_registered(ssm: Any) -> None:
    made = window(ssm)
    one = target(ssm, made)
    least = task(ssm, made, one)
    found = shown(ssm.get_maintenance_window_task(WindowId=made, WindowTaskId=least))
    assert found == {
        "WindowId": made, "WindowTaskId": least, "TaskType": "RUN_COMMAND", "TaskArn": "AWS-RunShellScript",
        "Targets": [{"Key": "WindowTargetIds", "Values": [one]}], "MaxConcurrency": "2", "MaxErrors": "1",
        "TaskInvocationParameters": RUN, "Priority": 0,
    }  # fmt: skip
    more = {
        "Name": "patch", "Description": "d", "Priority": 5, "CutoffBehavior": "CANCEL_TASK",
        "ServiceRoleArn": "arn:aws:iam::1:role/r",
        "AlarmConfiguration": {"Alarms": [{"Name": "a"}], "IgnorePollAlarmFailure": True},
    }  # fmt: skip
    full = task(ssm, made, one, **more)
    found = shown(ssm.get_maintenance_window_task(WindowId=made, WindowTaskId=full))
    assert {k: found[k] for k in more} == more
    for key, value, expected in (
        ("WindowTaskId", full, [full]), ("Priority", "5", [full]), ("TaskArn", "AWS-RunShellScript", [least, full]),
        ("TaskType", "LAMBDA", []),
    ):  # fmt: skip
        listed = ssm.describe_maintenance_window_tasks(WindowId=made, Filters=[{"Key": key, "Values": [value]}])[
            "Tasks"
        ]
        assert [t["WindowTaskId"] for t in listed] == expected
    (entry,) = ssm.describe_maintenance_window_tasks(
        WindowId=made, Filters=[{"Key": "WindowTaskId", "Values": [least]}]
    )["Tasks"]
    assert entry["Type"] == "RUN_COMMAND"
    assert "TaskInvocationParameters" not in entry


def test_a_task_changes_whole_members_and_replace_takes_away(ssm: Any) -> None:
    made = window(ssm)
    one = target(ssm, made)
    which = {"WindowId": made, "WindowTaskId": task(ssm, made, one, Name="patch", CutoffBehavior="CANCEL_TASK")}
    other = {"RunCommand": {"Parameters": {"commands": ["false"]}}}
    changed = shown(ssm.update_maintenance_window_task(**which, TaskInvocationParameters=other))
    assert (changed["TaskInvocationParameters"], changed["Name"]) == (other, "patch")
    assert "TaskType" not in changed
    replace = {
        "Replace": True, "TaskArn": "AWS-RunShellScript", "Priority": 0, "MaxConcurrency": "1", "MaxErrors": "0",
        "Targets": [{"Key": "WindowTargetIds", "Values": [one]}], "TaskInvocationParameters": other,
    }  # fmt: skip
    replaced = shown(ssm.update_maintenance_window_task(**which, **replace))
    assert set(replaced) == {*which, *replace} - {"Replace"}
    assert refused(lambda: ssm.update_maintenance_window_task(**which, Replace=True))[0] == "ValidationException"
    shouted = {**which, "WindowTaskId": which["WindowTaskId"].upper()}
    assert ssm.get_maintenance_window_task(**shouted)["WindowTaskId"] == which["WindowTaskId"]
    ssm.deregister_task_from_maintenance_window(**which)
    assert refused(lambda: ssm.get_maintenance_window_task(**which))[0] == "DoesNotExistException"


def test_deprecated_members_round_trip_and_exclude_their_heirs(ssm: Any) -> None:
    made = window(ssm)
    one = target(ssm, made)
    old = {
        "TaskParameters": {"commands": {"Values": ["true"]}},
        "LoggingInfo": {"S3BucketName": "bucket", "S3Region": "local-1"},
    }
    which = {"WindowId": made, "WindowTaskId": task(ssm, made, one, TaskInvocationParameters={}, **old)}
    found = ssm.get_maintenance_window_task(**which)
    assert {k: found[k] for k in old} == old
    assert refused(lambda: task(ssm, made, one, **old))[0] == "ValidationException"
    found = shown(ssm.update_maintenance_window_task(**which, TaskInvocationParameters=RUN))
    assert not set(found) & set(old)


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"TaskType": "AUTOMATION"}, "FeatureNotAvailableException", "AUTOMATION"),
        ({"TaskType": "LAMBDA", "TaskInvocationParameters": {"Lambda": {"Payload": b"{}"}}},
         "FeatureNotAvailableException", "LAMBDA"),
        ({"TaskType": "STEP_FUNCTIONS"}, "FeatureNotAvailableException", "STEP_FUNCTIONS"),
        ({"TaskArn": "No-Such-Document"}, "ValidationException", "No-Such-Document"),
        ({"MaxErrors": None}, "ValidationException", "MaxErrors is required"),
        ({"MaxConcurrency": "0"}, "ValidationException", "maxConcurrency"),
        ({"Targets": []}, "ValidationException", "needs Targets"),
        ({"Targets": [{"Key": "tag:env", "Values": ["x"]}]}, "ValidationException", "WindowTargetIds, InstanceIds"),
        ({"Targets": [{"Key": "WindowTargetIds", "Values": [NOBODY]}]}, "ValidationException", "not registered"),
        ({"TaskInvocationParameters": {"Automation": {"DocumentVersion": "1"}}}, "ValidationException",
         "no member Automation"),
        ({"TaskInvocationParameters": {"RunCommand": {}}}, "ValidationException", "commands"),
        ({"TaskInvocationParameters": {"RunCommand": {"Parameters": {"commands": ["{{TARGET_ID}}"]}}}},
         "ValidationException", "TARGET_ID"),
        ({"TaskInvocationParameters": {"RunCommand": {"Parameters": {"other": ["x"]}}}},
         "ValidationException", "other"),
    ],
)  # fmt: skip
def test_what_a_task_can_not_be(ssm: Any, wrong: dict[str, Any], code: str, said: str) -> None:
    made = window(ssm)
    one = target(ssm, made)
    members = {"TaskInvocationParameters": RUN, "Targets": [{"Key": "WindowTargetIds", "Values": [one]}], **wrong}
    found, message = refused(lambda: task(ssm, made, **members))
    assert (found, said in message) == (code, True), message


def test_nodes_by_id_need_a_window_that_allows_them(ssm: Any) -> None:
    node = "mi-0123456789abcdef0"
    by_id = {"Targets": [{"Key": "InstanceIds", "Values": [node]}]}
    strict = window(ssm, AllowUnassociatedTargets=False)
    code, message = refused(lambda: task(ssm, strict, **by_id))
    assert (code, "AllowUnassociatedTargets" in message) == ("ValidationException", True)
    target(ssm, strict, **by_id)
    assert task(ssm, strict, **by_id)
    assert task(ssm, window(ssm), **by_id)


def test_twenty_tasks(ssm: Any) -> None:
    made = window(ssm)
    one = target(ssm, made)
    for _ in range(20):
        task(ssm, made, one)
    assert refused(lambda: task(ssm, made, one))[0] == "ResourceLimitExceededException"
