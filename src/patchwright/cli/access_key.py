"""`patchwright access-key`: keys of people and programs that use the API. Source: decisions.md 22."""

import argparse
from pathlib import Path
from typing import Any

from patchwright.cli.exits import OK, USAGE, Failed
from patchwright.cli.options import add_client_options, add_command, client_of
from patchwright.cli.output import complain, show
from patchwright.client.calls import Client
from patchwright.client.errors import ApiError

NAMED_POLICIES = ("admin", "operator", "auditor")
MAX_POLICY_BYTES = 64 * 1024
_KEY_COLUMNS = ("ACCESS KEY", "USER", "ACCOUNT", "CREATED")
_MADE_COLUMNS = ("ACCESS KEY", "SECRET", "USER", "ACCOUNT")


def add_access_key(commands: Any) -> None:
    """Define `access-key create`, `list` and `delete`."""
    parser = commands.add_parser("access-key", help="make, list and delete access keys")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_command(actions, "create", "make a key; its secret is printed once", run_create)
    create.add_argument("--user", required=True, metavar="NAME")
    create.add_argument("--account", metavar="ID", help="12 digits; a new account is made; default: the caller's own")
    create.add_argument(
        "--policy", metavar="POLICY", default="admin",
        help="admin, operator, auditor, or a file with an IAM policy in JSON; default: admin",
    )  # fmt: skip
    create.add_argument("--json", dest="output", action="store_const", const="json", help="the same as -o json")
    listing = add_command(actions, "list", "list the account's keys, without their secrets", run_list)
    delete = add_command(actions, "delete", "end a key for good", run_delete)
    delete.add_argument("id", metavar="ACCESS_KEY_ID")
    for command in (create, listing, delete):
        add_client_options(command)


def run_create(args: argparse.Namespace) -> int:
    """Make a key, and its account if that is new."""
    client = client_of(args)
    wanted = {"UserName": args.user, "Policy": _policy(args.policy)}
    if args.account:
        wanted["AccountId"] = args.account
    try:
        made = client.call("patchwright", "CreateAccessKey", **wanted)
    except ApiError as refused:
        if not (args.account and refused.code == "DoesNotExistException"):
            raise
        _make_account(client, args.account)
        made = client.call("patchwright", "CreateAccessKey", **wanted)
    row = [made["AccessKeyId"], made["SecretAccessKey"], made["UserName"], made["AccountId"]]
    show(args.output, made, _MADE_COLUMNS, [row])
    return OK


def _make_account(client: Client, account: str) -> None:
    client.call("patchwright", "CreateAccount", AccountId=account, Name=account)
    complain("patchwright access-key", f"account {account} was not there and is made")


def _policy(text: str) -> str:
    if text in NAMED_POLICIES:
        return text
    try:
        with Path(text).open("rb") as file:
            return file.read(MAX_POLICY_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as wrong:
        raise Failed(
            f"--policy {text}: not {', '.join(NAMED_POLICIES)}, and not a file that can be read: {wrong}", USAGE
        ) from wrong


def run_list(args: argparse.Namespace) -> int:
    """The keys of the caller's account, by id."""
    keys = list(client_of(args).pages("patchwright", "ListAccessKeys", "AccessKeys"))
    rows = [[k["AccessKeyId"], k["UserName"], k["AccountId"], k.get("CreatedAt")] for k in keys]
    show(args.output, keys, _KEY_COLUMNS, rows)
    return OK


def run_delete(args: argparse.Namespace) -> int:
    """Delete one key of the caller's account; a second time is an error of the API."""
    client_of(args).call("patchwright", "DeleteAccessKey", AccessKeyId=args.id)
    return OK
