"""Version order of the package managers: one published ordering per module, `deb` and `rpm`.

Both offer the same three functions:

- `sort_key(text)` makes a `SortKey`: Python compares two keys as the package manager compares the two versions.
- `compare(a, b)` is -1, 0 or 1.
- `parse(text)` splits a version into its parts; raises `InvalidVersion` for what the package manager refuses.

A fleet contains versions that no packager should have written, and one of them must not stop the judgement of a node.
So `sort_key` and `compare` answer for every text, also for those that `parse` refuses. Keys of different orderings mean
nothing to each other. They are for comparing in memory: store the version's text, and make the key again.
"""

# Epoch, upstream version or version, revision or release: each as bytes whose order is the order of that part.
SortKey = tuple[bytes, bytes, bytes]

# Distinct versions that an ordering remembers: about as many as 100,000 nodes of one distribution have.
CACHED_VERSIONS = 65_536

# Longer texts are not remembered, so that a node which invents versions can't fill the memory. Real ones are shorter.
CACHED_CHARS = 128

_ONE_BYTE_LENGTHS = tuple(bytes((length,)) for length in range(255))


class InvalidVersion(ValueError):
    """A version that the package manager itself refuses; `ordering` is `deb` or `rpm`, `reason` says what is wrong.

    The message quotes at most 80 characters, escaped, so that it may go to a terminal or a log.
    """

    def __init__(self, ordering: str, version: str, reason: str) -> None:
        super().__init__(f"{ordering} version {version[:80]!a} is refused: {reason}")
        self.ordering = ordering
        self.version = version
        self.reason = reason


def number_key(digits: bytes) -> bytes:
    """Bytes that sort by the number that `digits` spell: ASCII, any count, none is zero, leading zeros are ignored.

    The number's length comes first, then its digits. No integer is made: versions carry numbers beyond 64 bits, and
    `int` refuses more than 4,300 digits.
    """
    significant = digits.lstrip(b"0")
    length = len(significant)
    if length < 255:
        return _ONE_BYTE_LENGTHS[length] + significant
    return b"\xff" + length.to_bytes(8, "big") + significant
