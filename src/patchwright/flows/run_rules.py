"""The rules that one run judges by: the live ones, those frozen for its SnapshotId, or an override.

Source: patch-baselines.md 2.4, 5.4, 5.5; decisions.md 8, 13.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from patchwright.core.approval import AptDelays
from patchwright.core.exit_codes import ExitCode
from patchwright.core.judgement import Judgement
from patchwright.core.nodes import ManagedNode
from patchwright.core.overrides import (
    InstallOverrideList,
    baseline_override,
    install_override_list,
    override_targets,
)
from patchwright.core.plan import Ground, Target, in_order, targets_of
from patchwright.core.snapshots import Snapshot
from patchwright.core.values import OperatingSystem, PatchOperation
from patchwright.flows.judge_node import Governed, JudgedNode, judge_node
from patchwright.flows.patch_snapshot import find_frozen, frozen, is_shared
from patchwright.store import overrides
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun

OVERRIDE_WORDS = {
    ExitCode.OVERRIDE_INVALID: "BaselineOverride is not a list of baselines as GetPatchBaseline answers with them",
    ExitCode.OVERRIDE_SYSTEM_MISSING: "BaselineOverride has no baseline for this node's operating system",
    ExitCode.OVERRIDE_SYSTEM_REPEATED: "BaselineOverride has more than one baseline for this node's operating system",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRules:
    """`governed` is None where the live baseline counts; `at`: since when rules are frozen, delays too."""

    governed: Governed | None = None
    at: datetime | None = None
    overrides: InstallOverrideList | None = None
    refusal: tuple[int, str] | None = None
    """Why the run can't be carried out at all: its code and its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """A node judged for one run; `live` is the judgement that stands for the node, whatever the run went by."""

    judged: JudgedNode
    live: JudgedNode
    rules: RunRules

    def targets(self) -> tuple[Target, ...]:
        """What an Install of this run goes for, in the order that counts."""
        if self.rules.overrides is not None and self.judged.facts is not None:
            found = override_targets(self.rules.overrides, self.judged.facts)
            return tuple(
                Target(slot=slot.slot, from_version=slot.installed.version, version=version.version)
                for slot, version in found
                if not slot.held
            )
        outcome = self.judged.outcome
        return in_order(targets_of(outcome)) if isinstance(outcome, Judgement) else ()

    def ground(self) -> Ground:
        """What objections to a Plan of this run rest on. A caller's bug for a node without facts."""
        if self.judged.facts is None:
            raise ValueError("a node without facts has no ground to plan on")
        return Ground(self.judged.facts, self.judged.governed.baseline, self.rules.overrides)


def needs_document(run: PatchRun) -> str:
    """The parameter whose document the run's worker has yet to fetch, "" if none.

    A Scan ignores an InstallOverrideList. Source: patch-baselines.md 5.1.
    """
    if run.override_digest is not None:
        return ""
    if run.baseline_override:
        return "BaselineOverride"
    return "InstallOverrideList" if run.override_list and run.operation is PatchOperation.INSTALL else ""


def judge_run(tx: Tx, node: ManagedNode, run: PatchRun, now: datetime, apt_delays: AptDelays) -> JudgedRun:
    """Judge a node by the rules of `run`. Reads only."""
    live = judge_node(tx, node, now, apt_delays)
    rules = rules_of(tx, node, run, live.governed)
    if rules.governed is None:
        return JudgedRun(judged=live, live=live, rules=rules)
    at = now if rules.at is None else min(rules.at, now)
    judged = judge_node(tx, node, at, apt_delays, governed=rules.governed)
    return JudgedRun(judged=judged, live=live, rules=rules)


def rules_of(tx: Tx, node: ManagedNode, run: PatchRun, live: Governed) -> RunRules:
    """The rules of `run`: those frozen for its SnapshotId, or of the document that its worker fetched."""
    missing = needs_document(run)
    if missing:
        return RunRules(refusal=(ExitCode.FAILURE, f"the worker did not fetch {missing}: update the agent"))
    document = _document(tx, node, run)
    rules, held = RunRules(), find_frozen(tx, node, run, live)
    if held is not None:
        rules = _frozen(run, held, live)
    elif run.baseline_override and node.operating_system is not None:
        rules = _overridden(node.operating_system, document, live)
    if document is None or run.baseline_override:
        return rules
    return replace(rules, overrides=install_override_list(document))


def freeze_rules(tx: Tx, node: ManagedNode, run: PatchRun, now: datetime) -> None:
    """Freeze the rules of a run that names a SnapshotId, once its node's system is known.

    The first run with the id decides, for every node of the same group and system. An InstallOverrideList is not
    frozen: it names exact patches itself. Source: patch-baselines.md 2.4.
    """
    if not is_shared(run) or node.operating_system is None:
        return
    if not run.baseline_override:
        frozen(tx, node, run.snapshot_id, now)
        return
    override = baseline_override(_document(tx, node, run), node.operating_system)
    if not isinstance(override, ExitCode):  # that is told at the end of the run
        frozen(tx, node, run.snapshot_id, now, override)


def _document(tx: Tx, node: ManagedNode, run: PatchRun) -> object:
    return None if run.override_digest is None else overrides.find(tx, node.scope.account, run.override_digest)


def _frozen(run: PatchRun, held: Snapshot, live: Governed) -> RunRules:
    if held.overridden != bool(run.baseline_override):
        first, this = ("with", "without") if held.overridden else ("without", "with")
        words = f"SnapshotId {run.snapshot_id} was first used {first} a BaselineOverride, and this run is {this} one"
        return RunRules(refusal=(ExitCode.FAILURE, f"{words}: use another SnapshotId"))
    resolution = replace(live.resolution, baseline_id=held.baseline.id)
    governed = Governed(baseline=held.baseline, version=held.version, resolution=resolution)
    return RunRules(governed=governed, at=held.frozen_at)


def _overridden(system: OperatingSystem, document: object, live: Governed) -> RunRules:
    found = baseline_override(document, system)
    if isinstance(found, ExitCode):
        return RunRules(refusal=(found, f"{OVERRIDE_WORDS[found]} ({system})"))
    resolution = replace(live.resolution, baseline_id=found.id)
    return RunRules(governed=Governed(baseline=found, version=0, resolution=resolution))
