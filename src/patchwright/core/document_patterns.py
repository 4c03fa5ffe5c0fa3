"""Patterns of parameters: what every engine that reads them reads alike, and none at great cost.

The vendor checks them by Java and its agent by RE2; we by `regex`, which can be stopped, and our agent by Python's
`re`. `regex` takes twice the time and memory for each further level of repeated groups: twenty take two seconds, and
twenty-two a gigabyte. So the shape is looked at before an engine sees it. Source: operations.md 2.2.
"""

import re

import regex  # type: ignore[import-untyped]

MAX_PATTERN = 4_096
MAX_NESTING = 8
"""Groups within groups."""
MAX_REPEAT = 1_000
"""As RE2 has it."""
_REPEAT = re.compile(r"\{([0-9]{1,9})(?:(,)([0-9]{0,9}))?\}")
_GROUP = re.compile(r"\((?:\?(?::|P<[A-Za-z_][A-Za-z0-9_]*>|i\)))?(?!\?)")


class BadPattern(ValueError):
    """The message ends a sentence about the pattern."""


def check_pattern(pattern: object) -> None:
    """Raise BadPattern unless both ends can take it as a regular expression."""
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        raise BadPattern(f"is not a text of at most {MAX_PATTERN} characters")
    _check_shape(pattern)
    try:
        regex.compile(pattern)
        re.compile(pattern)
    except (regex.error, re.error, OverflowError, RecursionError, ValueError):
        raise BadPattern("is not a regular expression that server and nodes read alike") from None


def _check_shape(pattern: str) -> None:
    depth = place = 0
    class_from = -1  # where the class that we are in may end at the earliest
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            place += 2
            continue
        if class_from >= 0:
            if character == "]" and place >= class_from:
                class_from = -1
        elif character == "[":
            class_from = place + (3 if pattern[place + 1 : place + 2] == "^" else 2)
        elif character == "(":
            depth += 1
            if depth > MAX_NESTING:
                raise BadPattern(f"has more than {MAX_NESTING} groups within one another")
            if _GROUP.match(pattern, place) is None:
                raise BadPattern("has a group of a kind that not every engine knows, such as a look-ahead")
        elif character == ")":
            depth -= 1
        elif character == "{":
            _check_repeat(pattern, place)
        place += 1


def _check_repeat(pattern: str, place: int) -> None:
    found = _REPEAT.match(pattern, place)
    if found is None:
        raise BadPattern("has a { that repeats nothing: write \\{")
    if any(int(number or 0) > MAX_REPEAT for number in (found[1], found[3])):
        raise BadPattern(f"repeats something more than {MAX_REPEAT} times")
