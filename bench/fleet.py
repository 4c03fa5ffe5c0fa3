"""A synthetic Debian fleet in a store: real-looking names, every node a little different."""

import hashlib
import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from patchwright.core.activations import Activation
from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import BaselineId, Family, NodeId, OperatingSystem, Scope
from patchwright.flows.facts_document import Part, document_digest, read_report
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.receive_facts import accept_facts
from patchwright.server.clock import SystemIds
from patchwright.store import activations, baselines, nodes, patch_groups
from patchwright.store.engine import Tx
from patchwright.store.migrate import migrate
from patchwright.store.sqlite import SqliteEngine

NODES = 300
PACKAGES = 630
LINES = 60
SCOPE = Scope(account="000000000001", region="local-1")
_MAIN = ["Debian", "Debian", "stable", "bookworm", "main", "", True]
_SECURITY = ["Debian", "Debian-Security", "stable-security", "bookworm-security", "main", "security.debian.org", True]


class Fleet:
    """Nodes with facts, and one baseline that governs them all."""

    packages = PACKAGES
    lines = LINES

    def __init__(self, folder: Path) -> None:
        self.store = SqliteEngine(folder / "fleet.db")
        with self.store.connection() as connection:
            migrate(connection)
        self.ids = SystemIds()
        self._random = random.Random(7)
        self._names = [f"lib{'abcdefghijklmnopqrstuvwxyz'[i % 26]}{i}" for i in range(1_200)]
        self.node_ids = [self.ids.node() for _ in range(NODES)]
        self.store.write(self._make_nodes)

    def close(self) -> None:
        self.store.close()

    def _make_nodes(self, tx: Tx) -> None:
        now = datetime.now(UTC)
        activation = Activation(
            id=self.ids.uuid(),
            scope=SCOPE,
            code_hash="x",
            iam_role="bench",
            expires_at=now + timedelta(days=1),
            created_at=now,
        )
        activations.insert(tx, activation)
        for node_id in self.node_ids:
            nodes.insert(
                tx,
                ManagedNode(
                    id=NodeId(node_id),
                    scope=SCOPE,
                    activation_id=activation.id,
                    iam_role="bench",
                    public_key="",
                    fingerprint="",
                    registered_at=now,
                ),
            )
        self._baseline = PatchBaseline(
            id=BaselineId("pb-00000000000000001"),
            name="bench",
            operating_system=OperatingSystem.DEBIAN,
            rules=(
                ApprovalRule(
                    filters=(PatchFilter(key=FilterKey.PRIORITY, values=("optional", "required")),),
                    approve_after_days=7,
                ),
            ),
            rejected_patches=("liba*", "libz9"),
        )
        baselines.insert(tx, SCOPE, self._baseline, now=now)
        patch_groups.set_default(tx, SCOPE, OperatingSystem.DEBIAN, self._baseline.id)

    def change_baseline(self, now: datetime) -> None:
        """A new version of the baseline: every node is due."""

        def change(tx: Tx) -> None:
            baselines.add_version(tx, SCOPE, self._baseline, now=now)
            mark_due(tx, SCOPE, operating_system=OperatingSystem.DEBIAN, cause="baseline", now=now, ids=self.ids)

        self.store.write(change)

    def report_all(self) -> float:
        """Seconds until every node's first report is committed."""
        bodies = [self.parts() for _ in self.node_ids]
        began = time.perf_counter()
        for node_id, parts in zip(self.node_ids, bodies, strict=True):
            now = datetime.now(UTC)
            digest = document_digest({p.name: p.digest for p in parts})
            report = read_report(1, digest, now, parts, Family.APT)

            def accept(tx: Tx, node_id: str = node_id, report: Any = report, now: datetime = now) -> None:
                accept_facts(tx, nodes.get_active(tx, node_id), report, now, self.ids)

            self.store.write(accept)
        return time.perf_counter() - began

    def parts(self) -> list[Part]:
        """A report's parts, different each time."""
        names = sorted(self._random.sample(self._names, PACKAGES))
        level = self._random.randrange(10)
        installed = [
            f"{n}\tamd64\t1.{level if int(n[4:]) % 9 == 0 else 0}-1\tlibs\toptional\t{n}\t1.0-1\t0" for n in names
        ]
        upgradable = [n for n in names if int(n[4:]) % 9 == 0][:LINES]
        lines = [
            [
                f"{n}\tamd64\t1.{level}-1",
                "3.0-1",
                [f"2.{i}-1\tlibs\toptional\t{n}\t2.{i}-1\t{i % 2}\t500\t" for i in range(1 + int(n[4:]) % 2)],
            ]
            for n in upgradable
        ]
        sources = [
            {
                "origin": r[0],
                "label": r[1],
                "suite": r[2],
                "codename": r[3],
                "component": r[4],
                "site": r[5],
                "trusted": True,
                "released_at": 1_790_000_000,
            }
            for r in (_MAIN, _SECURITY)
        ]
        bodies = {
            "installed": {"repositories": [_MAIN, _SECURITY], "packages": installed},
            "upgradable": {"repositories": [_MAIN, _SECURITY], "lines": lines},
            "times": [1_700_000_000] * len(installed),
            "state": {
                "manager": "apt",
                "os": {"id": "debian", "version_id": "12"},
                "arch": "amd64",
                "boot_id": "b",
                "sources": sources,
            },
        }
        texts = {k: json.dumps(v, separators=(",", ":"), sort_keys=True) for k, v in bodies.items()}
        return [Part(name=k, digest=hashlib.sha256(t.encode()).hexdigest(), body=t) for k, t in texts.items()]
