"""Reports by a warm memory and by a cold one leave the same facts, and refuse the same. Source: decisions.md 11."""

import hashlib
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.fleet import HERE, Fleet

from patchwright.core.errors import Invalid
from patchwright.core.values import Family, NodeId, OperatingSystem
from patchwright.flows import facts_rows
from patchwright.flows.facts_document import Part, document_digest, read_report
from patchwright.flows.receive_facts import accept_facts
from patchwright.server.clock import SystemIds
from patchwright.store import facts, first_seen, nodes
from patchwright.store.engine import Engine, Tx

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
MAIN = ["Debian", "Debian", "stable", "bookworm", "main", "", True]
OTHER = ["Other", "Other", "stable", "bookworm", "main", "", True]
BAD_ROWS = ["a\tamd64", "\tamd64\t1-1\tlibs\toptional\ta\t1\t0", "a\tamd64\t1\x07\tlibs\toptional\ta\t1\t0",
            "a\tamd64\t1-1\tlibs\toptional\ta\t1\t7", f"{'n' * 300}\tamd64\t1-1\tlibs\toptional\ta\t1\t0"]  # fmt: skip


def _parts(chance: random.Random, *, repositories: list[Any], released: int, bad: str | None = None) -> list[Part]:
    names = sorted(chance.sample("abcdefgh", 5))
    rows = [f"{n}\tamd64\t1.{chance.randrange(3)}-1\tlibs\toptional\t{n}\t1-1\t0" for n in names]
    lines = [
        [row.rsplit("\t", 5)[0], "3-1", [f"{v}-1\tlibs\toptional\tx\t1-1\t0\t500\t" for v in ("3", "2")]]
        for row in rows[: chance.randrange(4)]
    ]
    named = [*rows[:-1], bad] if bad else rows
    sources = [
        dict(zip(("origin", "label", "suite", "codename", "component", "site", "trusted"), r, strict=True))
        | {"released_at": released}
        for r in repositories
    ]
    state = {"manager": "apt", "os": {"id": "debian", "version_id": "12"}, "arch": "amd64", "boot_id": "b"}
    bodies: dict[str, Any] = {
        "installed": {"repositories": repositories, "packages": named},
        "upgradable": {"repositories": repositories, "lines": lines},
        "times": [1_700_000_000 + chance.randrange(9)] * len(named),
        "state": state | {"sources": sources},
    }
    texts = {k: json.dumps(v, separators=(",", ":"), sort_keys=True) for k, v in bodies.items()}
    return [Part(name=k, digest=hashlib.sha256(t.encode()).hexdigest(), body=t) for k, t in texts.items()]


def _accept(store: Engine, node_id: NodeId, parts: list[Part], now: datetime, *, fail: bool = False) -> str:
    """What was said of a report; with `fail` its transaction is rolled back at its end."""

    class Broken(Exception):
        pass

    def work(tx: Tx) -> None:
        accept_facts(tx, nodes.get_active(tx, node_id), report, now, SystemIds())
        if fail:
            raise Broken

    try:
        report = read_report(1, document_digest({p.name: p.digest for p in parts}), now, parts, Family.APT)
        store.write(work)
    except Invalid as refused:
        return str(refused)
    except Broken:
        return "rolled back"
    return "kept"


def _held(store: Engine, node_id: NodeId) -> tuple[Any, ...]:
    def read(tx: Tx) -> tuple[Any, ...]:
        record = facts.current(tx, node_id)
        if record is None:
            return ()
        installed, lines = facts.installed(tx, record), facts.upgradable(tx, record)
        account = nodes.get_active(tx, node_id).scope.account
        seen = first_seen.catalogue(tx, account, sorted({p.package.name for p in installed})).first_seen
        return record.parts, installed, lines, seen

    return store.read(read)


@pytest.mark.parametrize("seed", range(3))
def test_a_warm_memory_answers_as_a_cold_one(store: Engine, seed: int) -> None:
    fleet, chance = Fleet(store), random.Random(seed)
    warm = [fleet.add(system=OperatingSystem.DEBIAN) for _ in range(2)]
    cold = [fleet.add(scope=replace(HERE, account="000000000002"), system=OperatingSystem.DEBIAN) for _ in range(2)]
    for step in range(40):
        which = chance.randrange(2)
        parts = _parts(
            chance,
            repositories=[chance.choice((MAIN, OTHER))],
            released=int((NOW - timedelta(days=chance.randrange(1, 9))).timestamp()),
            bad=chance.choice(BAD_ROWS) if chance.random() < 0.2 else None,
        )
        now, fail = NOW + timedelta(minutes=step), chance.random() < 0.2
        said = _accept(store, warm[which], parts, now, fail=fail)
        kept = dict(facts_rows._memory)
        facts_rows._memory.clear()
        assert _accept(store, cold[which], parts, now, fail=fail) == said
        facts_rows._memory.clear()
        facts_rows._memory.update(kept)
        assert _held(store, warm[which]) == _held(store, cold[which])
    assert facts_rows._memory


def test_a_full_memory_begins_anew(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_rows, "MAX_ROWS", 6)
    fleet, chance = Fleet(store), random.Random(1)
    node_id = fleet.add(system=OperatingSystem.DEBIAN)
    facts_rows._memory.clear()
    for step in range(8):
        parts = _parts(chance, repositories=[(MAIN, OTHER)[step % 2]], released=0)
        assert _accept(store, node_id, parts, NOW + timedelta(minutes=step)) == "kept"
        assert sum(rows.size for rows in facts_rows._memory.values()) <= 6 + 10
