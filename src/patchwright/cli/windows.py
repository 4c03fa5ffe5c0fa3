"""`patchwright windows` and `patchwright upcoming`: what patches when, and how the last time went."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from patchwright.cli.exits import OK, USAGE, Failed
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import show
from patchwright.core.schedules.zones import instant_from

WINDOW_COLUMNS = ("NAME", "WINDOW", "ENABLED", "SCHEDULE", "NEXT", "LAST", "STARTED")
UPCOMING_COLUMNS = ("START", "UTC", "NAME", "WINDOW")
MOST_DAYS = 366


def add_windows(commands: Any) -> None:
    """Define `windows` and `upcoming`."""
    add_client_options(
        add_command(commands, "windows", "list maintenance windows, their next and last runs", run_windows)
    )
    parser = add_command(commands, "upcoming", "list the runs of maintenance windows in the coming days", run_upcoming)
    parser.add_argument("--days", type=int, default=7, metavar="N", help="how far to look ahead; default: 7")
    add_client_options(parser)


def run_windows(args: argparse.Namespace) -> int:
    """Every window, in the order in which they were made."""
    client = client_of(args)
    found = []
    for window in client.pages("ssm", "DescribeMaintenanceWindows", "WindowIdentities"):
        latest = client.call("ssm", "DescribeMaintenanceWindowExecutions", WindowId=window["WindowId"], MaxResults=10)
        found.append({**window, "LastExecution": next(iter(latest["WindowExecutions"]), None)})
    show(args.output, found, WINDOW_COLUMNS, [_row(window) for window in found], ("NAME", "SCHEDULE"))
    return OK


def _row(window: dict[str, Any]) -> list[Any]:
    last = window["LastExecution"] or {}
    zone = f" {window['ScheduleTimezone']}" if "ScheduleTimezone" in window else ""
    offset = f" +{window['ScheduleOffset']}d" if "ScheduleOffset" in window else ""
    return [
        window["Name"],
        window["WindowId"],
        window["Enabled"],
        f"{window['Schedule']}{offset}{zone}",
        window.get("NextExecutionTime"),
        last.get("Status"),
        last.get("StartTime"),
    ]


def run_upcoming(args: argparse.Namespace) -> int:
    """Every start in the coming days, the first one first."""
    if not 1 <= args.days <= MOST_DAYS:
        raise Failed(f"--days is 1 to {MOST_DAYS}", USAGE)
    until = (datetime.now(UTC) + timedelta(days=args.days)).isoformat(timespec="seconds")
    bound = [{"Key": "ScheduledBefore", "Values": [until]}]
    pages = client_of(args).pages(
        "ssm", "DescribeMaintenanceWindowSchedule", "ScheduledWindowExecutions", Filters=bound
    )
    found = list(pages)
    rows = [[e["ExecutionTime"], instant_from(e["ExecutionTime"], "START"), e["Name"], e["WindowId"]] for e in found]
    show(args.output, found, UPCOMING_COLUMNS, rows, ("NAME",))
    return OK
