"""The fields of a facts report, read one by one: bounded, printable, of the right type. Everything in it is hostile."""

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from patchwright.core.errors import Invalid, Kind
from patchwright.core.patches import SECURITY_HOSTS, Repository

T = TypeVar("T")
RepositoryRow = tuple[str, str, str, str, str, str, bool]
MAX_FIELD = 255
MAX_ARCH = 32
MAX_BOOT_ID = 64
MAX_REPOSITORIES = 1_000
_INDEXES = re.compile(r"(?:[0-9]{1,4}(?:,[0-9]{1,4})*)?")
_NUMBER = re.compile(r"-?[0-9]{1,6}")


def bad(text: str) -> Invalid:
    """The refusal of a whole report."""
    return Invalid(Kind.REPORT, f"The report was refused: {text}. The node's last good facts were kept.")


def decode(body: str, shape: type[T], name: str) -> T:
    """A part's text as `shape`. Raises Invalid(REPORT)."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeEncodeError) as wrong:
        raise bad(f"part {name}: {wrong}") from wrong
    except RecursionError as wrong:
        raise bad(f"part {name} is nested too deeply") from wrong


def repositories_of(rows: Sequence[RepositoryRow]) -> tuple[Repository, ...]:
    """A part's repository rows. Raises Invalid(REPORT)."""
    if len(rows) > MAX_REPOSITORIES:
        raise bad(f"a part names more than {MAX_REPOSITORIES} repositories")
    return tuple(
        Repository(
            origin=clean(origin),
            label=clean(label),
            suite=clean(suite),
            codename=clean(codename),
            component=clean(component),
            site=site if site in SECURITY_HOSTS else "",
            trusted=trusted,
        )
        for origin, label, suite, codename, component, site, trusted in rows
    )


def clean(text: str, limit: int = MAX_FIELD) -> str:
    """A host's text as it may be stored and shown: no control characters, bounded in bytes, since keys are too."""
    if len(text) > limit or (not text.isascii() and len(text.encode()) > limit):
        raise bad(f"a field is longer than {limit} bytes")
    if not text.isprintable():
        raise bad("a field holds characters that can't be printed")
    return text


def shown(text: str, limit: int = MAX_FIELD) -> str:
    """Free text of the host, made harmless rather than refused."""
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def picked(repositories: tuple[Repository, ...], indexes: str) -> tuple[Repository, ...]:
    """The repositories that a row names by their numbers, "0,2". Raises Invalid(REPORT)."""
    if not _INDEXES.fullmatch(indexes):
        raise bad("a package names its repositories by something else than their numbers")
    numbers = {int(i) for i in indexes.split(",")} if indexes else set()
    if max(numbers, default=-1) >= len(repositories):
        raise bad("a package names a repository that the part does not have")
    return tuple(sorted({repositories[i] for i in numbers}))


def number(text: str, what: str) -> int | None:
    """A small integer, None for "". Raises Invalid(REPORT)."""
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise bad(f"{what} is not a number")
    return int(text)
