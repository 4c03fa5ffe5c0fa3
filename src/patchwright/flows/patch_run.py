"""One run of the patch worker, from its hello to its facts. Source: decisions.md 1 and 2."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from patchwright.core.boots import after_boot
from patchwright.core.builtin_documents import PATCH_DOCUMENTS
from patchwright.core.builtin_patch_documents import PLAN_PATCHES
from patchwright.core.commands import Details
from patchwright.core.document_parameters import delivered_parameters
from patchwright.core.documents import Document
from patchwright.core.errors import Invalid, Kind, NotFound, Refused
from patchwright.core.exit_codes import ExitCode, known_code
from patchwright.core.nodes import ManagedNode
from patchwright.core.overrides import check_overrides
from patchwright.core.reboot import still_pending
from patchwright.core.report import NEVER_REBOOTED, REBOOTED
from patchwright.core.values import PatchOperation, Slot
from patchwright.flows.facts_document import FACTS_VERSIONS
from patchwright.flows.hooks import order_of
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.judge_node import load_facts
from patchwright.flows.plan_record import read_settling
from patchwright.flows.ports import Ids
from patchwright.flows.run_rules import freeze_rules, needs_document
from patchwright.flows.settle_plan import SettledPlan, settled_plan
from patchwright.store import commands, facts, judgements, runs
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is told to do. `known_digest` is that of the facts which the server holds, if any.

    `exit_code` is set when there is nothing left to do: the worker prints the run's report and ends with it.
    """

    run: PatchRun
    known_digest: str | None
    exit_code: int | None = None
    plan: SettledPlan | None = None


def start_patch_run(
    tx: Tx,
    *,
    node: ManagedNode,
    command_id: str,
    step: str,
    facts_versions: list[int],
    boot_id: str,
    now: datetime,
    ids: Ids,
) -> Order:
    """Answer a worker's hello. A worker that starts again (reboot, kill) goes on with the same run.

    Raises Refused when the command isn't this node's open patch command, Invalid for facts that nobody could read.
    """
    if not set(facts_versions) & set(FACTS_VERSIONS):
        raise Invalid(
            Kind.REPORT, f"This server reads facts of version {FACTS_VERSIONS}; the worker sends {facts_versions[:10]}."
        )
    invocation = commands.find_invocation(tx, command_id, node.id)
    if invocation is None or invocation.details.terminal:
        raise Refused(Kind.RUN, "The command that this worker was started for is over. Nothing was done.")
    command = commands.get(tx, command_id)
    if command.document_name not in PATCH_DOCUMENTS:
        raise Refused(Kind.RUN, f"Command {command_id} runs no patch document.")
    run = runs.find_step(tx, node.id, command_id, step)
    if run is None and invocation.details is Details.CANCELLING:
        raise Refused(Kind.RUN, "The command that this worker was started for is being cancelled. Nothing was done.")
    if run is None:
        document = Document(name=command.document_name, version="1", content=command.content)
        run = _new_run(ids.uuid(), node, command_id, step, document, command.parameters, boot_id, now)
        runs.insert(tx, run)
    record = facts.current(tx, node.id)
    order = Order(run=run, known_digest=record.report_digest if record else None)
    if run.ended_at is not None:
        return _ended(tx, order, boot_id, now, ids)
    # While another Plan is being settled, the one before it no longer fits the node.
    return order if read_settling(run.draft) else replace(order, plan=settled_plan(run, now))


def _new_run(
    run_id: str,
    node: ManagedNode,
    command_id: str,
    step: str,
    document: Document,
    given: Mapping[str, list[str]],
    boot_id: str,
    now: datetime,
) -> PatchRun:
    values = {"Operation": PatchOperation.SCAN, **delivered_parameters(document, given)}
    operation, reboot_option = order_of(document.name, step, values)
    run = PatchRun(
        id=run_id,
        node_id=node.id,
        scope=node.scope,
        command_id=command_id,
        step=step,
        operation=operation,
        reboot_option=reboot_option,
        # A worker that is given none invents one per node, as the managed service's does. Source: 2.4.
        snapshot_id=values.get("SnapshotId") or run_id,
        override_list=values.get("InstallOverrideList", ""),
        baseline_override=values.get("BaselineOverride", ""),
        started_at=now,
        boot_id=boot_id,
        plan_only=document.name == PLAN_PATCHES,
    )
    refusal = _refusal(run, values.get("BaselineTags", ""))
    if refusal is None:
        return run
    code, text = refusal
    return replace(run, ended_at=now, exit_code=code, message=text, report=f"{text}\n")


def _refusal(run: PatchRun, baseline_tags: str) -> tuple[int, str] | None:
    """Orders that this server does not carry out: nothing is scanned or installed, and nothing recorded.

    Installing by the baseline what a list was meant to narrow would be worse than installing nothing.
    """
    code = check_overrides(run.override_list, run.baseline_override)
    if code is not None:
        return code, "InstallOverrideList and BaselineOverride can't be given together: nothing was done."
    if baseline_tags:
        return ExitCode.FAILURE, "BaselineTags is not built yet: nothing was done."
    wanted = needs_document(run)
    location = run.baseline_override or run.override_list
    if wanted and not location.startswith("https://"):
        code = ExitCode.OVERRIDE_NOT_FETCHED if run.baseline_override else ExitCode.FAILURE
        return code, f"{wanted} must be at an https:// address: nodes have no access to s3://. Nothing was done."
    return None


def _ended(tx: Tx, order: Order, boot_id: str, now: datetime, ids: Ids) -> Order:
    """A run that has ended: its code, which is another one once the host has rebooted, or never does."""
    run = order.run
    code = known_code(run.exit_code or 0)
    if code is None or not code.asks_for_reboot:
        return replace(order, exit_code=run.exit_code)
    last = run.reboot_asked_at or run.ended_at or run.started_at
    state = after_boot(code, asked_in=run.boot_id, now_in=boot_id, asked=run.reboots_asked, since=now - last)
    report = run.report
    if state.kept is ExitCode.REBOOT_NEVER_HAPPENED:
        report = NEVER_REBOOTED + report
        _restore_pending(tx, run, now, ids)
    elif state.kept is not code:
        report = REBOOTED + report
    values: dict[str, Any] = {"exit_code": state.kept, "reboots_asked": state.asked, "report": report}
    if state.asked != run.reboots_asked:
        values["reboot_asked_at"] = now
    runs.update(tx, run.id, **values)
    run = replace(run, **values)
    return replace(order, run=run, exit_code=state.shown)


def _restore_pending(tx: Tx, run: PatchRun, now: datetime, ids: Ids) -> None:
    """Patches were shown as if the reboot had happened. It has not: they wait for it. Source: 6.3, 6.4."""
    rows = (run.result or {}).get("waiting", [])
    waiting = frozenset((Slot(name=name, arch=arch), version, boot_id) for name, arch, version, boot_id in rows)
    history = judgements.history(tx, run.node_id)
    # A version waits once, in the boot that a later run knew.
    later = {(slot, version) for slot, version, _ in history.pending_reboot}
    waiting = frozenset(row for row in waiting if row[:2] not in later)
    judgements.save_history(tx, run.node_id, replace(history, pending_reboot=history.pending_reboot | waiting))
    mark_due(tx, run.scope, node_ids=[run.node_id], cause="reboot", now=now, ids=ids)


def run_of(tx: Tx, run_id: str, node_id: str, command_id: str, step: str) -> PatchRun:
    """The run that a worker speaks of, if it is its own. Raises NotFound."""
    run = runs.find(tx, run_id)
    if run is None or (run.node_id, run.command_id, run.step) != (node_id, command_id, step):
        raise NotFound(Kind.RUN, "There is no such run of this worker.", id=run_id)
    return run


def note_facts(tx: Tx, node: ManagedNode, run: PatchRun, now: datetime, ids: Ids) -> None:
    """The run's facts are in. A Scan clears what a failed Install left behind, and the counts follow."""
    freeze_rules(tx, node, run, now)
    if run.facts_at is None:
        runs.update(tx, run.id, facts_at=now)
    if run.operation is PatchOperation.SCAN and judgements.clear_failed(tx, run.node_id):
        mark_due(tx, run.scope, node_ids=[run.node_id], cause="scan", now=now, ids=ids)


def forget_booted(tx: Tx, node: ManagedNode, now: datetime, ids: Ids) -> None:
    """Forget pending reboots that the node's facts show to be over: another boot, or the version is gone.

    Source: patch-baselines.md 6.4; decisions.md 12.
    """
    history = judgements.history(tx, node.id)
    if not history.pending_reboot:
        return
    known = load_facts(tx, node, facts.current(tx, node.id))
    if known is None:
        return
    rows = still_pending(history.pending_reboot, known)
    if rows != history.pending_reboot:
        judgements.save_history(tx, node.id, replace(history, pending_reboot=rows))
        mark_due(tx, node.scope, node_ids=[node.id], cause="boot", now=now, ids=ids)
