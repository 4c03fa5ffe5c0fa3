"""Executions of maintenance windows under a virtual clock. Source: operations.md 4.3 no. 7, 4.6, 13 (9, 10)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.unit.fleet import HERE, NOW
from tests.unit.window_lab import HOURLY, WindowLab

from patchwright.core.commands import Details
from patchwright.flows.change_window import delete_window
from patchwright.flows.run_invocation import accept_reply
from patchwright.store import nodes, windows
from patchwright.store.engine import Engine, Tx
from patchwright.store.retention import Retention, forget
from patchwright.store.tables import audit, window_execution, window_invocation


@pytest.fixture
def lab(store: Engine) -> WindowLab:
    return WindowLab(store)


def test_a_window_runs_its_tasks_and_says_what_came_of_them(lab: WindowLab) -> None:
    web, database = lab.add(2)
    window = lab.window()
    task = lab.task(window, lab.target(window, web, owner="team web"), lab.target(window, database))
    lab.until(12, 59)
    assert lab.executions(window) == []
    lab.until(13)
    (execution,) = lab.executions(window)
    assert (execution.status, execution.started_at, execution.due_at) == ("IN_PROGRESS", lab.now, lab.now)
    (running,) = lab.tasks(execution)
    assert (running.status, running.task_id, running.started_at) == ("IN_PROGRESS", task, lab.now)
    first, second = lab.runs(running)
    assert (first.status, second.status, first.owner_information) == ("IN_PROGRESS", "PENDING", "team web")
    assert json.loads(first.parameters) == {
        "documentName": "AWS-RunShellScript",
        "instanceIds": [web],
        "maxConcurrency": "10",
        "maxErrors": "0",
        "parameters": {"commands": ["true"]},
    }
    assert first.command_id is not None
    assert lab.command(first.command_id).request["MaxConcurrency"] == "10"
    lab.tick(minutes=5)
    lab.end(web, first.command_id)
    lab.turn()
    first, second = lab.runs(running)
    assert (first.status, first.ended_at) == ("SUCCESS", lab.now)
    assert (second.status, second.window_target_id == first.window_target_id) == ("IN_PROGRESS", False)
    assert second.command_id is not None
    lab.end(database, second.command_id)
    lab.turn()
    assert lab.statuses(window) == [["SUCCESS", "SUCCESS"]]
    assert lab.executions(window)[0].ended_at == lab.now
    assert lab.next_start(window) == NOW.replace(hour=13) + timedelta(days=1)


def test_a_command_of_a_window_is_audited_as_the_windows(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    lab.task(window, nodes=[node])
    lab.until(13)
    (row,) = lab.store.read(lambda tx: tx.execute(select(audit)).all())
    assert (row.action, row.principal) == (
        "ssm:SendCommand",
        f"arn:aws:ssm:local-1:000000000001:maintenancewindow/{window}",
    )
    assert lab.sent(window)[0] in row.resource
    assert lab.command(lab.sent(window)[0]).requested_by == row.principal


def test_priorities_wait_for_all_before_them_whatever_came_of_it(lab: WindowLab) -> None:
    one, two, three = lab.add(3)
    window = lab.window()
    lab.task(window, nodes=[three], priority=5)
    lab.task(window, nodes=[one], priority=1)
    lab.task(window, nodes=[two], priority=1)
    lab.until(13)
    assert lab.statuses(window) == [["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "PENDING"]]
    first, second = lab.sent(window)
    lab.end(one, first, "Failed")
    lab.turn()
    assert lab.statuses(window) == [["IN_PROGRESS", "FAILED", "IN_PROGRESS", "PENDING"]]
    lab.end(two, second)
    lab.turn()
    assert lab.statuses(window) == [["IN_PROGRESS", "FAILED", "SUCCESS", "IN_PROGRESS"]]
    lab.end(three, lab.sent(window)[2])
    lab.turn()
    assert lab.statuses(window) == [["FAILED", "FAILED", "SUCCESS", "SUCCESS"]]


def test_nothing_begins_after_the_cutoff_and_what_runs_goes_on(lab: WindowLab) -> None:
    """13:00, three hours, cutoff one hour: nothing new from 15:00."""
    one, two = lab.add(2)
    window = lab.window()
    lab.task(window, lab.target(window, one), lab.target(window, two), priority=1)
    lab.task(window, nodes=[two], priority=2)
    lab.until(13)
    lab.take(one)
    lab.until(14, 59)
    assert lab.statuses(window) == [["IN_PROGRESS", "IN_PROGRESS", "PENDING"]]
    lab.until(15)
    assert lab.statuses(window) == [["IN_PROGRESS", "IN_PROGRESS", "TIMED_OUT"]]
    late = lab.tasks(lab.executions(window)[0])[1]
    assert "cutoff" in late.details
    assert [i.status for i in lab.runs(late)] == ["TIMED_OUT"]
    # CONTINUE_TASK, which is what a task does that says nothing: its second target is served too.
    lab.end(one, lab.sent(window)[0])
    lab.until(16, 30)
    lab.end(two, lab.sent(window)[1])
    lab.turn()
    assert lab.statuses(window) == [["TIMED_OUT", "SUCCESS", "TIMED_OUT"]]


def test_cancel_task_cancels_the_command_at_the_cutoff(lab: WindowLab) -> None:
    one, two = lab.add(2)
    window = lab.window()
    lab.task(window, lab.target(window, one), lab.target(window, two), cutoff_behavior="CANCEL_TASK")
    lab.until(13)
    (command,) = lab.sent(window)
    lab.take(one)
    lab.reply(one, command, "InProgress")
    lab.until(15)
    assert lab.command(command).status == "Cancelling"
    assert lab.statuses(window) == [["IN_PROGRESS", "CANCELLING"]]
    (task,) = lab.tasks(lab.executions(window)[0])
    assert [str(i.status) for i in lab.runs(task)] == ["CANCELLING", "TIMED_OUT"]
    lab.turn()
    assert len(lab.take_cancels(one)) == 1
    lab.reply(one, command, "Cancelled")
    lab.turn()
    assert lab.statuses(window) == [["TIMED_OUT", "TIMED_OUT"]]
    assert [str(i.status) for i in lab.runs(task)] == ["CANCELLED", "TIMED_OUT"]
    assert lab.sent(window) == [command]


def test_a_task_that_was_cut_is_timed_out_however_its_node_ends_it(lab: WindowLab) -> None:
    one, away = *lab.add(1), *lab.add(1, online=False)
    window = lab.window()
    lab.task(window, nodes=[one], cutoff_behavior="CANCEL_TASK")
    lab.task(window, nodes=[away], cutoff_behavior="CANCEL_TASK")
    lab.until(13)
    first, second = lab.sent(window)
    lab.take(one)
    lab.until(15)
    lab.reply(one, first, "Failed", {})
    lab.turn()
    assert lab.statuses(window) == [["IN_PROGRESS", "TIMED_OUT", "CANCELLING"]]
    assert lab.details(first) == [Details.FAILED]
    assert lab.details(second) == [Details.CANCELLING]


def test_a_start_while_the_one_before_still_runs_is_skipped(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window(HOURLY)
    lab.task(window, nodes=[node])
    lab.until(13)
    lab.until(14)
    assert lab.statuses(window) == [["IN_PROGRESS", "IN_PROGRESS"], ["SKIPPED_OVERLAPPING"]]
    skipped = lab.executions(window)[1]
    assert "still running" in skipped.details
    assert skipped.ended_at == lab.now
    lab.end(node, lab.sent(window)[0])
    lab.until(15)
    assert [s[0] for s in lab.statuses(window)] == ["SUCCESS", "SKIPPED_OVERLAPPING", "IN_PROGRESS"]


def test_without_tasks_there_is_nothing_to_do(lab: WindowLab) -> None:
    window = lab.window()
    lab.until(13)
    assert lab.statuses(window) == [["SUCCESS"]]
    assert lab.executions(window)[0].details == "No tasks to execute."


def test_tags_are_read_when_it_runs(lab: WindowLab) -> None:
    window = lab.window()
    target = lab.target(window, targets=[{"Key": "tag:env", "Values": ["prod"]}])
    lab.task(window, target)
    late = lab.fleet.add(env="prod")
    lab.fleet.add(env="test")
    lab.until(13)
    (command,) = lab.sent(window)
    assert [i.node_id for i in lab.invocations(command)] == [late]


def test_a_task_that_finds_no_node_or_no_target_succeeds_and_says_so(lab: WindowLab) -> None:
    window = lab.window()
    lab.task(window, lab.target(window, targets=[{"Key": "tag:env", "Values": ["none"]}]))
    lab.task(window, "00000000-0000-4000-8000-0000000000ff")
    lab.until(13)
    assert lab.statuses(window) == [["SUCCESS", "SUCCESS", "SUCCESS"]]
    empty, dangling = lab.tasks(lab.executions(window)[0])
    (invocation,) = lab.runs(empty)
    assert ("No nodes" in invocation.details, invocation.command_id) == (True, None)
    assert "No targets" in dangling.details


def test_a_task_that_can_not_be_sent_fails_with_the_reason_and_the_next_one_runs(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    lab.task(window, nodes=[node], task_arn="Gone-Document", priority=1)
    lab.task(window, nodes=[node], run_command={"Parameters": {"nonsense": ["x"]}}, priority=2)
    lab.task(window, nodes=[node], priority=3)
    lab.until(13)
    assert lab.statuses(window) == [["IN_PROGRESS", "FAILED", "FAILED", "IN_PROGRESS"]]
    gone, wrong, _ = lab.tasks(lab.executions(window)[0])
    assert "Gone-Document" in lab.runs(gone)[0].details
    assert "nonsense" in lab.runs(wrong)[0].details


def test_unassociated_nodes_only_where_the_window_allows_them(lab: WindowLab) -> None:
    known, stranger = lab.add(2)
    window = lab.window()
    lab.target(window, known)
    lab.task(window, nodes=[known, stranger])
    lab.task(window, nodes=[stranger])
    lab.store.write(lambda tx: windows.update(tx, replace(windows.get(tx, HERE, window), allow_unassociated=False)))
    lab.until(13)
    both, alone = lab.tasks(lab.executions(window)[0])
    assert json.loads(lab.runs(both)[0].parameters)["instanceIds"] == [known]
    assert alone.status == "FAILED"
    assert "AllowUnassociatedTargets" in lab.runs(alone)[0].details


def test_pseudo_parameters(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    target = lab.target(window, node)
    script = (
        "echo {{WINDOW_ID}} {{ WINDOW_TARGET_ID }} {{TASK_EXECUTION_ID}} {{TARGET_TYPE}} {{OTHER}} {{INVOCATION_ID}}"
    )
    task = lab.task(
        window,
        target,
        commands=script,
        run_command={"Comment": "{{WINDOW_EXECUTION_ID}} {{WINDOW_TASK_ID}} and more text"},
    )
    lab.until(13)
    (execution,) = lab.executions(window)
    (run,) = lab.tasks(execution)
    (invocation,) = lab.runs(run)
    request = lab.command(lab.sent(window)[0]).request
    assert request["Parameters"] == {
        "commands": [f"echo {window} {target} {run.id} INSTANCE {{{{OTHER}}}} {invocation.id}"]
    }
    assert request["Comment"] == f"{execution.id} {task} and more text"[:100]


def test_a_cancelled_execution_lets_running_tasks_end(lab: WindowLab) -> None:
    one, two = lab.add(2)
    window = lab.window()
    lab.task(window, nodes=[one], priority=1)
    lab.task(window, nodes=[two], priority=2)
    lab.until(13)
    lab.cancel_execution(window)
    lab.turn()
    assert lab.statuses(window) == [["CANCELLING", "IN_PROGRESS", "CANCELLED"]]
    assert lab.details(lab.sent(window)[0]) == [Details.PENDING]
    lab.end(one, lab.sent(window)[0])
    lab.turn()
    assert lab.statuses(window) == [["CANCELLED", "SUCCESS", "CANCELLED"]]
    before = lab.executions(window)
    lab.cancel_execution(window)
    assert lab.executions(window) == before


def test_a_deleted_window_ends_what_it_began(lab: WindowLab) -> None:
    one, two = lab.add(2)
    window = lab.window()
    lab.task(window, lab.target(window, one), lab.target(window, two))
    lab.until(13)
    lab.store.write(lambda tx: delete_window(tx, HERE, window))
    lab.end(one, lab.sent(window)[0])
    lab.turn()
    lab.end(two, lab.sent(window)[1])
    lab.turn()
    assert lab.statuses(window) == [["SUCCESS", "SUCCESS"]]
    lab.tick(days=2)
    lab.turn()
    assert len(lab.executions(window)) == 1


def test_history_is_forgotten_after_thirty_days_and_what_runs_is_not(lab: WindowLab) -> None:
    (node,) = lab.add()
    window, busy = lab.window(), lab.window()
    lab.task(window, nodes=[node])
    lab.task(busy, nodes=[node])
    lab.until(13)
    lab.end(node, lab.sent(window)[0])
    lab.turn()
    for at, left in ((29, 2), (31, 1)):
        while lab.store.write(lambda tx, at=at: forget(tx, Retention(), lab.now + timedelta(days=at))):  # type: ignore[misc]
            pass
        assert len(lab.store.read(lambda tx: tx.execute(select(window_execution)).all())) == left
    assert len(lab.store.read(lambda tx: tx.execute(select(window_invocation)).all())) == 1


def test_the_end_of_a_command_wakes_the_loop(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    lab.task(window, nodes=[node])
    lab.until(13)
    (command,) = lab.sent(window)
    lab.take(node)

    def reply(tx: Tx, status: str) -> list[str]:
        said = {"documentStatus": status, "runtimeStatus": {}}
        message = f"aws.ssm.{command}.{node}"
        there = nodes.get_active(tx, node)
        accept_reply(tx, there, message_id=message, reply_id=status, reply=said, now=lab.now)
        return list(tx.wakes)

    assert "ended-commands" not in lab.store.write(lambda tx: reply(tx, "InProgress"))
    assert "ended-commands" in lab.store.write(lambda tx: reply(tx, "Success"))
