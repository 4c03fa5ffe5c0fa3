"""The order of Debian package versions, `[epoch:]upstream[-revision]`, as dpkg and apt see it.

Source: Debian Policy 5.6.12 (Version) and deb-version(7); spec/patch-baselines.md 3.3 (the candidates of a node).

Where the sources leave room, dpkg's own answer counts, also where it only warns (a version that starts with a letter,
characters such as `_`, which sort after the letters by their code). The empty text is dpkg's "no version" and sorts
before all others. Bytes beyond ASCII sort as dpkg sees them where C's `char` is signed, as on x86.

Where dpkg gives no answer, `parse` raises and the order is ours: an epoch that isn't a number belongs to the upstream
version, an epoch beyond dpkg's limit sorts by its number, an empty upstream version or revision counts as `0`, a blank
text as the empty one, and blanks within a version sort as punctuation does. apt answers some of these, its own way.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from patchwright.core.versions import CACHED_CHARS, CACHED_VERSIONS, InvalidVersion, SortKey, number_key

# dpkg reads an epoch into a C int.
MAX_EPOCH = 2**31 - 1

_DIGITS = b"0123456789"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NUMBER = re.compile(rb"[0-9]+")
# The C library's strtol takes a sign; minus zero is zero, any other negative epoch is refused.
_EPOCH = re.compile(r"(?:\+?|-(?=0+$))([0-9]+)")
_ABSENT: SortKey = (b"", b"", b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebVersion:
    """A Debian version in its parts; `revision` is empty for a native package. `str()` leaves out an epoch of zero."""

    epoch: int
    upstream: str
    revision: str

    def __str__(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch or ":" in self.upstream else ""
        return epoch + self.upstream + (f"-{self.revision}" if self.revision or "-" in self.upstream else "")


def _rank_table() -> tuple[bytes, bytes]:
    """The translation of each byte of a non-digit run to its rank, and the rank of the run's end.

    The order is `~`, the end, letters, bytes beyond ASCII, other characters. Digits stay, and no rank looks like one.
    """
    ranks = iter([rank for rank in range(256) if rank not in _DIGITS])
    table = bytearray(range(256))
    table[ord("~")] = next(ranks)
    end = bytes((next(ranks),))
    # No byte above 0xF4 occurs in UTF-8; without them the ranks fit beside the ten digits.
    others = (byte for byte in range(128) if byte not in _LETTERS + _DIGITS + b"~")
    for byte in (*_LETTERS, *range(0x80, 0xF5), *others):
        table[byte] = next(ranks)
    return bytes(table), end


_RANKS, _END = _rank_table()


def _ranked_number(match: re.Match[bytes]) -> bytes:
    return _END + number_key(match[0])


def _part_key(part: str) -> bytes:
    """The upstream version or the revision as bytes: (non-digit run, end, number) again and again, then a last end.

    A part always has a number after its last run, if only a zero: so `1.` equals `1.0`, and the empty part equals `0`.
    """
    ranked = part.encode("utf-8", "surrogatepass").translate(_RANKS)
    key = _NUMBER.sub(_ranked_number, ranked)
    if not ranked or ranked[-1] not in _DIGITS:
        key += _END + number_key(b"")
    return key + _END


def _split(text: str) -> tuple[str | None, str, str | None]:
    """Epoch (digits), upstream version, revision; None if absent. The first colon and the last hyphen count."""
    head, colon, rest = text.partition(":")
    epoch = _EPOCH.fullmatch(head) if colon else None
    if epoch is None:
        rest = text
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        return epoch and epoch[1], rest, None
    return epoch and epoch[1], upstream, revision


def _make_key(version: str) -> SortKey:
    text = version.strip(" \t")
    if not text:
        return _ABSENT
    epoch, upstream, revision = _split(text)
    return number_key((epoch or "").encode()), _part_key(upstream), _part_key(revision or "")


_remembered_key = lru_cache(maxsize=CACHED_VERSIONS)(_make_key)


def sort_key(version: str) -> SortKey:
    """A key that sorts as `version` does for dpkg; two keys are equal if and only if dpkg calls the versions equal.

    Answers for every text, of any length; the module says what holds where dpkg refuses. Recent keys are remembered.
    """
    return _remembered_key(version) if len(version) <= CACHED_CHARS else _make_key(version)


def compare(a: str, b: str) -> int:
    """-1, 0 or 1, as `a` is earlier than, equal to or later than `b`. Answers for every text, like `sort_key`."""
    left, right = sort_key(a), sort_key(b)
    return (left > right) - (left < right)


def parse(version: str) -> DebVersion:
    """Split a version as dpkg does; blanks around it are dropped.

    Raises InvalidVersion where dpkg refuses to compare it. What dpkg merely warns of (characters outside the policy's,
    a version that doesn't start with a digit) is accepted, because installed packages have it.
    """
    text = version.strip(" \t")
    if not text:
        raise InvalidVersion("deb", version, "it is empty")
    if " " in text or "\t" in text:
        raise InvalidVersion("deb", version, "it contains a blank")
    epoch, upstream, revision = _split(text)
    if epoch is None and ":" in text:
        raise InvalidVersion("deb", version, "what stands before the first colon is not an epoch")
    significant = (epoch or "").lstrip("0")
    if len(significant) > len(str(MAX_EPOCH)) or int(significant or "0") > MAX_EPOCH:
        raise InvalidVersion("deb", version, f"its epoch is above {MAX_EPOCH}")
    if not upstream:
        raise InvalidVersion("deb", version, "its upstream version is empty")
    if revision == "":
        raise InvalidVersion("deb", version, "nothing follows its last hyphen")
    return DebVersion(epoch=int(significant or "0"), upstream=upstream, revision=revision or "")
