"""Installs on real rpm hosts: exactly the Plan goes in, and whatever goes wrong leaves the rpm database sound.

The server's part is scripted (planner.py), so that each test says what is ordered and what happens meanwhile.
"""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import MakeRpmRepository, MakeRpmRoot
from tests.e2e.planner import PlannedRun, Planner
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.rpm_hosts import AMAZON_LINUX_2023, ROCKY_9
from tests.e2e.rpm_repository import Rpm, RpmRepository, RpmSigningKey
from tests.e2e.servers import eventually
from tests.e2e.test_apt_interrupted import worker_pid

pytestmark = pytest.mark.root

FAILING = {"post": "echo 'cannot reach the database' >&2\nexit 3"}
KERNEL = ("Provides: installonlypkg(kernel)",)
# Holds rpm's own transaction lock until its input ends.
HOLD_LOCK = """import fcntl, sys
lock = open("/var/lib/rpm/.rpm.lock", "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def planner(lab_network: LabNetwork) -> Iterator[Planner]:
    planner = Planner(lab_network.address)
    yield planner
    planner.close()


@pytest.fixture
def host(make_rpm_root: MakeRpmRoot) -> Root:
    return make_rpm_root("install-1", ROCKY_9)


@pytest.fixture
def repository(make_rpm_repository: MakeRpmRepository) -> RpmRepository:
    return make_rpm_repository()


def kernel(version: str) -> Rpm:
    return Rpm("kernel", version, tags=(*KERNEL, f"Provides: kernel-uname-r = {version}.x86_64"))


def prepared(host: Root, repository: RpmRepository, *installed: Rpm) -> None:
    """Publish what was added, enable it on the host, install these as they are in the repository."""
    repository.publish()
    repository.enable(host)
    host.run(["dnf", "-q", "-y", "install", *(f"{rpm.name}-{rpm.version}-{rpm.release}" for rpm in installed)])


def versions(host: Root) -> dict[str, str]:
    """Every installed version by name; two of one name are told apart by a comma."""
    found: dict[str, list[str]] = {}
    listed = host.run(["rpm", "-qa", "--qf", "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"]).stdout
    for line in sorted(listed.splitlines()):
        name, version = line.split()
        if name not in ("gpg-pubkey", "rocky-9-release", "amazon-linux-2023-release"):
            found.setdefault(name, []).append(version)
    return {name: ",".join(several) for name, several in found.items()}


def failures(run: PlannedRun) -> dict[str, str]:
    return {failure["Name"]: failure["Message"] for failure in run.finished.get("Failures", ())}


def notes(run: PlannedRun) -> str:
    return "\n".join(run.finished.get("Notes", ()))


def test_exactly_the_plan_goes_in_a_fix_below_the_newest_with_the_dependency_that_it_needs(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    lib = [Rpm("tb-lib", "1.0-1"), Rpm("tb-lib", "1.0-2"), Rpm("tb-lib", "1:0.9-1")]
    app = [
        Rpm("tb-app", "1.0-1", "noarch"),
        Rpm("tb-app", "1.1-1", "noarch", ("Requires: tb-lib >= 1.0-2", "Requires: tb-new")),
    ]
    other = [Rpm("tb-other", "1-1"), Rpm("tb-other", "2-1"), Rpm("tb-new", "1-1"), Rpm("tb-optional", "1-1")]
    weak = [Rpm("tb-weak", "1-1"), Rpm("tb-weak", "2-1", tags=("Recommends: tb-optional",))]
    successor = Rpm("tb-successor", "3-1", tags=("Obsoletes: tb-other < 3",))
    kernels = [kernel(f"5.{minor}-1") for minor in range(1, 5)]
    repository.add(*lib, *app, *other, *weak, successor, *kernels)
    prepared(host, repository, lib[0], app[0], other[0], weak[0], *kernels[:3])
    run = planner.order(
        ("tb-lib", "x86_64", "0:1.0-1", "0:1.0-2"),
        ("tb-app", "noarch", "0:1.0-1", "0:1.1-1"),
        ("tb-weak", "x86_64", "0:1-1", "0:2-1"),
        ("kernel", "x86_64", "0:5.3-1", "0:5.4-1"),
    )

    done = run.work(host)

    assert (done.returncode, done.stdout) == (0, "the report\n"), done.stderr + str(run.finished)
    assert versions(host) == {
        "tb-lib": "0:1.0-2", "tb-app": "0:1.1-1", "tb-new": "0:1-1", "tb-other": "0:1-1", "tb-weak": "0:2-1",
        "kernel": "0:5.2-1,0:5.3-1,0:5.4-1",
    }  # fmt: skip
    assert run.modes == ["TOGETHER"]
    roles = {item["Name"]: (item["FromVersion"], item["Role"]) for item in run.plans[0]["Items"]}
    assert roles["tb-new"] == ("", "dependency")
    assert roles["kernel"] == ("0:5.3-1", "target")
    assert "installonly_limit of its kind: kernel-5.1-1.x86_64" in notes(run)
    assert run.finished["PlanDigest"] == run.plans[0]["Digest"]
    assert not {"Failures", "ProblemCode"} & run.finished.keys()
    assert run.installed["tb-lib"] == "0:1.0-2"
    # dnf's own records say who did it, and that the dependency may go when nothing needs it any more.
    assert "patchwright-agent" in host.run(["dnf", "history", "list"]).stdout
    assert "tb-new" not in host.run(["dnf", "-q", "repoquery", "--userinstalled"]).stdout
    assert "tb-app" in host.run(["dnf", "-q", "repoquery", "--userinstalled"]).stdout
    assert not host.exists(run.command_dir + "/transaction")


def test_what_would_remove_hold_or_conflict_is_dropped_and_the_rest_goes_in(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = [Rpm(name, "1-1") for name in ("tb-a", "tb-b", "tb-c", "tb-d", "tb-e", "tb-old", "tb-out")]
    repository.add(
        *old,
        Rpm("tb-a", "2-1", tags=("Conflicts: tb-old",)),
        Rpm("tb-b", "2-1", tags=("Obsoletes: tb-out",)),
        Rpm("tb-c", "2-1", tags=("Requires: tb-nowhere",)),
        Rpm("tb-d", "2-1"),
        Rpm("tb-e", "2-1"),
    )
    prepared(host, repository, *old)
    host.write("/etc/dnf/plugins/versionlock.list", "tb-d-0:1-1.*\n")
    run = planner.order(*((f"tb-{x}", "x86_64", "0:1-1", "0:2-1") for x in "abcde"))

    done = run.work(host)

    assert done.returncode == 0, done.stderr
    assert run.modes == ["TOGETHER", "EACH", "TOGETHER"]
    why = {name: words for (name, _), words in run.dropped.items()}
    assert sorted(why) == ["tb-a", "tb-b", "tb-c", "tb-d"]
    assert "conflicts with tb-old" in why["tb-a"]
    assert why["tb-b"] == "removes tb-out"
    assert "nothing provides tb-nowhere" in why["tb-c"]
    assert "version lock" in why["tb-d"]
    assert {n: v for n, v in versions(host).items() if v == "0:2-1"} == {"tb-e": "0:2-1"}
    assert {"tb-old", "tb-out"} <= versions(host).keys()


def test_a_failing_script_fails_the_run_in_its_own_words_though_dnf_ends_well(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = [Rpm(name, "1-1") for name in ("tb-post", "tb-pre", "tb-good")]
    pre = {"pre": "echo 'no room for the index' >&2\nexit 1"}
    new = [Rpm("tb-post", "2-1", scripts=FAILING), Rpm("tb-pre", "2-1", scripts=pre), Rpm("tb-good", "2-1")]
    repository.add(*old, *new)
    prepared(host, repository, *old)
    run = planner.order(*((rpm.name, "x86_64", "0:1-1", "0:2-1") for rpm in new))

    done = run.work(host)

    assert done.returncode == 1
    assert run.finished["ProblemCode"] == "MANAGER_FAILED"
    assert failures(run)["tb-post"] == "its POSTIN script failed, exit status 3: cannot reach the database"
    assert failures(run)["tb-pre"] == "its PREIN script failed, exit status 1: no room for the index"
    assert sorted(failures(run)) == ["tb-post", "tb-pre"]
    # rpm keeps a package whose %post failed, and not one whose %pre did.
    assert versions(host) == {"tb-post": "0:2-1", "tb-pre": "0:1-1", "tb-good": "0:2-1"}
    assert "dnf -y reinstall tb-post" in notes(run)


def test_a_file_conflict_stops_only_the_culprit(host: Root, repository: RpmRepository, planner: Planner) -> None:
    old = [Rpm(name, "1-1") for name in ("tb-clash", "tb-fine")] + [Rpm("tb-owner", "1-1", files={"/opt/x": "mine"})]
    repository.add(*old, Rpm("tb-clash", "2-1", files={"/opt/x": "theirs"}), Rpm("tb-fine", "2-1"))
    prepared(host, repository, *old)
    run = planner.order(*((name, "x86_64", "0:1-1", "0:2-1") for name in ("tb-clash", "tb-fine")))

    assert run.work(host).returncode == 1

    assert versions(host) == {"tb-clash": "0:1-1", "tb-fine": "0:2-1", "tb-owner": "0:1-1"}
    assert sorted(failures(run)) == ["tb-clash"]
    assert "/opt/x" in failures(run)["tb-clash"]


def test_a_bad_signature_changes_nothing_and_is_named(
    make_rpm_root: MakeRpmRoot,
    repository: RpmRepository,
    planner: Planner,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    host = make_rpm_root("signed-1", AMAZON_LINUX_2023)
    old = [Rpm("tb-a", "1-1"), Rpm("tb-b", "1-1")]
    repository.add(*old, Rpm("tb-b", "2-1"))
    prepared(host, repository, *old)
    stranger = RpmSigningKey(tmp_path_factory.mktemp("stranger") / "home", "Stranger")
    ours, repository.key = repository.key, stranger
    repository.add(Rpm("tb-a", "2-1"))
    repository.publish()
    repository.key = ours
    stranger.close()
    run = planner.order(*((rpm.name, "x86_64", "0:1-1", "0:2-1") for rpm in old))

    assert run.work(host).returncode == 1

    assert run.finished["ProblemCode"] == "SIGNATURE"
    assert "tb-a-0:2-1.x86_64" in run.finished["Message"]
    assert versions(host) == {"tb-a": "0:1-1", "tb-b": "0:1-1"}
    keys = host.run(["rpm", "-q", "gpg-pubkey", "--qf", "%{SUMMARY}\n"]).stdout
    assert "Stranger" not in keys


def test_a_missing_file_and_a_full_disk_change_nothing_and_are_named(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = [Rpm("tb-a", "1-1"), Rpm("tb-b", "1-1")]
    new = [Rpm("tb-a", "2-1"), Rpm("tb-b", "2-1", files={"/opt/big": "x" * 3_000_000})]
    repository.add(*old, *new)
    prepared(host, repository, *old)
    order = [(rpm.name, "x86_64", "0:1-1", "0:2-1") for rpm in old]
    content = (repository.folder / new[0].file_name).read_bytes()
    (repository.folder / new[0].file_name).unlink()

    run = planner.order(*order)
    assert run.work(host).returncode == 1
    assert (run.finished["ProblemCode"], versions(host)) == ("DOWNLOAD", {"tb-a": "0:1-1", "tb-b": "0:1-1"})
    # It was noticed before the transaction began: until then a cancel ends the worker at once.
    assert "nothing was changed" in run.finished["Message"]
    assert "PlanDigest" not in run.finished

    (repository.folder / new[0].file_name).write_bytes(content)
    host.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", "/opt"])
    run = planner.order(*order)
    assert run.work(host).returncode == 1
    assert run.finished["ProblemCode"] == "DISK_FULL"
    assert "/opt" in run.finished["Message"]
    assert versions(host) == {"tb-a": "0:1-1", "tb-b": "0:1-1"}


def test_another_program_that_holds_a_lock_is_waited_for_then_named(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = Rpm("tb-a", "1-1")
    repository.add(old, Rpm("tb-a", "2-1"))
    prepared(host, repository, old)
    with host.popen(["python3", "-c", HOLD_LOCK], stdin=-1) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        run = planner.order(("tb-a", "x86_64", "0:1-1", "0:2-1"))
        assert run.work(host).returncode == 1
        assert run.finished["ProblemCode"] == "LOCKED"
        assert "python3 holds /var/lib/rpm/.rpm.lock" in run.finished["Message"]
        assert run.facts[-1]["state"]["problems"][0]["code"] == "LOCKED"

        run = planner.order(("tb-a", "x86_64", "0:1-1", "0:2-1"))
        run.before["PutFacts"] = lambda _: holder.stdin.close() if holder.stdin else None
        done = run.work(host)
    assert done.returncode == 0, done.stderr
    assert versions(host) == {"tb-a": "0:2-1"}


def test_a_power_cut_within_a_script_leaves_duplicates_that_the_next_worker_mends(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = [Rpm("tb-slow", "1-1"), Rpm("tb-other", "1-1")]
    sleeping = {"post": "test -e /var/tmp/go && exit 0\ntouch /var/tmp/sleeping\nsleep 600"}
    repository.add(*old, Rpm("tb-slow", "2-1", scripts=sleeping), Rpm("tb-other", "2-1"))
    prepared(host, repository, *old)
    run = planner.order(*((rpm.name, "x86_64", "0:1-1", "0:2-1") for rpm in old))
    with run.start(host) as worker:
        eventually(lambda: host.exists("/var/tmp/sleeping"), bool, 30)
        host.power_cut()
        worker.communicate()
    host.start()
    host.write("/var/tmp/go", "")
    assert versions(host)["tb-slow"] == "0:1-1,0:2-1"
    seen = json.loads(host.agent("facts").stdout)["parts"]["state"]["problems"]
    assert [(p["code"], p["packages"]) for p in seen] == [("PACKAGES_DUPLICATED", ["tb-slow.x86_64"])]

    done = run.work(host)

    assert done.returncode == 0, done.stderr + str(run.finished)
    assert versions(host) == {"tb-slow": "0:2-1", "tb-other": "0:2-1"}
    assert "remove --duplicates" in notes(run)
    assert host.run(["dnf", "-q", "check"]).stdout == ""


def test_a_power_cut_is_mended_from_the_release_that_patches_come_from_where_the_host_is_pinned_to_another(
    make_rpm_root: MakeRpmRoot, repository: RpmRepository, planner: Planner
) -> None:
    host = make_rpm_root("pinned-1", AMAZON_LINUX_2023)
    old = [Rpm("tb-lib", "1-1"), Rpm("tb-app", "1-1", tags=("Requires: tb-lib = 1-1",))]
    sleeping = {"post": "test -e /var/tmp/go && exit 0\ntouch /var/tmp/sleeping\nsleep 600"}
    lib = Rpm("tb-lib", "2-1", tags=("Recommends: tb-optional",), scripts=sleeping)
    new = [lib, Rpm("tb-app", "2-1", tags=("Requires: tb-lib = 2-1",)), Rpm("tb-app", "3-1")]  # one that is in no Plan
    for release, rpms in (("2023", old), ("latest", [*old, *new])):
        (repository.folder / release).mkdir()
        one = RpmRepository(repository.folder / release, repository.key, f"{repository.url}/{release}")
        one.add(*rpms, Rpm("tb-optional", "1-1"))
        one.publish()
        one.enable(host)
        if release == "2023":
            host.run(["dnf", "-q", "-y", "install", *(rpm.name for rpm in old)])
    host.write("/etc/yum.repos.d/lab.repo", host.read("/etc/yum.repos.d/lab.repo").replace("/latest", "/$releasever"))
    run = planner.order(*((rpm.name, "x86_64", "0:1-1", "0:2-1") for rpm in old))
    with run.start(host) as worker:
        eventually(lambda: host.exists("/var/tmp/sleeping"), bool, 30)
        host.power_cut()
        worker.communicate()
    host.start()
    host.write("/var/tmp/go", "")
    assert versions(host) == {"tb-lib": "0:1-1,0:2-1", "tb-app": "0:1-1"}

    done = run.work(host)

    assert done.returncode == 0, done.stderr + str(run.finished)
    assert versions(host) == {"tb-lib": "0:2-1", "tb-app": "0:2-1"}


def test_the_transaction_outlives_a_worker_that_is_killed(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = Rpm("tb-slow", "1-1")
    sleeping = {"post": "touch /var/tmp/sleeping\nwhile test ! -e /var/tmp/go; do sleep 0.05; done"}
    repository.add(old, Rpm("tb-slow", "2-1", scripts=sleeping))
    repository.publish()
    repository.enable(host)
    repository.install(host, old)  # by rpm alone: the repository's key is not there yet
    run = planner.order(("tb-slow", "x86_64", "0:1-1", "0:2-1"))
    with run.start(host) as worker:
        eventually(lambda: host.exists("/var/tmp/sleeping"), bool, 30)
        os.kill(worker_pid(run, host), signal.SIGKILL)
        worker.communicate()
    with run.start(host) as second:
        assert second.stderr is not None
        told = iter(second.stderr.readline, "")
        assert any("waiting for the transaction of an earlier worker" in line for line in told)
        host.write("/var/tmp/go", "")
        second.communicate(timeout=60)
    assert second.returncode == 0
    assert versions(host) == {"tb-slow": "0:2-1"}
    assert "let finish" in notes(run)
    assert host.run(["rpm", "-q", "gpg-pubkey", "--qf", "%{SUMMARY}\n"]).stdout == "Test Lab public key\n"
    assert host.run(["dnf", "-q", "check"]).stdout == ""


def test_a_repository_that_changes_while_a_host_plans_gets_a_second_plan(
    host: Root, repository: RpmRepository, planner: Planner
) -> None:
    old = [Rpm("tb-app", "1-1"), Rpm("tb-dep", "1-1")]
    repository.add(*old, Rpm("tb-app", "2-1", tags=("Requires: tb-dep >= 2",)), Rpm("tb-dep", "2-1"))
    prepared(host, repository, *old)

    def newer(_: dict[str, Any]) -> None:
        if len(run.plans) == 1:
            repository.add(Rpm("tb-dep", "3-1"))
            repository.publish()
            host.run(["dnf", "-q", "makecache", "--refresh"])

    run = planner.order(("tb-app", "x86_64", "0:1-1", "0:2-1"))
    run.lifetime_seconds = 900
    settle = run._settled_plan

    def settled(incoming: list[dict[str, str]]) -> dict[str, Any]:
        answer = settle(incoming)
        newer({})
        return answer

    run._settled_plan = settled  # type: ignore[method-assign]
    done = run.work(host)
    assert done.returncode == 0, done.stderr + str(run.finished)
    assert len(run.plans) == 2
    assert versions(host) == {"tb-app": "0:2-1", "tb-dep": "0:3-1"}
