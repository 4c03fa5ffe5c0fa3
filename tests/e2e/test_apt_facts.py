"""Facts of real Debian hosts without python3-apt: what dpkg and apt know is what the document says."""

import json
from typing import Any

import pytest
from tests.e2e.conftest import MakeRepository, MakeRoot
from tests.e2e.repository import AptRepository, Deb
from tests.e2e.roots import CommandFailed, Root

pytestmark = pytest.mark.root

FAILING = "#!/bin/sh\nexit 1\n"
HOLD_LOCK = """
import fcntl, sys, time
lock = open(sys.argv[1], "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


def facts(root: Root, *arguments: str) -> dict[str, Any]:
    """The parts of the host's facts document."""
    parts: dict[str, Any] = json.loads(root.agent("facts", *arguments).stdout)["parts"]
    return parts


def line_of(parts: dict[str, Any], name: str) -> tuple[str, list[dict[str, Any]]]:
    """The candidate of an upgradable package, and its offers with the suites that carry them."""
    suites = [row[2] for row in parts["upgradable"]["repositories"]]
    for identity, candidate, offers in parts["upgradable"]["lines"]:
        if identity.split("\t")[0] == name:
            names = ("version", "section", "priority", "source", "source_version", "repos", "pin", "phased")
            rows = [dict(zip(names, offer.split("\t"), strict=True)) for offer in offers]
            return candidate, [dict(row, suites=[suites[int(n)] for n in row["repos"].split(",")]) for row in rows]
    raise AssertionError(f"{name} has no line")


def installed(parts: dict[str, Any], name: str) -> list[str]:
    rows = [row.split("\t") for row in parts["installed"]["packages"]]
    return next(row for row in rows if row[0] == name)


def problems(parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {problem["code"]: problem for problem in parts["state"]["problems"]}


@pytest.fixture
def host(make_root: MakeRoot) -> Root:
    return make_root("facts-1")


@pytest.fixture
def repository(make_repository: MakeRepository) -> AptRepository:
    return make_repository()


def test_every_newer_version_is_on_offer_a_security_fix_below_the_newest_too(
    host: Root, repository: AptRepository
) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1", source="tb (1.0)"), Deb("tb-lib", "2.0-1", section="libs"))
    fix = Deb("tb-lib", "1.0-1+deb12u1", priority="important", source="tb (1.0+fix)")
    repository.add("stable-security", fix)
    repository.publish()
    repository.enable(host, "stable", "stable-security")
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "tb-lib=1.0-1"])

    parts = facts(host)

    candidate, offers = line_of(parts, "tb-lib")
    assert candidate == "2.0-1"
    assert [(offer["version"], offer["suites"]) for offer in offers] == [
        ("1.0-1+deb12u1", ["stable-security"]),
        ("2.0-1", ["stable"]),
    ]
    assert (offers[0]["priority"], offers[0]["source"], offers[0]["source_version"]) == ("important", "tb", "1.0+fix")
    assert (offers[1]["section"], offers[1]["pin"], offers[1]["phased"]) == ("libs", "500", "")
    row = installed(parts, "tb-lib")
    assert row[:7] == ["tb-lib", "all", "1.0-1", "misc", "optional", "tb", "1.0"]
    assert parts["installed"]["repositories"][int(row[7])][2] == "stable"
    released = {source["suite"]: source["released_at"] for source in parts["state"]["sources"]}
    assert released == {"stable": 1767323045, "stable-security": 1767323045}  # 2026-01-02 03:04:05 UTC


def test_candidates_are_what_apt_list_calls_upgradable(host: Root, repository: AptRepository) -> None:
    repository.add("stable", *(Deb(f"tb-{n}", "1.0-1", arch="amd64" if n % 2 else "all") for n in range(4)))
    repository.add("stable", Deb("tb-0", "1.1-1"), Deb("tb-1", "1:0.5-1", arch="amd64"), Deb("tb-2", "1.0~rc1-1"))
    repository.add("backports", Deb("tb-3", "3.0-1", arch="amd64"))
    repository.publish()
    repository.enable(host, "stable", "backports")
    host.write("/etc/apt/preferences.d/backports", "Package: *\nPin: release a=backports\nPin-Priority: 100\n")
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "tb-0=1.0-1", "tb-1=1.0-1", "tb-2=1.0-1", "tb-3=1.0-1"])

    parts = facts(host)

    listed = host.run(["apt", "list", "--upgradable"]).stdout
    expected = {line.split("/")[0]: line.split()[1] for line in listed.splitlines() if "/" in line}
    offered = {identity.split("\t")[0]: candidate for identity, candidate, _ in parts["upgradable"]["lines"]}
    assert {name: candidate for name, candidate in offered.items() if candidate} == expected
    assert expected == {"tb-0": "1.1-1", "tb-1": "1:0.5-1"}
    candidate, offers = line_of(parts, "tb-3")  # on offer, but apt itself would keep the installed version
    assert (candidate, [(offer["version"], offer["pin"]) for offer in offers]) == ("", [("3.0-1", "100")])


def test_a_hold_is_reported_and_hides_no_offer(host: Root, repository: AptRepository) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1"), Deb("tb-lib", "1.1-1"))
    repository.publish()
    repository.enable(host, "stable")
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "tb-lib=1.0-1"])
    host.run(["apt-mark", "hold", "tb-lib"])

    parts = facts(host)

    assert parts["state"]["holds"] == ["tb-lib\tall"]
    assert [offer["version"] for offer in line_of(parts, "tb-lib")[1]] == ["1.1-1"]


def test_a_local_package_has_no_repository_and_a_removed_one_is_not_installed(
    host: Root, repository: AptRepository
) -> None:
    repository.install(host, Deb("local-tool", "3.1"))
    configured = Deb("local-gone", "1.0", files={"/etc/gone.conf": "x\n", "/DEBIAN/conffiles": "/etc/gone.conf\n"})
    repository.install(host, configured)
    host.run(["dpkg", "-r", "local-gone"])

    parts = facts(host)

    assert installed(parts, "local-tool") == ["local-tool", "all", "3.1", "misc", "optional", "local-tool", "3.1", ""]
    assert not [row for row in parts["installed"]["packages"] if row.startswith("local-gone\t")]
    position = [row.split("\t")[0] for row in parts["installed"]["packages"]].index("local-tool")
    modified = (host.path / "var/lib/dpkg/info/local-tool.list").stat().st_mtime
    assert parts["times"][position] == int(modified)


def test_equal_versions_of_other_content_are_told_apart_by_their_repositories(
    host: Root, make_repository: MakeRepository
) -> None:
    first, second = make_repository("first", "First"), make_repository("second", "Second")
    first.add("stable", Deb("tb-lib", "1.0-1"), Deb("tb-lib", "1.1-1", section="libs", depends="bash"))
    second.add("stable", Deb("tb-lib", "1.1-1", section="oldlibs", depends="dash"))
    for repository in (first, second):
        repository.publish()
        repository.enable(host, "stable")
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "tb-lib=1.0-1"])

    parts = facts(host)

    origins = [row[0] for row in parts["upgradable"]["repositories"]]
    found = {(origins[int(o["repos"])], o["version"], o["section"]) for o in line_of(parts, "tb-lib")[1]}
    assert found == {("First", "1.1-1", "libs"), ("Second", "1.1-1", "oldlibs")}


def test_an_interrupted_dpkg_is_named_with_the_command_that_repairs_it(host: Root, repository: AptRepository) -> None:
    with pytest.raises(CommandFailed):
        repository.install(host, Deb("tb-broken", "1.0", scripts={"postinst": FAILING}))

    found = problems(facts(host))

    assert found["DPKG_INTERRUPTED"]["remedy"] == "dpkg --configure -a"
    assert found["DPKG_INTERRUPTED"]["packages"] == ["tb-broken"]


def test_unmet_dependencies_are_named_with_the_command_that_repairs_them(host: Root, repository: AptRepository) -> None:
    with pytest.raises(CommandFailed):
        repository.install(host, Deb("tb-needy", "1.0", depends="tb-nowhere"))

    found = problems(facts(host))

    assert found["PACKAGES_BROKEN"]["remedy"] == "apt-get -f install"
    assert found["PACKAGES_BROKEN"]["packages"] == ["tb-needy"]


@pytest.mark.parametrize("path", ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"])
def test_a_lock_that_another_program_holds_is_reported_with_its_name(host: Root, path: str) -> None:
    host.write("/usr/local/bin/nightly-upgrade", "#!/usr/bin/python3\n" + HOLD_LOCK, 0o755)
    with host.popen(["/usr/local/bin/nightly-upgrade", path]) as rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "locked\n"
        locked, again = problems(facts(host)), problems(facts(host))
        host.run(["sh", "-c", "kill $(cat /proc/[0-9]*/stat | grep nightly | cut -d' ' -f1)"])

    assert path in locked["LOCKED"]["message"]
    assert "nightly-upgrade" in locked["LOCKED"]["message"]
    assert again == locked
    assert "LOCKED" not in problems(facts(host))


def test_missing_indexes_are_a_problem_until_they_are_fetched(host: Root, repository: AptRepository) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1"))
    repository.publish()
    repository.enable(host, "stable")

    missing = problems(facts(host, "--no-refresh"))["INDEX_MISSING"]
    assert missing["remedy"] == "apt-get update"
    assert repository.url in missing["message"]

    assert problems(facts(host, "--refresh")) == {}
    assert "INDEX_MISSING" not in problems(facts(host))


def test_a_refresh_that_fails_is_a_problem_and_the_facts_come_all_the_same(
    host: Root, repository: AptRepository
) -> None:
    repository.enable(host, "nowhere")

    answer = host.agent("facts", "--refresh", check=False)

    assert answer.returncode == 1
    parts = json.loads(answer.stdout)["parts"]
    assert problems(parts)["REFRESH_FAILED"]["remedy"] == "apt-get update"
    assert installed(parts, "apt")


def test_an_unsigned_repository_is_not_trusted(host: Root, repository: AptRepository) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1"), Deb("tb-lib", "1.1-1"))
    repository.publish()
    (repository.folder / "dists/stable/InRelease").unlink()
    repository.enable(host, "stable", signed=False)
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "--allow-unauthenticated", "tb-lib=1.0-1"])

    parts = facts(host)

    assert parts["upgradable"]["repositories"] == [
        ["Lab", "Lab", "stable", "stable", "main", host_of(repository), False]
    ]
    assert [source["trusted"] for source in parts["state"]["sources"]] == [False]


def host_of(repository: AptRepository) -> str:
    return repository.url.partition("://")[2].partition(":")[0]


def test_a_broken_source_file_is_named(host: Root) -> None:
    host.write("/etc/apt/sources.list.d/typo.list", "deb nonsense\n")

    broken = problems(facts(host))["SOURCES_BROKEN"]

    assert "/etc/apt/sources.list.d/typo.list" in broken["message"] + broken["remedy"]


def test_an_unchanged_host_gives_the_same_bytes_and_is_not_changed_by_looking(
    host: Root, repository: AptRepository
) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1"), Deb("tb-lib", "1.1-1"))
    repository.publish()
    repository.enable(host, "stable")
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "tb-lib=1.0-1"])
    host.run(["touch", "/var/tmp/before"])

    first = json.loads(host.agent("facts").stdout)
    second = json.loads(host.agent("facts").stdout)

    assert json.dumps(first["parts"]) == json.dumps(second["parts"])
    assert first["digest"] == second["digest"]
    changed = host.run(["find", "/etc", "/usr", "/var", "-newer", "/var/tmp/before", "-type", "f"]).stdout.split()
    assert [path for path in changed if not path.startswith("/var/lib/patchwright-agent/")] == []


def test_without_root_the_systems_lists_are_read_and_never_written(host: Root, repository: AptRepository) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1"), Deb("tb-lib", "1.1-1"))
    repository.publish()
    repository.enable(host, "stable")
    host.run(["apt-get", "update"])
    host.run(["apt-get", "install", "-y", "tb-lib=1.0-1"])
    as_root = facts(host)
    entry = "import sys; from patchwright_agent.worker.main import main; sys.exit(main(sys.argv[1:]))"
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
    command = [*nobody, "python3", "-c", entry, "facts", "--state-dir", "/tmp/state"]
    env = {"PYTHONPATH": "/usr/local/lib/patchwright-agent", "HOME": "/tmp"}

    seeded = json.loads(host.run(command, env=env).stdout)["parts"]
    host.run(["sh", "-c", "rm -rf /var/lib/apt/lists/* /tmp/state"])
    fetched = json.loads(host.run(command, env=env).stdout)["parts"]

    assert seeded["upgradable"] == fetched["upgradable"] == as_root["upgradable"]
    assert host.run(["ls", "/var/lib/apt/lists"]).stdout == ""


def test_reboot_markers_and_a_newer_kernel_are_evidence(host: Root, repository: AptRepository) -> None:
    repository.install(host, Deb("linux-image-99.1.0-21-amd64", "99.1-1"))
    host.write("/run/reboot-required", "*** System restart required ***\n")
    host.write("/run/reboot-required.pkgs", "libc6\nlibc6\nlinux-image\n")

    state = facts(host)["state"]

    assert state["kernel"]["newest_installed"] == "99.1.0-21-amd64"
    assert state["reboot"]["required"] is True
    assert state["reboot"]["packages"] == ["libc6", "linux-image"]
    assert state["reboot"]["evidence"][0] == "/run/reboot-required"
    assert "99.1.0-21-amd64" in state["reboot"]["evidence"][1]
    before = state["boot_id"]
    host.reboot()
    after = facts(host)["state"]
    assert (before, after["boot_id"]) == (before, host.boot_id)
    assert before != after["boot_id"]
    assert after["reboot"]["evidence"][:1] != ["/run/reboot-required"]


def test_a_service_on_a_deleted_library_is_named(host: Root) -> None:
    host.run(["cp", "/usr/lib/x86_64-linux-gnu/libz.so.1", "/usr/lib/x86_64-linux-gnu/libstale.so.1"])
    code = "import ctypes, time; ctypes.CDLL('libstale.so.1'); print('up', flush=True); time.sleep(60)"
    host.write("/usr/local/bin/stale-daemon", "#!/usr/bin/python3\n" + code.replace("; ", "\n") + "\n", 0o755)
    with host.popen(["/usr/local/bin/stale-daemon"]) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "up\n"
        host.run(["rm", "/usr/lib/x86_64-linux-gnu/libstale.so.1"])
        stale = facts(host)["state"]["stale_services"]
        host.run(["sh", "-c", "kill $(cat /proc/[0-9]*/stat | grep stale-daemon | cut -d' ' -f1)"])

    assert stale == [{"unit": "stale-daemon", "libraries": ["/usr/lib/x86_64-linux-gnu/libstale.so.1"]}]
