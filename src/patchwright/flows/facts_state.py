"""The state part of a facts report: everything of a host that is not packages."""

from datetime import UTC, datetime

import msgspec

from patchwright.core.facts import HostState, Problem, SourceRelease, StaleService
from patchwright.core.values import Slot
from patchwright.flows.facts_fields import (
    MAX_ARCH,
    MAX_BOOT_ID,
    MAX_REPOSITORIES,
    bad,
    clean,
    decode,
    repositories_of,
    shown,
)

MAX_HOLDS = 65_535
LATEST_RELEASE = 2**33
"""Epoch seconds, in the year 2242; 0 is unknown."""


class _System(msgspec.Struct):
    id: str = ""
    version_id: str = ""
    codename: str = ""
    name: str = ""
    pretty_name: str = ""
    id_like: str = ""


class _Kernel(msgspec.Struct):
    running: str = ""
    newest_installed: str = ""


class _Reboot(msgspec.Struct):
    required: bool = False
    evidence: list[str] = []
    packages: list[str] = []


class _Problem(msgspec.Struct):
    code: str
    message: str
    remedy: str = ""
    packages: list[str] = []


class _Stale(msgspec.Struct):
    unit: str
    libraries: list[str] = []


class _Source(msgspec.Struct):
    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    component: str = ""
    site: str = ""
    trusted: bool = False
    released_at: int = 0


class _State(msgspec.Struct):
    manager: str
    manager_version: str = ""
    os: _System = msgspec.field(default_factory=_System)
    arch: str = ""
    boot_id: str = ""
    kernel: _Kernel = msgspec.field(default_factory=_Kernel)
    reboot: _Reboot = msgspec.field(default_factory=_Reboot)
    holds: list[str] = []
    problems: list[_Problem] = []
    stale_services: list[_Stale] = []
    sources: list[_Source] = []
    sources_digest: str = ""


def read_state_part(body: str) -> tuple[HostState, str]:
    """The state, and the os-release ID_LIKE beside it. Raises Invalid(REPORT)."""
    raw = decode(body, _State, "state")
    holds = []
    for hold in raw.holds[:MAX_HOLDS]:
        name, _, arch = _hold_fields(hold)
        holds.append(Slot(name=name, arch=arch))
    return (
        HostState(
            manager=clean(raw.manager),
            manager_version=clean(raw.manager_version),
            os_id=clean(raw.os.id),
            os_version=clean(raw.os.version_id),
            os_codename=clean(raw.os.codename),
            os_name=clean(raw.os.pretty_name or raw.os.name),
            arch=clean(raw.arch, MAX_ARCH),
            boot_id=clean(raw.boot_id, MAX_BOOT_ID),
            kernel_running=clean(raw.kernel.running),
            kernel_newest=clean(raw.kernel.newest_installed),
            reboot_required=raw.reboot.required,
            reboot_evidence=tuple(shown(e) for e in raw.reboot.evidence[:20]),
            reboot_packages=tuple(shown(p) for p in raw.reboot.packages[:500]),
            holds=frozenset(holds),
            problems=tuple(
                Problem(
                    code=shown(p.code, 64),
                    message=shown(p.message, 1_000),
                    remedy=shown(p.remedy, 500),
                    packages=tuple(shown(n) for n in p.packages[:200]),
                )
                for p in raw.problems[:50]
            ),
            stale_services=tuple(
                StaleService(unit=shown(s.unit), libraries=tuple(shown(x) for x in s.libraries[:50]))
                for s in raw.stale_services[:500]
            ),
            sources=tuple(_source(s) for s in raw.sources[:MAX_REPOSITORIES]),
            sources_digest=clean(raw.sources_digest),
        ),
        clean(raw.os.id_like),
    )


def _hold_fields(text: str) -> tuple[str, str, str]:
    name, tab, arch = text.partition("\t")
    return clean(name), tab, clean(arch)


def _source(raw: _Source) -> SourceRelease:
    (repository,) = repositories_of(
        [(raw.origin, raw.label, raw.suite, raw.codename, raw.component, raw.site, raw.trusted)]
    )
    if not 0 <= raw.released_at < LATEST_RELEASE:
        raise bad("a repository's release date is out of range")
    released = datetime.fromtimestamp(raw.released_at, UTC) if raw.released_at else None
    return SourceRelease(repository=repository, released_at=released)
