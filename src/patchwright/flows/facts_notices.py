"""The part `notices` of a facts report, and the two fields by which rows of rpms name a build time and notices.

Rows name notices by digest. Each version's record holds its notices as a whole, so a notice that many rows name is kept
many times: what a report may make of that is bounded here. Everything in it is hostile. Source: decisions.md 11.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from patchwright.core.patches import Notice
from patchwright.flows.facts_fields import bad, clean, decode

MAX_NOTICES = 20_000
"""Several times what a distribution publishes in ten years."""
MAX_REFERENCES = 5_000
"""CVEs, or bugs, of one notice. The longest real ones, of kernels, have some 700."""
MAX_REFERENCE = 64
MAX_WORD = 64
"""Characters of a type or a severity."""
MAX_EXPANDED = 64 * 1024 * 1024
"""Characters of notices in all rows together, each counted as often as it is named."""
DIGEST_DIGITS = 16
_REFERENCES = re.compile(r"(?:[0-9a-f]{16}(?:,[0-9a-f]{16}){0,999})?")
_SECONDS = re.compile(r"[0-9]{1,10}")
_LATEST = 2**33

_Row = tuple[str, str, str, int, int, list[str], list[str]]


class _Notices(msgspec.Struct):
    notices: list[_Row]


class KnownNotices:
    """The notices of one report by their digests, and how much of them its rows may still name."""

    def __init__(self, notices: Mapping[str, tuple[Notice, int]]) -> None:
        self._notices = notices
        self._left = MAX_EXPANDED

    def named(self, references: str) -> tuple[Notice, ...]:
        """The notices that a row names by digests between commas. Raises Invalid(REPORT)."""
        if not references:
            return ()
        if not _REFERENCES.fullmatch(references):
            raise bad("a package names its notices by something else than their digests")
        found = []
        for digest in sorted(set(references.split(","))):
            known = self._notices.get(digest)
            if known is None:
                raise bad("a package names a notice that the report does not have")
            found.append(known[0])
            self._left -= known[1]
        if self._left < 0:
            raise bad(f"the notices of all packages together are longer than {MAX_EXPANDED} characters")
        return tuple(sorted(found, key=_order))


def _order(notice: Notice) -> tuple[str, str]:
    return (notice.id, repr(notice))


def read_notices(body: str) -> KnownNotices:
    """The part's text, checked. Raises Invalid(REPORT)."""
    raw = decode(body, _Notices, "notices")
    if len(raw.notices) > MAX_NOTICES:
        raise bad(f"more than {MAX_NOTICES} notices")
    notices: dict[str, tuple[Notice, int]] = {}
    for row in raw.notices:
        text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_DIGITS]
        if digest in notices:
            raise bad("a notice stands in part notices twice")
        notices[digest] = (_notice(row), len(text))
    return KnownNotices(notices)


def _notice(row: _Row) -> Notice:
    identifier, kind, severity, issued, updated, cves, bugzillas = row
    if not identifier:
        raise bad("a notice has no id")
    return Notice(
        id=clean(identifier),
        classification=clean(kind, MAX_WORD).capitalize(),
        severity=clean(severity, MAX_WORD),
        cves=_references(cves),
        bugzillas=_references(bugzillas),
        issued_at=_instant(issued),
        updated_at=_instant(updated),
    )


def _references(identifiers: list[str]) -> tuple[str, ...]:
    if len(identifiers) > MAX_REFERENCES:
        raise bad(f"a notice has more than {MAX_REFERENCES} references of a kind")
    return tuple(sorted({clean(identifier, MAX_REFERENCE) for identifier in identifiers}))


def _instant(seconds: int) -> datetime | None:
    if not 0 <= seconds < _LATEST:
        raise bad("a date of a notice is out of range")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def built_at(seconds: str) -> datetime | None:
    """The build time of a row, None for 0. Raises Invalid(REPORT)."""
    if not _SECONDS.fullmatch(seconds) or int(seconds) >= _LATEST:
        raise bad("a build time is no instant in seconds")
    return datetime.fromtimestamp(int(seconds), UTC) if int(seconds) else None
