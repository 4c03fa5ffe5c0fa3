"""Sets come out of their packing as they went in, whatever their numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.bulk_sets import BLOCK, PackedSets

numbers = st.integers(0, 5 * BLOCK) | st.sampled_from([0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK])


@given(st.lists(st.sets(numbers), max_size=8))
def test_members_come_back(sets: list[set[int]]) -> None:
    packed = PackedSets()
    for set_id, members in enumerate(sets):
        packed.add(set_id, np.asarray(sorted(members), np.int32))
    for set_id, members in enumerate(sets):
        assert packed.members(set_id).tolist() == sorted(members)
        assert packed.size(set_id) == len(members)
    joined, places = packed.joined(range(len(sets)))
    assert sorted(zip(places.tolist(), joined.tolist(), strict=True)) == [
        (place, member) for place, members in enumerate(sets) for member in sorted(members)
    ]
