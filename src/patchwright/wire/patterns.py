"""Patterns of the models: Java expressions, matched whole, in bounded time.

The models were written for Java, where `\\w`, `\\d` and `\\s` are ASCII and `\\p{L}` is not.
Source: spec/operations.md 1.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import regex  # type: ignore[import-untyped]    # the standard library's `re` has no \p{L}

MATCH_SECONDS = 0.05
"""Longest time for one value. Ordinary values take microseconds; a value that needs more is taken as not matching."""


@lru_cache(maxsize=1024)  # more than the models hold; compiled at first use, since most are never needed
def _compiled(pattern: str) -> Any:
    flags = 0 if r"\p{" in pattern else regex.ASCII
    return regex.compile(pattern, flags)


_ONE_CLASS = re.compile(
    r"\^?(?:\[(?:[\w .:/@+=,-]|\\[-_.:/@+=,dw])+\]|\\[dw]|\.)(?:\{\d+(?:,\d*)?\}|[*+])\$?", re.ASCII
)
"""One class of characters, repeated: linear for any engine, so it needs no clock."""


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[str], Any]:
    if _ONE_CLASS.fullmatch(pattern):
        return re.compile(pattern.removeprefix("^").removesuffix("$"), re.ASCII).fullmatch
    # `concurrent` would give the interpreter away for every value, and wait for it afterwards.
    return partial(_compiled(pattern).fullmatch, timeout=MATCH_SECONDS, concurrent=False)


def matches(pattern: str, value: str) -> bool:
    """Say whether the whole of `value` matches `pattern`. A value that exhausts MATCH_SECONDS does not."""
    try:
        return _matcher(pattern)(value) is not None
    except TimeoutError:
        return False
