"""Options that every command shares which calls the API."""

import argparse
from pathlib import Path
from typing import Any

from patchwright.cli.exits import USAGE, Failed
from patchwright.cli.output import FORMATS
from patchwright.client.calls import Client


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Which server, which region, which form of output."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="the server's data folder, whose key and address are used; default: PATCHWRIGHT_DATA_DIR, else the "
        "environment's AWS_* variables, else ./var",
    )
    parser.add_argument("--region", help="default: the profile's")
    parser.add_argument("-o", "--output", choices=FORMATS, default="table", help="default: table")


def client_of(args: argparse.Namespace) -> Client:
    """A client of the server that the options name."""
    return Client(args.data_dir, args.region)


def tag_from(text: str) -> dict[str, str]:
    """`KEY=VALUE` as an API tag. Raises Failed (usage)."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failed(f"{text!r} is not KEY=VALUE", USAGE)
    return {"Key": key, "Value": value}


def add_command(commands: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    """A sub-command that `run` carries out; its description is its help."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser
