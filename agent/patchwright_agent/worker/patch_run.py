"""The run of a patch operation: hello, order, facts, result.

The server decides, this host reports and does. Whatever happens after the order has come, the server hears of the end.
"""

import json
import os
from typing import Any, Callable, Container, Dict, NamedTuple, Optional

from patchwright_agent import __version__, platform
from patchwright_agent.managers.model import REFRESH_FAILED, ManagerError
from patchwright_agent.platform import UnsupportedPlatform
from patchwright_agent.worker import facts, report
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.server_calls import Refused, ServerCalls, Unanswered


class PatchRun(NamedTuple):
    """The means of a run. `collect` takes whether to refresh the indexes first and gives the facts."""

    calls: ServerCalls
    collect: Callable[[bool], Document]
    state_dir: str
    scan_only: bool
    may_refresh: bool


class Order(NamedTuple):
    """What the server wants done."""

    run_id: str
    operation: str
    reboot_option: str
    snapshot_id: str


class Outcome(NamedTuple):
    exit_code: int
    message: str


def execute(run: PatchRun) -> int:
    """Carry out the server's order; print its report and return the exit code that it answers with.

    Raises Refused or Unanswered where the server cannot be told of the end.
    """
    order = start(run.calls)
    try:
        outcome = carry_out(run, order)
    except UnsupportedPlatform as error:
        outcome = Outcome(report.EXIT_UNSUPPORTED_SYSTEM, str(error))
    except (Refused, Unanswered) as error:
        outcome = Outcome(report.EXIT_UPLOAD_FAILED, "the facts did not reach the server: %s" % error)
    except (ManagerError, OSError) as error:
        outcome = Outcome(report.EXIT_FAILURE, str(error))
    except Exception as error:  # an own mistake must not leave the server waiting for a result
        outcome = Outcome(report.EXIT_FAILURE, "internal error: %s: %s" % (type(error).__name__, error))
    if outcome.message:
        report.tell(outcome.message)
    return finish(run.calls, order, outcome)


def start(calls: ServerCalls) -> Order:
    """Say hello. The order's unknown fields are ignored, as everywhere in the protocol."""
    answer = calls.call(
        "StartPatchRun",
        {"AgentVersion": __version__, "FactsVersions": [facts.FACTS_VERSION], "BootId": platform.boot_id()},
    )
    return Order(
        run_id=str(answer.get("RunId", "")),
        operation=str(answer.get("Operation", "")),
        reboot_option=str(answer.get("RebootOption", "")),
        snapshot_id=str(answer.get("SnapshotId", "")),
    )


def carry_out(run: PatchRun, order: Order) -> Outcome:
    """Do what was ordered, up to the result."""
    if order.operation == "Scan":
        return scan(run, order)
    if run.scan_only:
        return Outcome(
            report.EXIT_FAILURE,
            "refused: this node only scans (--scan-only), and the order was %s; nothing was changed" % order.operation,
        )
    return Outcome(
        report.EXIT_FAILURE,
        "this version of the agent (%s) cannot carry out %s, only Scan; nothing was changed; update the agent"
        % (__version__, order.operation),
    )


def scan(run: PatchRun, order: Order) -> Outcome:
    """Refresh the indexes if that is allowed, and report the facts. A failed refresh fails the scan, not the report."""
    document = run.collect(run.may_refresh and not run.scan_only)
    keep(run.state_dir, document)
    upload(run.calls, order, document)
    failure = refresh_failure(document)
    return Outcome(report.EXIT_FAILURE if failure else report.EXIT_SUCCESS, failure or "")


def refresh_failure(document: Document) -> Optional[str]:
    """What the facts say of a refresh that failed."""
    for part in document.parts:
        if part.name == "state":
            for problem in json.loads(part.body)["problems"]:
                if problem["code"] == REFRESH_FAILED:
                    return str(problem["message"])
    return None


def keep(state_dir: str, document: Document) -> None:
    """Leave the facts on the node too. A full disk must not keep them from the server."""
    try:
        report.write_atomically(os.path.join(state_dir, "facts.json"), facts.printed(document))
    except OSError as error:
        report.tell("facts.json cannot be written in %s: %s" % (state_dir, error.strerror))


def upload(calls: ServerCalls, order: Order, document: Document) -> None:
    """Send the digests, then the bodies that the server asks for."""
    answer = calls.call("PutFacts", _facts_body(order, document, ()))
    if answer.get("Accepted") is True:
        return
    needed = answer.get("NeedParts") or ()
    if calls.call("PutFacts", _facts_body(order, document, needed)).get("Accepted") is not True:
        raise Refused("FactsNotAccepted", "the server asks again for parts that it was sent")


def _facts_body(order: Order, document: Document, needed: Container[str]) -> Dict[str, Any]:
    parts = []
    for part in document.parts:
        entry = {"Name": part.name, "Digest": part.digest}
        parts.append(dict(entry, Body=part.body) if part.name in needed else entry)
    return {
        "RunId": order.run_id,
        "FactsVersion": facts.FACTS_VERSION,
        "Digest": document.digest,
        "CollectedAt": document.collected_at,
        "Parts": parts,
    }


def finish(calls: ServerCalls, order: Order, outcome: Outcome) -> int:
    """Report the end; print what the server says of it; its exit code."""
    answer = calls.call(
        "FinishPatchRun",
        {
            "RunId": order.run_id,
            "ExitCode": outcome.exit_code,
            "Message": outcome.message[: report.MAX_MESSAGE_CHARACTERS],
            "AgentVersion": __version__,
        },
    )
    report.print_report(str(answer.get("Report", "")))
    code = answer.get("ExitCode", outcome.exit_code)
    return code if isinstance(code, int) and 0 <= code <= 255 else report.EXIT_FAILURE
