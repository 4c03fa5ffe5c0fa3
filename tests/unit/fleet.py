"""A fleet for tests: nodes with tags, systems and verdicts, written the way the product would have."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from patchwright.core.activations import Activation, hash_of
from patchwright.core.judgement import Counts, Levels
from patchwright.core.nodes import ManagedNode
from patchwright.core.tags import TaggedType
from patchwright.core.values import BaselineId, NodeId, OperatingSystem, Scope, Tag
from patchwright.store import activations, due_judgements, nodes, tags
from patchwright.store.engine import Engine, Tx
from patchwright.store.judgements import pack_levels
from patchwright.store.tables import due_judgement, verdict
from patchwright.store.tables import node as node_table

HERE = Scope(account="000000000001", region="local-1")
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


class Fleet:
    """Adds nodes `mi-…1`, `mi-…2`, … to a store."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self._scopes: dict[Scope, str] = {}
        self._count = 0

    def add(
        self,
        *,
        scope: Scope = HERE,
        system: OperatingSystem | None = OperatingSystem.UBUNTU,
        baseline: BaselineId | None = None,
        **tagged: str,
    ) -> NodeId:
        """A registered node; `baseline` is the one that its verdict names, `_` in a tag's key stands for a space."""
        self._count += 1
        node_id = NodeId(f"mi-{self._count:017x}")
        labels = [Tag(key=key.replace("_", " "), value=value) for key, value in tagged.items()]

        def write(tx: Tx) -> None:
            node = ManagedNode(
                id=node_id,
                scope=scope,
                activation_id=self._activation(tx, scope),
                iam_role="r",
                public_key="k",
                fingerprint="f",
                registered_at=NOW,
            )
            nodes.insert(tx, node)
            if system is not None:
                nodes.set_system(tx, nodes.get_active(tx, node_id), system, 0)
            tags.put(tx, scope, TaggedType.MANAGED_INSTANCE, node_id, labels)
            if baseline is not None:
                _insert_verdict(tx, scope, node_id, baseline)

        self.store.write(write)
        return node_id

    def deregister(self, node_id: NodeId, now: datetime) -> None:
        self.store.write(lambda tx: nodes.deregister(tx, node_id, now))

    def _activation(self, tx: Tx, scope: Scope) -> str:
        if scope not in self._scopes:
            number = len(self._scopes) + 1
            self._scopes[scope] = f"00000000-0000-4000-9000-{number:012d}"
            activations.insert(
                tx,
                Activation(
                    id=self._scopes[scope],
                    scope=scope,
                    code_hash=hash_of("x"),
                    iam_role="r",
                    expires_at=NOW + timedelta(days=1),
                    created_at=NOW,
                    registration_limit=1000,
                ),
            )
        return self._scopes[scope]


def _insert_verdict(tx: Tx, scope: Scope, node_id: NodeId, baseline: BaselineId) -> None:
    tx.execute(
        verdict.insert().values(
            node_id=node_id,
            account=scope.account,
            region=scope.region,
            baseline_id=baseline,
            baseline_version=1,
            baseline_source="DEFAULT",
            patch_group="",
            status="COMPLIANT",
            overall_level="UNSPECIFIED",
            levels=pack_levels(Levels()),
            **asdict(Counts()),
            judged_at=NOW,
        )
    )


def due(store: Engine) -> dict[str, tuple[str, datetime, str]]:
    """node id -> (cause, caused_at, ticket) of everything that is due, by its own row or by a change."""

    def read(tx: Tx) -> dict[str, tuple[str, datetime, str]]:
        found = {row.node_id: (row.cause, row.caused_at, row.ticket) for row in tx.execute(select(due_judgement))}
        for change in due_judgements.changes(tx):
            concerned = tx.execute(select(node_table.c.id).where(*due_judgements.conditions(change))).scalars()
            found |= dict.fromkeys(concerned, (change.cause, change.caused_at, change.ticket))
        return found

    return store.read(read)
