"""Installs on real Debian hosts: exactly the Plan goes in, and whatever goes wrong leaves dpkg sound and is named.

The server's part is scripted (planner.py), so that each test says what is ordered and what happens meanwhile.
"""

import re

import pytest
from tests.e2e.apt_hosts import failures, is_sound, prepared, republished, versions
from tests.e2e.conftest import MakeRepository, MakeRoot
from tests.e2e.planner import Planner
from tests.e2e.repository import AptRepository, Deb
from tests.e2e.roots import Root

pytestmark = pytest.mark.root

FAILING = "#!/bin/sh\necho 'cannot reach the database' >&2\nexit 3\n"


@pytest.fixture
def host(make_root: MakeRoot) -> Root:
    return make_root("install-1")


@pytest.fixture
def repository(make_repository: MakeRepository) -> AptRepository:
    return make_repository()


def test_exactly_the_plan_goes_in_a_fix_below_the_newest_with_the_dependency_that_it_needs(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", Deb("tb-lib", "1.0-1", arch="amd64"), Deb("tb-lib", "2.0-1", arch="amd64"))
    repository.add("stable", Deb("tb-app", "1.0-1"), Deb("tb-app", "1:1.1-1", depends="tb-lib (>= 1.0-1+fix), tb-new"))
    repository.add("stable", Deb("tb-new", "0.9-1"), Deb("tb-other", "1"), Deb("tb-other", "2"), Deb("tb-auto", "1"))
    repository.add("stable", Deb("tb-auto", "2", fields={"Recommends": "tb-optional"}), Deb("tb-optional", "1"))
    repository.add("stable-security", Deb("tb-lib", "1.0-1+fix", arch="amd64"))
    packages = ("tb-lib=1.0-1", "tb-app=1.0-1", "tb-other=1", "tb-auto=1")
    prepared(host, repository, *packages, suites=("stable", "stable-security"))
    host.run(["apt-mark", "auto", "tb-auto"])
    run = planner.order(
        ("tb-lib", "amd64", "1.0-1", "1.0-1+fix"), ("tb-app", "all", "1.0-1", "1:1.1-1"), ("tb-auto", "all", "1", "2")
    )

    done = run.work(host)

    assert (done.returncode, done.stdout) == (0, "the report\n"), done.stderr
    assert versions(host, "tb-*") == {
        "tb-app": "1:1.1-1", "tb-auto": "2", "tb-lib": "1.0-1+fix", "tb-new": "0.9-1", "tb-other": "1",
    }  # fmt: skip
    assert run.modes == ["TOGETHER"]
    roles = {item["Name"]: (item["FromVersion"], item["Role"]) for item in run.plans[0]["Items"]}
    assert roles["tb-new"] == ("", "dependency")
    assert run.finished["PlanDigest"] == run.plans[0]["Digest"]
    assert run.finished["ExitCode"] == 0
    assert run.finished["BootId"] == host.boot_id
    assert not {"Failures", "ProblemCode"} & run.finished.keys()
    assert run.installed["tb-lib"] == "1.0-1+fix"
    assert run.installed["tb-new"] == "0.9-1"
    automatic = host.run(["apt-mark", "showauto"]).stdout.split()
    assert {"tb-new", "tb-auto"} <= set(automatic)  # autoremove may take them later
    assert "tb-lib" not in automatic
    assert not host.exists(run.command_dir + "/transaction")
    runs = "/var/lib/patchwright-agent/runs"
    found = host.run(["find", runs, "-perm", "/077"]).stdout
    assert found == "", "what a run leaves is its owner's alone"


def test_what_would_remove_or_change_a_hold_or_cannot_be_resolved_stays_and_the_rest_goes_in(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", Deb("tb-old", "1"), Deb("tb-eats", "1"), Deb("tb-eats", "2", fields={"Breaks": "tb-old"}))
    repository.add("stable", Deb("tb-held", "1"), Deb("tb-held", "2"), Deb("tb-good", "1"), Deb("tb-good", "2"))
    repository.add("stable", Deb("tb-needy", "1"), Deb("tb-needy", "2", depends="tb-nowhere"))
    repository.add("stable", Deb("tb-leans", "1"), Deb("tb-leans", "2", depends="tb-held (>= 2)"))
    names = ("tb-eats", "tb-held", "tb-good", "tb-needy", "tb-leans")
    prepared(host, repository, "tb-old=1", *(f"{name}=1" for name in names))
    host.run(["apt-mark", "hold", "tb-held"])
    run = planner.order(*((name, "all", "1", "2") for name in names))

    assert run.work(host).returncode == 0

    assert versions(host, "tb-*") == dict.fromkeys((*names, "tb-old"), "1") | {"tb-good": "2"}
    assert run.modes == ["TOGETHER", "EACH", "TOGETHER"]
    reasons = {name: reason for (name, _), reason in run.dropped.items()}
    assert set(reasons) == {"tb-eats", "tb-held", "tb-needy", "tb-leans"}
    assert reasons["tb-eats"] == "removes tb-old"
    assert "eld" in reasons["tb-held"]
    assert "tb-nowhere" in reasons["tb-needy"]
    assert host.run(["apt-mark", "showhold"]).stdout.split() == ["tb-held"]


def test_a_failing_script_is_named_with_its_words_and_the_others_go_in(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", *(Deb(f"tb-good{n}", str(v)) for n in range(3) for v in (1, 2)))
    repository.add("stable", Deb("tb-bad", "1"), Deb("tb-bad", "2", scripts={"postinst": FAILING}))
    repository.add("stable", Deb("tb-pre", "1"), Deb("tb-pre", "2", scripts={"preinst": FAILING}))
    repository.add("stable", Deb("tb-leans", "1"), Deb("tb-leans", "2", depends="tb-bad (>= 2)"))
    names = ("tb-bad", "tb-good0", "tb-good1", "tb-leans", "tb-pre", "tb-good2")
    prepared(host, repository, *(f"{name}=1" for name in names))
    run = planner.order(*((name, "all", "1", "2") for name in names))

    assert run.work(host).returncode == 1

    bad = {"tb-bad": "1", "tb-leans": "1", "tb-pre": "1"}
    assert versions(host, "tb-*") == dict.fromkeys(names, "2") | bad
    assert is_sound(host)
    assert run.finished["ProblemCode"] == "MANAGER_FAILED"
    said = failures(run)
    assert set(said) == {"tb-bad", "tb-leans", "tb-pre"}
    assert "post-installation script" in said["tb-bad"]
    assert "cannot reach the database" in said["tb-bad"]
    assert "pre-installation script" in said["tb-pre"]
    assert "tb-bad" in said["tb-leans"]
    assert run.installed["tb-good2"] == "2"


@pytest.mark.parametrize("words", ["E: Could not get lock /run/mine", "the module is not signed: GPG error"])
def test_a_script_whose_words_sound_like_another_failure_is_taken_back_all_the_same(
    host: Root, repository: AptRepository, planner: Planner, words: str
) -> None:
    repository.add("stable", Deb("tb-bad", "1"), Deb("tb-good", "1"), Deb("tb-good", "2"))
    repository.add("stable", Deb("tb-bad", "2", scripts={"postinst": f"#!/bin/sh\necho '{words}' >&2\nexit 1\n"}))
    prepared(host, repository, "tb-bad=1", "tb-good=1")
    run = planner.order(("tb-bad", "all", "1", "2"), ("tb-good", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert versions(host, "tb-*") == {"tb-bad": "1", "tb-good": "2"}
    assert is_sound(host)
    assert run.finished["ProblemCode"] == "MANAGER_FAILED"
    assert list(failures(run)) == ["tb-bad"]


def test_the_hosts_own_configuration_lets_no_hold_be_overridden_and_nothing_go_back(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", *(Deb(f"tb-{n}", v) for n in ("held", "new", "good") for v in ("1", "2")))
    repository.add("stable", Deb("tb-leans", "1"), Deb("tb-leans", "2", depends="tb-held (>= 2)"))
    repository.add("stable", Deb("tb-back", "1"), Deb("tb-back", "2", depends="tb-new (<< 2)"))
    prepared(host, repository, "tb-held=1", "tb-new=2", "tb-good=1", "tb-leans=1", "tb-back=1")
    host.run(["apt-mark", "hold", "tb-held"])
    host.write(
        "/etc/apt/apt.conf.d/99lenient",
        'APT::Get::allow-change-held-packages "true"; APT::Get::allow-downgrades "true";\n',
    )
    host.write("/etc/apt/preferences", "Package: tb-new\nPin: version 1\nPin-Priority: 1001\n")
    run = planner.order(*((f"tb-{n}", "all", "1", "2") for n in ("leans", "back", "good")))

    assert run.work(host).returncode == 0

    found = versions(host, "tb-*")
    assert (found["tb-held"], found["tb-new"], found["tb-good"]) == ("1", "2", "2")
    assert {name for name, _ in run.dropped} == {"tb-leans", "tb-back"}
    assert "eld" in next(words for (name, _), words in run.dropped.items() if name == "tb-leans")


def test_a_failed_package_whose_old_version_is_gone_is_left_with_its_remedy(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    repository.add("stable", Deb("tb-bad", "1"), Deb("tb-bad", "2", scripts={"postinst": FAILING}))
    repository.add("stable", Deb("tb-good", "1"), Deb("tb-good", "2"))
    prepared(host, repository, "tb-bad=1", "tb-good=1")
    repository.remove("stable", "tb-bad", "1")
    republished(repository)
    host.run(["apt-get", "clean"])
    run = planner.order(("tb-bad", "all", "1", "2"), ("tb-good", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert versions(host, "tb-*") == {"tb-bad": "iF 2", "tb-good": "2"}
    assert "cannot reach the database" in failures(run)["tb-bad"]
    assert any("dpkg --configure -a" in note for note in run.finished["Notes"])
    again = planner.order(("tb-good", "all", "1", "2"))
    assert again.work(host).returncode == 1
    assert again.finished["ProblemCode"] == "BROKEN"
    assert "dpkg --configure -a" in again.finished["Message"]
    assert again.plans == []


def test_a_package_outside_of_the_plan_that_fails_is_named_and_what_triggered_it_stays(
    host: Root, repository: AptRepository, planner: Planner
) -> None:
    on_trigger = "#!/bin/sh\n[ -z \"$2\" ] || { echo 'the cache is damaged' >&2; exit 1; }\n"
    watcher = Deb(
        "tb-watch", "1", scripts={"postinst": on_trigger}, files={"/DEBIAN/triggers": "interest /usr/share/tb\n"}
    )
    repository.add("stable", watcher, Deb("tb-doc", "1"), Deb("tb-doc", "2", files={"/usr/share/tb/doc": "new\n"}))
    prepared(host, repository, "tb-watch=1", "tb-doc=1")
    run = planner.order(("tb-doc", "all", "1", "2"))

    assert run.work(host).returncode == 1

    assert run.installed["tb-doc"] == "2"
    assert run.finished["ProblemCode"] == "BROKEN"
    assert "dpkg --configure -a" in run.finished["Message"]
    (note,) = run.finished["Notes"]
    assert "tb-watch" in note
    assert "the cache is damaged" in note
    assert "Failures" not in run.finished


@pytest.mark.parametrize("policy", ["", "force-confnew\n"], ids=["default", "the node's own"])
def test_a_changed_configuration_file_is_kept_and_reported_unless_the_node_decides_otherwise(
    host: Root, repository: AptRepository, planner: Planner, policy: str
) -> None:
    path = "/etc/tb-conf.conf"
    repository.add(
        "stable", *(Deb("tb-conf", v, files={path: f"v{v}\n", "/DEBIAN/conffiles": path + "\n"}) for v in ("1", "2"))
    )
    prepared(host, repository, "tb-conf=1")
    host.write(path, "changed here\n")
    host.write("/etc/dpkg/dpkg.cfg.d/policy", policy)
    run = planner.order(("tb-conf", "all", "1", "2"))

    assert run.work(host).returncode == 0

    assert versions(host, "tb-conf") == {"tb-conf": "2"}
    notes = run.finished.get("Notes", [])
    if policy:
        assert (host.read(path), notes) == ("v2\n", [])
    else:
        assert host.read(path) == "changed here\n"
        assert host.read(path + ".dpkg-dist") == "v2\n"
        assert [note for note in notes if note.endswith(": " + path)]


SYSTEMD_RUN = """#!/bin/sh
echo "$*" >> /var/tmp/scopes
while [ "$1" != "${1#--}" ]; do shift; done
exec "$@"
"""


@pytest.mark.parametrize("systemd_run", [SYSTEMD_RUN, "#!/bin/sh\nexit 1\n"], ids=["works", "does not work"])
def test_under_systemd_an_install_runs_in_a_scope_of_its_own_where_that_works(
    host: Root, repository: AptRepository, planner: Planner, systemd_run: str
) -> None:
    """These hosts run no systemd: a program of its name stands for it."""
    repository.add("stable", Deb("tb-lib", "1"), Deb("tb-lib", "2"))
    prepared(host, repository, "tb-lib=1")
    host.write("/usr/bin/systemd-run", systemd_run, 0o755)
    host.run(["mkdir", "-p", "/run/systemd/system"])
    run = planner.order(("tb-lib", "all", "1", "2"))

    done = run.work(host)

    assert done.returncode == 0, done.stderr
    assert versions(host, "tb-lib") == {"tb-lib": "2"}
    if systemd_run == SYSTEMD_RUN:
        tried, moved, tried_again, transaction = host.read("/var/tmp/scopes").splitlines()
        assert tried.endswith(" true")
        assert tried_again.endswith(" true")
        assert re.search(r"KillSignal=SIGCONT .*-- apt-get .* install tb-lib", transaction), "a shutdown waits for it"
        assert re.search(r"--scope --quiet --collect .*-- \S*python3\S* \S+ patch --state-dir", moved)
        assert len(run.sent("StartPatchRun")) == 2
    else:
        assert "going on in the agent's" in done.stderr
        assert len(run.sent("StartPatchRun")) == 1
