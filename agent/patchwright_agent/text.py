"""Text that packages, repositories and programs supply is hostile: make it safe to store and to print."""

import re

MAX_FIELD_CHARACTERS = 512  # the longest honest value (a version, a section, a label) is far shorter

# C0 and C1 controls, DEL, line and paragraph separators, and the marks that reorder what a terminal shows.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def field(value: str, limit: int = MAX_FIELD_CHARACTERS) -> str:
    """One line of `value`: each run of control characters becomes one blank, at most `limit` characters are kept."""
    if value.isprintable() and len(value) <= limit:  # the common case, ten thousand times a run
        return value.strip()
    return _UNSAFE.sub(" ", value[: limit * 4]).strip()[:limit]


def line(value: str) -> str:
    """One line of `value` as `field` makes it safe, but with its leading blanks and its length: they mean something."""
    return value if value.isalnum() else _UNSAFE.sub(" ", value)


def block(value: str, limit: int) -> str:
    """Several lines of `value`, each made safe, at most `limit` characters in all."""
    return "\n".join(field(line, limit) for line in value[: limit * 4].split("\n"))[:limit]
