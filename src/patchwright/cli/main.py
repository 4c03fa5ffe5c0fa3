"""`patchwright`: the one entry of the command line."""

import argparse
import os
import sys
from typing import Any, NoReturn

from patchwright import __version__
from patchwright.cli import (
    access_key,
    activation,
    compliance,
    enrol,
    inventory,
    nodes,
    patch,
    plan,
    scan,
    schedule,
    serve,
    up,
    why,
    windows,
)
from patchwright.cli.exits import ERROR, USAGE, Failed
from patchwright.cli.output import complain
from patchwright.client.errors import CallFailed


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        complain(self.prog, message)
        raise SystemExit(USAGE)


def parser() -> argparse.ArgumentParser:
    """The whole command line; the reference in docs/ is checked against it."""
    text = "Patch management you host yourself, that speaks AWS Systems Manager."
    top = _Parser(prog="patchwright", description=text)
    top.add_argument("--version", action="version", version=f"patchwright {__version__}")
    commands: Any = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    up.add_up(commands)
    serve.add_serve(commands)
    serve.add_env(commands)
    nodes.add_nodes(commands)
    scan.add_scan(commands)
    plan.add_plan(commands)
    patch.add_patch(commands)
    compliance.add_compliance(commands)
    inventory.add_inventory(commands)
    why.add_why(commands)
    schedule.add_schedule(commands)
    windows.add_windows(commands)
    activation.add_activation(commands)
    enrol.add_enrol(commands)
    access_key.add_access_key(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    name = f"patchwright {args.command}"
    try:
        code: int = args.run(args)
        # Here, where a reader who has left can be dealt with, and not at the interpreter's end.
        sys.stdout.flush()
    except Failed as failure:
        complain(name, str(failure))
        return failure.code
    except CallFailed as failure:
        complain(name, str(failure))
        return ERROR
    except KeyboardInterrupt:
        complain(name, "interrupted")
        return ERROR
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain about it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    return code


if __name__ == "__main__":
    raise SystemExit(main())
