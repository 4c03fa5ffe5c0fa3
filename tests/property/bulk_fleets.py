"""Fleets for the bulk judge: several nodes that share versions, under several baselines; and how to load them."""

from array import array
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from tests.property.fleets import baselines, catalogues, histories, levels, node_facts

from patchwright.core.baselines import ApprovalRule, PatchBaseline
from patchwright.core.facts import NodeFacts
from patchwright.core.judge_bulk import BulkJudge
from patchwright.core.judgement import Catalogue, History
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family

FleetOfNodes = tuple[list[tuple[NodeFacts, History]], list[PatchBaseline], Catalogue]


@st.composite
def fleets(draw: st.DrawFn) -> FleetOfNodes:
    """Up to five nodes of one family, up to two baselines, one catalogue. In half of the baselines much waits."""
    family = draw(st.sampled_from((Family.DNF, Family.APT)))
    nodes = draw(st.lists(node_facts(family), min_size=1, max_size=5))
    seen = [draw(catalogues(facts)).first_seen for facts in nodes]
    catalogue = Catalogue(first_seen={key: at for part in seen for key, at in part.items()})
    histories_of = [(facts, draw(histories(facts))) for facts in nodes]
    some = draw(st.lists(st.one_of(baselines(family), waiting(family)), min_size=1, max_size=2))
    return histories_of, some, catalogue


@st.composite
def waiting(draw: st.DrawFn, family: Family) -> PatchBaseline:
    """A baseline that approves everything, some of it later: with dates all over, versions wait or do not."""
    rules = tuple(
        ApprovalRule(
            filters=(),
            approve_after_days=days,
            compliance_level=draw(levels),
            enable_non_security=draw(st.sampled_from((True, True, False))),
        )
        for days in draw(st.lists(st.sampled_from((3, 10, 20, 40)), min_size=1, max_size=3))
    )
    return replace(draw(baselines(family)), rules=rules, global_filters=(), predefined=False)


class Loader:
    """Gives nodes' facts to a bulk judge under ids such as the store would have given."""

    def __init__(self) -> None:
        self.judge = BulkJudge()
        self._ids: dict[object, int] = {}

    def _id(self, thing: object) -> int:
        return self._ids.setdefault(thing, 3 + 2 * len(self._ids))

    def load(self, nodes: Sequence[NodeFacts]) -> list[int]:
        """The number of each node's pair of sets."""
        records = self.judge.records
        keys = []
        for facts in nodes:
            installed = [self._version(item.package) for item in facts.installed]
            lines = []
            for line in facts.upgradable:
                own = self._version(line.installed)
                offers = [self._version(offer) for offer in line.offers]
                line_id = self._id(("line", own, *offers))
                if len(records.line_numbers.unknown(np.asarray([line_id], np.int32))):
                    records.add_lines([(line_id, own, np.asarray(offers, np.int32))])
                lines.append(line_id)
            instset, upset = self._set("inst", installed), self._set("up", lines)
            keys.append((facts.state.arch, instset, upset))
        self.judge.pairs.add(keys)
        return [self.judge.pairs.numbers[key] for key in keys]

    def _version(self, version: PackageVersion) -> int:
        number = self._id(repr(version))
        records = self.judge.records
        if len(records.version_numbers.unknown(np.asarray([number], np.int32))):
            records.add_versions({number: version})
        return number

    def _set(self, kind: str, ids: Sequence[int]) -> int:
        ordered = array("i", sorted(ids))
        number = self._id((kind, *ordered))
        records = self.judge.records
        known = records.instsets if kind == "inst" else records.upsets
        if number not in known:
            (records.add_instset if kind == "inst" else records.add_upset)(number, ordered.tobytes())
        return number
