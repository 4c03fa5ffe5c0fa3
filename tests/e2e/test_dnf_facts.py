"""The facts of real rpm hosts, as their own dnf and rpm have them."""

import hashlib
import json
import time
from typing import Any

import pytest
from tests.e2e.conftest import MakeRpmRepository, MakeRpmRoot
from tests.e2e.roots import Root
from tests.e2e.rpm_hosts import AMAZON_LINUX_2023, ROCKY_9
from tests.e2e.rpm_repository import BUILT_AT, Notice, Rpm

pytestmark = pytest.mark.root

LIB = [Rpm("tb-lib", "1.0-1"), Rpm("tb-lib", "1.0-2"), Rpm("tb-lib", "1:0.9-1", built_at=BUILT_AT + 60)]
FIX = Notice(
    "ALAS2023-2026-001",
    (LIB[1],),
    cves=("CVE-2026-0002", "CVE-2026-0001"),
    bugzillas=("1800000",),
    issued="2026-01-03 00:00:00",
    updated="2026-02-03 04:05:06 +0000",
)
ISSUED, UPDATED, DAY = 1_767_398_400, 1_770_091_506, 1_767_571_200
# A type that dnf's binding does not know, and dates as some publishers spell them.
ODD = Notice("LAB-2", (LIB[2],), type="recommended", severity="", issued="2026-01-05", updated="")
MODULES = """---
document: modulemd
version: 2
data:
  name: tb-mod
  stream: "{stream}"
  version: {version}
  context: c0ffee
  arch: x86_64
  summary: test
  description: test
  license: {{module: [MIT]}}
  artifacts:
    rpms: [{artifacts}]
"""


def facts(host: Root, *arguments: str, **options: Any) -> dict[str, Any]:
    """The parts of the facts document."""
    return dict(json.loads(host.agent("facts", *arguments, **options).stdout)["parts"])


def rows(parts: dict[str, Any]) -> dict[str, list[str]]:
    return {row.split("\t")[0]: row.split("\t") for row in parts["installed"]["packages"]}


def offers(parts: dict[str, Any]) -> dict[str, list[str]]:
    """Name -> the versions on offer, ascending."""
    lines = parts["upgradable"]["lines"]
    return {line[0].split("\t")[0]: [row.split("\t")[0] for row in line[2]] for line in lines}


def problems(parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {problem["code"]: problem for problem in parts["state"]["problems"]}


def named(parts: dict[str, Any], fields: list[str]) -> list[str]:
    """The ids of the notices that a row's last field names by their digests."""
    by_digest = {
        hashlib.sha256(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()[:16]: row[0]
        for row in parts["notices"]["notices"]
    }
    return [by_digest[digest] for digest in fields[-1].split(",") if digest]


def test_every_newer_version_comes_with_its_repositories_its_build_time_and_its_notices(
    make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository
) -> None:
    host, core, extra = (
        make_rpm_root("facts-1", AMAZON_LINUX_2023),
        make_rpm_repository("core"),
        make_rpm_repository("extra"),
    )
    core.add(*LIB, Rpm("tb-app", "1-1", "noarch"), Rpm("tb-new", "3-1", tags=("Obsoletes: tb-gone < 3",)))
    core.add_notice(FIX, ODD)
    core.publish()
    extra.add(LIB[1])
    extra.publish()
    core.enable(host)
    extra.enable(host, "gpgcheck=0")
    gone, local = Rpm("tb-gone", "1-1"), Rpm("tb-local", "4:7-1", "noarch")
    core.install(host, LIB[0], Rpm("tb-app", "1-1", "noarch"), gone, local)

    parts = facts(host, "--refresh")

    installed = rows(parts)
    assert installed["tb-lib"][:3] == ["tb-lib", "x86_64", "0:1.0-1"]
    assert installed["tb-lib"][5:9] == ["tb-lib", "1.0-1", "0", str(BUILT_AT)]
    assert installed["tb-local"][2] == "4:7-1"
    assert installed["tb-local"][7] == ""  # in no repository
    (line,) = parts["upgradable"]["lines"]
    assert line[:2] == ["tb-lib\tx86_64\t0:1.0-1", "1:0.9-1"]
    fix, newest = (row.split("\t") for row in line[2])
    assert (fix[0], newest[0], newest[8]) == ("0:1.0-2", "1:0.9-1", str(BUILT_AT + 60))
    carriers = [row[1] for row in parts["upgradable"]["repositories"]]
    assert [carriers[int(n)] for n in fix[5].split(",")] == ["core", "extra"]
    assert {row[1]: row[6] for row in parts["upgradable"]["repositories"]} == {"core": True, "extra": False}
    assert (named(parts, fix), named(parts, newest)) == ([FIX.id], [ODD.id])
    assert parts["notices"]["notices"] == [
        [FIX.id, "security", "Important", ISSUED, UPDATED, ["CVE-2026-0001", "CVE-2026-0002"], ["1800000"]],
        [ODD.id, "recommended", "", DAY, 0, [], []],
    ]
    state = parts["state"]
    assert (state["manager"], state["manager_version"], state["arch"]) == ("dnf", "4.14.0", "x86_64")
    assert (state["os"]["id"], state["os"]["version_id"]) == ("amzn", "2023")
    assert state["obsoleted"] == ["tb-gone\tx86_64\ttb-new-0:3-1.x86_64"]
    assert {source["label"]: source["trusted"] for source in state["sources"]} == {"core": True, "extra": False}
    assert (state["problems"], state["holds"]) == ([], [])
    assert all(0 <= time.time() - moment < 600 for moment in parts["times"])
    # Nothing changed: the same bytes, and no metadata are fetched. What is kept of notices changes nothing either.
    again = json.loads(host.agent("facts").stdout)
    assert again["parts"] == parts
    assert json.loads(host.read("/var/lib/patchwright-agent/dnf-notices.json"))
    assert host.run(["stat", "-c", "%a", "/var/lib/patchwright-agent/dnf-notices.json"]).stdout == "600\n"


def test_locks_excludes_and_modules_decide_what_is_held_and_what_is_on_offer(
    make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository
) -> None:
    host, repository = make_rpm_root("facts-2", ROCKY_9), make_rpm_repository()
    names = ("locked", "half-locked", "excluded", "hidden", "free", "modular")
    old = [Rpm(f"tb-{name}", "1-1") for name in names]
    repository.add(*old, *(Rpm(f"tb-{name}", "2-1") for name in names), Rpm("tb-half-locked", "3-1"))
    repository.add(Rpm("tb-modular", "3-1"))
    streams = {"two": ("2", "tb-modular-0:2-1.x86_64"), "three": ("3", "tb-modular-0:3-1.x86_64")}
    repository.modules = "".join(MODULES.format(stream=s, version=v, artifacts=a) for s, (v, a) in streams.items())
    repository.publish()
    repository.enable(host, "excludepkgs=tb-hidden")
    repository.install(host, *old)
    host.write("/etc/dnf/dnf.conf", ROCKY_9.dnf_conf + "exclude=tb-excl*\n")
    host.write(
        "/etc/dnf/plugins/versionlock.list", "# by hand\ntb-locked-0:1-1.*\ntb-half-locked-0:2-1.*\n!tb-free-0:9-1.*\n"
    )

    parts = facts(host, "--refresh")

    assert offers(parts) == {
        "tb-locked": ["0:2-1"], "tb-half-locked": ["0:2-1", "0:3-1"], "tb-excluded": ["0:2-1"], "tb-free": ["0:2-1"],
    }  # fmt: skip
    candidates = {line[0].split("\t")[0]: line[1] for line in parts["upgradable"]["lines"]}
    assert candidates == {"tb-locked": "", "tb-half-locked": "0:2-1", "tb-excluded": "", "tb-free": "0:2-1"}
    assert parts["state"]["holds"] == ["tb-excluded\tx86_64", "tb-locked\tx86_64"]
    assert parts["state"]["modules"] == []

    host.run(["dnf", "-q", "-y", "module", "enable", "tb-mod:two"])
    parts = facts(host)
    assert offers(parts)["tb-modular"] == ["0:2-1"]
    assert parts["state"]["modules"] == ["tb-mod:two"]


def test_kernels_stand_side_by_side_and_a_newer_one_than_the_running_wants_a_reboot(
    make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository
) -> None:
    host, repository = make_rpm_root("facts-3", ROCKY_9), make_rpm_repository()
    kernels = [
        Rpm(
            "kernel-core",
            f"99.{n}-1",
            tags=("Provides: installonlypkg(kernel)", f"Provides: kernel-uname-r = 99.{n}-1.x86_64"),
        )
        for n in (1, 2, 3)
    ]
    repository.add(*kernels)
    repository.publish()
    repository.enable(host)
    repository.install(host, *kernels[:2], Rpm("glibc", "2.34-1"))
    parts = facts(host, "--refresh")
    assert [row.split("\t")[2] for row in parts["installed"]["packages"] if row.startswith("kernel-core\t")] == [
        "0:99.1-1",
        "0:99.2-1",
    ]
    (line,) = parts["upgradable"]["lines"]
    assert line[0] == "kernel-core\tx86_64\t0:99.2-1"
    state = parts["state"]
    assert state["kernel"]["newest_installed"] == "99.2-1.x86_64"
    assert state["reboot"]["required"] is True
    assert "99.2-1.x86_64 is installed, newer than the running" in state["reboot"]["evidence"][0]
    assert state["reboot"]["evidence"][1] == "updated since the boot: glibc"
    assert state["reboot"]["packages"] == ["glibc"]


def test_what_is_wrong_is_named_with_its_remedy_and_the_rest_is_still_reported(
    make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository
) -> None:
    host = make_rpm_root("facts-4", ROCKY_9)
    good, dead, unsigned = (make_rpm_repository(name) for name in ("good", "dead", "unsigned"))
    for repository in (good, dead, unsigned):
        repository.add(Rpm(f"tb-{repository.name}", "2-1"))
        repository.publish()
        repository.enable(host)
    good.install(host, *(Rpm(f"tb-{name}", "1-1") for name in ("good", "dead", "unsigned")), Rpm("tb-twice", "1-1"))
    parts = facts(host)  # nothing was ever fetched, and nothing is now
    assert problems(parts).keys() == {"INDEX_MISSING"}
    assert problems(parts)["INDEX_MISSING"]["remedy"] == "dnf makecache"
    assert offers(parts) == {}

    dead.enable(host, f"baseurl={dead.url}/nowhere", "skip_if_unavailable=1")
    unsigned.enable(host, "repo_gpgcheck=1")
    (unsigned.folder / "repodata/repomd.xml.asc").write_text("no signature\n")
    done = host.agent("facts", "--refresh", check=False)
    assert done.returncode == 1
    assert "cannot be fetched" in done.stderr
    parts = json.loads(done.stdout)["parts"]
    assert offers(parts) == {"tb-good": ["0:2-1"]}
    failed = {p["message"].split(" ")[0]: p["message"] for p in parts["state"]["problems"]}
    assert failed.keys() == {"dead", "unsigned"}
    assert {p["code"] for p in parts["state"]["problems"]} == {"REFRESH_FAILED"}

    dead.enable(host, "enabled=0")
    unsigned.enable(host, "enabled=0")
    good.enable(host, "metadata_expire=1800")
    host.run(["find", "/var/cache/dnf", "-exec", "touch", "-d", "1 hour ago", "{}", "+"])
    good.install(host, Rpm("tb-twice", "2-1"), options=("--force",))
    parts = facts(host)
    assert problems(parts).keys() == {"INDEX_EXPIRED", "PACKAGES_DUPLICATED"}
    assert problems(parts)["PACKAGES_DUPLICATED"]["packages"] == ["tb-twice.x86_64"]

    host.run(["rpm", "-e", "tb-twice-1-1"], check=False)
    good.install(host, Rpm("tb-lacking", "1-1", tags=("Requires: tb-nowhere",)), options=("--nodeps",))
    lacking = problems(facts(host, "--refresh"))
    assert "nothing provides tb-nowhere needed by tb-lacking" in lacking["PACKAGES_BROKEN"]["message"]

    host.write("/var/lib/rpm/rpmdb.sqlite", b"not a database" * 1000)
    done = host.agent("facts", check=False)
    assert done.returncode == 1
    assert "rpm" in done.stderr
    assert done.stdout == ""


def test_a_user_who_is_not_root_scans_with_own_metadata_and_touches_nothing_of_the_systems(
    make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository
) -> None:
    host, repository = make_rpm_root("facts-5", AMAZON_LINUX_2023), make_rpm_repository()
    repository.add(*LIB)
    repository.publish()
    repository.enable(host)
    repository.install(host, LIB[0])
    host.run(["useradd", "-m", "someone"])
    entry = "import sys; from patchwright_agent.worker.main import main; sys.exit(main(sys.argv[1:]))"
    as_someone = ["setpriv", "--reuid=someone", "--regid=someone", "--init-groups", "env", "HOME=/home/someone"]
    command = [*as_someone, "PYTHONPATH=/usr/local/lib/patchwright-agent", "python3", "-c", entry, "facts"]
    parts = json.loads(host.run(command).stdout)["parts"]
    assert offers(parts) == {"tb-lib": ["0:1.0-2", "1:0.9-1"]}
    assert list((host.path / "var/cache/dnf").iterdir()) == []
    assert host.exists("/home/someone/.local/state/patchwright-agent/dnf")


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ({"ID": "amzn", "VERSION_ID": "2", "PRETTY_NAME": "Amazon Linux 2"}, "Amazon Linux 2 is patched by yum"),
        ({"ID": "rhel", "VERSION_ID": "7.9", "PRETTY_NAME": "Red Hat 7.9"}, "Red Hat 7.9 is patched by yum"),
        ({"ID": "fedora", "VERSION_ID": "41", "PRETTY_NAME": "Fedora 41"}, "Fedora 41 is not supported"),
    ],
)
def test_other_managers_are_refused_in_words(make_rpm_root: MakeRpmRoot, identity: dict[str, str], words: str) -> None:
    host = make_rpm_root("facts-6", ROCKY_9)
    host.write("/etc/os-release", "".join(f'{name}="{value}"\n' for name, value in identity.items()))
    done = host.agent("facts", check=False)
    assert (done.returncode, done.stdout) == (146, "")
    assert words in done.stderr


def test_a_host_that_has_dnf5_alone_is_refused(make_rpm_root: MakeRpmRoot) -> None:
    host = make_rpm_root("facts-7", ROCKY_9)
    for name in ("/usr/bin/dnf-3", "/usr/bin/dnf"):
        (host.path / name.lstrip("/")).unlink()
    (host.path / "usr/lib/python3/dist-packages/dnf/__init__.py").write_text("raise ImportError('none')\n")
    host.write("/usr/bin/dnf5", "", 0o755)
    done = host.agent("facts", check=False)
    assert done.returncode == 146
    assert "dnf5" in done.stderr
