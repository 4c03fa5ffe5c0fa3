"""Installs that are interrupted: by a power cut, by kill -9 of the worker, by a cancel. The next worker goes on.

A package's script says where it is and waits for the test, so that each interruption meets the moment that it is for.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.apt_hosts import failures, is_sound, prepared, versions
from tests.e2e.conftest import MakeRepository, MakeRoot
from tests.e2e.planner import PlannedRun, Planner
from tests.e2e.repository import AptRepository, Deb
from tests.e2e.roots import Root
from tests.e2e.servers import eventually

pytestmark = pytest.mark.root

WAITING = (
    "#!/bin/sh\necho $0 >> /var/tmp/began\nwhile [ ! -e /var/tmp/go ]; do sleep 0.05; done\necho $0 >> /var/tmp/ran\n"
)
FAILING = "#!/bin/sh\necho 'no such luck' >&2\nexit 1\n"


@pytest.fixture
def host(make_root: MakeRoot) -> Root:
    return make_root("interrupted-1")


@pytest.fixture
def repository(make_repository: MakeRepository) -> AptRepository:
    return make_repository()


def waiting_in(script: str, host: Root, repository: AptRepository, planner: Planner) -> PlannedRun:
    """A run of three packages, the second of which waits in this script of its new version."""
    repository.add("stable", *(Deb(f"tb-{n}", "1") for n in "abc"), Deb("tb-a", "2"), Deb("tb-c", "2"))
    repository.add("stable", Deb("tb-b", "2", depends="tb-a (>= 2)", scripts={script: WAITING}))
    prepared(host, repository, "tb-a=1", "tb-b=1", "tb-c=1")
    return planner.order(*((f"tb-{n}", "all", "1", "2") for n in "abc"))


def begun(run: PlannedRun, host: Root) -> "subprocess.Popen[str]":
    """Start the worker, and wait until the script has begun."""
    process = run.start(host)
    eventually(lambda: host.exists("/var/tmp/began"), bool, 30)
    return process


def worker_pid(run: PlannedRun, host: Root) -> int:
    """The worker as seen from outside: the transaction file holds its pid as the host sees it."""
    inside = host.read(f"{run.command_dir}/transaction")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            is_ours = run.command_dir.encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        pids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if is_ours and pids[-1:] == [inside]:
            return int(process.name)
    raise AssertionError(f"no worker {inside} among the processes")


@pytest.mark.parametrize("script", ["postinst", "preinst"], ids=["configuring", "unpacking"])
def test_after_a_power_cut_in_the_transaction_the_next_worker_mends_and_goes_on(
    host: Root, repository: AptRepository, planner: Planner, script: str
) -> None:
    run = waiting_in(script, host, repository, planner)
    with begun(run, host):
        host.power_cut()
    host.start()
    host.write("/var/tmp/go", "")
    assert versions(host, "tb-b") != {"tb-b": "2"}

    done = run.work(host)

    assert done.returncode == 0, done.stderr
    assert versions(host, "tb-*") == {"tb-a": "2", "tb-b": "2", "tb-c": "2"}
    assert is_sound(host)
    assert run.finished["ExitCode"] == 0
    assert run.finished["PlanDigest"] == run.plans[0]["Digest"]
    assert any("dpkg --configure -a" in note for note in run.finished["Notes"])
    assert len(run.plans) == 1
    assert run.installed["tb-b"] == "2"


def test_a_killed_workers_transaction_goes_on_and_the_next_worker_waits_for_it_and_applies_nothing_twice(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    run = waiting_in("postinst", host, repository, planner)
    with begun(run, host):
        os.kill(worker_pid(run, host), signal.SIGKILL)
    assert run.finished == {}

    with run.start(host) as second:
        assert second.stderr is not None
        said = next((line for line in second.stderr if "waiting for the transaction of an earlier worker" in line), "")
        host.write("/var/tmp/go", "")
        _, stderr = second.communicate(timeout=60)

    assert second.returncode == 0, stderr
    assert said
    assert versions(host, "tb-*") == {"tb-a": "2", "tb-b": "2", "tb-c": "2"}
    assert len(host.read("/var/tmp/ran").splitlines()) == 1
    assert host.read("/var/log/dpkg.log").count("upgrade tb-b") == 1
    assert run.finished["ExitCode"] == 0
    assert any("3 of 3 changes were in place" in note for note in run.finished["Notes"])


def test_a_killed_apt_get_leaves_dpkg_at_work_which_is_waited_for_before_anything_is_mended(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    run = waiting_in("postinst", host, repository, planner)
    with begun(run, host) as worker:
        host.run(["sh", "-c", "kill -9 $(cat /var/lib/patchwright-agent/runs/*/manager.pid)"])
        assert worker.stderr is not None
        said = next(line for line in worker.stderr if "waiting for dpkg" in line or "by itself" in line)
        host.write("/var/tmp/go", "")
        _, stderr = worker.communicate(timeout=60)

    assert "waiting for dpkg" in said
    assert worker.returncode == 0, stderr
    assert versions(host, "tb-*") == {"tb-a": "2", "tb-b": "2", "tb-c": "2"}
    assert is_sound(host)
    assert "Notes" not in run.finished
    outputs = host.run(["sh", "-c", "cat /var/lib/patchwright-agent/runs/*/output-*.txt"]).stdout
    assert "lock" not in outputs


def test_a_cancel_during_the_transaction_lets_it_finish_and_says_so(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    run = waiting_in("postinst", host, repository, planner)
    with begun(run, host) as worker:
        os.kill(worker_pid(run, host), signal.SIGTERM)
        host.write("/var/tmp/go", "")
        _, stderr = worker.communicate(timeout=60)

    assert worker.returncode == 0, stderr
    assert versions(host, "tb-*") == {"tb-a": "2", "tb-b": "2", "tb-c": "2"}
    assert "let finish" in run.finished["Message"]
    assert run.installed["tb-b"] == "2"
    assert not host.exists(f"{run.command_dir}/transaction")


def test_a_cancel_during_a_transaction_that_fails_leaves_the_rest_untried(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    # What is pre-depended on is configured before anything else of the other is done: so tb-c is not even unpacked.
    second = Deb("tb-c", "2", fields={"Pre-Depends": "tb-b (>= 2)"})
    repository.add("stable", *(Deb(f"tb-{n}", "1") for n in "abc"), second, Deb("tb-a", "2"))
    failing_late = WAITING + FAILING.partition("\n")[2]
    repository.add("stable", Deb("tb-b", "2", scripts={"postinst": failing_late}))
    prepared(host, repository, "tb-a=1", "tb-b=1", "tb-c=1")
    run = planner.order(*((f"tb-{n}", "all", "1", "2") for n in "abc"))
    with begun(run, host) as worker:
        os.kill(worker_pid(run, host), signal.SIGTERM)
        host.write("/var/tmp/go", "")
        worker.communicate(timeout=60)

    assert worker.returncode == 1
    assert run.finished["ProblemCode"] == "CANCELLED"
    assert versions(host, "tb-b", "tb-c") == {"tb-b": "1", "tb-c": "1"}
    assert is_sound(host)
    assert list(failures(run)) == ["tb-b"]
    assert "no such luck" in failures(run)["tb-b"]
