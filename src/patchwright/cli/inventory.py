"""`patchwright inventory`: what a node has installed, and which nodes have a package."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patchwright.cli.exits import ERROR, OK, USAGE, Failed
from patchwright.cli.nodes import described_by_id, node_id_of
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import complain, show
from patchwright.client.calls import Client

NAME = "patchwright inventory"
APPLICATION = "AWS:Application"
PAGE = 50
COLUMNS = ("PACKAGE", "VERSION", "ARCH", "INSTALLED", "PUBLISHER", "SUMMARY")
NODE_COLUMNS = ("NODE", "NAME", "PACKAGE", "VERSION", "ARCH", "AS OF")


def add_inventory(commands: Any) -> None:
    """Define `inventory`."""
    text = "show what a node has, as it was last gathered by AWS-GatherSoftwareInventory, or which nodes have a package"
    parser = add_command(commands, "inventory", text, run_inventory)
    parser.add_argument("node", metavar="NODE", nargs="?", help="its id, or its name if no other node has it")
    parser.add_argument("--type", metavar="TYPE", help=f"of a node: such as AWS:Network; default: {APPLICATION}")
    parser.add_argument("--package", metavar="NAME", help="the nodes that have it; NAME* for all that begin so")
    parser.add_argument("--version", metavar="VERSION", help="of --package: this one alone, as the table has it")
    add_client_options(parser)


def run_inventory(args: argparse.Namespace) -> int:
    """Rows of one node, or a row for each node and package."""
    if bool(args.node) == bool(args.package):
        raise Failed("name a NODE, or a package by --package", USAGE)
    if args.type and args.package:
        raise Failed("--type is about one NODE: it does not go with --package", USAGE)
    if args.version and not args.package:
        raise Failed("--version goes with --package", USAGE)
    client = client_of(args)
    return _node(client, args) if args.node else _package(client, args)


def _node(client: Client, args: argparse.Namespace) -> int:
    node_id = node_id_of(client, args.node)
    kind = args.type or APPLICATION
    rows = list(
        client.pages("ssm", "ListInventoryEntries", "Entries", InstanceId=node_id, TypeName=kind, MaxResults=PAGE)
    )
    if kind == APPLICATION:
        show(args.output, rows, COLUMNS, [_application(row) for row in rows])
    else:
        columns = _columns(client, kind, rows)
        show(args.output, rows, [name.upper() for name in columns], [[row.get(c) for c in columns] for row in rows])
    if not rows:
        complain(NAME, f"nothing of {kind} was gathered on {node_id}: AWS-GatherSoftwareInventory does")
        return ERROR
    return OK


def _columns(client: Client, kind: str, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The attributes that any row has, in the order of the type's schema."""
    schemas = list(client.pages("ssm", "GetInventorySchema", "Schemas", TypeName=kind))
    known = [a["Name"] for schema in schemas if schema["TypeName"] == kind for a in schema["Attributes"]]
    return [name for name in dict.fromkeys(known) if any(row.get(name) for row in rows)]


def _application(row: Mapping[str, str]) -> list[str | None]:
    members = ("InstalledTime", "Publisher", "Summary")
    return [row.get("Name"), _version(row), row.get("Architecture"), *(row.get(m) for m in members)]


def _version(row: Mapping[str, str]) -> str:
    """As the package manager prints it: an rpm has its release apart, and an epoch is apart on all."""
    epoch, release = row.get("Epoch"), row.get("Release")
    begin = f"{epoch}:" if epoch and epoch != "0" else ""
    return f"{begin}{row.get('Version', '')}" + (f"-{release}" if release else "")


def _package(client: Client, args: argparse.Namespace) -> int:
    found = list(_having(client, args.package, args.version))
    nodes = described_by_id(client, sorted({node_id for node_id, _, _ in found}))
    records = [{"NodeId": node_id, "CaptureTime": at, **row} for node_id, at, row in found]
    rows = [
        [node_id, _name(nodes.get(node_id, {})), row.get("Name"), _version(row), row.get("Architecture"), at]
        for node_id, at, row in found
    ]
    show(args.output, records, NODE_COLUMNS, rows)
    if not found:
        complain(NAME, "no node has it, as far as inventory was gathered")
    return OK


def _name(node: Mapping[str, Any]) -> str | None:
    name = node.get("Name") or node.get("ComputerName")
    return None if name is None else str(name)


def _having(client: Client, package: str, version: str | None) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """(node, time of the inventory, row) for each package of that name and version."""
    begin = package.endswith("*")
    name = package[:-1] if begin else package
    wanted = {"Key": f"{APPLICATION}.Name", "Values": [name], "Type": "BeginWith" if begin else "Equal"}
    entities = client.pages(
        "ssm",
        "GetInventory",
        "Entities",
        Filters=[wanted],
        ResultAttributes=[{"TypeName": APPLICATION}],
        MaxResults=PAGE,
    )
    for entity in entities:
        item = entity["Data"][APPLICATION]
        for row in item["Content"]:
            has = row.get("Name", "")
            if (has.startswith(name) if begin else has == name) and version in (None, _version(row)):
                yield str(entity["Id"]), str(item["CaptureTime"]), row
