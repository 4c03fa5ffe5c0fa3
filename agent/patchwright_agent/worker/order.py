"""The order that the server gives in its answer to hello, and the outcome that it is told in the end."""

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from patchwright_agent import __version__, platform
from patchwright_agent.managers.installer import Failure
from patchwright_agent.worker import facts, report
from patchwright_agent.worker.server_calls import ServerCalls

MAX_FAILURES = 1000
MAX_NOTES = 200
MAX_NOTE_CHARACTERS = 500


class Order(NamedTuple):
    """What the server wants done. `ended`: nothing but to print `report_text` and to end with `exit_code`.

    `plan` is the Plan that an earlier worker of this run settled, as the server sends it; None if there is none.
    """

    run_id: str
    operation: str
    reboot_option: str = ""
    snapshot_id: str = ""
    plan_only: bool = False
    ended: bool = False
    report_text: str = ""
    exit_code: Any = report.EXIT_FAILURE
    plan: Optional[Mapping[str, Any]] = None
    fetch_url: str = ""
    """A document to fetch for the server before anything else; "" if there is none."""


class Outcome(NamedTuple):
    """The end of a run in the worker's eyes; the server has the last word on the exit code."""

    exit_code: int
    message: str
    problem_code: str = ""
    plan_digest: str = ""
    failures: Sequence[Failure] = ()
    notes: Sequence[str] = ()


def start(calls: ServerCalls) -> Order:
    """Say hello. The order's unknown fields are ignored, as everywhere in the protocol."""
    answer = calls.call(
        "StartPatchRun",
        {"AgentVersion": __version__, "FactsVersions": [facts.FACTS_VERSION], "BootId": platform.boot_id()},
    )
    plan = answer.get("Plan")
    return Order(
        run_id=str(answer.get("RunId", "")),
        operation=str(answer.get("Operation", "")),
        reboot_option=str(answer.get("RebootOption", "")),
        snapshot_id=str(answer.get("SnapshotId", "")),
        plan_only=answer.get("PlanOnly") is True,
        ended=answer.get("Ended") is True,
        report_text=str(answer.get("Report", "")),
        exit_code=answer.get("ExitCode", report.EXIT_FAILURE),
        plan=plan if isinstance(plan, dict) and plan.get("Digest") else None,
        fetch_url=str(answer.get("FetchUrl") or ""),
    )


def finish(calls: ServerCalls, order: Order, outcome: Outcome) -> int:
    """Report the end; print what the server says of it; its exit code."""
    answer = calls.call("FinishPatchRun", finish_body(order, outcome))
    report.print_report(str(answer.get("Report", "")))
    return exit_code_of(answer.get("ExitCode", outcome.exit_code))


def finish_body(order: Order, outcome: Outcome) -> Dict[str, Any]:
    body: Dict[str, Any] = {
        "RunId": order.run_id,
        "ExitCode": outcome.exit_code,
        "Message": outcome.message[: report.MAX_MESSAGE_CHARACTERS],
        "AgentVersion": __version__,
    }
    if platform.boot_id():
        body["BootId"] = platform.boot_id()
    if outcome.plan_digest:
        body["PlanDigest"] = outcome.plan_digest
    if outcome.failures:
        failures = outcome.failures[:MAX_FAILURES]
        body["Failures"] = [{"Name": f.name, "Arch": f.arch, "Message": f.message} for f in failures]
    if outcome.problem_code:
        body["ProblemCode"] = outcome.problem_code
    if outcome.notes:
        body["Notes"] = [note[:MAX_NOTE_CHARACTERS] for note in outcome.notes[:MAX_NOTES]]
    return body


def exit_code_of(code: Any) -> int:
    """An exit code that a process can have, as the server gave it; anything else is a failure."""
    return code if isinstance(code, int) and 0 <= code <= 255 else report.EXIT_FAILURE
