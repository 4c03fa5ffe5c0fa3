"""A host that answers the questions of a Plan in the making: what each package brings with it, and what clashes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from patchwright.core.baselines import PatchBaseline
from patchwright.core.facts import NodeFacts
from patchwright.core.judgement import Judgement
from patchwright.core.patches import PackageVersion
from patchwright.core.plan import Change, Closure, Ground, Plan, Target, in_order, targets_of
from patchwright.core.settle import MAX_QUESTIONS, Mode, Settling, answered, begin
from patchwright.core.values import RebootOption, Slot


def change(version: PackageVersion, before: str = "") -> Change:
    return Change(slot=version.slot, from_version=before, version=version.version)


@dataclass
class ScriptedHost:
    """`brings`: by target's name, what else comes in; `removes`, `problems` likewise; `clashes`: pairs of names that
    can't go in together. Every joint closure names its targets, as the protocol wants it."""

    brings: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    removes: Mapping[str, Sequence[Slot]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    clashes: Sequence[tuple[str, str]] = ()
    asked: list[tuple[Mode, tuple[str, ...]]] = field(default_factory=list)

    def answer(self, question: Settling) -> list[Closure]:
        self.asked.append((question.mode, tuple(t.slot.name for t in question.rest)))
        match question.mode:
            case Mode.TOGETHER:
                return [self.simulate(question.rest)]
            case Mode.EACH:
                return [replace(self.simulate([t]), slot=t.slot) for t in question.rest]
            case Mode.CUMULATIVE:
                return self.cumulative(question.rest)

    def cumulative(self, targets: Sequence[Target]) -> list[Closure]:
        fitting: list[Target] = []
        closures = []
        for target in targets:
            closure = self.simulate([*fitting, target])
            closures.append(replace(closure, slot=target.slot))
            if not closure.problem and not closure.removed:
                fitting.append(target)
        return [*closures, self.simulate(fitting)]

    def simulate(self, targets: Sequence[Target]) -> Closure:
        names = {t.slot.name for t in targets}
        problem = next((self.problems[n] for n in sorted(names) if n in self.problems), "")
        clash = next((pair for pair in self.clashes if set(pair) <= names), None)
        own = [Change(slot=t.slot, from_version=t.from_version, version=t.version) for t in targets]
        others = [c for n in sorted(names) for c in self.brings.get(n, ()) if c.slot.name not in names]
        return Closure(
            incoming=tuple(dict.fromkeys([*own, *others])),
            removed=tuple(slot for n in sorted(names) for slot in self.removes.get(n, ())),
            problem=problem or (f"{clash[0]} conflicts with {clash[1]}" if clash else ""),
        )


def settled(
    judgement: Judgement,
    facts: NodeFacts,
    baseline: PatchBaseline,
    host: ScriptedHost | None = None,
    option: RebootOption = RebootOption.REBOOT_IF_NEEDED,
) -> Plan:
    """Settle with the host to the end, which comes after at most MAX_QUESTIONS."""
    host = host or ScriptedHost()
    ground = Ground(facts, baseline)
    state = begin(in_order(targets_of(judgement)), option)
    while isinstance(state, Settling):
        assert state.asked <= MAX_QUESTIONS
        state = answered(state, host.answer(state), option, ground)
    return state
