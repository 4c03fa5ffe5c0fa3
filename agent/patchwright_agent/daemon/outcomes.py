"""What happens to a step, and what its outcome means for the others and for the document. Pure.

Sources: spec/agent-protocol.md 9.2 and 10; spec/operations.md 2.2 (the order of decisions) and 2.3 (exit codes).
"""

from patchwright_agent import text
from patchwright_agent.daemon.documents import PLUGINS, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Tuple

SUCCESS, FAILED, TIMED_OUT, CANCELLED, SKIPPED = "Success", "Failed", "TimedOut", "Cancelled", "Skipped"
SUCCESS_AND_REBOOT, IN_PROGRESS = "SuccessAndReboot", "InProgress"

EXIT_SUCCESS, EXIT_FAILURE, EXIT_REBOOT, KILLED, NEVER_RAN = 168, 169, 194, 137, -1

RUN, SKIP, FAIL = "run", "skip", "fail"
# Known to the protocol. Those for another platform are skipped, the others fail: this agent doesn't have them.
_OTHER_PLATFORM = ("aws:applications", "aws:psModule", "aws:domainJoin", "aws:cloudWatch")
_NOT_HERE = (
    "aws:configurePackage",
    "aws:refreshAssociation",
    "aws:configureDocker",
    "aws:runDockerAction",
)
_PLATFORM_TYPE = "platformType"
_THIS_PLATFORM = "Linux"


def decide(step: Step, schema_version: str, exit_requested: bool) -> "Tuple[str, str]":
    """RUN, SKIP or FAIL, with the reason for the latter two."""
    if exit_requested and not step.is_final:
        return SKIP, "Step was skipped: an earlier step asked to exit."
    has_preconditions = schema_version == "2.2"
    if step.action in _OTHER_PLATFORM:
        return (SKIP if has_preconditions else FAIL), "Step was skipped: %s is for another platform." % step.action
    if step.action in _NOT_HERE:
        return FAIL, "This agent doesn't run %s." % step.action
    if step.action not in PLUGINS:
        return FAIL, "The plugin %s is not known." % text.field(step.action, 100)
    if step.precondition is None:
        return RUN, ""
    if not has_preconditions:
        return FAIL, "A precondition needs schemaVersion 2.2."
    return _decide_precondition(step.precondition)


def _decide_precondition(precondition: "Any") -> "Tuple[str, str]":
    if not isinstance(precondition, dict) or set(precondition) - {"StringEquals"}:
        return FAIL, "Unrecognized precondition: the only operator is StringEquals."
    if not precondition:
        return RUN, ""
    operands = precondition["StringEquals"]
    if (
        not isinstance(operands, list)
        or len(operands) != 2
        or not all(isinstance(operand, str) for operand in operands)
    ):
        return FAIL, "Unrecognized precondition: StringEquals takes two texts."
    if any("{{" in operand for operand in operands):
        return FAIL, "Unrecognized precondition: it names a parameter that the document doesn't declare."
    left, right = operands
    if _PLATFORM_TYPE in operands:
        other = right if left == _PLATFORM_TYPE else left
        met = other.lower() == _THIS_PLATFORM.lower()
    else:
        met = left == right
    return (RUN, "") if met else (SKIP, "Step was skipped: its precondition is not met.")


def status_of_exit(exit_code: int) -> "Tuple[str, int]":
    """Status and code of a process that ended by itself; `exit_code` is negative for a signal."""
    if exit_code == EXIT_REBOOT:
        return SUCCESS_AND_REBOOT, EXIT_REBOOT
    if exit_code in (0, EXIT_SUCCESS):
        return SUCCESS, exit_code
    return FAILED, (exit_code if exit_code > 0 else NEVER_RAN)


def settle(step: Step, status: str, code: int) -> "Tuple[str, int]":
    """What is reported: onFailure "successAndExit" makes a failed step a success that stops, with code 168."""
    if status in (FAILED, TIMED_OUT) and step.setting("onFailure") == "successAndExit":
        return SUCCESS, EXIT_SUCCESS
    return status, code


def requests_exit(step: Step, status: str, code: int) -> bool:
    """Whether later steps, but for a finallyStep, are skipped after this reported outcome."""
    if code in (EXIT_SUCCESS, EXIT_FAILURE) and status in (SUCCESS, FAILED):
        return True
    if status in (FAILED, TIMED_OUT):
        return bool(step.setting("onFailure") == "exit")
    return bool(status == SUCCESS and step.setting("onSuccess") == "exit")


def document_status(statuses: "Iterable[str]") -> str:
    """The first that applies: SuccessAndReboot, Failed, TimedOut, Cancelled; Success if all are Success or Skipped."""
    found = set(statuses)
    for status in (SUCCESS_AND_REBOOT, FAILED, TIMED_OUT, CANCELLED):
        if status in found:
            return status
    return SUCCESS if found and found <= {SUCCESS, SKIPPED} else IN_PROGRESS


def counts(statuses: "Iterable[str]") -> "Dict[str, int]":
    totals: "Dict[str, int]" = {}
    for status in statuses:
        totals[status] = totals.get(status, 0) + 1
    return totals
