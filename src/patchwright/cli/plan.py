"""`patchwright plan`: what an Install would do now; nothing is changed."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from patchwright.cli.blocks import Row, change, count, grouped, heading, package, rows_text, why_left_out
from patchwright.cli.exits import ERROR, NOT_COMPLIANT, OK, USAGE, Failed
from patchwright.cli.follow import selection_of
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import csv_text, json_text, wants_colour, width_of, write
from patchwright.cli.plans import (
    NO_PLAN,
    REBOOT_WORDS,
    NodePlan,
    Totals,
    make_plans,
    plan_json,
    reboot_option_of,
    totals_json,
    totals_of,
)
from patchwright.cli.targets import MAX_COMMENT, add_target_options, check_targets

TIMEOUT_SECONDS = 3600
COLUMNS = ("NODE", "NAME", "STATE", "PACKAGE", "FROM", "TO", "ROLE", "REBOOTS", "REASON")


def add_plan(commands: Any) -> None:
    """Define `plan`."""
    parser = add_command(commands, "plan", "show what an Install would change now, and change nothing", run_plan)
    add_target_options(parser)
    add_plan_options(parser)
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help="to wait for the nodes; default 3600"
    )
    add_client_options(parser)


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """What a Plan is made with; `patch` has the same."""
    parser.add_argument("--no-reboot", action="store_true", help="RebootOption NoReboot: no node is rebooted")
    parser.add_argument("--comment", metavar="TEXT", help="kept with the command; at most 100 characters")


def check_plan_options(args: argparse.Namespace) -> None:
    """Raise Failed (usage) before anything is called."""
    check_targets(args)
    if args.comment and len(args.comment) > MAX_COMMENT:
        raise Failed(f"--comment has {len(args.comment)} characters; at most {MAX_COMMENT} are kept", USAGE)


def run_plan(args: argparse.Namespace) -> int:
    """Plan and show; 0 if nothing would change anywhere, 2 if something would, 1 if a node has no Plan."""
    check_plan_options(args)
    client = client_of(args)
    command_id, plans = make_plans(client, selection_of(client, args), args, cancel_words="no plan is shown")
    totals = totals_of(plans)
    if args.output == "json":
        write(json_text({
            "CommandId": command_id,
            "RebootOption": reboot_option_of(args),
            "Nodes": [plan_json(p) for p in plans],
            "Totals": totals_json(totals),
        }))  # fmt: skip
    elif args.output == "csv":
        write(csv_text(COLUMNS, [row for p in plans for row in csv_rows(p)]))
    else:
        write(f"{plans_text(plans, sys.stdout)}\n{totals_text(totals)} Nothing was changed.\n")
    if totals.nodes_without_plan:
        return ERROR
    return NOT_COMPLIANT if totals.nodes_to_change or totals.dropped else OK


def csv_rows(plan: NodePlan) -> list[list[Any]]:
    """A row per item and per target left out; a node without either has one row."""
    begin = [plan.node_id, plan.name, plan.state]
    rows: list[list[Any]] = [
        [*begin, package(i), i.get("FromVersion"), i.get("ToVersion"), i.get("Role"), plan.reboots, None]
        for i in plan.items
    ]
    rows += [
        [*begin, package(d), None, d.get("Version"), "left out", plan.reboots, d.get("Reason")] for d in plan.dropped
    ]
    return rows or [[*begin, None, None, None, None, plan.reboots, plan.reason or None]]


def plans_text(plans: Sequence[NodePlan], stream: Any) -> str:
    """Every Plan in words; nodes with the same one are named together."""
    width, colour = width_of(stream), wants_colour(stream)
    blocks = grouped((_title(p), _body(p, width=width, colour=colour)) for p in plans)
    return "\n".join(f"{heading(titles)}\n{body}" for titles, body in blocks)


def _title(plan: NodePlan) -> str:
    return plan.name if plan.name == plan.node_id else f"{plan.name} ({plan.node_id})"


def _body(plan: NodePlan, *, width: int | None, colour: bool) -> str:
    if plan.state == NO_PLAN:
        return rows_text([Row(word="", package=f"no plan: {plan.reason}")], width=width, colour=colour)
    rows = [
        Row(
            word="",
            package=package(item),
            what=change(item.get("FromVersion"), item.get("ToVersion")),
            note="dependency" if item.get("Role") == "dependency" else "",
        )
        for item in plan.items
    ]
    text = rows_text(rows, width=width, colour=colour)
    left = [
        Row(word="left out", package=package(d), what=str(d.get("Version", "")), why=why_left_out(d))
        for d in plan.dropped
    ]
    text += rows_text(left, width=width, colour=colour)
    if not plan.items:
        text += "  nothing to change\n"
    if plan.items or plan.reboots:
        reason = str(plan.answer.get("RebootReason", ""))
        text += f"  {REBOOT_WORDS.get(reason, ('reboots: ' if plan.reboots else 'does not reboot: ') + reason)}\n"
    return text


def totals_text(totals: Totals) -> str:
    """The last line."""
    parts = [f"{totals.nodes_to_change} of {count(totals.nodes, 'node')} would change"]
    if totals.changes:
        extra = (
            f", {count(totals.dependencies, 'dependency', 'dependencies')} among them" if totals.dependencies else ""
        )
        parts.append(f"{count(totals.changes, 'package')}{extra}")
    if totals.dropped:
        parts.append(f"{count(totals.dropped, 'package')} left out")
    reboots = f"{count(totals.nodes_to_reboot, 'node')} would reboot" if totals.nodes_to_reboot else "no reboot"
    parts.append(reboots)
    if totals.nodes_without_plan:
        parts.append(f"{count(totals.nodes_without_plan, 'node')} without a plan")
    return "; ".join(parts) + "."
