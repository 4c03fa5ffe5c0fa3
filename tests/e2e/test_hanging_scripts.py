"""Packages' scripts that hang on real hosts: the run names the script, and ends nothing by itself."""

import re
import subprocess

import pytest
from tests.e2e.apt_hosts import failures, is_sound, prepared, versions
from tests.e2e.conftest import MakeRepository, MakeRoot, MakeRpmRepository, MakeRpmRoot
from tests.e2e.planner import STATE_DIR, PlannedRun, Planner
from tests.e2e.repository import Deb
from tests.e2e.roots import Root
from tests.e2e.rpm_hosts import ROCKY_9
from tests.e2e.rpm_repository import Rpm

pytestmark = pytest.mark.root

HANGS = "test $1 = configure || exit 0\ntest ! -e /var/tmp/hung || exit 3\ntouch /var/tmp/hung\nsleep 47\n"


def told(worker: "subprocess.Popen[str]") -> str:
    """What the worker says of a transaction that makes no progress."""
    assert worker.stderr is not None
    lines = []
    for line in worker.stderr:
        lines.append(line)
        if "has made no progress since" in line:
            return line
    raise AssertionError(f"it has ended: {lines}")


def waiting(run: PlannedRun, host: Root) -> str:
    """The sentence for the daemon; the next run's is the same."""
    sentence = host.read(f"{run.command_dir}/waiting")
    assert host.read(f"{STATE_DIR}/patch-run.waiting") == sentence
    return sentence


def test_a_postinst_that_hangs_is_named_and_the_run_goes_on_once_somebody_ends_it(
    make_root: MakeRoot, make_repository: MakeRepository, planner: Planner
) -> None:
    host, repository = make_root("hang-1"), make_repository()
    repository.add("stable", *(Deb(f"tb-{n}", "1") for n in "ab"), Deb("tb-a", "2"))
    repository.add("stable", Deb("tb-b", "2", scripts={"postinst": "#!/bin/sh\n" + HANGS}))
    prepared(host, repository, "tb-a=1", "tb-b=1")
    run = planner.order(("tb-a", "all", "1", "2"), ("tb-b", "all", "1", "2"))
    run.stall_seconds = 1
    with run.start(host) as worker:
        said = told(worker)
        found = re.search(
            r"it waits for the postinst script of tb-b \(process \d+; in it process (\d+), sleep 47\)", said
        )
        assert found, said
        assert "it is not cut short" in said
        assert found.group() in waiting(run, host)

        host.run(["sh", "-c", f"kill {found.group(1)}"])
        worker.communicate(timeout=60)

    assert worker.returncode == 1
    assert (versions(host, "tb-*"), is_sound(host)) == ({"tb-a": "2", "tb-b": "1"}, True)
    assert list(failures(run)) == ["tb-b"]
    assert any(found.group() in note for note in run.finished["Notes"])
    assert not host.exists(f"{run.command_dir}/waiting")
    assert not host.exists(f"{STATE_DIR}/patch-run.waiting")


def test_a_scriptlet_of_an_rpm_that_hangs_is_named(
    make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository, planner: Planner
) -> None:
    host, repository = make_rpm_root("hang-2", ROCKY_9), make_rpm_repository()
    repository.add(Rpm("tb-slow", "1-1"), Rpm("tb-slow", "2-1", scripts={"post": "sleep 47"}))
    repository.publish()
    repository.enable(host)
    repository.install(host, Rpm("tb-slow", "1-1"))
    run = planner.order(("tb-slow", "x86_64", "0:1-1", "0:2-1"))
    run.stall_seconds = 1
    with run.start(host) as worker:
        said = told(worker)
        found = re.search(r"it waits for a script of tb-slow\S* \(process (\d+), sleep 47\)", said)
        assert found, said
        assert found.group() in waiting(run, host)
        host.run(["sh", "-c", f"kill {found.group(1)}"])
        worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "its POSTIN script failed" in failures(run)["tb-slow"]
    assert any(found.group() in note for note in run.finished["Notes"])
