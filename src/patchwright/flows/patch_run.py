"""One run of the patch worker: hello -> order -> facts -> judgement -> report. Source: decisions.md 1 and 2."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from patchwright.core.builtin_documents import RUN_PATCH_BASELINE
from patchwright.core.documents import Document, delivered_parameters
from patchwright.core.errors import Invalid, Kind, NotFound, Refused
from patchwright.core.nodes import ManagedNode
from patchwright.core.report import report_of
from patchwright.core.values import PatchOperation, RebootOption
from patchwright.flows.facts_document import FACTS_VERSIONS
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.judge_node import JudgedNode, save_if_current
from patchwright.flows.ports import Ids
from patchwright.store import commands, facts, judgements, runs
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun

MAX_MESSAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is told to do. `known_digest` is that of the facts which the server holds, if any."""

    run: PatchRun
    known_digest: str | None


def start_patch_run(
    tx: Tx, *, node: ManagedNode, command_id: str, step: str, facts_versions: list[int], now: datetime, ids: Ids
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
    if command.document_name != RUN_PATCH_BASELINE:
        raise Refused(Kind.RUN, f"Command {command_id} does not run {RUN_PATCH_BASELINE}.")
    run = runs.find_step(tx, node.id, command_id, step)
    if run is None:
        run = _new_run(ids.uuid(), node, command_id, step, _parameters(command.content, command.parameters), now)
        runs.insert(tx, run)
    record = facts.current(tx, node.id)
    return Order(run=run, known_digest=record.report_digest if record else None)


def _parameters(content: dict[str, object], given: Mapping[str, list[str]]) -> Mapping[str, str]:
    return delivered_parameters(Document(name=RUN_PATCH_BASELINE, version="1", content=content), given)


def _new_run(
    run_id: str, node: ManagedNode, command_id: str, step: str, values: Mapping[str, str], now: datetime
) -> PatchRun:
    return PatchRun(
        id=run_id,
        node_id=node.id,
        scope=node.scope,
        command_id=command_id,
        step=step,
        operation=PatchOperation(values["Operation"]),
        reboot_option=RebootOption(values["RebootOption"]),
        # A worker that is given none invents one per node, as the managed service's does. Source: 2.4.
        snapshot_id=values["SnapshotId"] or run_id,
        override_list=values["InstallOverrideList"],
        started_at=now,
    )


def run_of(tx: Tx, run_id: str, node_id: str, command_id: str, step: str) -> PatchRun:
    """The run that a worker speaks of, if it is its own. Raises NotFound."""
    run = runs.find(tx, run_id)
    if run is None or (run.node_id, run.command_id, run.step) != (node_id, command_id, step):
        raise NotFound(Kind.RUN, "There is no such run of this worker.", id=run_id)
    return run


def note_facts(tx: Tx, run: PatchRun, now: datetime, ids: Ids) -> None:
    """The run's facts are in. A Scan clears what a failed Install left behind, and the counts follow."""
    if run.facts_at is None:
        runs.update(tx, run.id, facts_at=now)
    if run.operation is PatchOperation.SCAN and judgements.clear_failed(tx, run.node_id):
        mark_due(tx, run.scope, node_ids=[run.node_id], cause="scan", now=now, ids=ids)


def finish_patch_run(
    tx: Tx, run: PatchRun, judged: JudgedNode, *, exit_code: int, message: str, now: datetime
) -> tuple[str, int]:
    """End a run with the report for its output; a repeat gets the first answer and changes nothing.

    Returns the report and the exit code that the worker must end with.
    """
    if run.ended_at is not None and run.exit_code is not None:
        return run.report, run.exit_code
    code = exit_code if exit_code or run.facts_at is not None else 1
    governed = judged.governed
    report = report_of(
        node=judged.node.label,
        operation=run.operation,
        baseline_id=governed.baseline.id,
        baseline_name=governed.baseline.name,
        patch_group=governed.resolution.patch_group,
        snapshot_id=run.snapshot_id,
        outcome=judged.outcome,
        problems=judged.facts.state.problems if judged.facts else (),
        message=message,
    )
    result = {
        "baseline_id": governed.baseline.id,
        "baseline_version": governed.version,
        "patch_group": governed.resolution.patch_group,
        "status": judged.status,
        "counts": asdict(judged.counts),
    }
    said = "".join(c if c.isprintable() else " " for c in message[:MAX_MESSAGE])
    runs.update(tx, run.id, ended_at=now, exit_code=code, message=said, report=report, result=result)
    # When facts or baseline moved on meanwhile, the judging loop, which was told, has the last word.
    save_if_current(tx, judged)
    return report, code
