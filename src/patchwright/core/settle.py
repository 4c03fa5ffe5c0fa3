"""Settling a Plan: the questions put to the host, at most four, and what each answer makes of the targets.

TOGETHER, then EACH to find whom to drop, TOGETHER for the rest, and CUMULATIVE where targets that fit alone do not fit
together. Source: decisions.md 3; the worker's protocol, SettlePlan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from patchwright.core.plan import (
    Closure,
    DropCode,
    DroppedTarget,
    Ground,
    Objection,
    Plan,
    Target,
    joint_plan,
    objection,
)
from patchwright.core.values import RebootOption, Slot

MAX_QUESTIONS = 4
MAX_CUMULATIVE = 250
"""Its closures name every target before theirs: the answer grows with the square. The rest waits for the next run."""

NO_ANSWER = "the worker gave no answer for it"
LEFT_AS_IT_IS = "the package manager would leave it as it is"
NOT_TRIED = f"more than {MAX_CUMULATIVE} targets stand in each other's way; the next Install tries the rest"


class Mode(StrEnum):
    """What the worker simulates."""

    TOGETHER = "TOGETHER"
    EACH = "EACH"
    CUMULATIVE = "CUMULATIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """A Plan that is being settled: the question that stands, in `mode` about `rest`; it is number `asked`."""

    targets: tuple[Target, ...]
    mode: Mode
    asked: int
    rest: tuple[Target, ...]
    dropped: tuple[DroppedTarget, ...] = ()


def begin(targets: Sequence[Target], reboot_option: RebootOption) -> Settling | Plan:
    """The first question; with nothing to install the Plan is settled, and empty."""
    if not targets:
        return Plan(items=(), dropped=(), reboot_option=reboot_option)
    return Settling(targets=tuple(targets), mode=Mode.TOGETHER, asked=1, rest=tuple(targets))


def answered(
    settling: Settling, closures: Sequence[Closure], reboot_option: RebootOption, ground: Ground
) -> Settling | Plan:
    """What the answer to the standing question leads to: the next question, or the Plan. It always ends.

    A target without an answer is one that could not be resolved. Of two answers for one target the first counts.
    """
    targets = {ground.slot(target.slot): target for target in settling.targets}
    step = _Step(settling=settling, targets=targets, reboot_option=reboot_option, ground=ground)
    joint = next((c for c in closures if c.slot is None), Closure(problem=NO_ANSWER))
    own: dict[Slot, Closure] = {}
    for closure in closures:
        if closure.slot is not None:
            own.setdefault(ground.slot(closure.slot), closure)
    match settling.mode:
        case Mode.TOGETHER:
            return _together(step, joint)
        case Mode.EACH:
            return _each(step, own)
        case Mode.CUMULATIVE:
            return _cumulative(step, own, joint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One answer at work, with all targets by native slot."""

    settling: Settling
    targets: Mapping[Slot, Target]
    reboot_option: RebootOption
    ground: Ground

    def plan(self, targets: Sequence[Target], closure: Closure, dropped: Sequence[DroppedTarget]) -> Plan:
        """The Plan of `closure`. A target that was dropped and comes along after all is one again."""
        coming = {self.ground.slot(target.slot) for target in targets} | self.coming(closure)
        chosen = [target for target in self.settling.targets if self.ground.slot(target.slot) in coming]
        return joint_plan(chosen, closure, dropped, self.reboot_option, self.ground)

    def next(self, mode: Mode, rest: Sequence[Target], dropped: Sequence[DroppedTarget]) -> Settling:
        return Settling(
            targets=self.settling.targets,
            mode=mode,
            asked=self.settling.asked + 1,
            rest=tuple(rest),
            dropped=tuple(dropped),
        )

    def to_joint(self, closure: Closure, targets: Sequence[Target]) -> Objection | None:
        """What speaks against `targets` going in together as `closure` says."""
        found = objection(closure, self.targets, self.ground)
        if found is not None:
            return found
        coming = self.coming(closure)
        missed = next((t for t in targets if self.ground.slot(t.slot) not in coming), None)
        return Objection(code=DropCode.UNRESOLVED, because_of=LEFT_AS_IT_IS) if missed is not None else None

    def coming(self, closure: Closure) -> frozenset[Slot]:
        own = () if closure.slot is None else (closure.slot,)
        return frozenset(self.ground.slot(slot) for slot in (*own, *(c.slot for c in closure.incoming)))


def _together(step: _Step, joint: Closure) -> Settling | Plan:
    settling = step.settling
    if step.to_joint(joint, settling.rest) is None:
        return step.plan(settling.rest, joint, settling.dropped)
    if settling.asked == 1:
        return step.next(Mode.EACH, settling.rest, settling.dropped)
    return _ask_cumulative(step, settling.rest, settling.dropped)


def _each(step: _Step, own: Mapping[Slot, Closure]) -> Settling | Plan:
    rest, dropped = [], list(step.settling.dropped)
    for target in step.settling.rest:
        closure = own.get(step.ground.slot(target.slot), Closure(problem=NO_ANSWER))
        found = objection(closure, step.targets, step.ground)
        if found is None:
            rest.append(target)
        else:
            dropped.append(_drop(target, found))
    if not rest:
        return step.plan((), Closure(), dropped)
    if len(rest) == len(step.settling.rest):
        # The same question about the same targets was answered already.
        return _ask_cumulative(step, rest, dropped)
    return step.next(Mode.TOGETHER, rest, dropped)


def _ask_cumulative(step: _Step, rest: Sequence[Target], dropped: Sequence[DroppedTarget]) -> Settling:
    late = Objection(code=DropCode.UNRESOLVED, because_of=NOT_TRIED)
    return step.next(
        Mode.CUMULATIVE,
        rest[:MAX_CUMULATIVE],
        [*dropped, *(_drop(target, late) for target in rest[MAX_CUMULATIVE:])],
    )


def _cumulative(step: _Step, own: Mapping[Slot, Closure], joint: Closure) -> Plan:
    """Keep each target that fits with those kept before it; settle on what fits at once."""
    kept: list[Target] = []
    dropped = list(step.settling.dropped)
    last = Closure()
    for target in step.settling.rest:
        closure = own.get(step.ground.slot(target.slot), Closure(problem=NO_ANSWER))
        found = step.to_joint(closure, (*kept, target))
        if found is None:
            kept.append(target)
            last = closure
        else:
            dropped.append(_drop(target, found))
    if objection(joint, step.targets, step.ground) is not None:
        # The worker leaves out only what has a problem or a removal. Where the server objects to more, the joint
        # closure holds too much, and that of the last target kept is exactly the closure of those kept.
        return step.plan(kept, last, dropped)
    coming = step.coming(joint)
    lazy = Objection(code=DropCode.UNRESOLVED, because_of=LEFT_AS_IT_IS)
    dropped += [_drop(target, lazy) for target in kept if step.ground.slot(target.slot) not in coming]
    kept = [target for target in kept if step.ground.slot(target.slot) in coming]
    return step.plan(kept, joint if kept else Closure(), dropped)


def _drop(target: Target, found: Objection) -> DroppedTarget:
    return DroppedTarget(slot=target.slot, version=target.version, code=found.code, because_of=found.because_of)
