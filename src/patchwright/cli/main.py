"""`patchwright`: the one entry of the command line."""

import argparse
import sys
from typing import NoReturn

from patchwright import __version__
from patchwright.cli import serve
from patchwright.cli.exits import USAGE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(USAGE)


def parser() -> argparse.ArgumentParser:
    """The whole command line; the reference in docs/ is checked against it."""
    top = _Parser(prog="patchwright", description="Patch management you host yourself, that speaks AWS Systems Manager.")
    top.add_argument("--version", action="version", version=f"patchwright {__version__}")
    commands = top.add_subparsers(dest="command", required=True, parser_class=_Parser)
    serve.add_serve(commands)
    serve.add_env(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
