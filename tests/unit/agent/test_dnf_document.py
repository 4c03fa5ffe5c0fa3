"""A facts document of rpms: its fifth part, and that the server reads what the agent writes."""

import json
from datetime import UTC, datetime

from tests.unit.agent.test_dnf_output import ANSWER, facts

from patchwright.core.patches import PackageVersion
from patchwright.core.values import Family
from patchwright.flows.facts_document import Part, Report, read_report
from patchwright_agent.managers.model import ManagerFacts
from patchwright_agent.platform import OperatingSystem
from patchwright_agent.worker.facts import Document, HostFacts, document
from patchwright_agent.worker.reboot import CORE_RPMS, Reboot, reboot_state, updated_since_boot

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SYSTEM = OperatingSystem("rocky", "9.4", "", "Rocky Linux", "Rocky Linux 9.4 (Blue Onyx)", "rhel centos fedora")


def written(manager: ManagerFacts) -> Document:
    host = HostFacts(SYSTEM, "b-1", "5.14.0-427.el9.x86_64", "", Reboot(False, (), ()), [])
    return document(manager, host, "0.1.0", 1.0)


def read(sent: Document) -> Report:
    parts = [Part(name=p.name, digest=p.digest, body=p.body) for p in sent.parts]
    return read_report(1, sent.digest, NOW, parts, None)


def versions(report: Report) -> dict[tuple[str, str], PackageVersion]:
    offers = [offer for line in report.lines or () for offer in line.offers]
    return {(v.name, v.version): v for v in (*(report.installed or {}).values(), *offers)}


def test_the_server_reads_what_the_agent_writes() -> None:
    report = read(written(facts()))
    found = versions(report)
    fix = found["openssl-libs", "1:3.0.7-25.el9"]
    assert (fix.family, fix.arch, fix.built_at) == (Family.DNF, "x86_64", datetime.fromtimestamp(1767323045, UTC))
    assert [r.label for r in fix.repositories] == ["baseos", "extras"]
    (notice,) = fix.notices
    assert (notice.id, notice.classification, notice.severity) == ("RLSA-2024:3843", "Security", "Moderate")
    assert (notice.cves, notice.bugzillas) == (("CVE-2023-6129", "CVE-2024-0727"), ("2257571",))
    assert notice.issued_at == datetime(2024, 6, 12, tzinfo=UTC)
    assert notice.updated_at == datetime(2024, 6, 14, 13, 59, 29, tzinfo=UTC)
    assert found["tzdata", "0:2025b-1.el9"].notices[0].updated_at is None
    assert report.state is not None
    assert sorted(slot.patch_id for slot in report.state.holds) == ["bash.x86_64", "tzdata.noarch"]


def test_a_new_notice_changes_only_the_rows_that_it_lists() -> None:
    before = {p.name: p.body for p in written(facts()).parts}
    newer = [["RLSA-2026:1", "security", "Low", 1, 1, [], []]]
    listed = [["openssl-libs", "x86_64", "1:3.0.7-27.el9", ["RLSA-2026:1"]]]
    known = facts(notices=ANSWER["notices"] + newer, listed=ANSWER["listed"] + listed)
    after = {p.name: p.body for p in written(known).parts}
    assert {name for name in before if before[name] != after[name]} == {"notices", "upgradable"}


def test_a_kernel_may_be_installed_twice_and_a_notice_stands_once() -> None:
    parts = {p.name: json.loads(p.body) for p in written(facts()).parts}
    assert sorted(parts) == ["installed", "notices", "state", "times", "upgradable"]
    rows = [row.split("\t") for row in parts["installed"]["packages"]]
    assert [row[2] for row in rows if row[0] == "kernel-core"] == ["0:5.14.0-427.el9", "0:5.14.0-427.13.1.el9_4"]
    assert all(len(row) == 10 for row in rows)
    ids = [row[0] for row in parts["notices"]["notices"]]
    assert ids == sorted(set(ids))
    assert (parts["state"]["modules"], parts["state"]["obsoleted"]) == (
        ["nginx:1.22"],
        ["oldname\tx86_64\tnewname-0:2-1.x86_64"],
    )


def test_what_was_updated_since_the_boot_wants_a_reboot() -> None:
    packages = [p._replace(name=name) for p, name in zip(facts().packages, sorted(CORE_RPMS), strict=False)]
    moment = packages[0].installed_at
    assert updated_since_boot(packages, moment + 1) == ()
    assert updated_since_boot(packages, 0) == ()  # the kernel does not say when it booted
    updated = updated_since_boot(packages, moment - 100)
    assert "glibc" in updated
    state = reboot_state("", "", "", "5.14.0-427.el9.x86_64", False, updated)
    assert (state.required, state.packages) == (True, updated)
    assert not reboot_state("", "", "", "5.14.0-427.el9.x86_64", True, updated).required  # a container boots otherwise
