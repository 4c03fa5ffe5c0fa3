"""The rules that one run judges by: the live ones, those frozen for its SnapshotId, or an override.

Source: patch-baselines.md 2.4, 5.4, 5.5; decisions.md 8, 13.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from patchwright.core.approval import AptDelays
from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Invalid, Kind
from patchwright.core.exit_codes import ExitCode
from patchwright.core.groups import BaselineSource, Resolution, patch_group_of
from patchwright.core.judgement import Judgement
from patchwright.core.nodes import ManagedNode
from patchwright.core.overrides import (
    InstallOverrideList,
    baseline_override,
    install_override_list,
    override_targets,
)
from patchwright.core.plan import Ground, Target, in_order, targets_of
from patchwright.core.predefined import BY_ID
from patchwright.core.snapshots import Snapshot, SnapshotKey, freeze
from patchwright.core.tags import TaggedType
from patchwright.core.values import BaselineId, OperatingSystem, PatchOperation
from patchwright.flows.judge_node import Governed, JudgedNode, governed_by, judge_node
from patchwright.store import baselines, overrides, runs, snapshots, tags
from patchwright.store.engine import Tx
from patchwright.store.runs import PatchRun
from patchwright.store.snapshots import FrozenRules

OVERRIDE_WORDS = {
    ExitCode.OVERRIDE_INVALID: "BaselineOverride is not a list of baselines as GetPatchBaseline answers with them",
    ExitCode.OVERRIDE_SYSTEM_MISSING: "BaselineOverride has no baseline for this node's operating system",
    ExitCode.OVERRIDE_SYSTEM_REPEATED: "BaselineOverride has more than one baseline for this node's operating system",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRules:
    """`governed` and `at` are None where the live baseline, and the present, count."""

    governed: Governed | None = None
    at: datetime | None = None
    overrides: InstallOverrideList | None = None
    refusal: tuple[int, str] | None = None
    """Why the run can't be carried out at all: its code and its words."""

    @property
    def live(self) -> bool:
        return self.governed is None and self.at is None


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
    rules = rules_of(tx, node, run)
    live = judge_node(tx, node, now, apt_delays)
    if rules.live:
        return JudgedRun(judged=live, live=live, rules=rules)
    at = now if rules.at is None else min(rules.at, now)
    judged = judge_node(tx, node, at, apt_delays, governed=rules.governed)
    return JudgedRun(judged=judged, live=live, rules=rules)


def rules_of(tx: Tx, node: ManagedNode, run: PatchRun) -> RunRules:
    """The rules of `run`, from what was frozen for it and from the document that its worker fetched."""
    missing = needs_document(run)
    if missing:
        return RunRules(refusal=(ExitCode.FAILURE, f"the worker did not fetch {missing}: update the agent"))
    document = None if run.override_digest is None else overrides.find(tx, node.scope.account, run.override_digest)
    rules = RunRules()
    if run.frozen is not None:
        rules = _frozen(tx, node, run, run.frozen)
    elif run.baseline_override and node.operating_system is not None:
        rules = _overridden(tx, node, node.operating_system, document, None)
    return (
        rules
        if document is None or run.baseline_override
        else replace(rules, overrides=install_override_list(document))
    )


def freeze_rules(tx: Tx, node: ManagedNode, run: PatchRun, now: datetime) -> None:
    """Freeze the rules of a run that names a SnapshotId, once its node's system is known.

    The first run with the id decides, for every node of the same group and system. An InstallOverrideList is not
    frozen: it names exact patches itself. Source: patch-baselines.md 2.4.
    """
    if run.frozen is not None or run.snapshot_id == run.id or node.operating_system is None:
        return
    governed = governed_by(tx, node, node.operating_system)
    key = SnapshotKey(
        scope=node.scope,
        patch_group=governed.resolution.patch_group,
        operating_system=node.operating_system,
        snapshot_id=run.snapshot_id,
    )
    mine = FrozenRules(
        baseline_id=governed.baseline.id,
        baseline_version=governed.version,
        baseline_source=governed.resolution.source,
        override_digest=(run.override_digest or "") if run.baseline_override else "",
    )
    existing = snapshots.find(tx, key)
    snapshot = freeze(existing, key, mine, now)
    if snapshot is not existing:
        snapshots.save(tx, snapshot)
    runs.update(tx, run.id, frozen=_record(snapshot))


def _record(snapshot: Snapshot[FrozenRules]) -> dict[str, Any]:
    rules = snapshot.baseline
    return {
        "baseline_id": rules.baseline_id,
        "baseline_version": rules.baseline_version,
        "baseline_source": rules.baseline_source,
        "override_digest": rules.override_digest,
        "patch_group": snapshot.key.patch_group,
        "operating_system": snapshot.key.operating_system,
        "at": snapshot.frozen_at.isoformat(),
    }


def _frozen(tx: Tx, node: ManagedNode, run: PatchRun, record: dict[str, Any]) -> RunRules:
    at = datetime.fromisoformat(record["at"])
    if bool(record["override_digest"]) != bool(run.baseline_override):
        first, this = ("with", "without") if record["override_digest"] else ("without", "with")
        words = f"SnapshotId {run.snapshot_id} was first used {first} a BaselineOverride, and this run is {this} one"
        return RunRules(at=at, refusal=(ExitCode.FAILURE, f"{words}: use another SnapshotId"))
    system = OperatingSystem(record["operating_system"])
    if record["override_digest"]:
        document = overrides.find(tx, node.scope.account, record["override_digest"])
        return _overridden(tx, node, system, document, at)
    baseline = _version(tx, node, record["baseline_id"], record["baseline_version"])
    resolution = Resolution(
        baseline_id=baseline.id, patch_group=record["patch_group"], source=BaselineSource(record["baseline_source"])
    )
    return RunRules(
        governed=Governed(baseline=baseline, version=record["baseline_version"], resolution=resolution), at=at
    )


def _version(tx: Tx, node: ManagedNode, baseline_id: str, version: int) -> PatchBaseline:
    predefined = BY_ID.get(BaselineId(baseline_id))
    if predefined is not None:
        return predefined
    stored = baselines.find_version(tx, node.scope, BaselineId(baseline_id), version)
    if stored is None:
        raise Invalid(Kind.RUN, f"Version {version} of baseline {baseline_id}, frozen for this run, is gone.")
    return stored.baseline


def _overridden(tx: Tx, node: ManagedNode, system: OperatingSystem, document: object, at: datetime | None) -> RunRules:
    found = baseline_override(document, system)
    if isinstance(found, ExitCode):
        return RunRules(at=at, refusal=(found, f"{OVERRIDE_WORDS[found]} ({system})"))
    group = patch_group_of({t.key: t.value for t in tags.of(tx, node.scope, TaggedType.MANAGED_INSTANCE, node.id)})
    resolution = Resolution(baseline_id=found.id, patch_group=group, source=BaselineSource.DEFAULT)
    return RunRules(governed=Governed(baseline=found, version=0, resolution=resolution), at=at)
