"""The settled Plan of each node: made by a plan-only command, read from the API, put into words."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from patchwright.cli.exits import Failed
from patchwright.cli.follow import Selection, follow, how_to_go_on, reason_of, send
from patchwright.cli.progress import progress_on
from patchwright.client.calls import Client
from patchwright.client.errors import ApiError

DOCUMENT = "Patchwright-PlanPatches"
DELIVERY_SECONDS = 120
"""A node that does not take the question within this time is away; an hour, as by default, would stop an operator."""
WOULD_CHANGE, NO_CHANGE, NO_PLAN = "WOULD_CHANGE", "NO_CHANGE", "NO_PLAN"
_LATE = "the node did not answer in time: is it there, and does its agent run?"

REBOOT_WORDS = {
    "PATCHES_INSTALLED": "reboots afterwards, since packages are installed",
    "PATCHES_PENDING_REBOOT": "reboots, since packages of an earlier run wait for it",
    "NO_REBOOT": "does not reboot (NoReboot): what goes in waits for the next reboot",
    "NOTHING_TO_DO": "does not reboot: nothing is installed",
    "CANCELLED": "does not reboot: the run was cancelled",
    "MANAGER_BROKEN": "does not reboot: its package database must be repaired first",
    "MANAGER_LOCKED": "does not reboot: another program is changing packages",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What an Install would do on one node. `answer` is GetPatchPlan's, {} where there is no Plan."""

    node_id: str
    name: str
    state: str
    reason: str = ""
    """Why there is no Plan."""
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def items(self) -> list[dict[str, Any]]:
        return list(self.answer.get("Items", ()))

    @property
    def dropped(self) -> list[dict[str, Any]]:
        return list(self.answer.get("Dropped", ()))

    @property
    def reboots(self) -> bool:
        return bool(self.answer.get("Reboots"))

    @property
    def digest(self) -> str:
        return str(self.answer.get("PlanDigest") or "")


def make_plans(
    client: Client, selection: Selection, args: argparse.Namespace, *, cancel_words: str
) -> tuple[str, list[NodePlan]]:
    """Ask the nodes selected for their Plans and wait: the command's id, and one NodePlan a node.

    `cancel_words` says to whoever interrupts what was not done. Raises Failed.
    """
    members = {"Comment": args.comment} if args.comment else {}
    # A node that fails must not keep the others from being asked; nothing is changed by this.
    parameters = {"RebootOption": reboot_option_of(args)}
    command_id = send(
        client, DOCUMENT, selection, parameters, MaxErrors="100%", TimeoutSeconds=DELIVERY_SECONDS, **members
    )
    try:
        ended = follow(client, command_id, timeout_seconds=args.timeout, progress=progress_on(sys.stderr, "plan"))
        plans = [_plan_of(client, command_id, invocation) for invocation in ended]
    except (KeyboardInterrupt, TimeoutError) as cut_off:
        said = str(cut_off) or "interrupted"
        more = how_to_go_on(command_id, cancel=True)
        raise Failed(
            f"{said}; {cancel_words}. The question to the nodes goes on and changes nothing:\n{more}"
        ) from None
    if not plans:
        raise Failed("no node was selected")
    return command_id, plans


def reboot_option_of(args: argparse.Namespace) -> str:
    """What --no-reboot means."""
    return "NoReboot" if args.no_reboot else "RebootIfNeeded"


def _plan_of(client: Client, command_id: str, invocation: dict[str, Any]) -> NodePlan:
    node_id, name = str(invocation["InstanceId"]), str(invocation.get("InstanceName") or invocation["InstanceId"])
    late = invocation.get("StatusDetails") in ("DeliveryTimedOut", "Delayed")
    reason = _LATE if late else reason_of(invocation)
    try:
        answer = client.call("patchwright", "GetPatchPlan", NodeId=node_id, CommandId=command_id)
    except ApiError as refused:
        if refused.code not in ("DoesNotExistException", "InvalidInstanceId"):
            raise
        return NodePlan(node_id=node_id, name=name, state=NO_PLAN, reason=reason)
    if invocation["Status"] != "Success" or not answer.get("SettledAt"):
        reason = str(answer.get("Message") or reason)
        return NodePlan(node_id=node_id, name=name, state=NO_PLAN, reason=reason)
    state = WOULD_CHANGE if answer.get("Items") or answer.get("Reboots") else NO_CHANGE
    return NodePlan(node_id=node_id, name=name, state=state, answer=answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over the Plans of all nodes."""

    nodes: int
    nodes_to_change: int
    nodes_to_reboot: int
    nodes_without_plan: int
    changes: int
    dependencies: int
    dropped: int


def totals_of(plans: Iterable[NodePlan]) -> Totals:
    plans = list(plans)
    items = [item for plan in plans for item in plan.items]
    return Totals(
        nodes=len(plans),
        nodes_to_change=sum(p.state == WOULD_CHANGE for p in plans),
        nodes_to_reboot=sum(p.reboots for p in plans),
        nodes_without_plan=sum(p.state == NO_PLAN for p in plans),
        changes=len(items),
        dependencies=sum(item.get("Role") == "dependency" for item in items),
        dropped=sum(len(p.dropped) for p in plans),
    )


def totals_json(totals: Totals) -> dict[str, int]:
    return {
        "Nodes": totals.nodes,
        "NodesToChange": totals.nodes_to_change,
        "NodesToReboot": totals.nodes_to_reboot,
        "NodesWithoutPlan": totals.nodes_without_plan,
        "Changes": totals.changes,
        "Dependencies": totals.dependencies,
        "Dropped": totals.dropped,
    }


def plan_json(plan: NodePlan) -> dict[str, Any]:
    """One node's Plan; members that say nothing about it are null, lists are empty."""
    answer = plan.answer
    return {
        "NodeId": plan.node_id,
        "Name": plan.name,
        "State": plan.state,
        "Reason": plan.reason or None,
        "BaselineId": answer.get("BaselineId"),
        "Items": plan.items,
        "Dropped": plan.dropped,
        "Reboots": plan.reboots,
        "RebootReason": answer.get("RebootReason"),
        "PlanDigest": answer.get("PlanDigest"),
        "SettledAt": answer.get("SettledAt"),
        "ExpiresAt": answer.get("ExpiresAt"),
    }
