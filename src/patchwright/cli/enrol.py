"""`patchwright enrol-command`: the one line that makes a host a managed node."""

import argparse
import shlex
from typing import Any

from patchwright.cli.activation import add_activation_options, make_activation
from patchwright.cli.exits import OK
from patchwright.cli.options import add_command
from patchwright.cli.output import json_text, show, write

_FETCH_BY_PYTHON = (
    "import ssl,sys,urllib.request as u;open(sys.argv[2],'wb').write(u.urlopen(sys.argv[1],timeout=60,"
    "context=ssl._create_unverified_context()).read())"
)


def add_enrol(commands: Any) -> None:
    """Define `enrol-command`."""
    parser = add_command(commands, "enrol-command", "make an activation and print the line to paste on a host", run)
    add_activation_options(parser)
    parser.add_argument("--scan-only", action="store_true", help="the hosts obey Scan and nothing else")
    parser.add_argument("--cloud-init", action="store_true", help="print user data for cloud-init")


def run(args: argparse.Namespace) -> int:
    """Make the activation; its code is shown this once."""
    made, server = make_activation(args, needs_agent=True)
    line = enrol_line(server, made["ActivationId"], made["ActivationCode"], scan_only=args.scan_only)
    if args.output == "json":
        write(json_text({**made, "Command": line}))
    elif args.output == "csv":
        show("csv", made, ("ACTIVATION", "COMMAND"), [[made["ActivationId"], line]])
    elif args.cloud_init:
        write(f"#!/bin/sh\n{line}\n")
    else:
        write(f"On the host, as root, within {args.hours:g} hours:\n\n{line}\n")
    return OK


def enrol_line(server: dict[str, Any], activation_id: str, code: str, *, scan_only: bool) -> str:
    """One line of shell: fetch the script, check its digest, run it. `server` is GetServerInformation.

    The code goes by the environment: arguments are visible to all users of a host. What an operator wrote freely
    (a name, a tag) is not in the line; it stays with the activation.
    """
    url, pin = server["PublicUrl"], server.get("CaSha256")
    source = shlex.quote(f"{url}/enrol.sh")
    # The digest decides what is run, so a certificate that the host can't check yet does no harm here.
    fetch = (
        f'if command -v curl >/dev/null; then curl -fsSk -o "$d/enrol.sh" {source}; '
        f'elif command -v wget >/dev/null; then wget -q --no-check-certificate -O "$d/enrol.sh" {source}; '
        f'else python3 -c {shlex.quote(_FETCH_BY_PYTHON)} {source} "$d/enrol.sh"; fi'
    )
    check = f'echo {shlex.quote(server["EnrolSha256"])}"  $d/enrol.sh" | sha256sum -c - >/dev/null'
    words = ["--server", url, "--activation-id", activation_id, "--region", server["Region"]]
    words += ["--agent-sha256", server["AgentSha256"]]
    if pin:
        words += ["--ca-sha256", pin]
    elif url.startswith("http://"):
        words += ["--insecure-http"]
    if scan_only:
        words += ["--scan-only"]
    install = f'PATCHWRIGHT_ACTIVATION_CODE={shlex.quote(code)} sh "$d/enrol.sh" install {shlex.join(words)}'
    return f"(d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && {{ {fetch}; }} && {check} && {install})"
