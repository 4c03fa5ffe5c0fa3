"""Random small fleets: few names, versions and dates, so that ties, waits and list hits are common."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter, RejectedAction
from patchwright.core.facts import HostState, InstalledPackage, NodeFacts, UpgradeLine
from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey, History, ReleaseSource
from patchwright.core.patches import Notice, PackageVersion, Repository
from patchwright.core.values import BaselineId, ComplianceLevel, Family, OperatingSystem, Slot

EPOCH = datetime(2025, 11, 20, 12, tzinfo=UTC)
NAMES = ("curl", "curl-libs", "kernel")
ARCHES = {Family.DNF: ("x86_64", "noarch", "i686"), Family.APT: ("amd64", "all", "i386")}
SYSTEM = {Family.DNF: OperatingSystem.ALMA_LINUX, Family.APT: OperatingSystem.UBUNTU}
PRODUCT = {Family.DNF: "AlmaLinux9.2", Family.APT: "Ubuntu22.04"}
RELEASES = {Family.DNF: "-1.el9", Family.APT: "-1ubuntu1"}
REPOSITORIES = (
    Repository(origin="Ubuntu", suite="jammy-security"),
    Repository(origin="Ubuntu", suite="jammy-updates"),
    Repository(origin="Ubuntu", suite="jammy-security", label="unsigned", trusted=False),
    Repository(origin="Debian", suite="stable", site="security.debian.org"),
)

instants = st.integers(-30 * 24, 5 * 24).map(lambda hours: EPOCH + timedelta(hours=hours))
levels = st.sampled_from(ComplianceLevel)

notices = st.builds(
    Notice,
    id=st.sampled_from(("ALSA-1", "ALSA-2", "ALSA-3")),
    classification=st.sampled_from(("Security", "Bugfix", "Enhancement")),
    severity=st.sampled_from(("Critical", "Important", "Moderate", "Medium", "Low", "")),
    cves=st.lists(st.sampled_from(("CVE-2025-1000", "CVE-2025-2000")), unique=True).map(tuple),
    bugzillas=st.lists(st.sampled_from(("100", "200")), unique=True).map(tuple),
    issued_at=st.none() | instants,
    updated_at=st.none() | instants,
)


def _number_to_version(family: Family, number: int) -> str:
    return f"{number}{RELEASES[family]}"


@st.composite
def versions(draw: st.DrawFn, family: Family, name: str, arch: str, number: int) -> PackageVersion:
    rpm = family is Family.DNF
    return PackageVersion(
        family=family,
        name=name,
        arch=arch,
        version=_number_to_version(family, number),
        section="" if rpm else draw(st.sampled_from(("", "libs", "admin"))),
        priority="" if rpm else draw(st.sampled_from(("", "optional", "required"))),
        repositories=() if rpm else tuple(draw(st.lists(st.sampled_from(REPOSITORIES), unique=True, max_size=2))),
        notices=tuple(draw(st.lists(notices, max_size=2))) if rpm else (),
        built_at=draw(st.none() | instants) if rpm else None,
        phased=draw(st.sampled_from((None, 10, 100))),
    )


@st.composite
def node_facts(draw: st.DrawFn, family: Family) -> NodeFacts:
    installed: list[InstalledPackage] = []
    lines: list[UpgradeLine] = []
    slots = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(ARCHES[family])), min_size=1, unique=True))
    native = ARCHES[family][0]
    unique = {(name, native if arch in ("all", "noarch") else arch): (name, arch) for name, arch in slots}
    for name, arch in unique.values():
        numbers = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True))
        packages = [draw(versions(family, name, arch, number)) for number in numbers]
        installed += [InstalledPackage(package=package) for package in packages]
        newest = max(numbers)
        # Equal versions are on offer twice at times, and some are no newer than what is installed.
        offered = draw(st.lists(st.integers(1, 6), max_size=4))
        offers = tuple(draw(versions(family, name, arch, number)) for number in offered)
        if offers:
            candidate = _number_to_version(family, draw(st.integers(1, 6)))
            lines.append(UpgradeLine(installed=packages[numbers.index(newest)], offers=offers, candidate=candidate))
    held = draw(st.lists(st.sampled_from([item.package.slot for item in installed]), max_size=1))
    return NodeFacts(
        operating_system=SYSTEM[family],
        product=PRODUCT[family],
        installed=tuple(installed),
        upgradable=tuple(lines),
        state=HostState(
            manager="dnf" if family is Family.DNF else "apt", arch=native, boot_id="boot", holds=frozenset(held)
        ),
    )


def _filters(family: Family) -> st.SearchStrategy[PatchFilter]:
    product = st.builds(
        PatchFilter,
        key=st.just(FilterKey.PRODUCT),
        values=st.sampled_from((("*",), (PRODUCT[family],), (PRODUCT[family].partition(".")[0],), ("Windows95",))),
    )
    pairs = {
        Family.DNF: (
            (FilterKey.CLASSIFICATION, ("*", "security", "Bugfix", "Enhancement")),
            (FilterKey.SEVERITY, ("*", "Critical", "important", "Medium", "Low", "None")),
        ),
        Family.APT: (
            (FilterKey.PRIORITY, ("*", "Optional", "Required")),
            (FilterKey.SECTION, ("*", "libs", "Admin")),
        ),
    }[family]
    others = [
        st.builds(
            PatchFilter,
            key=st.just(key),
            values=st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(tuple),
        )
        for key, values in pairs
    ]
    return st.one_of(product, *others)


@st.composite
def rules(draw: st.DrawFn, family: Family) -> ApprovalRule:
    cut_off = draw(st.booleans())
    return ApprovalRule(
        filters=tuple(draw(st.lists(_filters(family), max_size=2))),
        compliance_level=draw(levels),
        approve_after_days=None if cut_off else draw(st.sampled_from((0, 1, 7, 20))),
        approve_until_date=date(2025, 11, draw(st.integers(1, 25))) if cut_off else None,
        enable_non_security=draw(st.booleans()),
    )


def entries(family: Family) -> st.SearchStrategy[tuple[str, ...]]:
    last = _number_to_version(family, 3)
    common = ("curl", "CURL*", "*-libs", f"curl-{last}", "ker?el", "[ck]url", last, f"kernel.{ARCHES[family][0]}")
    own = ("ALSA-2", "cve-2025-2000", "100") if family is Family.DNF else ()
    return st.lists(st.sampled_from((*common, *own)), max_size=2, unique=True).map(tuple)


@st.composite
def baselines(draw: st.DrawFn, family: Family) -> PatchBaseline:
    return PatchBaseline(
        id=BaselineId("pb-0123456789abcdef0"),
        name="random",
        operating_system=SYSTEM[family],
        global_filters=tuple(draw(st.lists(_filters(family), max_size=1))),
        rules=tuple(draw(st.lists(rules(family), max_size=3))),
        approved_patches=draw(entries(family)),
        approved_patches_level=draw(levels),
        approved_patches_enable_non_security=draw(st.booleans()),
        rejected_patches=draw(entries(family)),
        rejected_patches_action=draw(st.sampled_from(RejectedAction)),
        predefined=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def catalogues(draw: st.DrawFn, facts: NodeFacts) -> Catalogue:
    first_seen: dict[FirstSeenKey, FirstSeen] = {}
    for version in all_versions(facts):
        for repository in version.repositories:
            if draw(st.booleans()):
                key = FirstSeenKey(
                    repository=repository.identity, name=version.name, arch=version.arch, version=version.version
                )
                first_seen[key] = FirstSeen(at=draw(instants), source=ReleaseSource.FIRST_REPORT)
    return Catalogue(first_seen=first_seen)


@st.composite
def histories(draw: st.DrawFn, facts: NodeFacts) -> History:
    known: list[tuple[Slot, str]] = sorted({(version.slot, version.version) for version in all_versions(facts)})
    failed = draw(st.lists(st.sampled_from(known), max_size=2))
    pending = draw(st.lists(st.tuples(st.sampled_from(known), st.sampled_from(("boot", "older"))), max_size=2))
    return History(
        failed=frozenset(failed),
        pending_reboot=frozenset((slot, version, boot_id) for (slot, version), boot_id in pending),
    )


def all_versions(facts: NodeFacts) -> tuple[PackageVersion, ...]:
    offered = (offer for line in facts.upgradable for offer in line.offers)
    return (*(item.package for item in facts.installed), *offered)


Situation = tuple[NodeFacts, PatchBaseline, Catalogue, History]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """A node with everything that judging it needs."""
    family = draw(st.sampled_from((Family.DNF, Family.APT)))
    facts = draw(node_facts(family))
    return facts, draw(baselines(family)), draw(catalogues(facts)), draw(histories(facts))
