"""The run of a patch operation: hello, order, and what was ordered, up to the report.

The server decides, this host reports and does. Whatever happens after the order has come, the server hears of the end.
"""

from typing import Callable, NamedTuple

from patchwright_agent import __version__
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import DISK_FULL, Installer, Workplace
from patchwright_agent.platform import UnsupportedPlatform
from patchwright_agent.worker import override, report
from patchwright_agent.worker.ending import Ending
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.facts_upload import keep, refresh_failure, upload
from patchwright_agent.worker.order import Order, Outcome, exit_code_of, finish, start
from patchwright_agent.worker.server_calls import Refused, ServerCalls, Unanswered

INSTALL, SCAN = "Install", "Scan"
_NO_SPACE = 28  # ENOSPC


def stay() -> None:
    """No scope to move into."""


def installer_of_host(workplace: Workplace) -> Installer:
    from patchwright_agent.worker import installers  # an Install's modules are read for an Install alone

    return installers.installer_for(workplace)


class PatchRun(NamedTuple):
    """The means of a run. `collect` takes whether to refresh the indexes first and gives the facts.

    `move` is called once an Install is known to be ordered: it may replace this process by the same one elsewhere.
    """

    calls: ServerCalls
    collect: Callable[[bool], Document]
    state_dir: str
    scan_only: bool
    may_refresh: bool
    ending: Ending = Ending()
    installer: Callable[[Workplace], Installer] = installer_of_host
    move: Callable[[], None] = stay
    fetch: Callable[[str], override.Fetched] = override.fetch


def execute(run: PatchRun) -> int:
    """Carry out the server's order; print its report and return the exit code that it answers with.

    Raises Refused or Unanswered where the server cannot be told of the end.
    """
    order = start(run.calls)
    if order.ended:
        report.print_report(order.report_text)
        return exit_code_of(order.exit_code)
    if order.fetch_url and not (run.scan_only and _changes(order)):
        answer = override.put(run.calls, order.run_id, order.fetch_url, run.fetch)
        if answer.get("Ended") is True:
            report.print_report(str(answer.get("Report", "")))
            return exit_code_of(answer.get("ExitCode"))
    try:
        outcome = _outcome(run, order)
        if outcome.message:
            report.tell(outcome.message)
        code = finish(run.calls, order, outcome)
        if order.operation == INSTALL and not run.scan_only:
            from patchwright_agent.worker import install

            install.note_finished(run.state_dir, order)
    finally:
        run.ending.release()
    return code


def _outcome(run: PatchRun, order: Order) -> Outcome:
    try:
        return carry_out(run, order)
    except UnsupportedPlatform as error:
        return Outcome(report.EXIT_UNSUPPORTED_SYSTEM, str(error))
    except (Refused, Unanswered) as error:
        return Outcome(report.EXIT_UPLOAD_FAILED, "the server did not take a report: %s" % error)
    except ManagerError as error:
        return Outcome(report.EXIT_FAILURE, str(error))
    except OSError as error:
        return Outcome(report.EXIT_FAILURE, str(error), DISK_FULL if error.errno == _NO_SPACE else "")
    except Exception as error:  # an own mistake must not leave the server waiting for a result
        return Outcome(report.EXIT_FAILURE, "internal error: %s: %s" % (type(error).__name__, error))


def _changes(order: Order) -> bool:
    """Whether a node that only scans refuses the order."""
    return order.operation != SCAN or order.plan_only


def carry_out(run: PatchRun, order: Order) -> Outcome:
    """Do what was ordered, up to the result."""
    if not _changes(order):
        return scan(run, order)
    if run.scan_only:
        ordered = "a plan" if order.plan_only else order.operation
        return Outcome(
            report.EXIT_FAILURE,
            "refused: this node only scans (--scan-only), and the order was %s; nothing was changed" % ordered,
        )
    if order.operation != INSTALL and not order.plan_only:
        return Outcome(
            report.EXIT_FAILURE,
            "this version of the agent (%s) cannot carry out %s; nothing was changed; update the agent"
            % (__version__, order.operation),
        )
    if not run.may_refresh:
        return Outcome(report.EXIT_FAILURE, "an Install needs root on the node; nothing was changed")
    if not order.plan_only:
        run.move()
    from patchwright_agent.worker import install

    means = install.InstallMeans(run.calls, run.collect, run.state_dir, run.ending, run.installer)
    return install.install(means, order)


def scan(run: PatchRun, order: Order) -> Outcome:
    """Refresh the indexes if that is allowed, and report the facts. A failed refresh fails the scan, not the report."""
    document = run.collect(run.may_refresh and not run.scan_only)
    keep(run.state_dir, document)
    upload(lambda body: run.calls.call("PutFacts", dict(body, RunId=order.run_id)), document)
    failure = refresh_failure(document)
    return Outcome(report.EXIT_FAILURE if failure else report.EXIT_SUCCESS, failure or "")
