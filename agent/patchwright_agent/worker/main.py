"""The worker's commands: `facts` prints this host's facts, `patch` carries out a run, `report` follows a boot."""

import gc
import os
import sys
from typing import List

from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.platform import UnsupportedPlatform
from patchwright_agent.worker import collect, report
from patchwright_agent.worker.arguments import Arguments, read
from patchwright_agent.worker.collect import CollectRequest
from patchwright_agent.worker.ending import Ending


def main(argv: List[str]) -> int:
    """Run `facts`, `patch` or `report`, the first word of `argv`; the exit code."""
    ending = Ending(os.environ.get("PATCHWRIGHT_COMMAND_DIR", ""), report.tell)
    ending.listen()
    token = os.environ.pop("PATCHWRIGHT_TOKEN", "")  # a secret: no child, no traceback and no core of ours may carry it
    arguments = read(argv)
    state_dir = os.path.abspath(arguments.state_dir or collect.default_state_dir())
    if arguments.command == "facts":
        return _facts(arguments, state_dir)
    if arguments.command == "report":
        from patchwright_agent.worker import boot_report

        return boot_report.report_facts(state_dir)
    return _patch(arguments, state_dir, token, ending)


def _facts(arguments: Arguments, state_dir: str) -> int:
    gc.disable()  # tens of thousands of small objects, all of them needed to the end
    refresh = True if arguments.refresh else (False if arguments.no_refresh else None)
    try:
        document = collect.collect(CollectRequest(state_dir, refresh, arguments.index_dir))
    except UnsupportedPlatform as error:
        report.tell(str(error))
        return report.EXIT_UNSUPPORTED_SYSTEM
    except (ManagerError, OSError) as error:
        report.tell(str(error))
        return report.EXIT_FAILURE
    from patchwright_agent.worker import facts, facts_upload  # not above: asking the manager begins before them

    sys.stdout.buffer.write(facts.printed(document, arguments.pretty).encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()
    failure = facts_upload.refresh_failure(document)
    if failure:
        report.tell(failure)
    return report.EXIT_FAILURE if failure else report.EXIT_SUCCESS


def _patch(arguments: Arguments, state_dir: str, token: str, ending: Ending) -> int:
    # Not above: `facts` needs neither HTTP nor TLS nor runs, and is quick without.
    from patchwright_agent import transport
    from patchwright_agent.worker import patch_run, scope
    from patchwright_agent.worker.run_lock import RunLock, RunLocked
    from patchwright_agent.worker.server_calls import Refused, ServerCalls, TransportErrors, Unanswered

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
