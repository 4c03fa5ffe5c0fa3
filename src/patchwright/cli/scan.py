"""`patchwright scan`: send AWS-RunPatchBaseline, operation Scan, and wait for its end if asked to."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from patchwright.cli.exits import ERROR, NOT_COMPLIANT, OK, Failed
from patchwright.cli.follow import follow, how_to_go_on, reason_of, selection_of, send
from patchwright.cli.node_columns import compliance_of
from patchwright.cli.nodes import with_nodes
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import NO_DATA, member, show
from patchwright.cli.progress import progress_on
from patchwright.cli.targets import add_target_options, check_targets
from patchwright.client.calls import Client

DOCUMENT = "AWS-RunPatchBaseline"
SUCCESS = "Success"
COLUMNS = ("NODE", "NAME", "STATUS", "MISSING", "FAILED", "COMPLIANCE", "REASON")


def add_scan(commands: Any) -> None:
    """Define `scan`."""
    parser = add_command(commands, "scan", "scan nodes for missing patches; nothing is installed", run_scan)
    add_target_options(parser)
    parser.add_argument("--wait", action="store_true", help="until all are done; exit code 2 if one is not compliant")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="of --wait; default 3600")
    add_client_options(parser)


def run_scan(args: argparse.Namespace) -> int:
    """Send the command; with --wait the results, else its id."""
    check_targets(args)
    client = client_of(args)
    # A node that fails must not keep the others from being scanned.
    command_id = send(client, DOCUMENT, selection_of(client, args), {"Operation": "Scan"}, MaxErrors="100%")
    if not args.wait:
        show(args.output, {"CommandId": command_id}, ("COMMAND",), [[command_id]])
        return OK
    try:
        ended = follow(client, command_id, timeout_seconds=args.timeout, progress=progress_on(sys.stderr, "scan"))
        nodes = scanned(client, ended)
    except (KeyboardInterrupt, TimeoutError) as cut_off:
        said = str(cut_off) or "interrupted"
        raise Failed(f"{said}; the scan goes on:\n{how_to_go_on(command_id, cancel=True)}") from None
    return _report(args, command_id, nodes)


def scanned(client: Client, invocations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A node each: the scan's status with its reason, and what is known of the node now."""
    return [_node(invocation, known) for invocation, known in with_nodes(client, invocations)]


def _node(invocation: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    status = str(invocation.get("StatusDetails") or invocation["Status"])
    return {
        "NodeId": invocation["InstanceId"],
        "Name": invocation.get("InstanceName"),
        "Status": status,
        "Reason": None if status == SUCCESS else reason_of(invocation),
        "Compliance": compliance_of(known) if known else NO_DATA,
        "Counts": known.get("Counts"),
    }


def _report(args: argparse.Namespace, command_id: str, nodes: list[dict[str, Any]]) -> int:
    if not nodes:
        raise Failed("no node was selected")
    rows = [
        [n["NodeId"], n["Name"], n["Status"], member(n, "Counts", "Missing"), member(n, "Counts", "Failed"),
         n["Compliance"], n["Reason"]]
        for n in nodes
    ]  # fmt: skip
    show(args.output, {"CommandId": command_id, "Nodes": nodes}, COLUMNS, rows, ("NAME",))
    if any(n["Status"] != SUCCESS for n in nodes):
        return ERROR
    return OK if all(n["Compliance"] == "COMPLIANT" for n in nodes) else NOT_COMPLIANT
