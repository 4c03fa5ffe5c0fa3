"""The end of a patch run: the package database compared with the Plan, the reboot, the report; once.

Source: decisions.md 5, 6, 12; patch-baselines.md 5.6, 5.7, 6.1 to 6.5.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from patchwright.core.approval import AptDelays
from patchwright.core.commands import Details
from patchwright.core.exit_codes import ExitCode, known_code, shown_code
from patchwright.core.failures import ProblemCode
from patchwright.core.judge import judge
from patchwright.core.judgement import History, Judgement
from patchwright.core.nodes import ManagedNode
from patchwright.core.outcome import Outcome, Said, after_install
from patchwright.core.plan import ItemRole, Plan, PlanItem
from patchwright.core.reboot import RebootDecision, RebootReason, pending_after, reboot_decision, still_pending
from patchwright.core.report import RunStory, report_of
from patchwright.core.values import PatchOperation, Slot
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.judge_node import JudgedNode, save_if_current
from patchwright.flows.plan_record import read_plan
from patchwright.flows.ports import Ids
from patchwright.flows.run_rules import JudgedRun, judge_run
from patchwright.store import commands, facts, judgements, runs
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun

MAX_MESSAGE = 2_000
MAX_NOTES = 50
MAX_NOTE = 500
"""Characters; a note is a sentence, such as the name of a configuration file that was kept."""
ANOTHER_PLAN = "the worker says that it applied another Plan than the one settled for it"
NO_PLAN = "the worker ended without a Plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the worker says of the end. Its texts are a host's: bounded and made printable by `read_ending`."""

    exit_code: int
    message: str = ""
    boot_id: str = ""
    plan_digest: str = ""
    failures: Mapping[Slot, str]
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """What a run came to, worked out on a snapshot. `judged` has the history that the run leaves behind."""

    run: PatchRun
    before: JudgedNode
    judged: JudgedNode
    live: JudgedNode
    """What stands for the node from now on: the same, but by the live rules where the run went by others."""
    code: int
    message: str
    reboot: RebootDecision
    plan: Plan | None = None
    new: tuple[PlanItem, ...] = ()
    failed: Mapping[tuple[Slot, str], str] = field(default_factory=dict)
    """Exact targets that are not there after an Install, left-out ones included, with the reason that is kept."""
    waiting: frozenset[tuple[Slot, str, str]] = frozenset()
    """Pending rows that a reboot clears: kept for the case that it never happens."""


def read_ending(request: Mapping[str, Any]) -> Ending:
    """FinishPatchRun's request, as its shape has let it through."""
    return Ending(
        exit_code=request["ExitCode"],
        message=_shown(request.get("Message", ""), MAX_MESSAGE),
        boot_id=request.get("BootId", ""),
        plan_digest=request.get("PlanDigest", ""),
        failures={
            Slot(name=f["Name"], arch=f.get("Arch", "")): _shown(f.get("Message", ""), MAX_MESSAGE)
            for f in request.get("Failures", ())
        },
        problem=request.get("ProblemCode", ""),
        notes=tuple(_shown(note, MAX_NOTE) for note in request.get("Notes", ())[:MAX_NOTES]),
    )


def _shown(text: str, limit: int) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def conclude(
    tx: Tx, node: ManagedNode, run: PatchRun, ending: Ending, now: datetime, apt_delays: AptDelays
) -> Concluded:
    """Judge the node as the run leaves it. Reads only; whatever the worker says, its facts decide."""
    judged_run = judge_run(tx, node, run, now, apt_delays)
    refusal = judged_run.rules.refusal
    if refusal is not None:
        code, words = refusal
        # What the worker itself has failed at is told beside it.
        code = code if ending.exit_code in (ExitCode.SUCCESS, ExitCode.FAILURE) else ending.exit_code
        ending = replace(ending, exit_code=code, message=f"{words}. {ending.message}".rstrip())
    if refusal is not None or run.operation is PatchOperation.SCAN or judged_run.judged.facts is None:
        return _without_install(run, judged_run, ending)
    plan = read_plan(run.plan) if run.plan is not None else _unplanned(run, judged_run, ending)
    if plan is None:
        return _without_install(run, judged_run, ending)
    return _installed(run, judged_run, ending, plan, apt_delays, taken_back=_is_taken_back(tx, run))


def _is_taken_back(tx: Tx, run: PatchRun) -> bool:
    invocation = commands.find_invocation(tx, run.command_id or "", run.node_id)
    return invocation is not None and invocation.details in (Details.CANCELLING, Details.CANCELLED)


def _without_install(run: PatchRun, judged: JudgedRun, ending: Ending) -> Concluded:
    """A Scan, a Plan that is only shown, or an Install that never came to attempt anything."""
    code, message = ending.exit_code, ending.message
    plan = read_plan(run.plan) if run.plan is not None else None
    scan = run.operation is PatchOperation.SCAN
    if code == ExitCode.SUCCESS and (run.facts_at is None or (plan is None and (run.plan_only or not scan))):
        code = ExitCode.FAILURE
        message = message or ("" if run.facts_at is None else NO_PLAN)
    known = known_code(code)
    if known is not None and known.asks_for_reboot:
        code = ExitCode.FAILURE  # the server alone asks for a reboot, and not for this
    reason = RebootReason.SCAN if scan else RebootReason.NOTHING_TO_DO
    return Concluded(
        run=run,
        before=judged.live,
        judged=judged.judged,
        live=judged.live,
        code=code,
        message=message,
        reboot=RebootDecision(reboot=False, reason=reason),
        plan=plan,
    )


def _unplanned(run: PatchRun, judged: JudgedRun, ending: Ending) -> Plan | None:
    """An Install that a problem ended before it had a Plan: what it would have gone for has failed."""
    if not ending.problem or not isinstance(judged.judged.outcome, Judgement):
        return None
    items = (
        PlanItem(slot=t.slot, from_version=t.from_version, to_version=t.version, role=ItemRole.TARGET)
        for t in judged.targets()
    )
    return Plan(items=tuple(items), dropped=(), reboot_option=run.reboot_option)


def _installed(
    run: PatchRun, judged_run: JudgedRun, ending: Ending, plan: Plan, apt_delays: AptDelays, *, taken_back: bool
) -> Concluded:
    judged, live = judged_run.judged, judged_run.live
    after = judged.facts
    if after is None:
        return _without_install(run, judged_run, ending)
    said = Said(messages=ending.failures, problem=ending.problem, message=ending.message)
    outcome = after_install(plan, after, said)
    # A cancel that the worker has not heard of yet holds the reboot back as one that it has.
    problem = ProblemCode.CANCELLED if taken_back else ending.problem
    decision = _reboot(run, judged, problem, outcome)
    new = [(item.slot, item.to_version) for item in outcome.new]
    waiting = pending_after(judged.history, after, new, run.operation, reboots=False)
    kept = frozenset() if decision.reboot else waiting
    history = replace(outcome.remembered(judged.history), pending_reboot=kept)
    other = bool(ending.plan_digest) and ending.plan_digest != run.plan_digest
    code = outcome.exit_code(reboots=decision.reboot, worker_failed=other or _failed(ending))
    again = _rejudged(judged, history, apt_delays)
    return Concluded(
        run=run,
        before=live,
        judged=again,
        live=again if judged is live else _rejudged(live, history, apt_delays),
        code=code,
        message=f"{ANOTHER_PLAN}. {ending.message}".rstrip() if other else ending.message,
        reboot=decision,
        plan=plan if run.plan is not None else None,
        new=outcome.new,
        failed=outcome.failed_reasons,
        waiting=waiting if decision.reboot else frozenset(),
    )


_FINE = frozenset({ExitCode.SUCCESS, ExitCode.DEPENDENCY_FAILURE})


def _failed(ending: Ending) -> bool:
    """Whether the worker itself speaks of a failure: then the run has failed, whatever is installed."""
    code = known_code(ending.exit_code)
    return bool(ending.problem) or code is None or not (code in _FINE or code.asks_for_reboot)


def _reboot(run: PatchRun, judged: JudgedNode, problem: str, outcome: Outcome) -> RebootDecision:
    pending = still_pending(judged.history.pending_reboot, judged.facts) if judged.facts else frozenset()
    return reboot_decision(
        run.operation,
        run.reboot_option,
        pending=pending,
        installed_count=len(outcome.new),
        problem=problem,
    )


def _rejudged(judged: JudgedNode, history: History, apt_delays: AptDelays) -> JudgedNode:
    """The same node, judged with another history."""
    outcome = judge(
        judged.facts,
        history,
        judged.governed.baseline,
        judged.catalogue,
        judged.judged_at,
        apt_delays=apt_delays,
    )
    return replace(judged, history=history, outcome=outcome)


def finish_patch_run(
    tx: Tx, run: PatchRun, ending: Ending, concluded: Concluded, *, now: datetime, apt_delays: AptDelays, ids: Ids
) -> tuple[str, int]:
    """End a run: its report, and the code that the worker must end with.

    A repeat gets the first answer and changes nothing. What moved on since `concluded` was worked out is looked at
    again here.
    """
    if run.ended_at is not None and run.exit_code is not None:
        return run.report, shown_code(run.exit_code)
    if not _still_true(tx, run, concluded):
        concluded = conclude(tx, concluded.before.node, run, ending, now, apt_delays)
    report = report_of(_story(concluded, ending))
    reboots = concluded.reboot.reboot
    runs.update(
        tx,
        run.id,
        ended_at=now,
        exit_code=concluded.code,
        message=concluded.message[:MAX_MESSAGE],
        report=report,
        result=_result(concluded),
        draft=None,
        boot_id=_boot_of(concluded, ending) if reboots else run.boot_id,
        reboot_asked_at=now if reboots else None,
    )
    _keep_history(tx, concluded, now, ids)
    return report, shown_code(concluded.code)


def _still_true(tx: Tx, run: PatchRun, concluded: Concluded) -> bool:
    record, seen = facts.current(tx, run.node_id), concluded.before.record
    return (
        (record.id if record else None) == (seen.id if seen else None)
        and (run.plan_digest, run.facts_at) == (concluded.run.plan_digest, concluded.run.facts_at)
        and judgements.history(tx, run.node_id) == concluded.before.history
        and not (concluded.reboot.reboot and _is_taken_back(tx, run))
    )


def _keep_history(tx: Tx, concluded: Concluded, now: datetime, ids: Ids) -> None:
    node, history = concluded.live.node, concluded.live.history
    changed = history != concluded.before.history
    if changed:
        judgements.save_history(tx, node.id, history)
    # When facts or baseline moved on meanwhile, the judging loop, which was told, has the last word.
    save_if_current(tx, concluded.live)
    if changed:
        # A turn of the loop that began before knows nothing of the new history: the node must come once more.
        mark_due(tx, node.scope, node_ids=[node.id], cause="install", now=now, ids=ids)


def _boot_of(concluded: Concluded, ending: Ending) -> str:
    """The boot in which the reboot is asked for: the worker's word, else what its facts say."""
    known = concluded.judged.facts
    return ending.boot_id or (known.state.boot_id if known else "")


def _story(concluded: Concluded, ending: Ending) -> RunStory:
    run, judged = concluded.run, concluded.judged
    governed = judged.governed
    return RunStory(
        node=judged.node.label,
        operation=run.operation,
        plan_only=run.plan_only,
        baseline_id=governed.baseline.id,
        baseline_name=governed.baseline.name,
        patch_group=governed.resolution.patch_group,
        snapshot_id=run.snapshot_id,
        outcome=judged.outcome,
        reboot=concluded.reboot,
        exit_code=concluded.code,
        problems=judged.facts.state.problems if judged.facts else (),
        message=concluded.message,
        plan=concluded.plan,
        new=concluded.new,
        notes=ending.notes,
    )


def _result(concluded: Concluded) -> dict[str, Any]:
    """The operation as it was, which no later judgement changes. Source: decisions.md 13."""
    judged = concluded.judged
    governed = judged.governed
    return {
        "baseline_id": governed.baseline.id,
        "baseline_version": governed.version,
        "patch_group": governed.resolution.patch_group,
        "override_digest": concluded.run.override_digest,
        "status": judged.status,
        "counts": asdict(judged.counts),
        "reboot": {"reboots": concluded.reboot.reboot, "reason": concluded.reboot.reason},
        "installed": [[i.slot.name, i.slot.arch, i.from_version, i.to_version, i.role] for i in concluded.new],
        "failed": [[s.name, s.arch, version, text] for (s, version), text in sorted(concluded.failed.items())],
        "waiting": [[slot.name, slot.arch, version, boot_id] for slot, version, boot_id in sorted(concluded.waiting)],
    }
