"""What the fleet's three hosts have installed and are offered, three baselines, and what each makes of it.

`web` reads only security updates of high priority, `db` every update of some sections, `lone` (in no patch group, under
the default baseline) everything that is a week old. Expectations were worked out by hand from
spec/patch-baselines.md 1.4 to 1.8, 3.4, 3.5, 4.4 and 6.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.repository import AptRepository, Deb
from tests.e2e.roots import Root

WEB, DB, LONE = "web", "db", "lone"
NODES = (WEB, DB, LONE)
OLD = datetime.now(UTC) - timedelta(days=60)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)

BASELINES: Mapping[str, Mapping[str, Any]] = {
    WEB: {
        "Name": "web-security",
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": {
            "PatchRules": [
                {
                    "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["Required", "Important"]}]},
                    "ApproveAfterDays": 0,
                    "ComplianceLevel": "CRITICAL",
                }
            ]
        },
        "ApprovedPatches": ["lab-app", "lab-listed"],
        "ApprovedPatchesComplianceLevel": "LOW",
        "RejectedPatches": ["lab-bad"],
        "RejectedPatchesAction": "ALLOW_AS_DEPENDENCY",
    },
    DB: {
        "Name": "db-everything",
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": {
            "PatchRules": [
                {
                    "PatchFilterGroup": {
                        "PatchFilters": [{"Key": "SECTION", "Values": ["libs", "web", "utils", "misc"]}]
                    },
                    "ApproveAfterDays": 0,
                    "EnableNonSecurity": True,
                    "ComplianceLevel": "HIGH",
                }
            ]
        },
        "RejectedPatches": ["lab-bad", "lab-ver-2.0-1"],
        "RejectedPatchesAction": "BLOCK",
    },
    LONE: {
        "Name": "a-week-later",
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": {
            "PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 7, "EnableNonSecurity": True}]
        },
    },
}
DB_SECTIONS = frozenset({"libs", "web", "utils", "misc"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of DescribeInstancePatches, and the code by which ExplainPatch gives its reason.

    `version` is that of the title: the target's where the patch is MISSING, else the installed one.
    """

    state: str
    version: str
    classification: str
    severity: str
    code: str


@dataclass(frozen=True, slots=True)
class Planted:
    """A package on every host, its versions on offer by suite, and its line on each node."""

    name: str
    arch: str
    section: str
    priority: str
    installed: str
    suites: Mapping[str, tuple[str, ...]]
    expected: Mapping[str, Line]
    held: bool = False


def missing(version: str, classification: str, severity: str, code: str = "APPROVED_BY_RULE") -> Line:
    return Line("MISSING", version, classification, severity, code)


def other(version: str, code: str) -> Line:
    """Installed, and not approved: such a line describes neither classification nor severity."""
    return Line("INSTALLED_OTHER", version, "", "", code)


STABLE, SECURITY, FRESH = "stable", "stable-security", "fresh"
SECURITY_FIX = "1.0-1+deb12u1"

PLANTED = (
    # A security fix below the newest version: who takes security only gets the fix, the others the newest.
    Planted("lab-lib", "all", "libs", "important", "1.0-1", {STABLE: ("1.0-1", "2.0-1"), SECURITY: (SECURITY_FIX,)}, {
        WEB: missing(SECURITY_FIX, "Security", "important", "NEWER_NOT_APPROVED"),
        DB: missing("2.0-1", "", "important"),
        LONE: missing("2.0-1", "", "important"),
    }),
    # On the approved list of `web`, which takes security updates only.
    Planted("lab-app", "all", "web", "optional", "1.0-1", {STABLE: ("1.0-1", "1.1-1")}, {
        WEB: other("1.0-1", "NOT_SECURITY"),
        DB: missing("1.1-1", "", "optional"),
        LONE: missing("1.1-1", "", "optional"),
    }),
    Planted("lab-core", "amd64", "admin", "required", "1.0-1", {STABLE: ("1.0-1",), SECURITY: ("1.0-2",)}, {
        WEB: missing("1.0-2", "Security", "required"),
        DB: other("1.0-1", "FILTERED_OUT"),
        LONE: missing("1.0-2", "Security", "required"),
    }),
    Planted("lab-tool", "amd64", "utils", "optional", "1.0-1", {STABLE: ("1.0-1",), SECURITY: ("1.0-2",)}, {
        WEB: other("1.0-1", "FILTERED_OUT"),
        DB: missing("1.0-2", "Security", "optional"),
        LONE: missing("1.0-2", "Security", "optional"),
    }),
    Planted("lab-held", "all", "admin", "important", "1.0-1", {STABLE: ("1.0-1",), SECURITY: ("1.0-2",)}, {
        WEB: missing("1.0-2", "Security", "important", "HELD"),
        DB: other("1.0-1", "FILTERED_OUT"),
        LONE: missing("1.0-2", "Security", "important", "HELD"),
    }, held=True),
    # Rejected by name, once with each action; the default baseline rejects nothing.
    Planted("lab-bad", "all", "misc", "important", "1.0-1", {STABLE: ("1.0-1",), SECURITY: ("1.0-2",)}, {
        WEB: other("1.0-1", "REJECTED"),
        DB: Line("INSTALLED_REJECTED", "1.0-1", "", "important", "REJECTED_BLOCKED"),
        LONE: missing("1.0-2", "Security", "important"),
    }),
    # Only its newest version is rejected by `db`: the one below it is the target.
    Planted("lab-ver", "all", "libs", "standard", "1.0-1", {STABLE: ("1.0-1", "1.5-1", "2.0-1")}, {
        WEB: other("1.0-1", "FILTERED_OUT"),
        DB: missing("1.5-1", "", "standard", "NEWER_NOT_APPROVED"),
        LONE: missing("2.0-1", "", "standard"),
    }),
    Planted("lab-listed", "all", "utils", "extra", "1.0-1", {STABLE: ("1.0-1",), SECURITY: ("1.0-2",)}, {
        WEB: missing("1.0-2", "Security", "extra", "APPROVED_BY_LIST"),
        DB: missing("1.0-2", "Security", "extra"),
        LONE: missing("1.0-2", "Security", "extra"),
    }),
    Planted("lab-still", "all", "admin", "required", "1.0-1", {STABLE: ("1.0-1",)}, {
        WEB: other("1.0-1", "NO_UPDATE_ON_OFFER"),
        DB: other("1.0-1", "NO_UPDATE_ON_OFFER"),
        LONE: Line("INSTALLED", "1.0-1", "", "required", "UP_TO_DATE"),
    }),
    Planted("lab-done", "all", "admin", "required", "1.0-2", {STABLE: ("1.0-1",), SECURITY: ("1.0-2",)}, {
        WEB: Line("INSTALLED", "1.0-2", "Security", "required", "UP_TO_DATE"),
        DB: other("1.0-2", "NO_UPDATE_ON_OFFER"),
        LONE: Line("INSTALLED", "1.0-2", "Security", "required", "UP_TO_DATE"),
    }),
    # Installed by dpkg alone.
    Planted("lab-local", "all", "utils", "optional", "3.1", {}, {
        WEB: other("3.1", "LOCAL_PACKAGE"),
        DB: Line("INSTALLED", "3.1", "", "optional", "UP_TO_DATE"),
        LONE: Line("INSTALLED", "3.1", "", "optional", "UP_TO_DATE"),
    }),
    # In a repository whose Release file is of yesterday: for who waits a week, nothing in it is approved yet.
    Planted("lab-new", "all", "misc", "optional", "1.0-1", {FRESH: ("1.0-1", "1.1-1")}, {
        WEB: other("1.0-1", "FILTERED_OUT"),
        DB: missing("1.1-1", "", "optional"),
        LONE: other("1.0-1", "PENDING_APPROVAL"),
    }),
)  # fmt: skip

COUNTS: Mapping[str, Mapping[str, int]] = {
    node: dict(
        zip(
            ("InstalledRejected", "Missing", "CriticalNonCompliant", "SecurityNonCompliant", "OtherNonCompliant"),
            counts,
            strict=True,
        )
    )
    for node, counts in {WEB: (0, 4, 3, 4, 0), DB: (1, 6, 0, 2, 5), LONE: (0, 8, 0, 5, 3)}.items()
}
"""Source: patch-baselines.md 6.2. A critical line that is also security counts twice; an other one is neither."""

Row = tuple[str, str, str, str, str]
"""(Title, KBId, State, Classification, Severity) of one line."""


def plant(root: Root, lab: AptRepository, fresh: AptRepository) -> None:
    """Bring one host to where the expectations begin."""
    lab.enable(root, STABLE, SECURITY)
    fresh.enable(root, FRESH)
    root.run(["apt-get", "update", "-q"])
    wanted = [f"{p.name}={p.installed}" for p in PLANTED if p.suites]
    root.run(["apt-get", "install", "-y", "-q", "-o", "Dpkg::Options::=--force-unsafe-io", *wanted])
    root.run(["apt-mark", "hold", *(p.name for p in PLANTED if p.held)])
    root.write("/var/tmp/local.deb", next((lab.folder / "local").glob("*.deb")).read_bytes())
    root.run(["dpkg", "--force-unsafe-io", "-i", "/var/tmp/local.deb"])


def publish(lab: AptRepository, fresh: AptRepository) -> None:
    """Build the packages; `lab` is two months old, `fresh` is of yesterday."""
    for package in PLANTED:
        for suite, versions in package.suites.items():
            repository = fresh if suite == FRESH else lab
            repository.add(suite, *(_deb(package, version) for version in versions))
        if not package.suites:
            (lab.folder / "local").mkdir()
            _deb(package, package.installed).build(lab.folder / "local")
    lab.publish(OLD)
    fresh.publish(YESTERDAY)


def _deb(package: Planted, version: str) -> Deb:
    return Deb(package.name, version, arch=package.arch, section=package.section, priority=package.priority)


def expected_rows(root: Root, node: str) -> set[Row]:
    """Every line that DescribeInstancePatches must show of a host: the planted ones, and those of the base.

    The base's packages are in no repository, so nothing newer is on offer and nothing dates them.
    """
    rows = {
        (f"{p.name}.{p.arch}:{line.version}", f"{p.name}.{p.arch}", line.state, line.classification, line.severity)
        for p in PLANTED
        for line in [p.expected[node]]
    }
    query = root.run(["dpkg-query", "-W", "-f", "${Package}\t${Architecture}\t${Version}\t${Section}\t${Priority}\n"])
    planted = {p.name for p in PLANTED}
    for text in query.stdout.splitlines():
        name, arch, version, section, priority = text.split("\t")
        if name not in planted:
            approved = node == LONE or (node == DB and section in DB_SECTIONS)
            state, severity = ("INSTALLED", priority) if approved else ("INSTALLED_OTHER", "")
            rows.add((f"{name}.{arch}:{version}", f"{name}.{arch}", state, "", severity))
    return rows
