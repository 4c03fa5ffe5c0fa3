"""Send a command, and follow it to its end: one or two calls a look, however many nodes it has."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from patchwright.cli.exits import Failed
from patchwright.cli.nodes import PAGE, node_ids_of
from patchwright.cli.targets import targets_from
from patchwright.client.calls import Client
from patchwright.client.errors import Unreachable

POLL_SECONDS = 0.2
POLL_SLOWEST_SECONDS = 3.0
OUTAGE_SECONDS = 300.0
"""A server that is restarted meanwhile is waited for; its commands go on by themselves."""
OPEN_COMMAND = frozenset({"Pending", "InProgress", "Cancelling"})
OPEN = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
"""Statuses of an invocation that will change yet. Source: operations.md 3.3."""
EVERY_NODE = ({"Key": "InstanceIds", "Values": ["*"]},)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Nodes as SendCommand selects them: `node_ids` or `targets`, never both."""

    node_ids: tuple[str, ...] = ()
    targets: tuple[dict[str, Any], ...] = ()

    @property
    def members(self) -> dict[str, Any]:
        """For SendCommand."""
        return {"InstanceIds": list(self.node_ids)} if self.node_ids else {"Targets": list(self.targets)}


def selection_of(client: Client, args: argparse.Namespace) -> Selection:
    """The nodes that the options mean; names are looked up in one listing. Raises Failed."""
    if args.all:
        return Selection(targets=EVERY_NODE)
    if args.target:
        return Selection(targets=targets_from(args.target))
    return Selection(node_ids=tuple(dict.fromkeys(node_ids_of(client, args.node))))


def send(client: Client, document: str, selection: Selection, parameters: dict[str, str], **members: Any) -> str:
    """SendCommand; the command's id."""
    given = {name: [value] for name, value in parameters.items()}
    answer = client.call("ssm", "SendCommand", DocumentName=document, Parameters=given, **selection.members, **members)
    return str(answer["Command"]["CommandId"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A command as it was seen last. `invocations` are by node id; those of a large command are seen by turns."""

    command: dict[str, Any]
    invocations: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return int(self.command.get("TargetCount", 0))

    @property
    def completed(self) -> int:
        return int(self.command.get("CompletedCount", 0))

    @property
    def errors(self) -> int:
        return int(self.command.get("ErrorCount", 0)) + int(self.command.get("DeliveryTimedOutCount", 0))


class Progress(Protocol):
    """Whoever shows how far a command is."""

    def show(self, look: Look) -> None:
        """After each look."""

    def trouble(self, text: str) -> None:
        """The server did not answer; it is asked again."""

    def close(self) -> None:
        """Nothing more comes."""


def follow(
    client: Client,
    command_id: str,
    *,
    timeout_seconds: float | None,
    progress: Progress | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, Any]]:
    """The invocations of a command once all have ended, a page at a time. `check` runs at each look and may raise.

    Raises TimeoutError, Unreachable or Failed; the command goes on.
    """
    try:
        _wait(client, command_id, timeout_seconds, progress, check)
    finally:
        if progress is not None:
            progress.close()
    return invocations_of(client, command_id)


def invocations_of(client: Client, command_id: str) -> Iterator[dict[str, Any]]:
    """All invocations of a command, with what their steps printed."""
    wanted = {"CommandId": command_id, "Details": True, "MaxResults": PAGE}
    return client.pages("ssm", "ListCommandInvocations", "CommandInvocations", **wanted)


def _wait(
    client: Client,
    command_id: str,
    timeout_seconds: float | None,
    progress: Progress | None,
    check: Callable[[], None],
) -> None:
    started, pause = time.monotonic(), POLL_SECONDS
    look, token, silent_since = Look(command={}), None, None
    while True:
        check()
        try:
            look, token = _look(client, command_id, look, token, with_nodes=progress is not None)
            silent_since = None
        except Unreachable as lost:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > OUTAGE_SECONDS:
                raise
            if progress is not None:
                progress.trouble(str(lost))
        else:
            if progress is not None:
                progress.show(look)
            if look.command["Status"] not in OPEN_COMMAND:
                return
        if timeout_seconds is not None and time.monotonic() - started > timeout_seconds:
            rest = f"{look.total - look.completed} of {look.total} nodes have"
            raise TimeoutError(f"{rest} not ended after {timeout_seconds:g} seconds")
        time.sleep(pause)
        pause = min(pause * 1.2, POLL_SLOWEST_SECONDS)


def _look(
    client: Client, command_id: str, before: Look, token: str | None, *, with_nodes: bool
) -> tuple[Look, str | None]:
    """The command's counters, and the next page of its invocations."""
    found = client.call("ssm", "ListCommands", CommandId=command_id).get("Commands", ())
    if not found:
        raise Failed(f"the server knows no command {command_id} any more")
    look = replace(before, command=found[0])
    if not with_nodes:
        return look, None
    more = {"NextToken": token} if token else {}
    page = client.call("ssm", "ListCommandInvocations", CommandId=command_id, Details=True, MaxResults=PAGE, **more)
    seen = {str(i["InstanceId"]): i for i in page.get("CommandInvocations", ())}
    return replace(look, invocations=before.invocations | seen), page.get("NextToken") or None


def how_to_go_on(command_id: str, *, cancel: bool) -> str:
    """The lines that tell an operator how to follow a command, or to cancel it."""
    lines = [f"  follow it: aws ssm list-command-invocations --command-id {command_id}"]
    if cancel:
        lines.append(f"  cancel it: aws ssm cancel-command --command-id {command_id}")
    return "\n".join(lines)


_REBOOT = 194


def state_of(invocation: dict[str, Any]) -> str:
    """StatusDetails, or "rebooting" where a step has asked for it and the node is not back yet."""
    state = str(invocation.get("StatusDetails") or invocation["Status"])
    asked = any(step.get("ResponseCode") == _REBOOT for step in invocation.get("CommandPlugins", ()))
    return "rebooting" if asked and state == "InProgress" else state


def reason_of(invocation: dict[str, Any]) -> str:
    """Why an invocation did not succeed: the server's words, else what a failed step said of it."""
    if invocation.get("TraceOutput"):
        return str(invocation["TraceOutput"])
    for step in invocation.get("CommandPlugins", ()):
        lines = [line for line in str(step.get("Output", "")).splitlines() if line.strip()]
        if step.get("Status") in ("Success", "Pending"):
            continue
        said = [line for line in lines if line.startswith(_SAID)]
        if said:
            return said[0].removeprefix(_SAID[0]).strip()
        if lines and not lines[0].startswith(_REPORT):
            return lines[-1].strip()
        return f"it ended with exit code {step.get('ResponseCode')}"
    return str(invocation.get("StatusDetails") or invocation.get("Status", ""))


_REPORT = "Patch Summary for "
_SAID = ("Message: ", "Problem: ")
"""Lines of a patch run's report that say why. Source: core/report.py."""
