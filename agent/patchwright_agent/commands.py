"""The commands whose arguments are parsed here: register, run, version, and the help."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import List


def main(argv: "List[str]") -> int:
    """The exit code of `register`, `version`, or a `run` whose options are still to be read."""
    from patchwright_agent import __version__

    options = _parser().parse_args(argv)
    if options.command == "version":
        print(__version__)
        return 0
    if options.command == "register":
        return _register(options)
    from patchwright_agent.daemon import main as daemon_main

    return daemon_main.become_lean(daemon_main.options(vars(options)))


def _parser() -> "argparse.ArgumentParser":
    import argparse

    from patchwright_agent.daemon.reboot import DEFAULT_COMMAND

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> "None":  # type: ignore[override]
            self.print_usage(sys.stderr)
            self.exit(64, "%s: error: %s\n" % (self.prog, message))

    parser = Parser(prog="patchwright-agent", description="The agent of a managed node.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True  # an argument of add_subparsers only since 3.7
    folder = "where the agent keeps its state (default: /var/lib/patchwright-agent for root)"

    register = commands.add_parser("register", help="make this host a managed node")
    register.add_argument("--server", required=True, metavar="URL", help="https://host:port of the server")
    register.add_argument("--activation-id", required=True, metavar="ID")
    register.add_argument(
        "--activation-code",
        metavar="CODE",
        help="the code, or - to read it from standard input; default: PATCHWRIGHT_ACTIVATION_CODE "
        "(arguments are visible to every user of this host, the environment isn't)",
    )
    trust = register.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca-sha256", metavar="H", help="trust the server's own CA, which has this SHA-256, and no other"
    )
    trust.add_argument("--ca-file", metavar="FILE", help="trust the CA certificate in this PEM file, and no other")
    register.add_argument("--region", default="local-1", help="the activation's region (default: local-1)")
    register.add_argument("--state-dir", metavar="DIR", help=folder)
    register.add_argument("--insecure-http", action="store_true", help="allow plain HTTP to another host (test labs)")
    existing = register.add_mutually_exclusive_group()
    existing.add_argument("--force", action="store_true", help="replace an identity that exists")
    existing.add_argument(
        "--keep", action="store_true", help="keep an identity that the server still takes; it uses up no activation"
    )

    run = commands.add_parser("run", help="serve as a managed node until a signal")
    run.add_argument("--state-dir", metavar="DIR", help=folder)
    run.add_argument("--no-push", action="store_true", help="poll only: open no WebSocket to the server")
    run.add_argument("--scan-only", action="store_true", help="obey Scan and nothing else: run no script of the server")
    run.add_argument("--once", action="store_true", help="end after one command, or 30 idle seconds")
    run.add_argument(
        "--reboot-command",
        default=DEFAULT_COMMAND,
        metavar="COMMAND",
        help="what reboots this host when a command asks for it (default: %s)" % DEFAULT_COMMAND,
    )
    commands.add_parser("patch", help="scan or install, as a patch document's step starts it (see patch --help)")
    commands.add_parser("facts", help="print this host's facts document; needs no server")
    commands.add_parser("report", help="report this host's facts as the node, as `run` does once after each boot")
    commands.add_parser("version", help="print the agent's version")
    return parser


def _register(options: "argparse.Namespace") -> int:
    import os

    from patchwright_agent import text
    from patchwright_agent.daemon import register, storage
    from patchwright_agent.transport import BadAddress

    code = os.environ.pop("PATCHWRIGHT_ACTIVATION_CODE", "")
    if options.activation_code == "-":
        code = sys.stdin.readline(1024).strip()
    elif options.activation_code is not None:
        code = options.activation_code
    wanted = register.Registration(
        server=options.server,
        activation_id=options.activation_id,
        activation_code=code,
        state_dir=options.state_dir or storage.default_state_dir(),
        region=options.region,
        ca_sha256=options.ca_sha256,
        ca_file=options.ca_file,
        insecure_http=options.insecure_http,
        force=options.force,
        keep=options.keep,
    )
    try:
        if not code:
            raise register.RegistrationFailed(
                "no activation code: give --activation-code or PATCHWRIGHT_ACTIVATION_CODE"
            )
        instance_id = register.register(wanted)
    except (register.RegistrationFailed, storage.StorageError, BadAddress) as error:
        sys.stderr.write("patchwright-agent: not registered: %s\n" % text.field(str(error), 600))
        return 1
    print(instance_id)
    return 0
