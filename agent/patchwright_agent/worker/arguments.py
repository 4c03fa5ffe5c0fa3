"""The command line of the worker's commands."""

import sys
from typing import Any, List, NamedTuple, NoReturn, Optional

from patchwright_agent.worker import report

_FLAGS = {"--refresh": "refresh", "--no-refresh": "no_refresh", "--pretty": "pretty"}


class Arguments(NamedTuple):
    """What was asked for; each option has its value for where it is not given."""

    command: str
    state_dir: Optional[str] = None
    refresh: bool = False
    no_refresh: bool = False
    index_dir: str = ""
    pretty: bool = False
    scan_only: bool = False


def read(argv: List[str]) -> Arguments:
    """The arguments in `argv`. Wrong usage ends the process with 64, a wish for help with 0.

    `facts` with a flag at most, the common case, is told at once: to import argparse and to build its parsers takes as
    long as all else that is done before the package manager is asked.
    """
    if argv[:1] == ["facts"] and len(argv) <= 2 and all(word in _FLAGS for word in argv[1:]):
        return Arguments("facts", **{_FLAGS[word]: True for word in argv[1:]})
    return Arguments(**vars(_parser().parse_args(argv)))


def _parser() -> Any:
    import argparse

    class Parser(argparse.ArgumentParser):
        """Ends with 64 on wrong usage: 2 means something else to the server (a dependency failure)."""

        def error(self, message: str) -> NoReturn:
            report.tell(message)
            self.print_usage(sys.stderr)
            raise SystemExit(report.EXIT_USAGE)

    parser = Parser(prog="patchwright-agent")
    commands = parser.add_subparsers(dest="command")
    commands.required = True
    common = Parser(add_help=False)
    common.add_argument("--state-dir", help="the agent's folder (default: PATCHWRIGHT_STATE_DIR, else the usual place)")
    printed = commands.add_parser("facts", parents=[common], help="print the facts of this host; needs no server")
    refresh = printed.add_mutually_exclusive_group()
    refresh.add_argument("--refresh", action="store_true", help="fetch the package indexes first (root: the system's)")
    refresh.add_argument("--no-refresh", action="store_true", help="never fetch, even if there are no indexes")
    printed.add_argument("--index-dir", default="", help="keep own package indexes in this folder")
    printed.add_argument("--pretty", action="store_true", help="indented, for people")
    patch = commands.add_parser("patch", parents=[common], help="carry out the patch operation that the server orders")
    patch.add_argument("--scan-only", action="store_true", help="refuse everything but a scan; fetch nothing")
    commands.add_parser("report", parents=[common], help="report the facts as the node itself, as once after each boot")
    return parser
