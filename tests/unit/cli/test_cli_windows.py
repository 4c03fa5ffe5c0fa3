"""`patchwright windows` and `upcoming`: what they ask, and what they show."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub

Run = Callable[..., tuple[int, str, str]]
WEB, NEW = "mw-0123456789abcdef0", "mw-0123456789abcdef1"
WINDOWS: list[dict[str, Any]] = [
    {"Name": "web", "WindowId": WEB, "Enabled": True, "Schedule": "cron(0 2 ? * TUE#2 *)", "ScheduleOffset": 4,
     "ScheduleTimezone": "Europe/Berlin", "NextExecutionTime": "2026-12-12T02:00+01:00"},
    {"Name": "new", "WindowId": NEW, "Enabled": False, "Schedule": "rate(1 day)"},
]  # fmt: skip


@pytest.fixture
def answering(api: ApiStub) -> ApiStub:
    latest = {"WindowExecutionId": "e", "Status": "SKIPPED_OVERLAPPING", "StartTime": 1795199177.5}
    api.answers |= {
        "DescribeMaintenanceWindows": {"WindowIdentities": WINDOWS},
        "DescribeMaintenanceWindowExecutions": lambda asked: {
            "WindowExecutions": [latest, {**latest, "Status": "SUCCESS"}] if asked["WindowId"] == WEB else []
        },
    }
    return api


def test_windows_with_next_and_last_runs(answering: ApiStub, patchwright: Run) -> None:
    code, out, _ = patchwright("windows")
    assert code == 0
    head, web, new = out.splitlines()
    assert head.split() == ["NAME", "WINDOW", "ENABLED", "SCHEDULE", "NEXT", "LAST", "STARTED"]
    assert web.startswith(f"web   {WEB}  yes      cron(0 2 ? * TUE#2 *) +4d Europe/Berlin  2026-12-12T02:00+01:00")
    assert web.endswith("SKIPPED_OVERLAPPING  2026-11-20T18:26:17Z")
    assert new == f"new   {NEW}  no       rate(1 day)"
    listed = json.loads(patchwright("windows", "-o", "json")[1])
    assert [w["LastExecution"] and w["LastExecution"]["Status"] for w in listed] == ["SKIPPED_OVERLAPPING", None]


def test_upcoming_asks_for_the_days_that_are_wanted(api: ApiStub, patchwright: Run) -> None:
    pages = [
        {"ScheduledWindowExecutions": [{"WindowId": WEB, "Name": "web", "ExecutionTime": "2026-12-12T02:00+01:00"}],
         "NextToken": "2"},
        {"ScheduledWindowExecutions": [{"WindowId": NEW, "Name": "new", "ExecutionTime": "2026-12-13T00:00Z"}]},
    ]  # fmt: skip
    api.answers["DescribeMaintenanceWindowSchedule"] = lambda asked: pages["NextToken" in asked]
    code, out, _ = patchwright("upcoming", "--days", "30")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["START", "UTC", "NAME", "WINDOW"],
        ["2026-12-12T02:00+01:00", "2026-12-12T01:00:00Z", "web", WEB],
        ["2026-12-13T00:00Z", "2026-12-13T00:00:00Z", "new", NEW],
    ]
    (bound,) = api.requests("DescribeMaintenanceWindowSchedule")[0]["Filters"]
    assert bound["Key"] == "ScheduledBefore"
    assert patchwright("upcoming", "--days", "0")[0] == 64
