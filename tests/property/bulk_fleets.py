"""Fleets for the bulk judge: several nodes that share versions, under several baselines; and how to load them."""

from array import array
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from tests.property.fleets import Situation, baselines, catalogues, histories, node_facts

from patchwright.core.approval import Approver
from patchwright.core.baselines import PatchBaseline
from patchwright.core.facts import NodeFacts
from patchwright.core.judge_bulk import BulkJudge
from patchwright.core.judgement import Catalogue, History
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family

FleetOfNodes = tuple[list[tuple[NodeFacts, History]], list[PatchBaseline], Catalogue]


@st.composite
def fleets(draw: st.DrawFn) -> FleetOfNodes:
    """Up to four nodes of one family, up to two baselines, one catalogue."""
    family = draw(st.sampled_from((Family.DNF, Family.APT)))
    nodes = draw(st.lists(node_facts(family), min_size=1, max_size=4))
    seen = [draw(catalogues(facts)).first_seen for facts in nodes]
    catalogue = Catalogue(first_seen={key: at for part in seen for key, at in part.items()})
    histories_of = [(facts, draw(histories(facts))) for facts in nodes]
    return histories_of, draw(st.lists(baselines(family), min_size=1, max_size=2)), catalogue


def as_fleet(situation: Situation) -> FleetOfNodes:
    facts, baseline, catalogue, history = situation
    return [(facts, history)], [baseline], catalogue


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


def approver_of(baseline: PatchBaseline, product: str, catalogue: Catalogue, now, **more) -> Approver:
    return Approver(baseline, product, catalogue, now, **more)
