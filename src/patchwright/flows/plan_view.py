"""What a settled Plan means for its node, for those who look at it: the reboot, and why a patch is left out."""

from patchwright.core.failures import dropped_words, kept_text
from patchwright.core.judgement import Judgement
from patchwright.core.plan import Plan
from patchwright.core.reboot import RebootDecision, RebootReason, reboot_decision, still_pending
from patchwright.core.values import PatchOperation, Slot
from patchwright.flows.judge_node import JudgedNode, load_facts
from patchwright.flows.plan_record import read_basis, read_plan
from patchwright.store import facts, judgements, nodes, runs
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun


def reboot_of(tx: Tx, run: PatchRun, plan: Plan | None) -> RebootDecision:
    """What the run's Install did about a reboot, or what an Install of the Plan would do now."""
    decided = (run.result or {}).get("reboot")
    if decided is not None and not run.plan_only:
        return RebootDecision(reboot=decided["reboots"], reason=RebootReason(decided["reason"]))
    node = nodes.find(tx, run.node_id)
    known = load_facts(tx, node, facts.current(tx, run.node_id)) if node is not None else None
    history = judgements.history(tx, run.node_id)
    return reboot_decision(
        PatchOperation.INSTALL,
        run.reboot_option,
        pending=still_pending(history.pending_reboot, known) if known is not None else frozenset(),
        installed_count=len(plan.items) if plan is not None else 0,
    )


def left_out(tx: Tx, judged: JudgedNode) -> dict[tuple[Slot, str], str]:
    """Why the node's latest Plan leaves targets out, by exact target; nothing once its baseline has changed."""
    if not isinstance(judged.outcome, Judgement):
        return {}
    run = runs.latest_plan(tx, judged.node.id)
    if run is None or run.plan is None:
        return {}
    basis, governed = read_basis(run.plan), judged.governed
    if (basis.baseline_id, basis.baseline_version) != (governed.baseline.id, governed.version):
        return {}
    return {
        (drop.slot, drop.version): kept_text(drop.code, dropped_words(drop)) for drop in read_plan(run.plan).dropped
    }
