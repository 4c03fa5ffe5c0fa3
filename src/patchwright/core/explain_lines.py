"""The explanations of several lines of one node at once, for lists that show a reason beside each patch."""

from collections.abc import Set
from datetime import datetime

from patchwright.core.approval import Approver, AptDelays
from patchwright.core.baselines import PatchBaseline
from patchwright.core.explain import Case, Explanation, LeftOut, explain_slot
from patchwright.core.facts import NodeFacts
from patchwright.core.judge import host_history
from patchwright.core.judgement import Catalogue, History
from patchwright.core.slots import slots_of
from patchwright.core.values import Slot


def explain_lines(
    facts: NodeFacts,
    history: History,
    baseline: PatchBaseline,
    catalogue: Catalogue,
    now: datetime,
    wanted: Set[Slot],
    *,
    apt_delays: AptDelays = "honour",
    left_out: LeftOut | None = None,
) -> dict[Slot, Explanation]:
    """An Explanation for each slot of `wanted` that the node has installed; the same that `explain` gives for one."""
    approver = Approver(baseline, facts.product, catalogue, now, apt_delays=apt_delays)
    case = Case(
        facts=facts,
        history=host_history(history, facts),
        approver=approver,
        slots=slots_of(facts),
        left_out=left_out or {},
    )
    return {slot.slot: explain_slot(case, slot) for slot in case.slots if slot.slot in wanted}
