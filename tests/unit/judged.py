"""Nodes with verdicts and runs as the judge and the worker would have left them, for listings of compliance."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.unit.fleet import HERE, NOW, Fleet

from patchwright.core.judgement import Counts, Levels
from patchwright.core.predefined import DEFAULT_FOR
from patchwright.core.values import (
    LEVELS,
    ComplianceLevel,
    ComplianceStatus,
    NodeId,
    OperatingSystem,
    PatchOperation,
    RebootOption,
    Scope,
)
from patchwright.store import judgements, nodes, runs
from patchwright.store.engine import Engine
from patchwright.store.judgements import Verdict
from patchwright.store.runs import PatchRun
from patchwright.store.tables import node_seen

UBUNTU = DEFAULT_FOR[OperatingSystem.UBUNTU].id
COMPLIANT = ComplianceStatus.COMPLIANT


class Judged:
    """Adds nodes with what the judge said of them to a store."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self.fleet = Fleet(store)
        self._runs = 0

    def add(
        self,
        *,
        level: ComplianceLevel | None = None,
        group: str = "",
        scope: Scope = HERE,
        platform: str | None = "Linux",
        compliant: int = 3,
        system: OperatingSystem = OperatingSystem.UBUNTU,
        **counts: int,
    ) -> NodeId:
        """A node that was judged: not compliant by one patch of `level`, if given."""
        node_id = self.fleet.add(scope=scope, system=system)
        bad = tuple(int(one is level) for one in LEVELS)
        good = tuple(compliant if one is ComplianceLevel.UNSPECIFIED else 0 for one in LEVELS)
        self.judge(
            node_id,
            scope=scope,
            patch_group=group,
            status=ComplianceStatus.NON_COMPLIANT if level else COMPLIANT,
            overall_level=level or ComplianceLevel.UNSPECIFIED,
            counts=Counts(**counts),
            levels=Levels(compliant=good, non_compliant=bad),
        )
        self.store.write(lambda tx: nodes.touch(tx, node_id, NOW, platform_type=platform))
        return node_id

    def unjudged(self, *, group: str = "", reported: bool = True) -> NodeId:
        """A node of which nothing can be said, because of its facts, or because it never sent any."""
        node_id = self.fleet.add()
        self.judge(node_id, patch_group=group, status=ComplianceStatus.UNJUDGED, facts_id=1 if reported else None)
        return node_id

    def judge(self, node_id: NodeId, **values: Any) -> None:
        """Replace the node's verdict."""
        made = Verdict(
            node_id=node_id,
            scope=HERE,
            baseline_id=UBUNTU,
            baseline_version=0,
            baseline_source="DEFAULT",
            patch_group="",
            status=COMPLIANT,
            unjudged_reason=None,
            overall_level=ComplianceLevel.UNSPECIFIED,
            counts=Counts(),
            levels=Levels(),
            facts_id=1,
            judged_at=NOW,
            next_change_at=None,
        )
        self.store.write(lambda tx: judgements.save(tx, replace(made, **values)))

    def run(self, node_id: NodeId, at: datetime, **values: Any) -> PatchRun:
        """A patch operation that ended at `at`."""
        self._runs += 1
        made = PatchRun(
            id=f"00000000-0000-4000-a000-{self._runs:012d}",
            node_id=node_id,
            scope=HERE,
            command_id=f"00000000-0000-4000-b000-{self._runs:012d}",
            step="PatchLinux",
            operation=PatchOperation.SCAN,
            reboot_option=RebootOption.REBOOT_IF_NEEDED,
            snapshot_id=f"00000000-0000-4000-c000-{self._runs:012d}",
            started_at=at - timedelta(minutes=2),
            facts_at=at - timedelta(minutes=1),
            ended_at=at,
        )
        run = replace(made, **values)
        self.store.write(lambda tx: runs.insert(tx, run))
        return run

    def seen(self, node_id: NodeId, at: datetime) -> None:
        """The node's facts came at `at`."""
        self.store.write(lambda tx: tx.execute(node_seen.insert().values(node_id=node_id, facts_at=at)))
