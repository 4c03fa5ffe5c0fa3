"""Replies: the result of a step, cut to size, and the three kinds of payload. Pure.

Source: spec/agent-protocol.md 9.
"""

import json

from patchwright_agent import __version__, text
from patchwright_agent.daemon import outcomes
from patchwright_agent.daemon.clock import iso_time
from patchwright_agent.daemon.documents import Step
from patchwright_agent.daemon.node import AGENT_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

    from patchwright_agent.daemon.command_state import CommandState

MAX_STREAM_BYTES = 24000
MAX_COMBINED_BYTES = 2500
STREAM_CUT = "--output truncated--"
OUTPUT_CUT = "\n---Output truncated---"
ERROR_CUT = "\n---Error truncated----"
ERROR_SEPARATOR = "\n----------ERROR-------\n"


def step_result(
    step: Step, status: str, code: int, stdout: bytes, stderr: bytes, started_at: float, ended_at: float
) -> "Dict[str, Any]":
    """The member of `runtimeStatus` for one step. The outputs may be longer than what is reported, not shorter."""
    output, error = stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")
    return {
        "status": status,
        "code": code,
        "name": text.field(step.action, 128),
        "output": combined_output(output, error),
        "standardOutput": cut_stream(output),
        "standardError": cut_stream(error),
        "startDateTime": iso_time(started_at),
        "endDateTime": iso_time(ended_at),
        "outputS3BucketName": "",
        "outputS3KeyPrefix": "",
        "stepName": "",
    }


def cut_stream(output: str) -> str:
    """At most 24,000 bytes, the last 20 saying so when cut."""
    if len(output.encode("utf-8")) <= MAX_STREAM_BYTES:
        return output
    return _head(output, MAX_STREAM_BYTES - len(STREAM_CUT)) + STREAM_CUT


def combined_output(output: str, error: str) -> str:
    """Both streams in at most 2,500 bytes; each may take half, or what the other one leaves."""
    separator = ERROR_SEPARATOR if error else ""
    room = MAX_COMBINED_BYTES - len(separator)
    output_size, error_size = len(output.encode("utf-8")), len(error.encode("utf-8"))
    if output_size + error_size > room:
        half = room // 2
        output_room = max(half, room - error_size)
        error_room = max(room - half, room - output_size)
        if output_size > output_room:
            output = _head(output, output_room - len(OUTPUT_CUT)) + OUTPUT_CUT
        if error_size > error_room:
            error = _head(error, error_room - len(ERROR_CUT)) + ERROR_CUT
    return output + separator + error


def _head(stream: str, size: int) -> str:
    return stream.encode("utf-8")[:size].decode("utf-8", "ignore")  # a character that was cut through is left out


def accepted(now: float) -> str:
    """Kind 1: the order is here."""
    return _payload(outcomes.IN_PROGRESS, "", None, None, iso_time(now))


def step_done(name: str, result: "Dict[str, Any]", statuses: "Sequence[str]") -> str:
    """Kind 2: exactly the step that is done; `statuses` are those of all steps so far.

    A step that asks for a reboot makes the document SuccessAndReboot.
    """
    status = result["status"] if result["status"] == outcomes.SUCCESS_AND_REBOOT else outcomes.IN_PROGRESS
    return _payload(status, "", {name: result}, outcomes.counts(statuses), result["endDateTime"])


def final(names_and_results: "Sequence[Tuple[str, Dict[str, Any]]]", now: float) -> str:
    """Kind 3: the document's status; the step's result only if there is one step."""
    statuses = [result["status"] for _, result in names_and_results]
    shown = dict(names_and_results) if len(names_and_results) == 1 else {}
    return _payload(outcomes.document_status(statuses), "", shown, outcomes.counts(statuses), iso_time(now))


def refused(reason: str, step_name: str, now: float) -> str:
    """The one reply to an order that is not run: Failed and why; with `step_name`, as that step's result too."""
    if not step_name:
        return _payload(outcomes.FAILED, reason, None, None, iso_time(now))
    step = Step(step_name, "aws:runShellScript", {})
    result = step_result(step, outcomes.FAILED, 1, b"", reason.encode("utf-8", "replace"), now, now)
    return _payload(outcomes.FAILED, reason, {step_name: result}, {outcomes.FAILED: 1}, iso_time(now))


def stored(state: "CommandState") -> "Iterator[Tuple[str, str]]":
    """(reply id, payload) of a command's stored replies, the final one last. The same each time, to the byte."""
    steps = sorted(state.results)
    for position, step in enumerate(steps):
        done = state.results[step]
        statuses = [state.results[earlier].result["status"] for earlier in steps[: position + 1]]
        yield done.reply_id, step_done(done.name, done.result, statuses)
    if state.final is not None:
        yield state.final


def _payload(
    status: str, trace: str, results: "Optional[Dict[str, Any]]", counts: "Optional[Dict[str, int]]", when: str
) -> str:
    return json.dumps(
        {
            "additionalInfo": {
                "agent": {"lang": "en-US", "name": AGENT_NAME, "os": "linux", "osver": "1", "ver": __version__},
                "dateTime": when,
                "runId": "",
                "runtimeStatusCounts": counts,
                "ableToOpenMGSConnection": False,
            },
            "documentStatus": status,
            "documentTraceOutput": trace,
            "runtimeStatus": results,
        },
        ensure_ascii=False,
    )
