"""Sets of small numbers, a hundred thousand of hundreds each, in half the memory of 32-bit integers.

A set is kept as 16-bit numbers, in a part for each block of 65,536 that it has members in. Most fleets have one block.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
Numbers = NDArray[np.int32]


class PackedSets:
    """Sets by id; their members are in ascending blocks, within a block in the order given."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._blocks: list[dict[int, bytes]] = []
        self.bytes = 0
        """About how much they take."""

    def __contains__(self, set_id: object) -> bool:
        return set_id in self._sizes

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def size(self, set_id: int) -> int:
        """How many members a set has."""
        return self._sizes[set_id]

    def add(self, set_id: int, members: Numbers) -> None:
        """Keep a set; members are not negative."""
        self._sizes[set_id] = len(members)
        self.bytes += 2 * len(members) + 150
        block_of = members // BLOCK
        for block in range(int(block_of.max(initial=-1)) + 1):
            if block == len(self._blocks):
                self._blocks.append({})
            mine = members[block_of == block] - block * BLOCK
            if len(mine):
                self._blocks[block][set_id] = mine.astype(np.uint16).tobytes()

    def members(self, set_id: int) -> Numbers:
        """The members of one set."""
        return self.joined([set_id])[0]

    def joined(self, set_ids: Sequence[int]) -> tuple[Numbers, NDArray[np.int64]]:
        """All members of some sets, and the place in `set_ids` that each belongs to: block by block."""
        members, places = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        for first, parts in self.parts(set_ids):
            members.append(np.frombuffer(b"".join(parts), np.uint16).astype(np.int32) + np.int32(first))
            places.append(np.repeat(np.arange(len(parts)), [len(part) // 2 for part in parts]))
        return np.concatenate(members), np.concatenate(places)

    def parts(self, set_ids: Sequence[int]) -> Iterator[tuple[int, list[bytes]]]:
        """The first number of each block, and a part of each set as native 16-bit numbers from there."""
        for number, block in enumerate(self._blocks):
            yield number * BLOCK, [block.get(set_id, b"") for set_id in set_ids]
