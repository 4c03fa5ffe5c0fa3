"""Installs on real Debian hosts that something stands in the way of: locks, disks, signatures, mirrors.

Nothing is changed then, or dpkg is left sound, and the obstacle is named.
"""

import os
import shutil
from typing import Any

import pytest
from tests.e2e.apt_hosts import failures, is_sound, prepared, versions
from tests.e2e.conftest import MakeRepository, MakeRoot
from tests.e2e.planner import Planner
from tests.e2e.repository import AptRepository, Deb
from tests.e2e.roots import Root

pytestmark = pytest.mark.root

HOLD_LOCK = """#!/usr/bin/python3
import fcntl, sys, time
lock = open("/var/lib/dpkg/lock-frontend", "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def host(make_root: MakeRoot) -> Root:
    return make_root("install-1")


@pytest.fixture
def repository(make_repository: MakeRepository) -> AptRepository:
    return make_repository()


def test_another_programs_lock_is_named_when_it_is_not_freed_and_waited_for_when_it_is(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", Deb("tb-lib", "1"), Deb("tb-lib", "2"))
    prepared(host, repository, "tb-lib=1")
    host.write("/usr/bin/nightly-upgrade", HOLD_LOCK, 0o755)
    run = planner.order(("tb-lib", "all", "1", "2"))
    with host.popen(["/usr/bin/nightly-upgrade"]) as rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "locked\n"

        assert run.work(host).returncode == 1
        assert versions(host, "tb-lib") == {"tb-lib": "1"}
        assert run.finished["ProblemCode"] == "LOCKED"
        assert "nightly-upgrade" in run.finished["Message"]
        assert "nothing was changed" in run.finished["Message"]

        patient = planner.order(("tb-lib", "all", "1", "2"))
        patient.lock_wait_seconds = 60
        with patient.start(host) as worker:
            assert worker.stderr is not None
            assert any("waiting for nightly-upgrade" in line for line in worker.stderr)
            host.run(["sh", "-c", "kill $(cat /proc/[0-9]*/stat | grep nightly | cut -d' ' -f1)"])
            worker.communicate(timeout=60)

    assert worker.returncode == 0
    assert versions(host, "tb-lib") == {"tb-lib": "2"}
    assert any("nightly-upgrade" in note for note in patient.finished["Notes"])


def test_a_disk_that_is_too_small_changes_nothing(host: Root, repository: AptRepository, planner: Planner) -> None:
    random = os.urandom(4_000_000).hex()
    repository.add("stable", Deb("tb-big", "1"), Deb("tb-big", "2", files={"/usr/share/tb-big": random}))
    prepared(host, repository, "tb-big=1")
    host.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", "/var/cache/apt/archives"])
    run = planner.order(("tb-big", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert versions(host, "tb-big") == {"tb-big": "1"}
    assert run.finished["ProblemCode"] == "DISK_FULL"
    assert "/var/cache/apt/archives" in run.finished["Message"]
    assert is_sound(host)


def test_a_disk_that_fills_up_in_the_transaction_is_named_and_the_package_stays_as_it_was(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    content = os.urandom(6_000_000).hex()
    big = Deb("tb-big", "2", files={"/srv/full/big": content})  # a disk that no forecast looks at
    repository.add("stable", Deb("tb-big", "1"), big, Deb("tb-good", "1"), Deb("tb-good", "2"))
    prepared(host, repository, "tb-big=1", "tb-good=1")
    host.run(["sh", "-c", "mkdir -p /srv/full && mount -t tmpfs -o size=4m small /srv/full"])
    run = planner.order(("tb-big", "all", "1", "2"), ("tb-good", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert run.finished["ProblemCode"] == "DISK_FULL"
    assert "No space left on device" in failures(run)["tb-big"]
    assert versions(host, "tb-big") == {"tb-big": "1"}
    assert is_sound(host), "what was unpacked beside it is configured"
    assert run.facts[-1]["installed"]


def test_a_signature_that_does_not_verify_ends_the_run_before_a_plan(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", Deb("tb-lib", "1"), Deb("tb-lib", "2"))
    prepared(host, repository, "tb-lib=1")
    release = repository.folder / "dists/stable/InRelease"
    moment = release.stat().st_mtime + 10
    release.write_text(release.read_text().replace("Origin: Lab", "Origin: Mal"))
    os.utime(release, (moment, moment))
    run = planner.order(("tb-lib", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert run.finished["ProblemCode"] == "SIGNATURE"
    assert (run.plans, versions(host, "tb-lib")) == ([], {"tb-lib": "1"})


def test_a_file_that_is_missing_on_the_mirror_changes_nothing(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", *(Deb(name, v) for name in ("tb-lib", "tb-gone") for v in ("1", "2")))
    prepared(host, repository, "tb-lib=1", "tb-gone=1")
    repository.remove("stable", "tb-gone", "2")  # the index still names it
    run = planner.order(("tb-gone", "all", "1", "2"), ("tb-lib", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert run.finished["ProblemCode"] == "DOWNLOAD"
    assert "tb-gone" in run.finished["Message"]
    assert versions(host, "tb-*") == {"tb-gone": "1", "tb-lib": "1"}


def test_a_repository_of_files_is_installed_from_too(host: Root, repository: AptRepository, planner: Planner) -> None:
    repository.add("stable", Deb("tb-lib", "1"), Deb("tb-lib", "2"))
    prepared(host, repository, "tb-lib=1")
    shutil.copytree(repository.folder, host.path / "srv/mirror")
    source = host.read("/etc/apt/sources.list.d/lab.list").replace(repository.url, "file:/srv/mirror")
    host.write("/etc/apt/sources.list.d/lab.list", source)

    assert planner.order(("tb-lib", "all", "1", "2")).work(host).returncode == 0

    assert versions(host, "tb-lib") == {"tb-lib": "2"}


def test_a_repository_that_moves_on_twice_between_plan_and_apply_ends_the_run(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    """The host is refreshed by another program meanwhile; what the target needs now is a newer dependency."""
    repository.add("stable", Deb("tb-app", "1"), Deb("tb-app", "2", depends="tb-new"), Deb("tb-new", "1"))
    prepared(host, repository, "tb-app=1")
    newest = iter(("2", "3"))

    def move_on(body: dict[str, Any]) -> None:
        if "Mode" in body:
            repository.add("stable", Deb("tb-new", next(newest)))
            known = max(path.stat().st_mtime for path in repository.folder.glob("dists/*/InRelease"))
            repository.publish()
            for path in repository.folder.glob("dists/*/InRelease"):
                os.utime(path, (known + 10, known + 10))
            host.run(["apt-get", "update"])

    run = planner.order(("tb-app", "all", "1", "2"))
    run.before["SettlePlan"] = move_on
    assert run.work(host).returncode == 1
    assert run.finished["ProblemCode"] == "REPOSITORY_CHANGED"
    assert len(run.plans) == 2
    assert [replan["Replan"] for replan in run.sent("SettlePlan")] == [False, False, True, True]
    assert "Failures" not in run.finished
    assert versions(host, "tb-*") == {"tb-app": "1"}
