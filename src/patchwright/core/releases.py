"""When a version counts as released, and when a rule's wait for it is over."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from patchwright.core.judgement import Catalogue, FirstSeenKey, ReleaseSource
from patchwright.core.patches import Notice, PackageVersion
from patchwright.core.values import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """When a version counts as published (aware, UTC), and what says so."""

    at: datetime | None
    source: ReleaseSource


def release_of(version: PackageVersion, notice: Notice | None, catalogue: Catalogue) -> Release:
    """When `version`, as `notice` lists it, was released.

    A notice's update date, else its issue date, else the build time (yum and dnf only). On apt the
    earliest first sight in a repository that the host trusts (in any, if it trusts none).
    Source: patch-baselines.md 1.4; decisions.md 15.
    """
    if notice is not None and notice.updated_at is not None:
        return Release(at=notice.updated_at, source=ReleaseSource.NOTICE_UPDATED)
    if notice is not None and notice.issued_at is not None:
        return Release(at=notice.issued_at, source=ReleaseSource.NOTICE_ISSUED)
    if version.family is Family.APT:
        return _first_seen(version, catalogue)
    if version.update is not None and version.update.released_at is not None:
        return Release(at=version.update.released_at, source=ReleaseSource.NOTICE_UPDATED)
    if version.family in (Family.YUM, Family.DNF) and version.built_at is not None:
        return Release(at=version.built_at, source=ReleaseSource.BUILD_TIME)
    return Release(at=None, source=ReleaseSource.NONE)


def _first_seen(version: PackageVersion, catalogue: Catalogue) -> Release:
    if not catalogue.first_seen:
        return Release(at=None, source=ReleaseSource.NONE)
    trusted = [repository for repository in version.repositories if repository.trusted]
    sights = []
    for repository in trusted or version.repositories:
        seen = catalogue.first_seen.get(
            FirstSeenKey(repository=repository.identity, name=version.name, arch=version.arch, version=version.version)
        )
        if seen is not None:
            sights.append(seen)
    if not sights:
        return Release(at=None, source=ReleaseSource.NONE)
    first = min(sights, key=lambda seen: (seen.at, seen.source))
    return Release(at=first.at, source=first.source)


def approval_instant(released_at: datetime, days: int) -> datetime:
    """00:00:00Z of the UTC date of release plus `days`. Source: decisions.md 14."""
    day = released_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=days)
