"""`patchwright schedule`: what a schedule expression means, before anything runs by it. Asks no server."""

import argparse
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from patchwright.cli.exits import OK, USAGE, Failed
from patchwright.cli.options import add_command
from patchwright.cli.output import FORMATS, show, write
from patchwright.core.errors import Invalid
from patchwright.core.schedules.notes import note_of
from patchwright.core.schedules.schedule import Schedule, runs, schedule_from
from patchwright.core.schedules.words import words_of
from patchwright.core.schedules.zones import instant_from, text_of

COLUMNS = ("DAY", "LOCAL", "UTC", "NOTE")
MOST = 1_000


def add_schedule(commands: Any) -> None:
    """Define `schedule`."""
    parser = add_command(commands, "schedule", "say in words and times when a schedule runs", run_schedule)
    parser.add_argument("expression", metavar="EXPRESSION", help="'cron(0 2 ? * TUE#2 *)', 'rate(7 days)' or 'at(...)'")
    parser.add_argument("--zone", default="UTC", help="an IANA time zone; default: UTC")
    parser.add_argument("--offset", type=int, default=0, metavar="DAYS", help="days after each match; cron only")
    parser.add_argument("--start", metavar="TIME", help="no run before it, such as 2030-01-02T03:04:05+01:00")
    parser.add_argument("--end", metavar="TIME", help="no run after it")
    parser.add_argument("--from", dest="since", metavar="TIME", help="runs after this time; default: now")
    parser.add_argument("-n", "--count", type=int, default=10, metavar="N", help="how many runs; default: 10")
    parser.add_argument("-o", "--output", choices=FORMATS, default="table", help="default: table")


def run_schedule(args: argparse.Namespace) -> int:
    """Print what it means and its next runs."""
    if not 1 <= args.count <= MOST:
        raise Failed(f"--count is 1 to {MOST}", USAGE)
    try:
        since = instant_from(args.since, "--from") if args.since else datetime.now(UTC)
        schedule = schedule_from(
            args.expression,
            zone=args.zone,
            since=since,
            offset_days=args.offset,
            starts_at=instant_from(args.start, "--start") if args.start else None,
            ends_at=instant_from(args.end, "--end") if args.end else None,
        )
    except Invalid as wrong:
        raise Failed(wrong.message, USAGE) from wrong
    entries = [_entry(schedule, run) for run in islice(runs(schedule, since), args.count)]
    words = words_of(schedule)
    if args.output == "table":
        write(f"{words}.\n" + ("\n" if entries else "It does not run any more.\n"))
    if entries or args.output != "table":
        answer = {"Schedule": args.expression, "ScheduleTimezone": args.zone, "Words": words, "Runs": entries}
        rows = [[e["Day"], e["Local"], e["Utc"], e.get("Note", "")] for e in entries]
        show(args.output, answer, COLUMNS, rows)
    return OK


def _entry(schedule: Schedule, run: datetime) -> dict[str, str]:
    note = note_of(schedule, run)
    return {
        "Day": f"{run.astimezone(schedule.zone):%A}",
        "Local": text_of(run, schedule.zone),
        "Utc": text_of(run, UTC),
        **({"Note": note} if note else {}),
    }
