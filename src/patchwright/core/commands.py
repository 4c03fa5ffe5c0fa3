"""Commands and invocations: legal moves of their status, and the roll-up of many into one.

Source: operations.md 3.4.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from patchwright.core.values import CommandId, NodeId, Scope


class Details(StrEnum):
    """An invocation's StatusDetails, unspaced as the service sends them."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    DELAYED = "Delayed"
    CANCELLING = "Cancelling"
    SUCCESS = "Success"
    FAILED = "Failed"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    DELIVERY_TIMED_OUT = "DeliveryTimedOut"
    CANCELLED = "Cancelled"
    TERMINATED = "Terminated"
    UNDELIVERABLE = "Undeliverable"
    INVALID_PLATFORM = "InvalidPlatform"
    ACCESS_DENIED = "AccessDenied"

    @property
    def status(self) -> str:
        """The enum value that goes with it."""
        return _STATUS[self]

    @property
    def terminal(self) -> bool:
        return self not in OPEN


_STATUS = {
    Details.PENDING: "Pending",
    Details.IN_PROGRESS: "InProgress",
    Details.DELAYED: "Delayed",
    Details.CANCELLING: "Cancelling",
    Details.SUCCESS: "Success",
    Details.FAILED: "Failed",
    Details.EXECUTION_TIMED_OUT: "TimedOut",
    Details.DELIVERY_TIMED_OUT: "TimedOut",
    Details.CANCELLED: "Cancelled",
    Details.TERMINATED: "Cancelled",
    Details.UNDELIVERABLE: "Failed",
    Details.INVALID_PLATFORM: "Failed",
    Details.ACCESS_DENIED: "Failed",
}
OPEN = frozenset({Details.PENDING, Details.IN_PROGRESS, Details.DELAYED, Details.CANCELLING})
UNDELIVERED = frozenset({Details.PENDING, Details.DELAYED})
ERRORS = frozenset({Details.FAILED, Details.EXECUTION_TIMED_OUT})
UNREACHED = frozenset({Details.UNDELIVERABLE, Details.INVALID_PLATFORM, Details.ACCESS_DENIED})

_MOVES: dict[Details, frozenset[Details]] = {
    Details.PENDING: frozenset(Details) - {Details.PENDING, Details.ACCESS_DENIED, Details.INVALID_PLATFORM},
    Details.IN_PROGRESS: frozenset(
        {
            Details.DELAYED,
            Details.CANCELLING,
            Details.SUCCESS,
            Details.FAILED,
            Details.EXECUTION_TIMED_OUT,
            Details.DELIVERY_TIMED_OUT,
            Details.CANCELLED,
            Details.UNDELIVERABLE,
        }
    ),
    Details.DELAYED: frozenset(Details)
    - {Details.PENDING, Details.DELAYED, Details.ACCESS_DENIED, Details.INVALID_PLATFORM},
    Details.CANCELLING: frozenset(
        {
            Details.CANCELLED,
            Details.SUCCESS,
            Details.FAILED,
            Details.EXECUTION_TIMED_OUT,
            Details.UNDELIVERABLE,
        }
    ),
}
_CANCELS = UUID("6f0f4f2e-9a57-5d1b-8a3c-2f6f1f0f9b6d")
CANCEL_MOVES = {
    Details.PENDING: Details.CANCELLED,
    Details.DELAYED: Details.CANCELLING,
    Details.IN_PROGRESS: Details.CANCELLING,
}
"""What CancelCommand makes of an invocation; all else stays as it is. Source: operations.md 3.4."""


def may_move(old: Details, new: Details) -> bool:
    """Whether an invocation may go from `old` to `new`; a terminal state never changes."""
    return new in _MOVES.get(old, frozenset())


def details_of_reply(document_status: str) -> Details | None:
    """What an agent's documentStatus makes of the invocation; None for an unknown word. Source: agent-protocol 9.2."""
    return {
        "InProgress": Details.IN_PROGRESS,
        "SuccessAndReboot": Details.IN_PROGRESS,
        "Success": Details.SUCCESS,
        "Failed": Details.FAILED,
        "TimedOut": Details.EXECUTION_TIMED_OUT,
        "Cancelled": Details.CANCELLED,
    }.get(document_status)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUp:
    """A command's status with its counters."""

    status: str
    details: str
    completed: int
    errors: int
    delivery_timed_out: int
    open: bool


def roll_up(invocations: Mapping[Details, int], *, threshold: int, cancelled: bool = False) -> RollUp:
    """Make one status of many, given how many invocations are where; final only when every one is terminal."""
    counts = Counter(invocations)
    total = sum(counts.values())
    completed = sum(n for d, n in counts.items() if d.terminal)
    errors = sum(counts[d] for d in ERRORS)
    if completed < total:
        begun = "Pending" if counts[Details.PENDING] == total else "InProgress"
        status = details = "Cancelling" if cancelled else begun
    else:
        status, details = _final(counts, total, threshold, cancelled)
    return RollUp(
        status=status,
        details=details,
        completed=completed,
        errors=errors,
        delivery_timed_out=counts[Details.DELIVERY_TIMED_OUT],
        open=completed < total,
    )


def moved(rolled: RollUp, old: Details, new: Details) -> RollUp:
    """`rolled` after one invocation of an open command went from `old` to `new`.

    Exact while some invocation is open. When the last one ends, the final word needs all counts: see `roll_up`.
    """
    begun = rolled.status == "Pending" and new is not Details.PENDING
    return replace(
        rolled,
        status="InProgress" if begun else rolled.status,
        details="InProgress" if begun else rolled.details,
        completed=rolled.completed + new.terminal - old.terminal,
        errors=rolled.errors + (new in ERRORS) - (old in ERRORS),
        delivery_timed_out=rolled.delivery_timed_out + (new is Details.DELIVERY_TIMED_OUT),
    )


def _final(counts: "Counter[Details]", total: int, threshold: int, cancelled: bool) -> tuple[str, str]:
    if cancelled:
        return "Cancelled", "Cancelled"
    if total == 0:
        return "Success", "NoInstancesInTag"
    errors = sum(counts[d] for d in ERRORS)
    # Sending stops above the threshold, yet the final word is Failed at it: the documented asymmetry.
    bound = max(1, threshold)
    if errors >= bound:
        if errors == counts[Details.EXECUTION_TIMED_OUT]:
            return "TimedOut", "ExecutionTimedOut"
        return "Failed", "Failed"
    undelivered = counts[Details.DELIVERY_TIMED_OUT]
    if undelivered >= bound:
        return "TimedOut", "DeliveryTimedOut"
    if not counts[Details.SUCCESS] and sum(counts[d] for d in UNREACHED) == total:
        return "Failed", "Failed"
    if errors + undelivered + counts[Details.TERMINATED] + counts[Details.CANCELLED] > 0:
        return "Failed", "Incomplete"
    return "Success", "Success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One SendCommand: what was asked (`request`: wire members as given), and how far it is."""

    id: CommandId
    scope: Scope
    document_name: str
    document_version: str
    content: dict[str, Any]
    request: dict[str, Any]
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    status: str
    status_details: str
    target_count: int
    completed_count: int = 0
    error_count: int = 0
    delivery_timed_out_count: int = 0
    open: bool = True
    cancelled_at: datetime | None = None
    """When the whole command was cancelled by an operator."""
    fast_start: bool = False
    """Whether as many nodes as MaxConcurrency has are started at once, without the slow start."""

    @property
    def rolled(self) -> RollUp:
        """Its status and counters as they were last written."""
        return RollUp(
            status=self.status,
            details=self.status_details,
            completed=self.completed_count,
            errors=self.error_count,
            delivery_timed_out=self.delivery_timed_out_count,
            open=self.open,
        )

    @property
    def parameters(self) -> dict[str, list[str]]:
        value: dict[str, list[str]] = self.request.get("Parameters", {})
        return value

    @property
    def timeout_seconds(self) -> int:
        """The delivery timeout."""
        return int(self.request["TimeoutSeconds"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A command on one node."""

    command_id: CommandId
    node_id: NodeId
    ordinal: int
    node_name: str
    details: Details
    requested_at: datetime
    trace: str = ""
    dispatched_at: datetime | None = None
    visible_at: datetime | None = None
    delivered_at: datetime | None = None
    acknowledged_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_acknowledged_at: datetime | None = None

    @property
    def undelivered(self) -> bool:
        """Whether the node has not been handed the command yet, and still may be."""
        return self.details in UNDELIVERED

    @property
    def waiting(self) -> bool:
        """Whether it holds no slot: not offered to its node yet, or taken back while the node is offline."""
        return self.undelivered and self.visible_at is None

    @property
    def in_flight(self) -> bool:
        """Whether it holds a slot of MaxConcurrency: offered to its node, and not over.

        One that is cancelled before its node was handed it holds none: it will not run.
        """
        will_not_run = self.details is Details.CANCELLING and self.delivered_at is None
        return not self.details.terminal and self.visible_at is not None and not will_not_run

    @property
    def message_id(self) -> str:
        """`aws.ssm.<CommandId>.<InstanceId>`. Source: agent-protocol 6.3."""
        return f"aws.ssm.{self.command_id}.{self.node_id}"

    @property
    def cancel_message_id(self) -> str:
        """The id of the message that cancels it: a UUID of its own in the command's place. Source: agent-protocol 8.

        Made of the ids alone, so that every delivery has the same and an acknowledgement is known by it.
        """
        return f"aws.ssm.{uuid5(_CANCELS, self.message_id)}.{self.node_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step of the document did on one node."""

    name: str
    ordinal: int
    plugin: str
    status: str = "Pending"
    status_details: str = "Pending"
    response_code: int = -1
    output: str = ""
    standard_output: str = ""
    standard_error: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
