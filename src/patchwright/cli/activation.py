"""`patchwright activation create`: what to type on a host that is to become a managed node."""

import argparse
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

from patchwright.cli.exits import OK, USAGE, Failed
from patchwright.cli.options import add_client_options, add_command, client_of, tag_from
from patchwright.cli.output import json_text, show, write

AGENT = "patchwright-agent.pyz"
DEFAULT_ROLE = "PatchwrightManagedNode"
"""The API wants the name of a role; nothing here depends on it."""
COLUMNS = ("ACTIVATION", "CODE", "LIMIT", "FETCH", "REGISTER")


def add_activation(commands: Any) -> None:
    """Define `activation create`."""
    parser = commands.add_parser("activation", help="let hosts become managed nodes")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_command(actions, "create", "make an activation and print the two lines for a host", run_create)
    add_activation_options(create)


def add_activation_options(parser: argparse.ArgumentParser) -> None:
    """What an activation is made of, and which server makes it."""
    parser.add_argument("--name", help="the nodes' name")
    parser.add_argument("--limit", type=int, default=1, metavar="N", help="how many hosts may use it; default 1")
    parser.add_argument("--hours", type=float, default=24, help="until it expires; default 24")
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="of the nodes; may be repeated")
    parser.add_argument("--role", default=DEFAULT_ROLE, help=argparse.SUPPRESS)
    add_client_options(parser)


def make_activation(args: argparse.Namespace, *, needs_agent: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """What CreateActivation and GetServerInformation answered. Raises Failed before anything was made."""
    if not args.hours > 0:
        raise Failed("--hours is more than 0", USAGE)
    client = client_of(args)
    server = client.call("patchwright", "GetServerInformation")
    if needs_agent and not server.get("AgentSha256"):
        raise Failed("this server hands out no agent: start it with serve --agent-file; no activation was made")
    wanted: dict[str, Any] = {
        "IamRole": args.role,
        "RegistrationLimit": args.limit,
        "ExpirationDate": datetime.now(UTC) + timedelta(hours=args.hours),
    }
    if args.name:
        wanted["DefaultInstanceName"] = args.name
    if args.tag:
        wanted["Tags"] = [tag_from(text) for text in args.tag]
    return client.call("ssm", "CreateActivation", **wanted), server


def run_create(args: argparse.Namespace) -> int:
    """Make the activation; its code is shown this once."""
    made, server = make_activation(args)
    lines = register_lines(server, made["ActivationId"], made["ActivationCode"])
    if args.output == "table":
        write(f"On the host, as root, within {args.hours:g} hours:\n\n" + "".join(f"{line}\n" for line in lines))
    elif args.output == "json":
        write(json_text({**made, "Commands": lines}))
    else:
        show("csv", made, COLUMNS, [[made["ActivationId"], made["ActivationCode"], args.limit, *lines]])
    return OK


def register_lines(server: dict[str, Any], activation_id: str, code: str) -> list[str]:
    """Two lines of shell: fetch the agent and check its digest, then register it.

    `server` is GetServerInformation. The code goes by the environment: arguments are visible to all users of a host.
    """
    url, pin, digest = server["PublicUrl"], server.get("CaSha256"), server.get("AgentSha256")
    if digest:
        # The digest decides what is run, so a certificate that the host can't check yet does no harm here.
        curl = "curl -fsSk" if pin else "curl -fsS"
        source, check = shlex.quote(f"{url}/agent/{AGENT}"), shlex.quote(f"{digest}  {AGENT}")
        fetch = f"{curl} -o {AGENT} {source} && echo {check} | sha256sum -c"
    else:
        fetch = f"# this server hands out no agent (serve --agent-file): copy {AGENT} to the host"
    words = ["python3", AGENT, "register", "--server", url, "--activation-id", activation_id]
    words += ["--region", server["Region"]]
    if pin:
        words += ["--ca-sha256", pin]
    elif url.startswith("http://"):
        words += ["--insecure-http"]
    return [fetch, f"PATCHWRIGHT_ACTIVATION_CODE={shlex.quote(code)} {shlex.join(words)}"]
