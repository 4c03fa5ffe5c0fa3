"""The facts that are made of what dpkg and apt said."""

from patchwright_agent.managers import apt_assemble
from patchwright_agent.managers.apt_assemble import Wanted
from patchwright_agent.managers.apt_index import IndexRecord
from patchwright_agent.managers.apt_output import Policy, PolicyVersion, Record
from patchwright_agent.managers.model import DPKG_INTERRUPTED, MANAGER_FAILED, PACKAGES_BROKEN, Repository

MAIN, SECURITY = "http://d stable/main amd64 Packages", "http://d security/main amd64 Packages"
REPOSITORIES = {
    MAIN: Repository("Debian", "Debian", "stable", "bookworm", "main", "d", True),
    SECURITY: Repository("Debian", "Debian-Security", "stable-security", "bookworm-security", "main", "d", True),
}


def dpkg(name: str, version: str = "1.0", status: str = "ii", arch: str = "amd64") -> Record:
    return Record(status, name, arch, version, "misc", "optional", name, version)


def version(
    number: str, *descriptions: str, installed: bool = False, pin: str = "500", phased: str = ""
) -> PolicyVersion:
    return PolicyVersion(number, installed, pin, phased, descriptions)


def test_removed_packages_are_not_installed_and_half_installed_ones_are() -> None:
    statuses = {"gone": "rc", "fine": "ii", "half": "iH", "trigger": "it", "wanted": "un", "held": "hi"}
    records = [dpkg(name, status=status) for name, status in statuses.items()]
    present = apt_assemble.present(records)
    assert [record.name for record in present] == ["fine", "half", "held", "trigger"]
    assert apt_assemble.holds(present) == [("held", "amd64")]


def test_a_security_fix_below_the_newest_is_on_offer_with_its_own_repositories() -> None:
    table = Policy("2.0", (version("2.0", MAIN), version("1.1", SECURITY, MAIN), version("1.0", installed=True)))
    found = {Wanted(SECURITY, "tool", "1.1"): IndexRecord("net", "important", "src", "1.1", "")}
    found[Wanted(MAIN, "tool", "2.0")] = IndexRecord("net", "optional", "src", "2.0", "100")
    records = [dpkg("tool")]
    assert set(apt_assemble.wanted_records(records, {"tool": table}, "amd64")) == set(found)

    (line,), unread = apt_assemble.lines(records, {"tool": table}, REPOSITORIES, found, "amd64")

    assert (line.candidate, unread) == ("2.0", [])
    assert [(offer.version, offer.priority) for offer in line.offers] == [("1.1", "important"), ("2.0", "optional")]
    assert [r.suite for r in line.offers[0].repositories] == ["stable", "stable-security"]
    assert line.offers[1].phased == ""  # fully phased is not phased


def test_an_offer_whose_record_cannot_be_read_stays_and_is_counted() -> None:
    table = Policy("2.0", (version("2.0", MAIN, phased="20"), version("1.0", installed=True)))
    (line,), unread = apt_assemble.lines([dpkg("tool")], {"tool": table}, REPOSITORIES, {}, "amd64")
    assert (line.offers[0].version, line.offers[0].source, line.offers[0].phased) == ("2.0", "tool", "20")
    (problem,) = apt_assemble.unread_problem(unread)
    assert (problem.code, problem.packages) == (MANAGER_FAILED, ("tool",))


def test_the_candidate_is_empty_where_apt_keeps_the_installed_version() -> None:
    table = Policy("1.0", (version("2.0", MAIN, pin="100"), version("1.0", installed=True)))
    (line,), _ = apt_assemble.lines([dpkg("tool")], {"tool": table}, REPOSITORIES, {}, "amd64")
    assert (line.candidate, line.offers[0].pin) == ("", "100")


def test_nothing_is_offered_by_the_package_database_itself() -> None:
    table = Policy("2.0", (version("2.0", "/var/lib/dpkg/status"), version("1.0", installed=True)))
    assert apt_assemble.lines([dpkg("tool")], {"tool": table}, REPOSITORIES, {}, "amd64") == ([], [])


def test_foreign_architectures_have_tables_of_their_own_and_all_is_native() -> None:
    tables = {
        "lib": Policy("1.0", (version("1.0", MAIN, installed=True),)),
        "lib:i386": Policy("1.0", (version("1.0", installed=True),)),
        "data": Policy("1.0", (version("1.0", SECURITY, installed=True),)),
    }
    records = [dpkg("data", arch="all"), dpkg("lib"), dpkg("lib", arch="i386"), dpkg("unknown")]
    packages = apt_assemble.packages(records, tables, REPOSITORIES, "amd64", {("lib", "i386"): 7})
    assert [[r.suite for r in package.repositories] for package in packages] == [
        ["stable-security"],
        ["stable"],
        [],
        [],
    ]
    assert [package.installed_at for package in packages] == [0, 0, 7, 0]


def test_each_kind_of_breakage_names_its_packages_and_its_repair() -> None:
    records = [dpkg("ok"), dpkg("half", status="iF"), dpkg("waits", status="iW"), dpkg("damaged", status="iHR")]
    interrupted, damaged, unreadable = apt_assemble.database_problems(records, 2, updates_pending=False)
    assert (interrupted.code, interrupted.remedy) == (DPKG_INTERRUPTED, "dpkg --configure -a")
    assert interrupted.packages == ("damaged", "half", "waits")
    assert (damaged.code, damaged.remedy) == (PACKAGES_BROKEN, "apt-get install --reinstall damaged")
    assert "2 records" in unreadable.message
    (journal,) = apt_assemble.database_problems([dpkg("ok")], 0, updates_pending=True)
    assert (journal.code, journal.remedy, journal.packages) == (DPKG_INTERRUPTED, "dpkg --configure -a", ())
    assert apt_assemble.database_problems([dpkg("ok")], 0, updates_pending=False) == []


def test_kernels_are_images_with_a_release() -> None:
    names = [
        "linux-image-6.1.0-21-amd64",
        "linux-image-amd64",
        "linux-image-unsigned-6.1.0-9-amd64",
        "linux-headers-6.1",
    ]
    records = [dpkg(name) for name in names] + [dpkg("linux-image-6.1.0-22-amd64", status="iF")]
    assert apt_assemble.kernels(records) == ["6.1.0-21-amd64", "6.1.0-9-amd64"]
