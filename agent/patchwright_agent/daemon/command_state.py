"""What is known of one command, as a fold over its journal records. Pure.

Records, in the order in which they are written (each has "id", the command's, and "at", epoch seconds):

    received      message_id, name, payload (the order as delivered)         before anything else is done with it
    acked                                                                    the server knows that it is here
    cancelled                                                                steps that have not begun won't
    started       step                                                       before the step's process is started
    done          step, name, reply_id, result                               the step's result; it won't run again
    rebooting     step, boot_id                                              exit 194: that step runs again after a boot
    final         reply_id, payload                                          the one final reply
    sent          reply_id                                                   the server has taken that reply
    closed                                                                   (compaction) only that the id was seen
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Set, Tuple

RECEIVED, ACKED, CANCELLED, STARTED, DONE = "received", "acked", "cancelled", "started", "done"
REBOOTING, FINAL, SENT, CLOSED = "rebooting", "final", "sent", "closed"


class StepStart:
    """A step that was started: how many times, when first, and the boot that its exit 194 ended ("" for none)."""

    __slots__ = ("first_at", "reboot_boot_id", "runs")

    def __init__(self, first_at: float) -> None:
        self.first_at = first_at
        self.runs = 0
        self.reboot_boot_id = ""


class StepDone:
    """A step that is over: its name, its result as it is reported, and the id of the reply that reports it."""

    __slots__ = ("name", "reply_id", "result")

    def __init__(self, record: "Dict[str, Any]") -> None:
        self.name = str(record["name"])
        self.reply_id = str(record["reply_id"])
        self.result: "Dict[str, Any]" = dict(record["result"])


class CommandState:
    """A command that isn't closed: its order, and how far it came."""

    __slots__ = (
        "acked",
        "cancelled",
        "final",
        "id",
        "last_at",
        "message_id",
        "name",
        "payload",
        "received_at",
        "results",
        "sent",
        "starts",
    )

    def __init__(self, command_id: str, message_id: str, name: str, payload: str, received_at: float) -> None:
        self.id = command_id
        self.message_id = message_id
        self.name = name
        self.payload = payload
        self.received_at = received_at
        self.last_at = received_at
        self.acked = False
        self.cancelled = False
        self.starts: "Dict[int, StepStart]" = {}
        self.results: "Dict[int, StepDone]" = {}
        self.final: "Optional[Tuple[str, str]]" = None  # reply id, payload
        self.sent: "Set[str]" = set()

    @property
    def is_finished(self) -> bool:
        """The final reply has been taken: nothing remains to be done."""
        return self.final is not None and self.final[0] in self.sent

    def apply(self, record: "Dict[str, Any]") -> None:
        """Take in one record. Raises KeyError, TypeError, ValueError for one that doesn't have its members."""
        kind = record["t"]
        self.last_at = float(record["at"])
        if kind == ACKED:
            self.acked = True
        elif kind == CANCELLED:
            self.cancelled = True
        elif kind == STARTED:
            start = self.starts.setdefault(int(record["step"]), StepStart(self.last_at))
            start.runs += 1
            start.reboot_boot_id = ""
        elif kind == REBOOTING:
            self.starts[int(record["step"])].reboot_boot_id = str(record["boot_id"])
        elif kind == DONE:
            self.results[int(record["step"])] = StepDone(record)
        elif kind == FINAL:
            self.final = (str(record["reply_id"]), str(record["payload"]))
        elif kind == SENT:
            self.sent.add(str(record["reply_id"]))


def received(record: "Dict[str, Any]") -> CommandState:
    """The state after a command's first record."""
    return CommandState(
        str(record["id"]), str(record["message_id"]), str(record["name"]), str(record["payload"]), float(record["at"])
    )
