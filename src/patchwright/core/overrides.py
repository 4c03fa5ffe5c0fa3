"""InstallOverrideList and BaselineOverride: from plain parsed values to what they select."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from patchwright.core.baselines import PatchBaseline
from patchwright.core.errors import Invalid, Kind
from patchwright.core.exit_codes import ExitCode
from patchwright.core.facts import NodeFacts
from patchwright.core.lists import any_spelled, is_wildcard, name_forms, spelled
from patchwright.core.override_baselines import MalformedBaseline, baseline_from_plain
from patchwright.core.patches import PackageVersion
from patchwright.core.slots import SlotFacts, slots_of
from patchwright.core.values import Family, OperatingSystem

MAX_OVERRIDE_ENTRIES = 10_000
"""A list is at most 1 MiB (decisions.md 8); this many entries of about 100 bytes fill it."""
MAX_WILDCARDS = 1_000
"""Each is made ready for every node that the list is for; exact ids cost nothing."""
MAX_OVERRIDE_CHARS = 512
"""The longest id or title; package names and versions are shorter than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideEntry:
    """`id` and, if given, `title` must both match; wildcards anywhere. Source: patch-baselines.md 5.4."""

    id: str
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOverrideList:
    """Replaces the baseline's selection for one Install; reporting still follows the baseline."""

    entries: tuple[OverrideEntry, ...]


def check_overrides(install_override_list: str, baseline_override: str) -> ExitCode | None:
    """BOTH_OVERRIDES if both parameters are given, else None: then nothing is even scanned. Source: 5.4."""
    return ExitCode.BOTH_OVERRIDES if install_override_list and baseline_override else None


def install_override_list(document: object) -> InstallOverrideList:
    """Read a parsed list document. Raises Invalid, naming the entry, for anything but `patches` of id and title.

    Other keys are ignored. Source: patch-baselines.md 5.4.
    """
    patches = document.get("patches") if isinstance(document, Mapping) else None
    if not isinstance(patches, Sequence) or isinstance(patches, str | bytes):
        raise Invalid(Kind.PARAMETERS, "the override list must be a map with the key patches, which is a list")
    if len(patches) > MAX_OVERRIDE_ENTRIES:
        raise Invalid(Kind.PARAMETERS, f"the override list has more than {MAX_OVERRIDE_ENTRIES} entries")
    entries = tuple(_entry(number, patch) for number, patch in enumerate(patches, 1))
    if len({entry.id for entry in entries if is_wildcard(entry.id)}) > MAX_WILDCARDS:
        raise Invalid(Kind.PARAMETERS, f"the override list has more than {MAX_WILDCARDS} different ids with wildcards")
    return InstallOverrideList(entries=entries)


def _entry(number: int, patch: object) -> OverrideEntry:
    id, title = (patch.get("id"), patch.get("title")) if isinstance(patch, Mapping) else (None, None)
    if not isinstance(id, str) or not 1 <= len(id.strip()) <= MAX_OVERRIDE_CHARS:
        raise Invalid(Kind.PARAMETERS, f"entry {number} of the override list has no usable id")
    if title is not None and (not isinstance(title, str) or not 1 <= len(title.strip()) <= MAX_OVERRIDE_CHARS):
        raise Invalid(Kind.PARAMETERS, f"entry {number} of the override list has no usable title")
    return OverrideEntry(id=id, title=title)


def _ids(version: PackageVersion) -> tuple[str, ...]:
    if version.family in (Family.WINDOWS, Family.MACOS):
        return name_forms(version)
    return (version.slot.patch_id.lower(),)


class Selection:
    """A list made ready to be asked of many versions: a fleet's run asks thousands of times."""

    def __init__(self, overrides: InstallOverrideList) -> None:
        self._exact: dict[str, list[OverrideEntry]] = {}
        self._wildcards: dict[str, list[OverrideEntry]] = {}
        for entry in overrides.entries:
            into = self._wildcards if is_wildcard(entry.id) else self._exact
            into.setdefault(entry.id.strip().lower(), []).append(entry)
        self._patterns = tuple(self._wildcards)

    def _named(self, version: PackageVersion) -> list[OverrideEntry]:
        """The entries whose id names the version's package."""
        ids = _ids(version)
        found = [entry for id in ids for entry in self._exact.get(id, ())]
        if self._patterns and any(any_spelled(ids, self._patterns, wildcards=True)):
            found += [e for p in self._patterns if spelled(ids, p) for e in self._wildcards[p]]
        return found

    def allows(self, version: PackageVersion) -> bool:
        """Whether some entry selects exactly this version. On Windows and macOS the title means nothing."""
        entries = self._named(version)
        if not entries or version.family in (Family.WINDOWS, Family.MACOS):
            return bool(entries)
        forms = name_forms(version)
        return any(entry.title is None or spelled(forms, entry.title) for entry in entries)

    def forbids(self, version: PackageVersion) -> bool:
        """Whether `version` may not even come in as a dependency: its id is listed, but with other versions."""
        return bool(self._named(version)) and not self.allows(version)


def override_targets(overrides: InstallOverrideList, facts: NodeFacts) -> tuple[tuple[SlotFacts, PackageVersion], ...]:
    """Per installed slot the newest version on offer that the list allows, whatever the baseline says of it.

    Source: patch-baselines.md 5.4.
    """
    selection = Selection(overrides)
    targets = []
    for slot in slots_of(facts):
        allowed = [version for version in slot.offers if selection.allows(version)]
        if allowed:
            targets.append((slot, allowed[-1]))
    return tuple(targets)


def baseline_override(document: object, operating_system: OperatingSystem) -> PatchBaseline | ExitCode:
    """The one baseline of a parsed BaselineOverride document for this system, or the exit code of the run.

    The document is a list of baselines in the shape that GetPatchBaseline answers with; unknown keys are
    ignored, and so is everything for other systems. Source: patch-baselines.md 5.5, 5.6.
    """
    if not isinstance(document, list) or not all(isinstance(entry, Mapping) for entry in document):
        return ExitCode.OVERRIDE_INVALID
    entries = [entry for entry in document if entry.get("OperatingSystem", "WINDOWS") == operating_system.value]
    if not entries:
        return ExitCode.OVERRIDE_SYSTEM_MISSING
    if len(entries) > 1:
        return ExitCode.OVERRIDE_SYSTEM_REPEATED
    try:
        return baseline_from_plain(entries[0], operating_system)
    except (MalformedBaseline, Invalid):
        return ExitCode.OVERRIDE_INVALID
