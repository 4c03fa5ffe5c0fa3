"""Maintenance windows through boto3 and the aws CLI. Source: operations.md 4.1, 4.3, 13."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.window_calls import LEAST, NO_WINDOW, NOBODY, shown, target, task, window


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


@pytest.fixture
def ssm(fleet: Fleet) -> Any:
    return fleet.ssm


def test_a_window_comes_back_as_it_was_made(ssm: Any) -> None:
    made = window(
        ssm, Description="d", ScheduleTimezone="America/New_York", ScheduleOffset=4,
        StartDate="2030-01-01T00:00:00-05:00",
        EndDate="2031-01-01T00:00:00Z", Tags=[{"Key": "team", "Value": "web"}],
    )  # fmt: skip
    found = shown(ssm.get_maintenance_window(WindowId=made))
    assert found.pop("CreatedDate") == found.pop("ModifiedDate")
    assert found == {
        **LEAST,
        "WindowId": made,
        "Description": "d",
        "ScheduleTimezone": "America/New_York",
        "ScheduleOffset": 4,
        "StartDate": "2030-01-01T00:00:00-05:00",
        "EndDate": "2031-01-01T00:00:00Z",
        "Enabled": True,
        "NextExecutionTime": "2030-01-12T02:00-05:00",
    }
    which = {"ResourceType": "MaintenanceWindow", "ResourceId": made}
    assert ssm.list_tags_for_resource(**which)["TagList"] == [{"Key": "team", "Value": "web"}]
    ssm.add_tags_to_resource(**which, Tags=[{"Key": "a", "Value": ""}])
    ssm.remove_tags_from_resource(**which, TagKeys=["team"])
    assert ssm.list_tags_for_resource(**which)["TagList"] == [{"Key": "a", "Value": ""}]
    (listed,) = ssm.describe_maintenance_windows()["WindowIdentities"]
    assert listed == {k: v for k, v in found.items() if k != "AllowUnassociatedTargets"}


def test_what_was_never_given_stays_away(ssm: Any) -> None:
    found = shown(ssm.get_maintenance_window(WindowId=window(ssm)))
    assert set(found) == {*LEAST, "WindowId", "Enabled", "NextExecutionTime", "CreatedDate", "ModifiedDate"}
    assert found["NextExecutionTime"].endswith("T02:00Z")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"Cutoff": 3}, "Cutoff was 3 but must be smaller than"),
        ({"Schedule": "cron(0 2 * * TUE *)"}, "must be '?'"),
        ({"Schedule": "rate(1 hours)"}, "rate(1 hour)"),
        ({"Schedule": "cron(* * * * * ? *)"}, "at most once a minute"),
        ({"ScheduleTimezone": "Mars/Base"}, "not a time zone"),
        ({"ScheduleTimezone": "../../etc/passwd"}, "not a time zone"),
        ({"Schedule": "rate(1 day)", "ScheduleOffset": 1}, "cron expression only"),
        ({"ScheduleOffset": 7}, "scheduleOffset"),
        ({"StartDate": "tomorrow"}, "StartDate"),
        ({"StartDate": ""}, "Value '' at 'startDate'"),
        ({"EndDate": "2020-01-01T00:00:00Z"}, "has passed already"),
        ({"StartDate": "2031-01-01T00:00:00Z", "EndDate": "2031-01-01T00:00:00Z"}, "later than StartDate"),
        ({"Duration": 25}, "duration"),
        ({"Name": "a b"}, "name"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
    ],
)
def test_what_a_window_can_not_be(ssm: Any, wrong: dict[str, Any], said: str) -> None:
    code, message = refused(lambda: window(ssm, **wrong))
    assert code == "ValidationException"
    assert said in message
    assert ssm.describe_maintenance_windows()["WindowIdentities"] == []


def test_an_update_merges_and_replace_takes_away(ssm: Any) -> None:
    made = window(ssm, Description="d", ScheduleOffset=2, ScheduleTimezone="Asia/Tokyo")
    changed = shown(ssm.update_maintenance_window(WindowId=made, Enabled=False))
    assert (changed["Enabled"], changed["ScheduleOffset"], changed["Description"]) == (False, 2, "d")
    assert "NextExecutionTime" not in ssm.get_maintenance_window(WindowId=made)
    code, message = refused(lambda: ssm.update_maintenance_window(WindowId=made, Replace=True, Name="other"))
    assert (code, message.count("Member must not be null")) == ("ValidationException", 4)
    replaced = shown(ssm.update_maintenance_window(WindowId=made, Replace=True, **{**LEAST, "Duration": 5}))
    assert replaced == {**LEAST, "WindowId": made, "Duration": 5, "Enabled": False}
    code, _ = refused(lambda: ssm.update_maintenance_window(WindowId=made, Cutoff=5))
    assert code == "ValidationException"
    assert ssm.get_maintenance_window(WindowId=made)["Cutoff"] == 1


def test_windows_that_do_not_exist(ssm: Any) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: ssm.get_maintenance_window(WindowId=NO_WINDOW),
        lambda: ssm.update_maintenance_window(WindowId=NO_WINDOW, Enabled=False),
        lambda: target(ssm, NO_WINDOW),
        lambda: task(ssm, NO_WINDOW, NOBODY),
        lambda: ssm.describe_maintenance_window_targets(WindowId=NO_WINDOW),
        lambda: ssm.describe_maintenance_window_tasks(WindowId=NO_WINDOW),
        lambda: ssm.describe_maintenance_window_schedule(WindowId=NO_WINDOW),
        lambda: ssm.get_maintenance_window_task(WindowId=NO_WINDOW, WindowTaskId=NOBODY),
        lambda: ssm.deregister_task_from_maintenance_window(WindowId=NO_WINDOW, WindowTaskId=NOBODY),
        lambda: ssm.deregister_target_from_maintenance_window(WindowId=NO_WINDOW, WindowTargetId=NOBODY),
        lambda: ssm.get_maintenance_window_execution(WindowExecutionId=NOBODY),
        lambda: ssm.cancel_maintenance_window_execution(WindowExecutionId=NOBODY),
        lambda: ssm.describe_maintenance_window_execution_tasks(WindowExecutionId=NOBODY),
    ]
    assert {refused(call)[0] for call in asked} == {"DoesNotExistException"}
    assert f"Maintenance window {NO_WINDOW} does not exist" in refused(asked[0])[1]
    assert ssm.delete_maintenance_window(WindowId=NO_WINDOW)["WindowId"] == NO_WINDOW
    assert ssm.describe_maintenance_window_executions(WindowId=NO_WINDOW)["WindowExecutions"] == []


def test_client_tokens(ssm: Any) -> None:
    first = window(ssm, ClientToken="one")
    assert window(ssm, ClientToken="one") == first
    assert refused(lambda: window(ssm, ClientToken="one", Duration=4))[0] == "IdempotentParameterMismatch"
    one = target(ssm, first, ClientToken="t")
    assert target(ssm, first, ClientToken="t") == one
    assert refused(lambda: target(ssm, first, ClientToken="t", Name="other"))[0] == "IdempotentParameterMismatch"
    made = task(ssm, first, one, ClientToken="k")
    assert task(ssm, first, one, ClientToken="k") == made
    assert refused(lambda: task(ssm, first, one, ClientToken="k", Priority=3))[0] == "IdempotentParameterMismatch"
    assert len(ssm.describe_maintenance_windows()["WindowIdentities"]) == 1
    assert len(ssm.describe_maintenance_window_tasks(WindowId=first)["Tasks"]) == 1


def test_a_policy_counts_for_the_window_and_for_what_its_tasks_send(fleet: Fleet, server: RunningServer) -> None:
    ssm = fleet.ssm
    mine, other = window(ssm, Tags=[{"Key": "team", "Value": "web"}]), window(ssm)
    one = target(ssm, mine)
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow", "Action": "ssm:*MaintenanceWindow*", "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/team": "web"}},
        },
        {"Effect": "Allow", "Action": "ssm:Describe*", "Resource": "*"},
    ]  # fmt: skip

    def client(user: str) -> Any:
        policy = json.dumps({"Statement": statements})
        made = server.client("patchwright").create_access_key(UserName=user, Policy=policy)
        key = made["AccessKeyId"], made["SecretAccessKey"]
        return server.client("ssm", region=fleet.region, key=key)

    narrow = client("narrow")
    assert narrow.get_maintenance_window(WindowId=mine)["WindowId"] == mine
    assert refused(lambda: narrow.get_maintenance_window(WindowId=other))[0] == "AccessDeniedException"
    assert refused(lambda: narrow.get_maintenance_window(WindowId=NO_WINDOW))[0] == "AccessDeniedException"
    code, message = refused(lambda: task(narrow, mine, one))
    assert (code, "ssm:SendCommand" in message) == ("AccessDeniedException", True)
    document = "arn:aws:ssm:*:*:document/AWS-RunShellScript"
    statements.append(
        {"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": [document, "arn:aws:ssm:*:*:managed-instance/*"]}
    )
    wide = client("wide")
    assert task(wide, mine, one)
    assert refused(lambda: task(wide, mine, one, TaskArn="AWS-RunPatchBaseline"))[0] == "AccessDeniedException"
    statements.append(
        {"Effect": "Deny", "Action": "ssm:*", "Resource": "arn:aws:ssm:*:*:managed-instance/mi-0123456789abcdef0"}
    )
    code, message = refused(lambda: task(client("all-but-one"), mine, one))
    assert (code, "managed-instance/*" in message) == ("AccessDeniedException", True)


def test_every_listing_has_pages(ssm: Any) -> None:
    made = [window(ssm, Name=f"window-{n}") for n in range(25)]
    ids = [target(ssm, made[0], OwnerInformation=f"o{n}") for n in range(25)]
    tasks = [task(ssm, made[0], ids[0], Priority=n) for n in range(12)]

    def pages(operation: str, member: str, **request: Any) -> tuple[int, list[Any]]:
        found = list(ssm.get_paginator(operation).paginate(**request, PaginationConfig={"PageSize": 10}))
        return len(found), [entry for page in found for entry in page[member]]

    count, listed = pages("describe_maintenance_windows", "WindowIdentities")
    assert (count, [w["WindowId"] for w in listed]) == (3, made)
    count, listed = pages("describe_maintenance_window_targets", "Targets", WindowId=made[0])
    assert (count, [t["WindowTargetId"] for t in listed]) == (3, ids)
    count, listed = pages("describe_maintenance_window_tasks", "Tasks", WindowId=made[0])
    assert (count, [t["WindowTaskId"] for t in listed]) == (2, tasks)
    names = [{"Key": "Name", "Values": ["window-3", "window-7"]}, {"Key": "Enabled", "Values": ["true"]}]
    assert [w["Name"] for w in ssm.describe_maintenance_windows(Filters=names)["WindowIdentities"]] == [
        "window-3",
        "window-7",
    ]
    assert ssm.describe_maintenance_windows(Filters=[{"Key": "Enabled", "Values": ["False"]}])["WindowIdentities"] == []
    token = ssm.describe_maintenance_windows(MaxResults=10)["NextToken"]
    assert (
        refused(lambda: ssm.describe_maintenance_window_targets(WindowId=made[0], NextToken=token))[0]
        == "ValidationException"
    )
    assert refused(lambda: ssm.describe_maintenance_windows(MaxResults=5))[0] == "ValidationException"


def test_the_schedule_looks_ahead(fleet: Fleet) -> None:
    ssm = fleet.ssm
    node = fleet.node(env="prod")
    daily = window(ssm, Name="daily", Schedule="cron(0 3 * * ? *)", ScheduleTimezone="Europe/Berlin")
    weekly = window(ssm, Name="weekly", Schedule="cron(0 4 ? * SUN *)")
    window(ssm, Name="once", Schedule="at(2020-01-01T00:00)")
    off = window(ssm, Name="off", Schedule="rate(1 day)")
    ssm.update_maintenance_window(WindowId=off, Enabled=False)
    ahead = ssm.get_paginator("describe_maintenance_window_schedule")
    pages = ahead.paginate(PaginationConfig={"PageSize": 50, "MaxItems": 150})
    listed = [e for page in pages for e in page["ScheduledWindowExecutions"]]
    assert len(listed) == 150
    assert {e["Name"] for e in listed} == {"daily", "weekly"}
    assert len({(e["WindowId"], e["ExecutionTime"]) for e in listed}) == 150
    assert listed[0]["ExecutionTime"][10:16] in ("T03:00", "T04:00")
    weeks = ssm.describe_maintenance_window_schedule(WindowId=weekly, MaxResults=3)["ScheduledWindowExecutions"]
    assert [e["WindowId"] for e in weeks] == [weekly] * 3
    whole = [e for page in ahead.paginate(WindowId=weekly) for e in page["ScheduledWindowExecutions"]]
    assert len(whole) in (52, 53)
    assert whole[:3] == weeks
    until = [{"Key": "ScheduledBefore", "Values": [weeks[1]["ExecutionTime"]]}]
    assert (
        len(ssm.describe_maintenance_window_schedule(WindowId=weekly, Filters=until)["ScheduledWindowExecutions"]) == 2
    )
    target(ssm, daily)
    targets = {"Targets": [{"Key": "InstanceIds", "Values": [node.id]}], "ResourceType": "INSTANCE"}
    of_node = ssm.describe_maintenance_window_schedule(**targets, MaxResults=4)["ScheduledWindowExecutions"]
    assert {e["WindowId"] for e in of_node} == {daily}
    assert (
        refused(lambda: ssm.describe_maintenance_window_schedule(Targets=targets["Targets"]))[0]
        == "ValidationException"
    )


def test_which_windows_concern_a_node(fleet: Fleet) -> None:
    ssm = fleet.ssm
    node, other = fleet.node(env="prod"), fleet.node(env="test")
    made = [window(ssm, Name=name) for name in ("by-id", "by-tag", "by-task", "not-it")]
    target(ssm, made[0], Targets=[{"Key": "InstanceIds", "Values": [node.id]}])
    target(ssm, made[1])
    task(ssm, made[2], Targets=[{"Key": "InstanceIds", "Values": [node.id]}])
    target(ssm, made[3], Targets=[{"Key": "tag:env", "Values": ["prod"]}, {"Key": "tag:tier", "Values": ["web"]}])

    def names(key: str, *values: str, **more: Any) -> list[str]:
        asked = {"Targets": [{"Key": key, "Values": list(values)}], "ResourceType": "INSTANCE", **more}
        pages = ssm.get_paginator("describe_maintenance_windows_for_target").paginate(
            **asked, PaginationConfig={"PageSize": 1}
        )
        return [w["Name"] for page in pages for w in page["WindowIdentities"]]

    assert names("InstanceIds", node.id) == ["by-id", "by-tag", "by-task"]
    assert names("tag:env", "prod") == ["by-id", "by-tag", "by-task"]
    assert names("InstanceIds", other.id) == []
    assert names("InstanceIds", "mi-0123456789abcdef0") == []


def test_the_aws_command_line(aws: Callable[..., CompletedProcess[str]]) -> None:
    """The commands of AWS's own tutorial for the CLI."""

    def run(operation: str, *words: str) -> Any:
        made = aws("ssm", operation, *words)
        assert made.returncode == 0, made.stderr
        return json.loads(made.stdout)

    made = run(
        "create-maintenance-window", "--name", "My-First-Window", "--schedule", "rate(5 days)", "--duration", "2",
        "--cutoff", "1", "--allow-unassociated-targets",
    )["WindowId"]  # fmt: skip
    one = run(
        "register-target-with-maintenance-window", "--window-id", made, "--resource-type", "INSTANCE", "--target",
        "Key=tag:env,Values=prod", "--owner-information", "Single instance",
    )["WindowTargetId"]  # fmt: skip
    run(
        "register-task-with-maintenance-window", "--window-id", made, "--targets", f"Key=WindowTargetIds,Values={one}",
        "--task-arn", "AWS-RunShellScript", "--max-concurrency", "1", "--max-errors", "1", "--priority", "10",
        "--task-type", "RUN_COMMAND", "--task-invocation-parameters",
        json.dumps({"RunCommand": {"Parameters": {"commands": ["df"]}}}),
    )  # fmt: skip
    (listed,) = run("describe-maintenance-window-tasks", "--window-id", made)["Tasks"]
    assert (listed["Priority"], listed["Targets"][0]["Values"]) == (10, [one])
