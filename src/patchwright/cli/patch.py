"""`patchwright patch`: show what would change, ask, install, and say what came of it."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from patchwright.cli import outcomes
from patchwright.cli.blocks import count, grouped, heading
from patchwright.cli.exits import ERROR, NOT_COMPLIANT, OK, USAGE, Failed
from patchwright.cli.follow import Selection, follow, how_to_go_on, selection_of, send
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.outcomes import Outcome, outcome_json, outcomes_of, table_row
from patchwright.cli.output import (
    complain,
    csv_text,
    is_terminal,
    json_text,
    terminal_table,
    wants_colour,
    width_of,
    write,
)
from patchwright.cli.plan import add_plan_options, check_plan_options, plans_text, totals_text
from patchwright.cli.plans import (
    WOULD_CHANGE,
    NodePlan,
    Totals,
    make_plans,
    reboot_option_of,
    totals_json,
    totals_of,
)
from patchwright.cli.progress import progress_on
from patchwright.cli.targets import MAX_NAMED, add_rate_options, add_target_options, check_rates, rates_of
from patchwright.client.calls import Client
from patchwright.client.errors import Unreachable

NAME = "patchwright patch"
DOCUMENT = "AWS-RunPatchBaseline"


def add_patch(commands: Any) -> None:
    """Define `patch`."""
    parser = add_command(
        commands, "patch", "install what the baselines approve, after showing it and asking", run_patch
    )
    add_target_options(parser)
    add_plan_options(parser)
    add_rate_options(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="stop waiting after this; the command goes on. Default: wait"
    )
    add_client_options(parser)


def run_patch(args: argparse.Namespace) -> int:
    """0: every node is compliant. 2: some are not, or nothing was sent. 1: something failed to run."""
    check_plan_options(args)
    check_rates(args)
    if not args.yes and not is_terminal(sys.stdin):
        raise Failed(
            "there is no terminal to ask on: give --yes to install without a question. Nothing was sent", USAGE
        )
    client = client_of(args)
    selection = selection_of(client, args)
    plan_id, plans = make_plans(client, selection, args, cancel_words="nothing was installed")
    totals = totals_of(plans)
    preview = sys.stdout if args.output == "table" else sys.stderr
    write(f"{plans_text(plans, preview)}\n{totals_text(totals)}\n", preview)
    chosen = _chosen(selection, plans)
    if chosen is None:
        found = outcomes_of(client, None, (), plans)
        return _finish(args, plan_id, None, found, totals)
    if totals.nodes_without_plan:
        complain(NAME, _without_plan(totals, chosen))
    if not args.yes and not _agreed(totals):
        complain(NAME, "nothing was installed")
        return NOT_COMPLIANT
    command_id = _send(client, chosen, args)
    return _finish(args, plan_id, command_id, _installed(client, command_id, plans, args), totals)


def _chosen(selection: Selection, plans: Sequence[NodePlan]) -> Selection | None:
    """Who is sent the Install: by id those whose Plan changes something, and no others; None if there is nobody.

    More of them than can be named at once are selected as they were for the Plans.
    """
    ids = tuple(plan.node_id for plan in plans if plan.state == WOULD_CHANGE)
    if not ids:
        return None
    return Selection(node_ids=ids) if len(ids) <= MAX_NAMED else selection


def _without_plan(totals: Totals, chosen: Selection) -> str:
    nodes = count(totals.nodes_without_plan, "node")
    if chosen.node_ids:
        return f"{nodes} without a plan: left out"
    return f"{nodes} without a plan: under the target all the same, so the Install is sent there too"


def _agreed(totals: Totals) -> bool:
    """Ask on the terminal; anything but y or yes means no."""
    what = f"Install {count(totals.changes, 'package')} on {count(totals.nodes_to_change, 'node')}"
    if not totals.changes:
        what = f"Run the Install on {count(totals.nodes_to_change, 'node')}"
    reboots = f", {totals.nodes_to_reboot} of which reboot" if totals.nodes_to_reboot else ""
    write(f"{what}{reboots}? [y/N] ", sys.stderr)
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        write("\n", sys.stderr)
        return False
    return answer.strip().lower() in ("y", "yes")


def _send(client: Client, chosen: Selection, args: argparse.Namespace) -> str:
    members: dict[str, Any] = {**rates_of(args), **({"Comment": args.comment} if args.comment else {})}
    parameters = {"Operation": "Install", "RebootOption": reboot_option_of(args)}
    try:
        return send(client, DOCUMENT, chosen, parameters, **members)
    except (KeyboardInterrupt, Unreachable) as cut_off:
        said = str(cut_off) or "interrupted"
        look = f"aws ssm list-commands --filters key=DocumentName,value={DOCUMENT} --max-items 1"
        raise Failed(f"{said}; the Install may have been sent all the same. Look: {look}") from cut_off


def _installed(client: Client, command_id: str, plans: Sequence[NodePlan], args: argparse.Namespace) -> list[Outcome]:
    write(f"install: command {command_id}\n", sys.stderr)
    try:
        ended = follow(client, command_id, timeout_seconds=args.timeout, progress=progress_on(sys.stderr, "install"))
        return outcomes_of(client, command_id, ended, plans)
    except (KeyboardInterrupt, TimeoutError, Unreachable) as cut_off:
        said = str(cut_off) or "interrupted"
        more = how_to_go_on(command_id, cancel=True)
        raise Failed(f"{said}; the Install goes on without this program:\n{more}") from None


def _finish(
    args: argparse.Namespace, plan_id: str, command_id: str | None, found: Sequence[Outcome], totals: Totals
) -> int:
    """Print the results; the exit code."""
    if args.output == "json":
        write(json_text({
            "PlanCommandId": plan_id,
            "CommandId": command_id,
            "RebootOption": reboot_option_of(args),
            "Nodes": [outcome_json(o) for o in found],
            "Totals": {**totals_json(totals), **_sums(found)},
        }))  # fmt: skip
    elif args.output == "csv":
        write(csv_text(outcomes.CSV_COLUMNS, [row for o in found for row in outcomes.csv_rows(o)]))
    else:
        write(_text(found))
    if any(o.broken for o in found):
        return ERROR
    return OK if all(o.compliance == "COMPLIANT" for o in found) else NOT_COMPLIANT


def _sums(found: Sequence[Outcome]) -> dict[str, int]:
    return {
        "Installed": sum(len(o.installed) for o in found),
        "Failed": sum(len(o.failed) for o in found),
        "NodesPendingReboot": sum(o.reboot in ("pending", "never") for o in found),
        "NodesCompliant": sum(o.compliance == "COMPLIANT" for o in found),
        "NodesBroken": sum(o.broken for o in found),
    }


def _text(found: Sequence[Outcome]) -> str:
    width, colour = width_of(sys.stdout), wants_colour(sys.stdout)
    sent = [o for o in found if o.sent]
    blocks = grouped((f"{o.plan.name} ({o.plan.node_id})", outcomes.body(o, width=width, colour=colour)) for o in sent)
    text = "".join(f"\n{heading(titles)}\n{body}" for titles, body in blocks if body)
    text += "\n" + terminal_table(outcomes.COLUMNS, [table_row(o) for o in found], ("NODE", "NAME"))
    sums = _sums(found)
    broken = f"; {count(sums['NodesBroken'], 'node')} failed" if sums["NodesBroken"] else ""
    waiting = f"; {count(sums['NodesPendingReboot'], 'node')} to be rebooted" if sums["NodesPendingReboot"] else ""
    return (
        f"{text}\n{count(sums['Installed'], 'package')} installed, {sums['Failed']} failed; "
        f"{sums['NodesCompliant']} of {count(len(found), 'node')} compliant{waiting}{broken}.\n"
    )
