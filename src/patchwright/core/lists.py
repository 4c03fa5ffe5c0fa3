"""Approved and rejected lists: which entry, if any, names a package version."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family

_GLOB = re.compile(r"[*?\[]")
_LITERAL_FAMILIES = frozenset({Family.WINDOWS, Family.MACOS})
"""Where a list entry is never a wildcard. Source: patch-baselines.md 1.5."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A list made ready to be asked: exact entries by text, wildcards as one alternation and one by one."""

    exact: dict[str, int]
    any_glob: re.Pattern[str] | None
    globs: tuple[tuple[int, re.Pattern[str]], ...]


@lru_cache(maxsize=1024)
def _compiled(entries: tuple[str, ...], wildcards: bool) -> _Compiled:
    exact: dict[str, int] = {}
    sources: list[tuple[int, str]] = []
    for index, entry in enumerate(entries):
        text = entry.strip().lower()
        if wildcards and _GLOB.search(text):
            # fnmatch writes atomic groups, so that no name, however hostile, makes a match take long.
            sources.append((index, fnmatch.translate(text)))
        elif text:
            exact.setdefault(text, index)
    together = re.compile("|".join(source for _, source in sources)) if sources else None
    return _Compiled(exact, together, tuple((index, re.compile(source)) for index, source in sources))


def name_forms(version: PackageVersion) -> tuple[str, ...]:
    """Every way in which an entry may spell `version`, in lower case; wildcards are tried on each.

    Source: patch-baselines.md 1.5, rules 3 to 5; SUSE's patch names and package file names from the table there.
    """
    name, arch, full = version.name.lower(), version.arch.lower(), version.version.lower()
    if version.family is Family.WINDOWS:
        bulletin = version.update.bulletin.lower() if version.update else ""
        return (name, bulletin) if bulletin else (name,)
    if version.family is Family.MACOS:
        return (name, f"{name}.{full}")
    if version.family is Family.APT:
        return (name, full, f"{name}.{arch}", f"{name}-{full}", f"{arch}:{full}", f"{name}.{arch}:{full}")
    forms = _rpm_forms(name, arch, full)
    if version.family is Family.ZYPPER:
        plain = forms[4]
        return (*forms, f"{plain}.rpm", *(notice.id.lower() for notice in version.notices))
    return forms


def _rpm_forms(name: str, arch: str, full: str) -> tuple[str, ...]:
    epoch, colon, version_release = full.partition(":")
    if not colon:
        epoch, version_release = "0", full
    epoch = epoch or "0"
    version = version_release.partition("-")[0]
    return (
        name,
        f"{name}.{arch}",
        f"{name}-{version}",
        f"{name}-{version_release}",
        f"{name}-{version_release}.{arch}",
        f"{epoch}:{name}-{version_release}.{arch}",
        f"{name}-{epoch}:{version_release}",
        f"{name}-{epoch}:{version_release}.{arch}",
        version,
        version_release,
        f"{epoch}:{version_release}",
        f"{name}.{arch}:{epoch}:{version_release}",
    )


def notice_ids(version: PackageVersion) -> tuple[str, ...]:
    """Advisory, CVE and Bugzilla ids of the notices that list `version`, in lower case. Empty on apt."""
    return tuple(
        identifier.lower() for notice in version.notices for identifier in (notice.id, *notice.cves, *notice.bugzillas)
    )


def listed(version: PackageVersion, entries: tuple[str, ...]) -> str | None:
    """The first of `entries` that names `version`, as it was written; None if none does.

    Case never matters. `*`, `?` and `[...]` are wildcards over the name forms, except on Windows and
    macOS. On rpm systems an entry may also be the id of an advisory, CVE or Bugzilla of a notice that
    lists the version; approved and rejected lists are alike in that.
    Source: patch-baselines.md 1.5 with its DECISION.
    """
    if not entries:
        return None
    compiled = _compiled(entries, has_wildcards(version.family))
    index = _first(compiled, name_forms(version), notice_ids(version) if version.notices else ())
    return None if index is None else entries[index]


def any_spelled(forms: Sequence[str], entries: tuple[str, ...], *, wildcards: bool) -> list[bool]:
    """For each of `forms` (lower case) whether any entry spells it: what `listed` asks of a version's forms."""
    compiled = _compiled(entries, wildcards)
    if compiled.any_glob is None:
        return [form in compiled.exact for form in forms]
    if not compiled.exact:
        return [found is not None for found in map(compiled.any_glob.match, forms)]
    return [form in compiled.exact or compiled.any_glob.match(form) is not None for form in forms]


def any_named(ids: Sequence[str], entries: tuple[str, ...], *, wildcards: bool) -> list[bool]:
    """For each of `ids` (lower case) whether any entry is it: what `listed` asks of a version's notices."""
    exact = _compiled(entries, wildcards).exact
    return [id in exact for id in ids]


def is_wildcard(entry: str) -> bool:
    """Whether an entry has a wildcard in it, where they count."""
    return _GLOB.search(entry) is not None


def has_wildcards(family: Family) -> bool:
    """Whether list entries may be wildcards on systems of that family."""
    return family not in _LITERAL_FAMILIES


def spelled(forms: tuple[str, ...], entry: str) -> bool:
    """Whether one entry, wildcards allowed, spells any of `forms` (lower case)."""
    return _first(_compiled((entry,), True), forms, ()) is not None


def _first(compiled: _Compiled, forms: tuple[str, ...], ids: tuple[str, ...]) -> int | None:
    """The lowest index of an entry that spells a form (wildcards allowed) or an id (exactly)."""
    hits = [compiled.exact[form] for form in forms if form in compiled.exact]
    if compiled.exact:
        hits += [compiled.exact[form] for form in ids if form in compiled.exact]
    if compiled.any_glob is not None and any(map(compiled.any_glob.match, forms)):
        hits.append(next(index for index, glob in compiled.globs if any(map(glob.match, forms))))
    return min(hits, default=None)
