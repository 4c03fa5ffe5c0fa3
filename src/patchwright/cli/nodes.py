"""`patchwright nodes`: the fleet with its compliance, and which node a name stands for."""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from patchwright.cli.exits import OK, USAGE, Failed
from patchwright.cli.node_columns import COLUMNS, DEFAULT_COLUMNS, SHORTEN, compliance_of, status_words
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import csv_text, json_text, printable, terminal_table, write
from patchwright.cli.targets import add_target_option, targets_from
from patchwright.client.calls import Client

PAGE = 50
"""The most nodes that DescribeNodes and DescribeInstancePatchStates take at once."""
NODE_ID = re.compile(r"m?i-[0-9a-f]{8,17}\Z")
MAX_CANDIDATES_SHOWN = 10
STATUSES = ("compliant", "non-compliant", "unjudged", "no-data", "online", "offline", "scan-only")


def add_nodes(commands: Any) -> None:
    """Define `nodes`."""
    parser = add_command(commands, "nodes", "list managed nodes with their compliance", run_nodes)
    add_target_option(parser)
    parser.add_argument("--group", metavar="PATCH_GROUP", help='only nodes of this patch group; "" for those of none')
    parser.add_argument(
        "--os", metavar="TEXT", help="only nodes whose operating system's name begins so: debian, 'Ubuntu 22'"
    )
    parser.add_argument(
        "--status", action="append", choices=STATUSES, default=[], help="only such nodes; repeated: all of these"
    )
    parser.add_argument(
        "--columns", metavar="NAME,...", help=f"of the table, from: {', '.join(COLUMNS)}; CSV has all by default"
    )
    parser.add_argument("--sort", metavar="NAME", help="by this column; default: node")
    parser.add_argument("--reverse", action="store_true", help="the other way; what is not known stays at the end")
    add_client_options(parser)


def run_nodes(args: argparse.Namespace) -> int:
    """List nodes. A node that never reported has "no data" where others have their compliance."""
    columns = _columns_from(args.columns, args.output)
    if args.sort is not None and args.sort not in COLUMNS:
        raise Failed(f"--sort: {args.sort!r} is none of {', '.join(COLUMNS)}", USAGE)
    targets = targets_from(args.target)
    client = client_of(args)
    nodes = described(client, Targets=targets)
    found = ordered(chosen(nodes, group=args.group, system=args.os, status=args.status), args.sort, args.reverse)
    if args.output == "json":
        write(json_text([{**node, "Compliance": compliance_of(node)} for node in found]))
        return OK
    heads = [name.upper().replace("-", " ") for name in columns]
    rows = [[COLUMNS[name](node) for name in columns] for node in found]
    shorten = [head for name, head in zip(columns, heads, strict=True) if name in SHORTEN]
    write(csv_text(heads, rows) if args.output == "csv" else terminal_table(heads, rows, shorten))
    return OK


def _columns_from(text: str | None, form: str) -> Sequence[str]:
    if text is None:
        return DEFAULT_COLUMNS if form == "table" else tuple(COLUMNS)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in COLUMNS:
            raise Failed(f"--columns: {name!r} is none of {', '.join(COLUMNS)}", USAGE)
    return names


def ordered(nodes: Iterable[dict[str, Any]], column: str | None, reverse: bool) -> list[dict[str, Any]]:
    """Numbers by size, texts in any case; without a column as they come. What is not known is last either way."""
    found = list(nodes)
    if column is not None:
        show = COLUMNS[column]
        known = [n for n in found if show(n) not in (None, "")]
        unknown = [n for n in found if show(n) in (None, "")]
        return sorted(known, key=lambda n: _sort_key(show(n)), reverse=reverse) + unknown
    return found[::-1] if reverse else found


def _sort_key(value: Any) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, bool | int | float) else (0, str(value).casefold())


def chosen(
    nodes: Iterable[dict[str, Any]], *, group: str | None = None, system: str | None = None, status: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The nodes of a patch group ("": of none), whose system's name begins with `system`, with all of `status`."""
    for node in nodes:
        in_group = group is None or (node.get("PatchGroup") or "") == group
        if in_group and (system is None or _runs(node, system.casefold())) and set(status) <= status_words(node):
            yield node


def _runs(node: dict[str, Any], begin: str) -> bool:
    name = f"{node.get('PlatformName', '')} {node.get('PlatformVersion', '')}"
    return any(text.casefold().startswith(begin) for text in (name, node.get("OperatingSystem") or ""))


def described(client: Client, **members: Any) -> Iterator[dict[str, Any]]:
    """Nodes as DescribeNodes has them, a page at a time: `NodeIds` (at most PAGE) or `Targets` choose among them."""
    given = {name: list(value) for name, value in members.items() if value}
    return client.pages("patchwright", "DescribeNodes", "Nodes", MaxResults=PAGE, **given)


def described_by_id(client: Client, node_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The nodes named, by id; those that have left are absent."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(node_ids), PAGE):
        batch = node_ids[start : start + PAGE]
        found.update({node["NodeId"]: node for node in described(client, NodeIds=batch)})
    return found


def with_nodes(
    client: Client, invocations: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each invocation with its node as it is now, {} for one that has left; a page of them is read at a time."""
    rest = iter(invocations)
    while page := list(islice(rest, PAGE)):
        known = described_by_id(client, [str(i["InstanceId"]) for i in page])
        for invocation in page:
            yield invocation, known.get(str(invocation["InstanceId"]), {})


def node_id_of(client: Client, text: str) -> str:
    """The id that `text` is, or that a node's name or computer name stands for. Raises Failed unless it is one node's.

    Names are given by people and by hosts, and may repeat: an id always works.
    """
    return node_ids_of(client, [text])[0]


def node_ids_of(client: Client, texts: Sequence[str]) -> list[str]:
    """The ids that `texts` are or stand for, in their order: the fleet is listed once at most. Raises Failed."""
    names = {text for text in texts if not NODE_ID.match(text)}
    named: dict[str, list[str]] = {name: [] for name in names}
    for node in described(client) if names else ():
        for name in {node.get("Name"), node.get("ComputerName")} & names:
            named[str(name)].append(str(node["NodeId"]))
    return [text if text not in names else _the_one(text, named[text]) for text in texts]


def _the_one(name: str, ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise Failed(f"no node has the name {printable(name)}: `patchwright nodes` lists all")
    shown = ", ".join(ids[:MAX_CANDIDATES_SHOWN]) + (", …" if len(ids) > MAX_CANDIDATES_SHOWN else "")
    raise Failed(f"{len(ids)} nodes have the name {printable(name)}: name one by its id: {shown}")
