"""Settle the Plan of a run with its worker: one question a call, kept so that a kill at any line loses nothing.

Source: decisions.md 1, 3; the worker's protocol, SettlePlan.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from patchwright.core.approval import AptDelays
from patchwright.core.commands import Details
from patchwright.core.errors import AlreadyExists, Invalid, Kind, LimitExceeded, Refused
from patchwright.core.judgement import Judgement
from patchwright.core.nodes import ManagedNode
from patchwright.core.plan import LIFETIME, MAX_TARGETS, Closure, Plan, Target
from patchwright.core.settle import Mode, Settling, answered, begin
from patchwright.core.values import PatchOperation
from patchwright.flows.judge_node import JudgedNode
from patchwright.flows.plan_record import (
    Basis,
    draft_record,
    plan_record,
    read_basis,
    read_plan,
    read_settling,
)
from patchwright.flows.run_rules import judge_run
from patchwright.store import commands, facts, runs
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun

MAX_PLANS = 2
"""A repository that moves on is followed once. Source: decisions.md 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleCall:
    """One SettlePlan call. `digest` is that of its content: the same content gets the same answer."""

    facts_digest: str
    replan: bool
    mode: Mode | None
    closures: tuple[Closure, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a call leads to, worked out on a snapshot: the run as it was seen, and the columns to change, if any."""

    run: PatchRun
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledPlan:
    """A Plan as it is handed out. `seconds_left` of its life, never negative."""

    plan: Plan
    digest: str
    settled_at: datetime
    seconds_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the worker must simulate."""

    mode: Mode
    targets: tuple[Target, ...]


def prepare_step(
    tx: Tx, node: ManagedNode, run: PatchRun, call: SettleCall, now: datetime, apt_delays: AptDelays
) -> Step:
    """Work out what `call` leads to. Reads only.

    A repeat of the last call, and an answer to another question than the standing one, change nothing.
    Raises Refused for a run that plans nothing or is over, Invalid when its facts are not the node's current ones or
    can't be judged, AlreadyExists for a third Plan, LimitExceeded for more targets than a Plan may have.
    """
    check_may_plan(tx, run, call.facts_digest)
    unchanged = Step(run=run, values={})
    if run.draft is not None and run.draft["last"] == call.digest:
        return unchanged
    settling = read_settling(run.draft)
    if settling is None and run.plan is not None:
        if not call.replan or call.mode is not None:
            return unchanged
        if run.plans >= MAX_PLANS:
            raise AlreadyExists(
                Kind.RUN, f"{MAX_PLANS} Plans were settled for this run; there is no third. End it.", id=run.id
            )
    judged_run = judge_run(tx, node, run, now, apt_delays)
    judged = judged_run.judged
    if judged_run.rules.refusal is not None:
        raise Refused(Kind.RUN, f"Nothing is planned: {judged_run.rules.refusal[1]}.", id=run.id)
    if not isinstance(judged.outcome, Judgement) or judged.facts is None:
        reason = "it reported no facts" if isinstance(judged.outcome, Judgement) else judged.outcome.reason
        raise Invalid(Kind.RUN, f"Nothing can be planned for node {node.id}: {reason}", id=run.id)
    basis = _basis(judged, call.facts_digest)
    if settling is None or run.draft is None or read_basis(run.draft) != basis:
        # Facts or baseline moved on since the first question: what was answered speaks of another host.
        return Step(run=run, values=_values(run, _begin(run, judged_run.targets()), basis, call.digest, now))
    if call.mode is not settling.mode:
        return unchanged
    outcome = answered(settling, call.closures, run.reboot_option, judged_run.ground())
    return Step(run=run, values=_values(run, outcome, basis, call.digest, now))


def settle(tx: Tx, run: PatchRun, step: Step, facts_digest: str) -> PatchRun:
    """Keep a step unless another call was faster; the run as it stands then. Raises as `prepare_step` does."""
    check_may_plan(tx, run, facts_digest)
    seen = step.run
    if not step.values or (run.draft, run.plans) != (seen.draft, seen.plans):
        return run
    runs.update(tx, run.id, **step.values)
    return replace(run, **step.values)


def standing(run: PatchRun, now: datetime) -> Question | SettledPlan | None:
    """The question that stands, else the settled Plan; None while nothing was asked yet."""
    settling = read_settling(run.draft)
    if settling is not None:
        return Question(mode=settling.mode, targets=settling.rest)
    return settled_plan(run, now)


def settled_plan(run: PatchRun, now: datetime) -> SettledPlan | None:
    """The Plan that was settled last, if any."""
    if run.plan is None or run.planned_at is None or run.plan_digest is None:
        return None
    left = run.planned_at + LIFETIME - now
    return SettledPlan(
        plan=read_plan(run.plan),
        digest=run.plan_digest,
        settled_at=run.planned_at,
        seconds_left=max(0, round(left.total_seconds())),
    )


def check_may_plan(tx: Tx, run: PatchRun, facts_digest: str) -> None:
    """Raise unless the run is open, plans anything at all, and has just reported these facts."""
    if run.operation is PatchOperation.SCAN and not run.plan_only:
        raise Refused(Kind.RUN, "This run only scans: nothing is planned in it.", id=run.id)
    if run.ended_at is not None:
        raise Invalid(Kind.RUN, "This run has ended: nothing more is planned in it.", id=run.id)
    invocation = commands.find_invocation(tx, run.command_id or "", run.node_id)
    if invocation is None or invocation.details.terminal or invocation.details is Details.CANCELLING:
        raise Refused(Kind.RUN, "The command of this run is over or was cancelled: nothing may be applied.", id=run.id)
    record = facts.current(tx, run.node_id)
    if run.facts_at is None or record is None or record.report_digest != facts_digest:
        raise Invalid(
            Kind.RUN,
            "These are not the node's current facts. Report the facts in this run, then plan on their digest.",
            id=run.id,
        )


def _basis(judged: JudgedNode, facts_digest: str) -> Basis:
    governed = judged.governed
    return Basis(facts_digest=facts_digest, baseline_id=governed.baseline.id, baseline_version=governed.version)


def _begin(run: PatchRun, targets: tuple[Target, ...]) -> Settling | Plan:
    if len(targets) > MAX_TARGETS:
        raise LimitExceeded(Kind.REPORT, f"{len(targets)} patches are missing; a Plan has at most {MAX_TARGETS}.")
    return begin(targets, run.reboot_option)


def _values(run: PatchRun, outcome: Settling | Plan, basis: Basis, last: str, now: datetime) -> dict[str, Any]:
    if isinstance(outcome, Settling):
        return {"draft": draft_record(outcome, basis, last)}
    return {
        "draft": draft_record(None, basis, last),
        "plan": plan_record(outcome, basis),
        "plan_digest": outcome.digest,
        "planned_at": now,
        "plans": run.plans + 1,
    }
