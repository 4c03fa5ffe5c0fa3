"""What maintenance windows ran, through boto3, on nodes that speak the real protocol. Source: operations.md 4.6, 13."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchwright.core.values import WindowId
from patchwright.store import windows
from patchwright.store.engine import Tx
from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, refused, wait_for
from tests.contract.window_calls import NOBODY, target, task, window


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def start(server: RunningServer, window_id: str) -> None:
    """Let the window be due now, rather than wait for its schedule."""

    def work(tx: Tx) -> None:
        windows.set_next_start(tx, WindowId(window_id), datetime.now(UTC))
        tx.wake("windows")

    server.application.state.store.write(work)


def latest(ssm: Any, window_id: str, *statuses: str) -> dict[str, Any]:
    """The window's newest execution, once it has one of the statuses (any, when none is given)."""

    def look() -> dict[str, Any] | None:
        found = ssm.describe_maintenance_window_executions(WindowId=window_id)["WindowExecutions"]
        return found[0] if found and (not statuses or found[0]["Status"] in statuses) else None

    found: dict[str, Any] = wait_for(look, f"an execution of {window_id} in {statuses}")
    return found


def test_a_window_runs_by_its_schedule_and_every_answer_says_so(fleet: Fleet) -> None:
    """The whole road: at(...), tags, a node that runs the command, and what each operation tells of it."""
    ssm, node = fleet.ssm, fleet.node(env="prod")
    soon = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0, tzinfo=None)
    made = window(ssm, Schedule=f"at({soon.isoformat()})", Duration=3, Cutoff=1)
    one = target(ssm, made, OwnerInformation="team web")
    registered = task(ssm, made, one, Priority=4, ServiceRoleArn="arn:aws:iam::000000000001:role/r")
    message = node.take()
    execution = latest(ssm, made, "IN_PROGRESS")
    assert execution["StartTime"].replace(tzinfo=None) >= soon
    assert "EndTime" not in execution
    node.accept(message)
    node.reply(message, "Success", {"aws:runShellScript": {"status": "Success", "code": 0}})
    execution = latest(ssm, made, "SUCCESS")
    which = {"WindowExecutionId": execution["WindowExecutionId"]}
    whole = ssm.get_maintenance_window_execution(**which)
    (task_id,) = whole["TaskIds"]
    assert (whole["Status"], whole["EndTime"]) == ("SUCCESS", execution["EndTime"])
    (listed,) = ssm.describe_maintenance_window_execution_tasks(**which)["WindowExecutionTaskIdentities"]
    assert (listed["TaskExecutionId"], listed["TaskType"], listed["Status"]) == (task_id, "RUN_COMMAND", "SUCCESS")
    found = ssm.get_maintenance_window_execution_task(**which, TaskId=task_id)
    assert (found["Type"], found["TaskArn"], found["Priority"]) == ("RUN_COMMAND", "AWS-RunShellScript", 4)
    assert (found["MaxConcurrency"], found["MaxErrors"]) == ("2", "1")
    assert found["ServiceRole"] == "arn:aws:iam::000000000001:role/r"
    assert found["TaskParameters"] == [{"commands": {"Values": ["true"]}}]
    (run,) = ssm.describe_maintenance_window_execution_task_invocations(**which, TaskId=task_id)[
        "WindowExecutionTaskInvocationIdentities"
    ]
    assert (run["Status"], run["OwnerInformation"], run["WindowTargetId"]) == ("SUCCESS", "team web", one)
    assert json.loads(run["Parameters"])["instanceIds"] == [node.id]
    again = ssm.get_maintenance_window_execution_task_invocation(
        **which, TaskId=task_id, InvocationId=run["InvocationId"]
    )
    assert {k: again[k] for k in run} == run
    command = fleet.command(run["ExecutionId"])
    assert (command["Status"], command["Comment"]) == ("Success", made)
    assert command["Targets"] == [{"Key": "tag:env", "Values": ["prod"]}]
    assert "NextExecutionTime" not in ssm.get_maintenance_window(WindowId=made)
    assert registered not in (task_id, run["InvocationId"])


def test_cancelling_an_execution(fleet: Fleet, server: RunningServer) -> None:
    ssm, node = fleet.ssm, fleet.node(env="prod")
    made = window(ssm)
    one = target(ssm, made)
    task(ssm, made, one, Priority=1)
    task(ssm, made, one, Priority=2)
    start(server, made)
    message = node.take()
    which = {"WindowExecutionId": latest(ssm, made, "IN_PROGRESS")["WindowExecutionId"]}
    assert ssm.cancel_maintenance_window_execution(**which)["WindowExecutionId"] == which["WindowExecutionId"]
    assert latest(ssm, made)["Status"] == "CANCELLING"

    def statuses(*wanted: str) -> list[str]:
        filters = [{"Key": "STATUS", "Values": list(wanted)}] if wanted else []
        found = ssm.describe_maintenance_window_execution_tasks(**which, Filters=filters)
        return [t["Status"] for t in found["WindowExecutionTaskIdentities"]]

    wait_for(lambda: statuses() == ["IN_PROGRESS", "CANCELLED"], "the second task's cancel")
    assert statuses("CANCELLED", "FAILED") == ["CANCELLED"]
    assert refused(lambda: statuses("Nonsense"))[0] == "ValidationException"
    node.accept(message)
    node.reply(message, "Success", {})
    latest(ssm, made, "CANCELLED")
    assert ssm.cancel_maintenance_window_execution(**which)["WindowExecutionId"] == which["WindowExecutionId"]
    assert latest(ssm, made)["Status"] == "CANCELLED"


def test_history_has_pages_and_outlives_its_window(fleet: Fleet, server: RunningServer) -> None:
    ssm = fleet.ssm
    made = window(ssm, Duration=3, Cutoff=1)
    ids = [target(ssm, made, Targets=[{"Key": "tag:none", "Values": ["x"]}]) for _ in range(25)]
    task(ssm, made, *ids)
    for _ in range(11):
        task(ssm, made, ids[0], Priority=1)
    start(server, made)
    first = latest(ssm, made, "SUCCESS")
    for registered in ssm.describe_maintenance_window_tasks(WindowId=made)["Tasks"]:
        ssm.deregister_task_from_maintenance_window(WindowId=made, WindowTaskId=registered["WindowTaskId"])
    for count in range(2, 13):
        start(server, made)
        wait_for(
            lambda count=count: (
                len(ssm.describe_maintenance_window_executions(WindowId=made)["WindowExecutions"]) == count
            ),
            "the next execution",
        )
    latest(ssm, made, "SUCCESS")

    def pages(operation: str, member: str, **request: Any) -> tuple[int, list[Any]]:
        found = list(ssm.get_paginator(operation).paginate(**request, PaginationConfig={"PageSize": 10}))
        return len(found), [entry for page in found for entry in page[member]]

    count, executions = pages("describe_maintenance_window_executions", "WindowExecutions", WindowId=made)
    assert (count, len(executions), executions[-1]["WindowExecutionId"]) == (2, 12, first["WindowExecutionId"])
    assert executions == sorted(executions, key=lambda e: e["StartTime"], reverse=True)
    which = {"WindowExecutionId": first["WindowExecutionId"]}
    count, tasks = pages("describe_maintenance_window_execution_tasks", "WindowExecutionTaskIdentities", **which)
    assert (count, len({t["TaskExecutionId"] for t in tasks})) == (2, 12)
    count, runs = pages(
        "describe_maintenance_window_execution_task_invocations",
        "WindowExecutionTaskInvocationIdentities",
        **which,
        TaskId=tasks[0]["TaskExecutionId"],
    )
    assert (count, [r["WindowTargetId"] for r in runs]) == (3, ids)
    assert all("No nodes" in r["StatusDetails"] and "ExecutionId" not in r for r in runs)
    bound = executions[-2]["StartTime"].isoformat()
    for key, there in (("ExecutedBefore", [True, False]), ("ExecutedAfter", [False, True])):
        filters = [{"Key": key, "Values": [bound]}]
        kept = ssm.describe_maintenance_window_executions(WindowId=made, Filters=filters)["WindowExecutions"]
        assert [e in kept for e in (executions[-1], executions[0])] == there
    wrong = [{"Key": "ExecutedAfter", "Values": ["yesterday"]}]
    assert refused(lambda: ssm.describe_maintenance_window_executions(WindowId=made, Filters=wrong))[0] == (
        "ValidationException"
    )
    for absent in ({"TaskId": NOBODY}, {"TaskId": tasks[0]["TaskExecutionId"], "InvocationId": NOBODY}):
        name = "get_maintenance_window_execution_task" + ("_invocation" if "InvocationId" in absent else "")
        assert refused(lambda name=name, absent=absent: getattr(ssm, name)(**which, **absent))[0] == (  # type: ignore[misc]
            "DoesNotExistException"
        )
    ssm.delete_maintenance_window(WindowId=made)
    assert len(ssm.describe_maintenance_window_executions(WindowId=made)["WindowExecutions"]) == 12
    assert ssm.get_maintenance_window_execution(**which)["Status"] == "SUCCESS"
