"""What one slot holds: the newest installed version, and the newer versions on offer."""

from dataclasses import dataclass
from datetime import datetime

from patchwright.core.facts import InstalledPackage, NodeFacts
from patchwright.core.patches import PackageVersion
from patchwright.core.values import Slot

_ARCH_INDEPENDENT = frozenset({"all", "noarch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFacts:
    """One slot of one node.

    `installed` is the newest of several installed versions (kernels), `versions` are all of them.
    `offers` are newer than `installed`, ascending. `candidate` is what the manager itself would take.
    Source: patch-baselines.md 3.3, 3.5.
    """

    slot: Slot
    installed: PackageVersion
    installed_at: datetime | None
    versions: frozenset[str]
    offers: tuple[PackageVersion, ...] = ()
    candidate: str = ""
    held: bool = False


def native_slot(slot: Slot, native_arch: str) -> Slot:
    """The slot under which a package is known whatever its build is: `all` and `noarch` are the native one's.

    Source: decisions.md 10.
    """
    if native_arch and slot.arch in _ARCH_INDEPENDENT:
        return Slot(name=slot.name, arch=native_arch)
    return slot


def slots_of(facts: NodeFacts) -> tuple[SlotFacts, ...]:
    """One SlotFacts per slot in which something is installed, in the order of the report.

    A line shows the architecture that is on disk (`tzdata.noarch`), while slots are told apart in
    their native form, so a package that changes from `amd64` to `all` stays one line.
    """
    native = facts.state.arch
    installed: dict[tuple[str, str], list[InstalledPackage]] = {}
    for item in facts.installed:
        installed.setdefault(_key(item.package, native), []).append(item)
    offers: dict[tuple[str, str], list[PackageVersion]] = {}
    candidates: dict[tuple[str, str], str] = {}
    for line in facts.upgradable:
        key = _key(line.installed, native)
        offers.setdefault(key, []).extend(line.offers)
        candidates[key] = line.candidate or candidates.get(key, "")
    held = {native_slot(slot, native) for slot in facts.state.holds}
    return tuple(
        _slot_facts(items, offers.get(key), candidates.get(key, ""), Slot(name=key[0], arch=key[1]) in held)
        if key in offers or held
        else _slot_facts(items, None, "", False)
        for key, items in installed.items()
    )


def _key(version: PackageVersion, native: str) -> tuple[str, str]:
    arch = version.arch
    return version.name, native if native and arch in _ARCH_INDEPENDENT else arch


def _slot_facts(
    items: list[InstalledPackage], offers: list[PackageVersion] | None, candidate: str, held: bool
) -> SlotFacts:
    newest = items[0] if len(items) == 1 else max(items, key=_installed_order)
    package = newest.package
    newer: tuple[PackageVersion, ...] = ()
    if offers:
        floor = package.sort_key
        newer = tuple(sorted((offer for offer in offers if offer.sort_key > floor), key=lambda offer: offer.sort_key))
    return SlotFacts(
        slot=package.slot,
        installed=package,
        installed_at=newest.installed_at,
        versions=frozenset(item.package.version for item in items),
        offers=newer,
        candidate=candidate,
        held=held,
    )


def _installed_order(item: InstalledPackage) -> tuple[object, ...]:
    # Equal versions (noarch beside x86_64, a duplicate in the database) must not depend on the report's order.
    return (item.package.sort_key, item.package.arch, item.package.version, repr(item))
