"""What `patchwright nodes` can show of a node: one function a column, of DescribeNodes' NodeSummary."""

from collections.abc import Callable
from typing import Any

from patchwright.cli.output import NO_DATA, member

CLOCK_OFF_SECONDS = 30
"""A clock that is off by no more is not worth a note. Source: the agent tolerates as much."""
_LOST = "ConnectionLost"


def compliance_of(node: dict[str, Any]) -> str:
    """COMPLIANT, NON_COMPLIANT or UNJUDGED; "no data" for a node that never reported its packages."""
    return str(node.get("Compliance", "")) if node.get("FactsCollectedAt") else NO_DATA


def status_words(node: dict[str, Any]) -> set[str]:
    """Every word of --status that is true of the node."""
    words = {compliance_of(node).lower().replace("_", "-").replace(" ", "-")}
    words.add("offline" if node.get("PingStatus") == _LOST else "online")
    if node.get("ScanOnly"):
        words.add("scan-only")
    return words


def notes_of(node: dict[str, Any]) -> str:
    """What an operator must know before he counts on the node."""
    notes = []
    if node.get("ScanOnly"):
        notes.append("scan-only")
    offset = int(node.get("ClockOffsetSeconds") or 0)
    if abs(offset) > CLOCK_OFF_SECONDS:
        notes.append(f"clock {_duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}")
    waiting = member(node, "Counts", "InstalledPendingReboot")
    if waiting:
        notes.append(f"{waiting} wait for a reboot")
    if node.get("FactsCollectedAt") and node.get("UnjudgedReason"):
        notes.append(str(node["UnjudgedReason"]))
    return ", ".join(notes)


def _duration(seconds: int) -> str:
    """In the largest unit that fits: an operator wants to know whether it is a minute or a year."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _platform(node: dict[str, Any]) -> str:
    return f"{node.get('PlatformName', '')} {node.get('PlatformVersion', '')}".strip()


def _named(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda node: node.get(name)


def _within(outer: str, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda node: member(node, outer, name)


COLUMNS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "node": _named("NodeId"),
    "name": _named("Name"),
    "ping": _named("PingStatus"),
    "compliance": compliance_of,
    "missing": _within("Counts", "Missing"),
    "failed": _within("Counts", "Failed"),
    "notes": notes_of,
    "platform": _platform,
    "group": _named("PatchGroup"),
    "baseline": _named("BaselineId"),
    "critical": _within("Counts", "CriticalNonCompliant"),
    "security": _within("Counts", "SecurityNonCompliant"),
    "other": _within("Counts", "OtherNonCompliant"),
    "pending-reboot": _within("Counts", "InstalledPendingReboot"),
    "rejected": _within("Counts", "InstalledRejected"),
    "operation": _within("LastOperation", "Operation"),
    "exit-code": _within("LastOperation", "ExitCode"),
    "ended": _within("LastOperation", "EndedAt"),
    "reported": _named("FactsCollectedAt"),
    "seen": _named("LastPingAt"),
    "agent": _named("AgentVersion"),
    "clock-offset": _named("ClockOffsetSeconds"),
    "scan-only": _named("ScanOnly"),
}
"""Name -> what it shows. Names stay; new ones come at the end."""
DEFAULT_COLUMNS = ("node", "name", "ping", "compliance", "missing", "failed", "notes")
"""80 characters with a host's name of 13, as long as there is nothing to note."""
SHORTEN = ("name", "platform", "group", "baseline")
"""Columns that may lose their ends on a narrow terminal, in that order."""
