"""A large Debian-like fleet written straight into a store, by a seed: sets shared by many nodes, or all different.

Names are 20,000, of which each node has 630: 300 that all have and 330 of one of 200 roles. 38 % of the names have 1 to
8 versions after the first, and 40 packages a node are behind. Five patch groups, five baselines: rules with delays,
50 approved and 50 rejected entries, half of them wildcards. 1 % of the nodes have a patch that failed.
"""

import random
from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import insert

from patchwright.core.activations import Activation
from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter, RejectedAction
from patchwright.core.patches import PackageVersion, Repository
from patchwright.core.values import BaselineId, ComplianceLevel, Family, NodeId, OperatingSystem, Scope
from patchwright.flows.change_baseline import update_baseline
from patchwright.flows.facts_document import PARTS
from patchwright.flows.judge_fleet import mark_due
from patchwright.flows.ports import Ids
from patchwright.server.clock import SystemIds
from patchwright.store import activations, baselines, facts, first_seen, patch_groups
from patchwright.store.engine import Engine, Tx
from patchwright.store.patch_groups import GroupMapping
from patchwright.store.tables import hoststate, instset, node, node_facts, overlay, tag, upset

T = TypeVar("T")
SCOPE = Scope(account="000000000001", region="local-1")
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
NAMES, COMMON, PER_ROLE, ROLES, BEHIND = 20_000, 300, 330, 200, 40
GROUPS = 5
MAIN = Repository(origin="Debian", label="Debian", suite="stable", codename="bookworm", component="main")
SECURITY = Repository(
    origin="Debian", label="Debian-Security", suite="stable-security", codename="bookworm-security", component="main",
    site="security.debian.org",
)  # fmt: skip
_SECTIONS = [f"section{i}" for i in range(24)]
_PRIORITIES = ["required", "important", "standard", "optional", "optional", "optional"]
_LEVELS = list(ComplianceLevel)
_TOGETHER = 2_000


class ManyNodes:
    """`nodes` nodes with `distinct` sets of packages between them, made once and then judged at will."""

    def __init__(self, store: Engine, *, nodes: int, distinct: int, seed: int = 11, names: int = NAMES) -> None:
        self.store = store
        self.nodes = nodes
        self._distinct = distinct
        self._random = random.Random(seed)
        self._names = names
        self._behind: list[tuple[int, int]] = []
        """For each pair of sets, a name that is behind and the step at which it is installed."""
        self.ids: Ids = SystemIds()
        self.now = NOW

    def make(self) -> None:
        """Everything but verdicts: all nodes are due."""
        self._versions = self._make_versions()
        sets = self._make_sets()
        self.store.write(self._make_baselines)
        self._make_nodes(sets)
        self.store.write(lambda tx: mark_due(tx, SCOPE, cause="facts", now=self.now, ids=self.ids))

    def _make_versions(self) -> list[list[int]]:
        """Name -> the ids of its versions, ascending. Dates of the later ones lie within the last weeks."""
        chance = self._random
        by_day: dict[int, list[PackageVersion]] = {}
        all_of: list[list[PackageVersion]] = []
        for name in range(self._names):
            section, priority = chance.choice(_SECTIONS), chance.choice(_PRIORITIES)
            later = chance.randint(1, 8) if chance.random() < 0.38 else 0
            mine = []
            for step in range(later + 1):
                secure = step > 0 and chance.random() < 0.4
                mine.append(
                    PackageVersion(
                        family=Family.APT, name=_name(name), arch=_arch(name), version=_version(name, step),
                        section=section, priority=priority, repositories=(MAIN, SECURITY) if secure else (MAIN,),
                    )
                )  # fmt: skip
                by_day.setdefault(0 if step == 0 else chance.randint(1, 40), []).append(mine[-1])
            all_of.append(mine)
        numbers: dict[str, int] = {}
        for some in _parts([v for mine in all_of for v in mine], _TOGETHER):
            ids = self.store.write(lambda tx, some=some: facts.intern_versions(tx, some))  # type: ignore[misc]
            numbers |= {f"{v.name} {v.version}": i for v, i in zip(some, ids, strict=True)}
        old = {MAIN.identity: NOW - timedelta(days=300), SECURITY.identity: NOW - timedelta(days=300)}
        for days, published in sorted(by_day.items()):
            seen = NOW - timedelta(days=300 if days == 0 else days, hours=3)
            for some in _parts(published, _TOGETHER):
                self.store.write(
                    lambda tx, some=some, days=days, seen=seen: first_seen.record(  # type: ignore[misc]
                        tx, SCOPE.account, some, old if days == 0 else {}, seen
                    )
                )
        return [[numbers[f"{v.name} {v.version}"] for v in mine] for mine in all_of]

    def _make_sets(self) -> list[tuple[int, int]]:
        """(installed set, upgradable set) by id, each pair different."""
        chance = self._random
        roles = [chance.sample(range(COMMON, self._names), min(PER_ROLE, self._names - COMMON)) for _ in range(ROLES)]
        lines: dict[tuple[int, int], int] = {}
        updatable = [(name, step) for name, ids in enumerate(self._versions) for step in range(len(ids) - 1)]
        for keys in _parts(updatable, _TOGETHER):
            rows = [(self._versions[n][s], self._versions[n][s + 1 :], "") for n, s in keys]
            ids = self.store.write(lambda tx, rows=rows: facts.intern_lines(tx, rows))  # type: ignore[misc]
            lines |= dict(zip(keys, ids, strict=True))
        pairs: list[tuple[int, int]] = []
        for count in _lengths(self._distinct, _TOGETHER):
            made = [self._one_set(chance, roles[chance.randrange(ROLES)], lines) for _ in range(count)]
            first = len(pairs) + 1
            pairs += [(i, i) for i in range(first, first + count)]

            def write(tx: Tx, made: Sequence[tuple[bytes, bytes]] = made, first: int = first) -> None:
                for table, place in ((instset, 0), (upset, 1)):
                    rows = [
                        {"id": first + i, "digest": f"{first + i:064d}", "n": len(m[place]) // 4, "ids": m[place]}
                        for i, m in enumerate(made)
                    ]
                    tx.execute(insert(table), rows)

            self.store.write(write)
        return pairs

    def _one_set(
        self, chance: random.Random, role: list[int], lines: dict[tuple[int, int], int]
    ) -> tuple[bytes, bytes]:
        versions = self._versions
        names = [*range(COMMON), *role]
        for _ in range(10):  # drift: no two hosts of a role are the same
            names[chance.randrange(COMMON, len(names))] = chance.randrange(COMMON, self._names)
        names = list(dict.fromkeys(names))
        while len(names) < COMMON + len(role):
            name = chance.randrange(COMMON, self._names)
            names += [name] if name not in names else []
        behind = chance.sample([n for n in names if len(versions[n]) > 1], BEHIND)
        steps = {name: chance.randrange(len(versions[name]) - 1) for name in behind}
        installed = sorted(versions[n][steps.get(n, -1)] for n in names)
        upgradable = sorted(lines[n, s] for n, s in steps.items())
        self._behind.append((behind[0], steps[behind[0]]))
        return array("i", installed).tobytes(), array("i", upgradable).tobytes()

    def _make_baselines(self, tx: Tx) -> None:
        for group in range(GROUPS):
            made = self.baseline(group)
            baselines.insert(tx, SCOPE, made, now=self.now)
            mapping = GroupMapping(
                patch_group=f"group{group}", operating_system=OperatingSystem.DEBIAN, baseline_id=made.id
            )
            patch_groups.register(tx, SCOPE, mapping)

    def baseline(self, group: int, change: int = 0) -> PatchBaseline:
        """The baseline of a group after its `change`th change: a delay and a level, and in one an entry of a list."""
        chance = random.Random(group)
        rules = tuple(
            ApprovalRule(
                filters=(
                    PatchFilter(key=FilterKey.SECTION, values=tuple(chance.sample(_SECTIONS, 8))),
                    PatchFilter(key=FilterKey.PRIORITY, values=("required", "important", "optional")),
                ),
                approve_after_days=(0, 3, 7, 14, 30)[(number + group) % 5] + (change % 20 if number == 0 else 0),
                compliance_level=_LEVELS[(number + (change if number == 1 else 0)) % len(_LEVELS)],
                enable_non_security=number % 2 == 0,
            )
            for number in range(5)
        )
        globs = [f"{letter}-package-{group}{digit}*" for letter in "abcde" for digit in range(5)]
        exact = [f"{chance.choice('abcdefgh')}-package-{chance.randrange(NAMES)}" for _ in range(50)]
        return PatchBaseline(
            id=BaselineId(f"pb-{group:017x}"),
            name=f"bench-{group}",
            operating_system=OperatingSystem.DEBIAN,
            rules=rules,
            approved_patches=tuple(dict.fromkeys((*globs, *exact[:25]))),
            rejected_patches=tuple(
                dict.fromkeys(
                    (*(f"*{g[1:]}" for g in globs[:24]), *exact[25:49], *([f"z{change}*"] if group == 0 else []))
                )
            ),
            rejected_patches_action=RejectedAction.BLOCK,
        )

    def _make_nodes(self, sets: list[tuple[int, int]]) -> None:
        activation = Activation(
            id=self.ids.uuid(), scope=SCOPE, code_hash="x", iam_role="bench",
            expires_at=NOW + timedelta(days=1), created_at=NOW,
        )  # fmt: skip
        self.store.write(lambda tx: activations.insert(tx, activation))
        done = 0
        for count in _lengths(self.nodes, _TOGETHER):
            numbers = range(done, done + count)
            self.store.write(lambda tx, numbers=numbers: self._write_nodes(tx, activation.id, numbers, sets))  # type: ignore[misc]
            done += count

    def _write_nodes(self, tx: Tx, activation_id: str, numbers: range, sets: list[tuple[int, int]]) -> None:
        ids = {n: NodeId(f"mi-{self._random.getrandbits(68):017x}") for n in numbers}
        common = {"account": SCOPE.account, "region": SCOPE.region}
        tx.execute(
            insert(node),
            [
                {"id": ids[n], **common, "activation_id": activation_id, "iam_role": "bench", "public_key": "k" * 390,
                 "fingerprint": f"f{n}", "registered_at": NOW, "operating_system": "DEBIAN", "last_ping_at": NOW,
                 "computer_name": f"host{n}", "platform_name": "Debian GNU/Linux", "ip_address": "10.0.0.1"}
                for n in numbers
            ],
        )  # fmt: skip
        tx.execute(
            insert(tag),
            [{**common, "resource_type": "ManagedInstance", "resource_id": ids[n], "key": "PatchGroup",
              "value": f"group{n % GROUPS}"} for n in numbers],
        )  # fmt: skip
        tx.execute(insert(hoststate), [{"digest": f"{n:064d}", "body": _state(n)} for n in numbers])
        times = array("i", [1_700_000_000]).tobytes() * (COMMON + PER_ROLE)
        tx.execute(
            insert(node_facts),
            [
                {"node_id": ids[n], "valid_from": NOW, "facts_version": 1, "report_digest": f"{n:064d}",
                 "instset": sets[self._set_of(n)][0], "upset": sets[self._set_of(n)][1],
                 "state": f"{n:064d}", "parts": dict.fromkeys(PARTS, f"{n:064d}"),
                 "times": times}
                for n in numbers
            ],
        )  # fmt: skip
        failed = [
            {"node_id": ids[n], "name": _name(name), "arch": _arch(name), "version": _version(name, later),
             "state": "FAILED", "boot_id": "", "detail": "the manager said no"}
            for n in numbers if n % 100 == 7
            for name, step in [self._behind[self._set_of(n)]]
            for later in range(step + 1, len(self._versions[name]))
        ]  # fmt: skip
        if failed:
            tx.execute(insert(overlay), failed)

    def _set_of(self, number: int) -> int:
        """Nodes of all groups share a set, unless every node has its own."""
        return number if self._distinct >= self.nodes else number // GROUPS % self._distinct

    def change_baselines(self, change: int) -> None:
        """What five operators' calls of UpdatePatchBaseline do: a new version of each baseline."""
        self.now += timedelta(seconds=1)
        for group in range(GROUPS):
            after = self.baseline(group, change)

            def update(tx: Tx, after: PatchBaseline = after) -> None:
                before = baselines.get(tx, SCOPE, after.id)
                update_baseline(tx, SCOPE, before, replace(after), now=self.now, ids=self.ids)

            self.store.write(update)


def _name(name: int) -> str:
    return f"{'abcdefghijklmnopqrstuvwxyz'[name % 26]}-package-{name}"


def _arch(name: int) -> str:
    return "all" if name % 5 == 0 else "amd64"


def _version(name: int, step: int) -> str:
    return f"1.{name % 40}.{step}-1"


def _state(number: int) -> bytes:
    sources = ",".join(
        f'{{"origin":"Debian","label":"{r.label}","suite":"{r.suite}","codename":"{r.codename}","component":"main",'
        f'"site":"{r.site}","trusted":true,"released_at":1790000000}}'
        for r in (MAIN, SECURITY)
    )
    return (
        '{"manager":"apt","manager_version":"2.6.1","os":{"id":"debian","version_id":"12","codename":"bookworm",'
        '"pretty_name":"Debian GNU/Linux 12 (bookworm)"},"arch":"amd64",'
        f'"boot_id":"{number:036d}","kernel":{{"running":"6.1.0-25-amd64","newest_installed":"6.1.0-26-amd64"}},'
        f'"reboot":{{"required":false}},"holds":[],"sources":[{sources}]}}'
    ).encode()


def _parts(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _lengths(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
