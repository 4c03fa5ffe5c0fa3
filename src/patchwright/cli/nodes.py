"""`patchwright nodes`: the fleet with its compliance, and which node a name stands for."""

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Any

from patchwright.cli.exits import OK, Failed
from patchwright.cli.options import add_client_options, add_command, client_of, tag_from
from patchwright.cli.output import member, printable, show
from patchwright.client.calls import Client

PAGE = 50
"""The most nodes that DescribeInstanceInformation and DescribeInstancePatchStates take at once."""
NODE_ID = re.compile(r"m?i-[0-9a-f]{8,17}\Z")
MAX_CANDIDATES_SHOWN = 10
COLUMNS = (
    "NODE", "NAME", "PLATFORM", "PING", "MISSING", "FAILED", "PENDING REBOOT", "REJECTED", "CRITICAL", "SECURITY",
    "OTHER", "LAST OPERATION", "AT",
)  # fmt: skip
_COUNTS = (
    "MissingCount", "FailedCount", "InstalledPendingRebootCount", "InstalledRejectedCount",
    "CriticalNonCompliantCount", "SecurityNonCompliantCount", "OtherNonCompliantCount",
)  # fmt: skip


def add_nodes(commands: Any) -> None:
    """Define `nodes`."""
    parser = add_command(commands, "nodes", "list managed nodes with their compliance counts", run_nodes)
    parser.add_argument("--tag", metavar="KEY=VALUE", help="only nodes with this tag")
    add_client_options(parser)


def run_nodes(args: argparse.Namespace) -> int:
    """List nodes in id order; counts are empty for a node that was never scanned."""
    client = client_of(args)
    filters = []
    if args.tag:
        tag = tag_from(args.tag)
        filters = [{"Key": f"tag:{tag['Key']}", "Values": [tag["Value"]]}]
    found = list(nodes_of(client, filters))
    states = patch_states(client, [node["InstanceId"] for node in found])
    answer = [{**node, "PatchState": states.get(node["InstanceId"])} for node in found]
    show(args.output, answer, COLUMNS, [_row(node) for node in answer])
    return OK


def _row(node: dict[str, Any]) -> list[Any]:
    platform = f"{node.get('PlatformName', '')} {node.get('PlatformVersion', '')}".strip()
    name = node.get("Name") or node.get("ComputerName")
    counts = [member(node, "PatchState", count) for count in _COUNTS]
    operation = [member(node, "PatchState", "Operation"), member(node, "PatchState", "OperationEndTime")]
    return [node["InstanceId"], name, platform, node.get("PingStatus"), *counts, *operation]


def nodes_of(client: Client, filters: Sequence[dict[str, Any]] = ()) -> Iterator[dict[str, Any]]:
    """Nodes as DescribeInstanceInformation has them."""
    return client.pages(
        "ssm", "DescribeInstanceInformation", "InstanceInformationList", Filters=list(filters), MaxResults=PAGE
    )


def patch_states(client: Client, node_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Counts by node id; nodes that were never judged are absent."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(node_ids), PAGE):
        batch = list(node_ids[start : start + PAGE])
        states = client.pages(
            "ssm", "DescribeInstancePatchStates", "InstancePatchStates", InstanceIds=batch, MaxResults=PAGE
        )
        found.update({state["InstanceId"]: state for state in states})
    return found


def node_id_of(client: Client, text: str) -> str:
    """The id that `text` is, or that a node's name or computer name stands for. Raises Failed unless it is one node's.

    Names are given by people and by hosts, and may repeat: an id always works.
    """
    if NODE_ID.match(text):
        return text
    named = [n for n in nodes_of(client) if text in (n.get("Name"), n.get("ComputerName"))]
    if len(named) == 1:
        return str(named[0]["InstanceId"])
    if not named:
        raise Failed(f"no node has the name {printable(text)}: `patchwright nodes` lists all")
    ids = [str(n["InstanceId"]) for n in named]
    shown = ", ".join(ids[:MAX_CANDIDATES_SHOWN]) + (", …" if len(ids) > MAX_CANDIDATES_SHOWN else "")
    raise Failed(f"{len(named)} nodes have the name {printable(text)}: name one by its id: {shown}")
