"""`patchwright scan`: send AWS-RunPatchBaseline, operation Scan, and wait for its end if asked to."""

import argparse
import time
from collections.abc import Callable
from typing import Any

from patchwright.cli.exits import ERROR, NOT_COMPLIANT, OK, USAGE, Failed
from patchwright.cli.nodes import PAGE, node_id_of, patch_states
from patchwright.cli.options import add_client_options, add_command, client_of, tag_from
from patchwright.cli.output import complain, show
from patchwright.client.calls import Client

DOCUMENT = "AWS-RunPatchBaseline"
POLL_SECONDS = 0.2
POLL_SLOWEST_SECONDS = 3.0
OPEN = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
"""Statuses of an invocation that will change yet. Source: operations.md 3.3."""
COLUMNS = ("NODE", "NAME", "STATUS", "DETAILS", "MISSING", "FAILED")
_COUNTED = ("MissingCount", "FailedCount", "InstalledRejectedCount", "InstalledPendingRebootCount")


def add_scan(commands: Any) -> None:
    """Define `scan`."""
    parser = add_command(commands, "scan", "scan nodes for missing patches; nothing is installed", run_scan)
    parser.add_argument("node", metavar="NODE", nargs="*", help="ids, or names that one node alone has")
    parser.add_argument("--tag", metavar="KEY=VALUE", help="every node with this tag")
    parser.add_argument("--all", action="store_true", help="every node of the account and region")
    parser.add_argument("--wait", action="store_true", help="until all are done; exit code 2 if one is not compliant")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="of --wait; default 3600")
    add_client_options(parser)


def run_scan(args: argparse.Namespace) -> int:
    """Send the command; with --wait the results, else its id."""
    client = client_of(args)
    command = client.call(
        "ssm", "SendCommand", DocumentName=DOCUMENT, Parameters={"Operation": ["Scan"]}, **_targets(client, args)
    )["Command"]
    if not args.wait:
        rows = [[command["CommandId"], command["Status"], command.get("TargetCount")]]
        show(args.output, command, ("COMMAND", "STATUS", "NODES"), rows)
        return OK
    try:
        invocations = wait_for(client, command["CommandId"], args.timeout)
    except TimeoutError as late:
        look = f"aws ssm list-command-invocations --command-id {command['CommandId']}"
        raise Failed(f"{late}; it goes on: {look}") from late
    return _report(client, args, invocations)


def _targets(client: Client, args: argparse.Namespace) -> dict[str, Any]:
    if bool(args.node) + bool(args.tag) + args.all != 1:
        raise Failed("name nodes, or --tag KEY=VALUE, or --all", USAGE)
    if args.tag:
        tag = tag_from(args.tag)
        return {"Targets": [{"Key": f"tag:{tag['Key']}", "Values": [tag["Value"]]}]}
    if args.all:
        return {"Targets": [{"Key": "InstanceIds", "Values": ["*"]}]}
    return {"InstanceIds": [node_id_of(client, name) for name in args.node]}


def wait_for(
    client: Client, command_id: str, timeout_seconds: float, check: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """The invocations of a command once all have ended. `check` runs at each look and may raise.

    Raises TimeoutError; the command goes on.
    """
    started, pause = time.monotonic(), POLL_SECONDS
    while True:
        check()
        wanted = {"CommandId": command_id, "Details": True, "MaxResults": PAGE}
        found = list(client.pages("ssm", "ListCommandInvocations", "CommandInvocations", **wanted))
        open_ones = sum(i["Status"] in OPEN for i in found)
        if not open_ones:
            return found
        if time.monotonic() - started > timeout_seconds:
            raise TimeoutError(f"{open_ones} of {len(found)} nodes have not ended after {timeout_seconds:g} seconds")
        time.sleep(pause)
        pause = min(pause * 1.2, POLL_SLOWEST_SECONDS)


def _report(client: Client, args: argparse.Namespace, invocations: list[dict[str, Any]]) -> int:
    states = patch_states(client, [i["InstanceId"] for i in invocations])
    rows = []
    for invocation in invocations:
        state = states.get(invocation["InstanceId"], {})
        rows.append(
            [invocation["InstanceId"], invocation.get("InstanceName"), invocation["Status"],
             invocation.get("StatusDetails"), state.get("MissingCount"), state.get("FailedCount")]
        )  # fmt: skip
    answer = [{**i, "PatchState": states.get(i["InstanceId"])} for i in invocations]
    show(args.output, answer, COLUMNS, rows)
    if not invocations:
        complain("patchwright scan", "no node was selected")
        return ERROR
    if any(i["Status"] != "Success" for i in invocations):
        return ERROR
    return NOT_COMPLIANT if any(s.get(count) for s in states.values() for count in _COUNTED) else OK
