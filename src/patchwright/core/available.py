"""What is on offer for a product, over all nodes that reported it: one patch for each package version.

Nodes with different repositories report one version with different words. The patch says what any of them said.
Source: patch-baselines.md 8, DescribeAvailablePatches with its DECISION.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from patchwright.core.filters import facets_of
from patchwright.core.judgement import Catalogue
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.releases import release_of
from patchwright.core.values import Family

EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
"""Release date of a patch that nobody dated. The reply's member is a plain instant."""
MAX_EPOCH = 2**31 - 1


class Word(StrEnum):
    """Filter keys of which one patch has several values."""

    REPOSITORY = "REPOSITORY"
    ADVISORY_ID = "ADVISORY_ID"
    CVE_ID = "CVE_ID"
    BUGZILLA_ID = "BUGZILLA_ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A version's text in the members of a reply; `release` is a Debian revision, or ""."""

    epoch: int
    version: str
    release: str


def parts_of(version: PackageVersion) -> Parts:
    """Epoch, version and release: of a text without an epoch it is 0, and so of one that is no number."""
    head, colon, rest = version.version.partition(":")
    is_number = bool(colon) and head.isascii() and head.isdigit()
    text = rest if is_number else version.version
    body, dash, release = text.rpartition("-")
    epoch = min(int(head[:12]), MAX_EPOCH) if is_number else 0
    return Parts(epoch=epoch, version=body if dash else text, release=release if dash else "")


def merged(known: PackageVersion | None, reported: PackageVersion) -> PackageVersion:
    """What both reports of one version say together. What is of one host (its pin, its phase) is left out."""
    plain = replace(reported, pin=None, phased=None)
    known = known or replace(plain, repositories=(), notices=())
    notices = {notice.id: notice for notice in known.notices}
    for notice in reported.notices:
        before = notices.get(notice.id)
        if before is None or _instant(before) <= _instant(notice):
            notices[notice.id] = notice
    return replace(
        plain,
        section=reported.section or known.section,
        priority=reported.priority or known.priority,
        source=reported.source or known.source,
        source_version=reported.source_version or known.source_version,
        repositories=tuple(sorted({*known.repositories, *reported.repositories})),
        notices=tuple(sorted(notices.values(), key=lambda notice: notice.id)),
        built_at=reported.built_at or known.built_at,
    )


def _instant(notice: Notice) -> datetime:
    return notice.updated_at or notice.issued_at or EPOCH_START


def words_of(version: PackageVersion) -> tuple[tuple[Word, str], ...]:
    """The values by which a patch is found of which it may have several."""
    found = {(Word.REPOSITORY, name) for name in repositories_of(version)}
    for notice in version.notices:
        found.add((Word.ADVISORY_ID, notice.id))
        found |= {(Word.CVE_ID, cve) for cve in notice.cves}
        found |= {(Word.BUGZILLA_ID, bug) for bug in notice.bugzillas}
    return tuple(sorted(found))


def repositories_of(version: PackageVersion) -> tuple[str, ...]:
    """Names of its repositories: an rpm's repository id, `suite/component` of an apt archive."""
    if version.family is Family.APT:
        names = {"/".join(part for part in (r.suite, r.component) if part) or r.label for r in version.repositories}
    else:
        names = {r.label for r in version.repositories}
    return tuple(sorted(name for name in names if name))


def gravest(version: PackageVersion, product: str) -> tuple[str, str]:
    """(Classification, Severity) in upper case, of its gravest notice: Security first, then the vendor's severity."""
    seen = []
    for facets, notice in facets_of(version, product):
        severity = version.priority if version.family is Family.APT else notice.severity if notice else ""
        seen.append((facets.classification.upper(), severity.upper()))
    return min(seen, key=lambda words: (words[0] != "SECURITY", -_RANK.get(words[1], 0), words))


_RANK = {"CRITICAL": 4, "IMPORTANT": 3, "MODERATE": 2, "MEDIUM": 2, "LOW": 1}


def released_at(version: PackageVersion, catalogue: Catalogue) -> datetime:
    """The latest date that something says of it: a re-issued notice counts as a release. Source: 1.4."""
    dates = [release_of(version, notice, catalogue).at for notice in version.notices or (None,)]
    return max((at for at in dates if at is not None), default=EPOCH_START)
