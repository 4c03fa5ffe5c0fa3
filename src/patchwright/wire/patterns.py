"""Patterns of the models: Java expressions, matched whole, in bounded time.

The models were written for Java, where `\\w`, `\\d` and `\\s` are ASCII and `\\p{L}` is not.
Source: spec/operations.md 1.5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import regex  # type: ignore[import-untyped]    # the standard library's `re` has no \p{L}

MATCH_SECONDS = 0.05
"""Longest time for one value. Ordinary values take microseconds; a value that needs more is taken as not matching."""


@lru_cache(maxsize=1024)  # more than the models hold; compiled at first use, since most are never needed
def _compiled(pattern: str) -> Any:
    flags = 0 if r"\p{" in pattern else regex.ASCII
    return regex.compile(pattern, flags)


def matches(pattern: str, value: str) -> bool:
    """Say whether the whole of `value` matches `pattern`. A value that exhausts MATCH_SECONDS does not."""
    try:
        return _compiled(pattern).fullmatch(value, timeout=MATCH_SECONDS) is not None
    except TimeoutError:
        return False
