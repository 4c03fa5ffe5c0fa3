"""The worker's commands: `facts` prints this host's facts, `patch` carries out a run, `report` follows a boot."""

import argparse
import os
import sys
from typing import List, NoReturn

from patchwright_agent.managers.model import ManagerError
from patchwright_agent.platform import UnsupportedPlatform
from patchwright_agent.worker import collect, facts, facts_upload, report
from patchwright_agent.worker.collect import CollectRequest
from patchwright_agent.worker.ending import Ending
from patchwright_agent.worker.run_lock import RunLock, RunLocked
from patchwright_agent.worker.server_calls import Refused, ServerCalls, TransportErrors, Unanswered


def main(argv: List[str]) -> int:
    """Run `facts`, `patch` or `report`, the first word of `argv`; the exit code."""
    ending = Ending(os.environ.get("PATCHWRIGHT_COMMAND_DIR", ""), report.tell)
    ending.listen()
    token = os.environ.pop("PATCHWRIGHT_TOKEN", "")  # a secret: no child, no traceback and no core of ours may carry it
    arguments = _parser().parse_args(argv)
    state_dir = os.path.abspath(arguments.state_dir or collect.default_state_dir())
    if arguments.command == "facts":
        return _facts(arguments, state_dir)
    if arguments.command == "report":
        from patchwright_agent.worker import boot_report

        return boot_report.report_facts(state_dir)
    return _patch(arguments, state_dir, token, ending)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="patchwright-agent")
    commands = parser.add_subparsers(dest="command")
    commands.required = True
    common = _Parser(add_help=False)
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


class _Parser(argparse.ArgumentParser):
    """Ends with 64 on wrong usage: 2 means something else to the server (a dependency failure)."""

    def error(self, message: str) -> NoReturn:
        report.tell(message)
        self.print_usage(sys.stderr)
        raise SystemExit(report.EXIT_USAGE)


def _facts(arguments: argparse.Namespace, state_dir: str) -> int:
    refresh = True if arguments.refresh else (False if arguments.no_refresh else None)
    try:
        document = collect.collect(CollectRequest(state_dir, refresh, arguments.index_dir))
    except UnsupportedPlatform as error:
        report.tell(str(error))
        return report.EXIT_UNSUPPORTED_SYSTEM
    except (ManagerError, OSError) as error:
        report.tell(str(error))
        return report.EXIT_FAILURE
    sys.stdout.buffer.write(facts.printed(document, arguments.pretty).encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()
    failure = facts_upload.refresh_failure(document)
    if failure:
        report.tell(failure)
    return report.EXIT_FAILURE if failure else report.EXIT_SUCCESS


def _patch(arguments: argparse.Namespace, state_dir: str, token: str, ending: Ending) -> int:
    # Not above: `facts` needs neither HTTP nor TLS nor what a run is made of, and is quick without.
    from patchwright_agent import transport
    from patchwright_agent.worker import patch_run, scope

    url = os.environ.get("PATCHWRIGHT_SERVER", "")
    if not url or not token:
        report.tell("PATCHWRIGHT_SERVER and PATCHWRIGHT_TOKEN must be set: a patch document's step sets them")
        return report.EXIT_USAGE
    try:
        server = transport.Server(url, os.environ.get("PATCHWRIGHT_CA_FILE") or None)
    except (ValueError, OSError) as error:
        report.tell("PATCHWRIGHT_SERVER or PATCHWRIGHT_CA_FILE cannot be used: %s" % error)
        return report.EXIT_USAGE
    errors = TransportErrors(transport.ServerError, transport.Unreachable)
    run = patch_run.PatchRun(
        calls=ServerCalls(server, errors, token, report.tell),
        collect=lambda refresh: collect.collect(CollectRequest(state_dir, refresh or None)),
        state_dir=state_dir,
        scan_only=arguments.scan_only,
        may_refresh=os.geteuid() == 0,
        ending=ending,
        move=lambda: scope.move(token, state_dir, report.tell),
    )
    try:
        with RunLock(state_dir, "command %s" % os.environ.get("SSM_COMMAND_ID", "by hand")):
            return patch_run.execute(run)
    except (RunLocked, Refused, Unanswered) as error:
        report.tell(str(error))
        return report.EXIT_FAILURE
