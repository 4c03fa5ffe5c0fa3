"""`patchwright compliance`: how the fleet fares by group, system, baseline, severity or type, and one node's items."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.cli.exits import ERROR, NOT_COMPLIANT, OK, USAGE, Failed
from patchwright.cli.nodes import node_id_of
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import complain, member, show
from patchwright.client.calls import Client

NAME = "patchwright compliance"
PAGE = 50
LEVELS = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNSPECIFIED")
GROUPINGS = {
    "patch-group": "PatchGroup",
    "operating-system": "OperatingSystem",
    "baseline": "Baseline",
    "severity": "Severity",
}
GROUP_COLUMNS = (
    "NODES", "COMPLIANT", "NOT COMPLIANT", "UNJUDGED", "NOT SCANNED", "MISSING", "FAILED", "PENDING REBOOT", "REJECTED",
    "CRITICAL", "SECURITY", "OTHER",
)  # fmt: skip
_GROUP_MEMBERS = (
    "Nodes", "Compliant", "NonCompliant", "Unjudged", "NotScanned", "Missing", "Failed", "InstalledPendingReboot",
    "InstalledRejected", "CriticalNonCompliant", "SecurityNonCompliant", "OtherNonCompliant",
)  # fmt: skip
BY_TYPE = "type"
TYPE_COLUMNS = ("TYPE", "COMPLIANT", "NOT COMPLIANT", *LEVELS)
ITEM_COLUMNS = ("TYPE", "ITEM", "STATE", "STATUS", "LEVEL", "CLASSIFICATION", "SEVERITY", "INSTALLED", "TITLE")
_NONE = "-"


def add_compliance(commands: Any) -> None:
    """Define `compliance`."""
    text = "show how many nodes are compliant, or the items of one node; exit code 2 if not all are"
    parser = add_command(commands, "compliance", text, run_compliance)
    parser.add_argument("node", metavar="NODE", nargs="?", help="its id, or its name if no other node has it")
    parser.add_argument("--by", choices=[*GROUPINGS, BY_TYPE], help="what to group nodes by; default: patch-group")
    parser.add_argument("--non-compliant", action="store_true", help="of a node: only what counts against it")
    add_client_options(parser)


def run_compliance(args: argparse.Namespace) -> int:
    """Groups of nodes, or one node's items."""
    if args.node and args.by:
        raise Failed("--by groups nodes: it does not go with NODE", USAGE)
    if args.non_compliant and not args.node:
        raise Failed("--non-compliant is about the items of one node: name it", USAGE)
    client = client_of(args)
    if args.node:
        return _node(client, args)
    return _types(client, args) if args.by == BY_TYPE else _groups(client, args)


def _types(client: Client, args: argparse.Namespace) -> int:
    """A row for each compliance type, Patch and what others have put; the levels are of nodes that are not compliant.

    0 only if no node is not compliant: who has no items of a type is in no row.
    """
    found = list(client.pages("ssm", "ListComplianceSummaries", "ComplianceSummaryItems", MaxResults=PAGE))
    show(args.output, found, TYPE_COLUMNS, [_type_row(one) for one in found])
    if not found:
        complain(NAME, "no node has compliance items in this account and region")
        return ERROR
    return OK if not any(member(one, "NonCompliantSummary", "NonCompliantCount") for one in found) else NOT_COMPLIANT


def _type_row(one: Mapping[str, Any]) -> Sequence[Any]:
    bad = one["NonCompliantSummary"]
    levels = [bad["SeveritySummary"][f"{level.capitalize()}Count"] for level in LEVELS]
    good = member(one, "CompliantSummary", "CompliantCount")
    return [one["ComplianceType"], good, bad["NonCompliantCount"], *levels]


def _groups(client: Client, args: argparse.Namespace) -> int:
    """0 only if every registered node was judged and is compliant: who was not scanned is not known to be."""
    by = args.by or "patch-group"
    pages = client.pages("patchwright", "DescribeComplianceGroups", "Groups", GroupBy=GROUPINGS[by], MaxResults=PAGE)
    groups = list(pages)
    rows = [[_shown(g), *(g.get(m) for m in _GROUP_MEMBERS)] for g in groups]
    show(args.output, groups, (by.replace("-", " ").upper(), *GROUP_COLUMNS), rows)
    if not groups:
        complain(NAME, "no node is registered in this account and region")
        return ERROR
    return OK if all(g["Nodes"] == g["Compliant"] for g in groups) else NOT_COMPLIANT


def _shown(group: Mapping[str, Any]) -> str:
    return str(group.get("Name") or group.get("Value") or _NONE)


def _node(client: Client, args: argparse.Namespace) -> int:
    node_id = node_id_of(client, args.node)
    filters = [{"Key": "Status", "Values": ["NON_COMPLIANT"], "Type": "EQUAL"}] if args.non_compliant else []
    items = list(
        client.pages(
            "ssm",
            "ListComplianceItems",
            "ComplianceItems",
            ResourceIds=[node_id],
            ResourceTypes=["ManagedInstance"],
            Filters=filters,
            MaxResults=PAGE,
        )
    )
    show(args.output, items, ITEM_COLUMNS, [_row(item) for item in items])
    if any(item.get("Status") == "NON_COMPLIANT" for item in items):
        return NOT_COMPLIANT
    # What others found says nothing of the patches.
    has_patches = any(item.get("ComplianceType") == "Patch" for item in items)
    return OK if has_patches else _without_patches(client, node_id)


def _row(item: Mapping[str, Any]) -> Sequence[Any]:
    return [
        item.get("ComplianceType"),
        item.get("Id"),
        member(item, "Details", "PatchState"),
        item.get("Status"),
        item.get("Severity"),
        member(item, "Details", "Classification"),
        member(item, "Details", "PatchSeverity"),
        member(item, "Details", "InstalledTime"),
        item.get("Title"),
    ]


def _without_patches(client: Client, node_id: str) -> int:
    """No patch is the answer for a compliant node when only the others were asked for, and for one that is unjudged."""
    found = client.call("patchwright", "DescribeNodePatches", NodeId=node_id)
    if found.get("Compliance") == "COMPLIANT":
        return OK
    complain(NAME, f"{node_id} is {found.get('Compliance')}: {found.get('UnjudgedReason') or 'no reason was given'}")
    return NOT_COMPLIANT
