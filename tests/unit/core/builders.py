"""Small makers of core values for tests: versions, facts and baselines with everything irrelevant left out."""

from datetime import UTC, date, datetime

from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter, RejectedAction
from patchwright.core.facts import HostState, InstalledPackage, NodeFacts, UpgradeLine
from patchwright.core.judge import judge
from patchwright.core.judgement import Catalogue, FirstSeen, FirstSeenKey, History, Judgement, PatchLine, ReleaseSource
from patchwright.core.patches import Notice, PackageVersion, Repository, WindowsUpdate
from patchwright.core.values import FAMILY_OF, BaselineId, Family, OperatingSystem, Slot

TODAY = datetime(2025, 11, 20, 9, 30, tzinfo=UTC)
BASELINE_ID = BaselineId("pb-0123456789abcdef0")

MANAGER = {
    Family.APT: "apt",
    Family.YUM: "yum",
    Family.DNF: "dnf",
    Family.ZYPPER: "zypper",
    Family.WINDOWS: "windows_update",
    Family.MACOS: "softwareupdate",
}
NATIVE = {Family.APT: "amd64", Family.WINDOWS: "", Family.MACOS: ""}

SECURITY = Repository(origin="Ubuntu", label="Ubuntu", suite="jammy-security", component="main")
UPDATES = Repository(origin="Ubuntu", label="Ubuntu", suite="jammy-updates", component="main")
UNSIGNED = Repository(origin="Ubuntu", label="Ubuntu", suite="jammy-security", component="main", trusted=False)


def at(text: str) -> datetime:
    """`2025-11-13 23:10` or `2025-11-13`, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rpm(name: str, version: str, *notices: Notice, family: Family = Family.YUM, arch: str = "x86_64", **more):
    return PackageVersion(family=family, name=name, arch=arch, version=version, notices=notices, **more)


def deb(name: str, version: str, *repositories: Repository, arch: str = "amd64", priority: str = "optional", **more):
    return PackageVersion(
        family=Family.APT, name=name, arch=arch, version=version, repositories=repositories, priority=priority, **more
    )


def kb(number: str, **update):
    return PackageVersion(
        family=Family.WINDOWS,
        name=number,
        arch="",
        version="",
        update=WindowsUpdate(title=f"Update {number}", **update),
    )


def notice(
    id: str = "ALAS-2025-1",
    severity: str = "Important",
    classification: str = "Security",
    updated: str | None = None,
    issued: str | None = None,
    cves: tuple[str, ...] = (),
    bugzillas: tuple[str, ...] = (),
) -> Notice:
    return Notice(
        id=id,
        classification=classification,
        severity=severity,
        cves=cves,
        bugzillas=bugzillas,
        updated_at=at(updated) if updated else None,
        issued_at=at(issued) if issued else None,
    )


def only(key: FilterKey, *values: str) -> PatchFilter:
    return PatchFilter(key=key, values=values)


def rule(*filters: PatchFilter, days: int | None = 7, until: date | None = None, **more) -> ApprovalRule:
    return ApprovalRule(filters=filters, approve_after_days=None if until else days, approve_until_date=until, **more)


SECURITY_7_DAYS = rule(only(FilterKey.CLASSIFICATION, "Security"), only(FilterKey.SEVERITY, "Critical", "Important"))


def baseline(operating_system: OperatingSystem, *rules: ApprovalRule, **more) -> PatchBaseline:
    return PatchBaseline(id=BASELINE_ID, name="our-baseline", operating_system=operating_system, rules=rules, **more)


def blocking(operating_system: OperatingSystem, *rules: ApprovalRule, **more) -> PatchBaseline:
    return baseline(operating_system, *rules, rejected_patches_action=RejectedAction.BLOCK, **more)


def node(
    operating_system: OperatingSystem,
    *installed: PackageVersion,
    offers: tuple[PackageVersion, ...] = (),
    product: str = "",
    boot_id: str = "boot-1",
    holds: tuple[Slot, ...] = (),
    candidate: str | None = None,
    **more,
) -> NodeFacts:
    """Facts in which each offer belongs to the installed package of its name and architecture."""
    family = FAMILY_OF[operating_system]
    lines = []
    for package in installed:
        own = tuple(o for o in offers if (o.name, o.arch) == (package.name, package.arch))
        if own:
            chosen = own[-1].version if candidate is None else candidate
            lines.append(UpgradeLine(installed=package, offers=own, candidate=chosen))
    return NodeFacts(
        operating_system=operating_system,
        product=product,
        installed=tuple(InstalledPackage(package=package, installed_at=at("2025-10-01")) for package in installed),
        upgradable=tuple(lines),
        state=HostState(
            manager=MANAGER[family], arch=NATIVE.get(family, "x86_64"), boot_id=boot_id, holds=frozenset(holds)
        ),
        **more,
    )


def seen(*versions: PackageVersion, when: str, source: ReleaseSource = ReleaseSource.FIRST_REPORT) -> Catalogue:
    """A catalogue in which every repository of the versions showed them at `when`."""
    return Catalogue(
        first_seen={
            FirstSeenKey(
                repository=repository.identity, name=version.name, arch=version.arch, version=version.version
            ): FirstSeen(at=at(when), source=source)
            for version in versions
            for repository in version.repositories
        }
    )


def judged(
    facts: NodeFacts,
    baseline: PatchBaseline,
    *,
    now: datetime = TODAY,
    history: History | None = None,
    catalogue: Catalogue | None = None,
    **more,
) -> Judgement:
    judgement = judge(facts, history or History(), baseline, catalogue or Catalogue(), now, **more)
    assert isinstance(judgement, Judgement), judgement
    return judgement


def the_line(judgement: Judgement, name: str) -> PatchLine:
    """The one line of package `name`."""
    (line,) = [line for line in judgement.lines if line.slot.name == name]
    return line
