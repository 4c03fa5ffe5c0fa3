"""Options that say which nodes a command means, how many of them at once, and how many failures are borne."""

import argparse
import re
from typing import Any

from patchwright.cli.exits import USAGE, Failed

MAX_NAMED = 50
"""Node ids that SendCommand takes. Source: the SSM model, SendCommandRequest.InstanceIds."""
MAX_CRITERIA = 5
MAX_COMMENT = 100
_RATE = {
    # Source: the SSM model, MaxConcurrency and MaxErrors.
    "max_concurrency": re.compile(r"[1-9][0-9]{0,6}|[1-9][0-9]?%|100%"),
    "max_errors": re.compile(r"0|[1-9][0-9]{0,6}|[1-9]?[0-9]%|100%"),
}


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """NODE..., --target, --all: one kind of them must be given, see `check_targets`."""
    parser.add_argument("node", metavar="NODE", nargs="*", help="ids, or names that one node alone has; at most 50")
    add_target_option(parser)
    parser.add_argument("--all", action="store_true", help="every node of the account and region")


def add_target_option(parser: argparse.ArgumentParser) -> None:
    """--target alone."""
    parser.add_argument(
        "--target",
        metavar="tag:KEY=VALUE",
        action="append",
        default=[],
        help="nodes with this tag; repeated: the same key means any of the values, another key means both",
    )


def add_rate_options(parser: argparse.ArgumentParser) -> None:
    """--max-concurrency and --max-errors, as SendCommand has them."""
    parser.add_argument(
        "--max-concurrency", metavar="N|P%", help="so many nodes at once, or such a share of them; default 50"
    )
    parser.add_argument(
        "--max-errors", metavar="N|P%", help="after more failures than this no further node is begun; default 0"
    )


def check_targets(args: argparse.Namespace) -> None:
    """Raise Failed (usage) unless the options say which nodes, in one way. Nothing is called."""
    if bool(args.node) + bool(args.target) + args.all != 1:
        raise Failed("say which nodes: names or ids, or --target tag:KEY=VALUE, or --all", USAGE)
    if len(args.node) > MAX_NAMED:
        raise Failed(f"at most {MAX_NAMED} nodes can be named: give them a tag, and use --target tag:KEY=VALUE", USAGE)
    targets_from(args.target)


def check_rates(args: argparse.Namespace) -> None:
    """Raise Failed (usage) for a rate that SendCommand does not know."""
    for name, form in _RATE.items():
        value = getattr(args, name)
        if value is not None and not form.fullmatch(value):
            raise Failed(f"--{name.replace('_', '-')} {value!r} is neither a number nor a percentage", USAGE)


def rates_of(args: argparse.Namespace) -> dict[str, str]:
    """The rates given, for SendCommand."""
    members = {"MaxConcurrency": args.max_concurrency, "MaxErrors": args.max_errors}
    return {name: value for name, value in members.items() if value is not None}


def targets_from(texts: list[str]) -> tuple[dict[str, Any], ...]:
    """`tag:KEY=VALUE` texts as API targets: values of one key are alternatives. Raises Failed (usage)."""
    values: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.startswith("tag:") or key == "tag:":
            raise Failed(f"--target {text!r} is not tag:KEY=VALUE", USAGE)
        values.setdefault(key, []).append(value)
    if len(values) > MAX_CRITERIA:
        raise Failed(f"--target takes at most {MAX_CRITERIA} different keys", USAGE)
    return tuple({"Key": key, "Values": found} for key, found in values.items())
