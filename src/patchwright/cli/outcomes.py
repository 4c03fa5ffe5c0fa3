"""What an Install came to on each node: read from the API after the command, and put into words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from patchwright.cli.blocks import Row, change, package, rows_text, why_left_out
from patchwright.cli.follow import reason_of
from patchwright.cli.node_columns import compliance_of
from patchwright.cli.nodes import described_by_id, with_nodes
from patchwright.cli.output import NO_DATA, member
from patchwright.cli.plans import NO_PLAN, NodePlan, plan_json
from patchwright.client.calls import Client
from patchwright.client.errors import ApiError

SUCCESS = "Success"
_DEPENDENCY_FAILURE, _NEVER_REBOOTED = 2, 3
"""Exit codes of a patch run. Source: docs/reference/exit-codes.md."""
COLUMNS = ("NODE", "NAME", "STATUS", "INSTALLED", "FAILED", "REBOOT", "COMPLIANCE")
CSV_COLUMNS = (
    "NODE", "NAME", "STATUS", "PACKAGE", "FROM", "TO", "ROLE", "RESULT", "REBOOT", "COMPLIANCE", "REASON",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One node after an Install. `plan` is what was shown before; `answer` is GetPatchPlan's of the Install.

    `status` is the invocation's StatusDetails, or the Plan's state for a node that was not sent the Install.
    """

    plan: NodePlan
    status: str
    sent: bool
    reason: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    node: Mapping[str, Any] = field(default_factory=dict)
    """DescribeNodes' NodeSummary; {} for a node that has left."""

    @property
    def installed(self) -> list[dict[str, Any]]:
        return list(self.answer.get("Installed", ()))

    @property
    def failed(self) -> list[dict[str, Any]]:
        """What the Install could not bring in: items of its Plan that are not there, each with Code and Reason."""
        if not self.sent:
            return []
        there = {_key(i, "ToVersion") for i in self.installed}
        reasons = {_key(f, "Version"): f for f in self.answer.get("Failed", ())}
        missed = [i for i in self.answer.get("Items", ()) if self.over and _key(i, "ToVersion") not in there]
        known = {_key(i, "ToVersion") for i in missed}
        # An Install that never came to a Plan names what it would have gone for.
        missed += [{**f, "ToVersion": f.get("Version"), "Role": "target"} for k, f in reasons.items() if k not in known]
        return [_failure(item, reasons.get(_key(item, "ToVersion"), {})) for item in missed]

    @property
    def over(self) -> bool:
        """Whether the Install came to an end that the server compared with the Plan."""
        return "Installed" in self.answer

    @property
    def dropped(self) -> list[dict[str, Any]]:
        return list(self.answer.get("Dropped", ())) if self.sent else self.plan.dropped

    @property
    def compliance(self) -> str:
        return compliance_of(dict(self.node)) if self.node else NO_DATA

    @property
    def reboot(self) -> str:
        """done, pending, never (it was asked to and did not), or no."""
        if self.answer.get("ExitCode") == _NEVER_REBOOTED:
            return "never"
        if member(self.node, "Counts", "InstalledPendingReboot"):
            return "pending"
        return "done" if self.sent and self.answer.get("Reboots") and self.answer.get("ExitCode") in (0, 1, 2) else "no"

    @property
    def as_shown(self) -> bool:
        """Whether the Plan that was settled for the Install is the one that was shown before."""
        return self.plan.digest == str(self.answer.get("PlanDigest") or "")

    @property
    def broken(self) -> bool:
        """Whether something failed to run. Targets that had to be left out are a matter of compliance."""
        if not self.sent:
            return self.plan.state == NO_PLAN
        return self.status != SUCCESS and not (self.answer.get("ExitCode") == _DEPENDENCY_FAILURE and not self.failed)


def outcomes_of(
    client: Client, command_id: str | None, invocations: Iterable[dict[str, Any]], plans: Sequence[NodePlan]
) -> list[Outcome]:
    """One Outcome a node: those that were sent the Install, then those that were not. Reads page by page."""
    shown = {plan.node_id: plan for plan in plans}
    found: list[Outcome] = []
    for invocation, node in with_nodes(client, invocations):
        plan = shown.pop(str(invocation["InstanceId"]), None)
        found.append(_sent(client, str(command_id), invocation, plan, node))
    rest = list(shown.values())
    nodes = described_by_id(client, [p.node_id for p in rest])
    found += [Outcome(plan=p, status=p.state, sent=False, reason=p.reason, node=nodes.get(p.node_id, {})) for p in rest]
    return found


def _sent(
    client: Client, command_id: str, invocation: dict[str, Any], plan: NodePlan | None, node: dict[str, Any]
) -> Outcome:
    node_id = str(invocation["InstanceId"])
    if plan is None:
        # It came under the target after the question had been asked.
        plan = NodePlan(node_id=node_id, name=str(invocation.get("InstanceName") or node_id), state="")
    status = str(invocation.get("StatusDetails") or invocation["Status"])
    reason = "" if status == SUCCESS else reason_of(invocation)
    try:
        answer = client.call("patchwright", "GetPatchPlan", NodeId=node_id, CommandId=command_id)
    except ApiError as refused:
        if refused.code not in ("DoesNotExistException", "InvalidInstanceId"):
            raise
        return Outcome(plan=plan, status=status, sent=True, reason=reason, node=node)
    said = str(answer.get("Message") or "")
    outcome = Outcome(plan=plan, status=status, sent=True, reason=said, answer=answer, node=node)
    # Packages with reasons of their own say more than the exit code does.
    return outcome if said or outcome.failed or outcome.dropped else replace(outcome, reason=reason)


def _key(entry: Mapping[str, Any], version: str) -> tuple[Any, Any, Any]:
    return entry.get("Name"), entry.get("Arch"), entry.get(version)


def _failure(item: Mapping[str, Any], why: Mapping[str, Any]) -> dict[str, Any]:
    """An item of a Plan with why it is not there; a dependency has no reason of its own."""
    names = ("Name", "Arch", "FromVersion", "ToVersion", "Role")
    return {**{n: item.get(n) for n in names}, "Code": why.get("Code"), "Reason": why.get("Reason")}


def table_row(outcome: Outcome) -> list[Any]:
    """For COLUMNS."""
    return [
        outcome.plan.node_id, outcome.plan.name, outcome.status, len(outcome.installed), len(outcome.failed),
        outcome.reboot, outcome.compliance,
    ]  # fmt: skip


def csv_rows(outcome: Outcome) -> Iterator[list[Any]]:
    """A row per package; one row for a node on which nothing was to be done."""
    begin = [outcome.plan.node_id, outcome.plan.name, outcome.status]
    end = [outcome.reboot, outcome.compliance]
    rows = [("installed", i) for i in outcome.installed] + [("failed", i) for i in outcome.failed]
    for word, i in rows:
        versions = [package(i), i.get("FromVersion"), i.get("ToVersion"), i.get("Role")]
        yield [*begin, *versions, word, *end, i.get("Reason")]
    for drop in outcome.dropped:
        yield [*begin, package(drop), None, drop.get("Version"), "target", "left out", *end, drop.get("Reason")]
    if not rows and not outcome.dropped:
        yield [*begin, None, None, None, None, None, *end, outcome.reason or None]


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """One node: the Plan that was shown, and what came of it."""
    answer = outcome.answer
    return {
        "NodeId": outcome.plan.node_id,
        "Name": outcome.plan.name,
        "Status": outcome.status,
        "Reason": outcome.reason or None,
        "ExitCode": answer.get("ExitCode") if outcome.sent else None,
        "Installed": outcome.installed,
        "Failed": outcome.failed,
        "Dropped": outcome.dropped,
        "Reboot": outcome.reboot,
        "Compliance": outcome.compliance,
        "Counts": outcome.node.get("Counts"),
        "PlanAsShown": outcome.as_shown if outcome.sent else None,
        "Plan": plan_json(outcome.plan) if outcome.plan.state else None,
    }


def body(outcome: Outcome, *, width: int | None, colour: bool) -> str:
    """What happened on the node, for people; the table has the rest."""
    rows = [
        Row(
            word=word,
            package=package(i),
            what=change(i.get("FromVersion"), i.get("ToVersion")),
            note="dependency" if i.get("Role") == "dependency" else "",
            why=str(i.get("Reason") or ""),
        )
        for word, entries in (("installed", outcome.installed), ("failed", outcome.failed))
        for i in entries
    ]
    rows += [
        Row(word="left out", package=package(d), what=str(d.get("Version", "")), why=why_left_out(d))
        for d in outcome.dropped
    ]
    text = rows_text(rows, width=width, colour=colour)
    if outcome.reason:
        text += rows_text([Row(word="", package=outcome.reason)], width=width, colour=colour)
    if outcome.sent and outcome.answer and not outcome.as_shown:
        text += "  its plan was another one than shown before: the repositories or its packages have changed\n"
    if outcome.reboot == "pending":
        waiting = member(outcome.node, "Counts", "InstalledPendingReboot")
        text += f"  waits for a reboot: {waiting} installed, not in use before that\n"
    if outcome.reboot == "never":
        text += "  was asked to reboot and did not: reboot it by hand\n"
    return text
