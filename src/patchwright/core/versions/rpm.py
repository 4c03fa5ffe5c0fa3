"""The order of rpm versions, `[epoch:]version[-release]`, as every rpm that knows `^` (4.15 and later) sees it.

Source: rpm-version(7) and rpm's manual on dependencies; spec/patch-baselines.md 3.3 (epoch, version, release).

Version and release are compared segment by segment. A segment is a run of digits or a run of ASCII letters; `~` and `^`
stand for themselves; everything else only separates. At the first difference: `~` < end of the text < `^` < letters <
number. Letters compare by their codes, numbers by value. So `1.0~rc1` < `1.0` < `1.0^git1` < `1.0.1`, and
`1a` equals `1.a`.

No epoch, or nothing before the colon, is epoch 0. No release sorts before every release, also before an empty one and
`~1`. rpm answers for every text but the empty one; here that one equals a version of mere separators, such as `.`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from patchwright.core.versions import CACHED_CHARS, CACHED_VERSIONS, InvalidVersion, SortKey, number_key

_SEGMENT = re.compile(rb"[0-9]+|[A-Za-z]+|[~^]")
_END = b"\x01"
_MARKS = {b"~": b"\x00", b"^": b"\x02"}
# A letter's code is above all of these, so a shorter run of letters sorts before a longer one that starts with it.
_LETTERS = b"\x03"
_NUMBER = b"\x04"
_NO_RELEASE = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmVersion:
    """An rpm version in its parts. `epoch` is digits without leading zeros; `release` is None where there is none."""

    epoch: str
    version: str
    release: str | None

    def __str__(self) -> str:
        """The text with its epoch, which patch titles always print."""
        return f"{self.epoch}:{self.version}" + ("" if self.release is None else f"-{self.release}")


def _segment_key(segment: bytes) -> bytes:
    mark = _MARKS.get(segment)
    if mark is not None:
        return mark
    return _NUMBER + number_key(segment) if segment.isdigit() else _LETTERS + segment


def _part_key(part: str) -> bytes:
    # Characters beyond ASCII become question marks here: they separate, as those do.
    segments = _SEGMENT.findall(part.encode("ascii", "replace"))
    return b"".join([_segment_key(segment) for segment in segments]) + _END


def _split(evr: str) -> tuple[str, str, str | None]:
    """Epoch (digits, may be empty), version, release or None. Only digits before the first colon are an epoch."""
    epoch, colon, rest = evr.partition(":")
    if not colon or (epoch and not (epoch.isascii() and epoch.isdigit())):
        epoch, rest = "", evr
    version, hyphen, release = rest.rpartition("-")
    return (epoch, version, release) if hyphen else (epoch, rest, None)


def _make_key(evr: str) -> SortKey:
    epoch, version, release = _split(evr)
    return number_key(epoch.encode()), _part_key(version), _NO_RELEASE if release is None else _part_key(release)


_remembered_key = lru_cache(maxsize=CACHED_VERSIONS)(_make_key)


def sort_key(evr: str) -> SortKey:
    """A key that sorts as `evr` does for rpm; two keys are equal if and only if rpm calls the versions equal.

    Answers for every text, of any length. Keys of recent versions are remembered.
    """
    return _remembered_key(evr) if len(evr) <= CACHED_CHARS else _make_key(evr)


def compare(a: str, b: str) -> int:
    """-1, 0 or 1, as `a` is older than, equal to or newer than `b` for rpm. Answers for every text, like `sort_key`."""
    left, right = sort_key(a), sort_key(b)
    return (left > right) - (left < right)


def parse(evr: str) -> RpmVersion:
    """Split `[epoch:]version[-release]` as rpm does.

    Raises InvalidVersion for the empty text, the only one that rpm refuses, and for a text without a version, which rpm
    compares, but never gives to a package.
    """
    epoch, version, release = _split(evr)
    if not version:
        raise InvalidVersion("rpm", evr, "its version is empty")
    return RpmVersion(epoch=epoch.lstrip("0") or "0", version=version, release=release)
