"""What dnf said, read: facts, module files, lock lists, and what became of a transaction."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from patchwright_agent.managers import dnf_install_output as output
from patchwright_agent.managers import dnf_locklist, dnf_output
from patchwright_agent.managers.installer import DISK_FULL, LOCKED, MANAGER_FAILED, REPOSITORY_CHANGED
from patchwright_agent.managers.model import ManagerFacts

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "captures" / "rocky-9"
ANSWER: dict[str, Any] = {**json.loads((CAPTURES / "dnf-child-facts.json").read_text()), "fetch": "never"}


def facts(**changes: Any) -> ManagerFacts:
    return dnf_output.manager_facts({**copy.deepcopy(ANSWER), **changes}, ["nginx:1.22"], "digest", [])


def test_installed_packages_stand_in_order_with_source_build_time_and_repositories() -> None:
    packages = facts().packages
    assert [(p.name, p.version) for p in packages][:3] == [
        ("bash", "0:5.1.8-9.el9"),
        ("kernel-core", "0:5.14.0-427.el9"),
        ("kernel-core", "0:5.14.0-427.13.1.el9_4"),
    ]
    bash = packages[0]
    assert (bash.source, bash.source_version, bash.built_at) == ("bash", "5.1.8-9.el9", 1767323045)
    assert [r.label for r in bash.repositories] == ["baseos"]
    assert [n.id for n in bash.notices] == ["RLSA-2024:2394"]
    assert next(p for p in packages if p.name == "local-tool").repositories == ()


def test_a_line_holds_every_newer_version_of_the_newest_installed_one() -> None:
    lines = {line.name: line for line in facts().lines}
    assert sorted(lines) == ["kernel-core", "openssl-libs", "tzdata"]
    assert lines["kernel-core"].installed_version == "0:5.14.0-427.13.1.el9_4"
    ssl = lines["openssl-libs"]
    assert [offer.version for offer in ssl.offers] == ["1:3.0.7-25.el9", "1:3.0.7-27.el9"]
    assert [r.label for r in ssl.offers[0].repositories] == ["baseos", "extras"]
    (fix,) = ssl.offers[0].notices
    assert fix[:5] == ("RLSA-2024:3843", "security", "Moderate", 1718150400, 1718373569)
    assert (fix.cves, fix.bugzillas) == (("CVE-2023-6129", "CVE-2024-0727"), ("2257571",))
    assert (ssl.candidate, ssl.offers[1].notices) == ("1:3.0.7-27.el9", ())


def test_held_is_what_dnf_would_not_touch() -> None:
    known = facts()
    assert known.holds == [("bash", "x86_64"), ("tzdata", "noarch")]  # by a lock without an offer, by dnf.conf
    assert next(line for line in known.lines if line.name == "tzdata").candidate == ""
    assert known.obsoleted == [("oldname", "x86_64", "newname-0:2-1.x86_64")]
    assert known.kernels == ["5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.el9.x86_64"]


def test_a_package_that_becomes_architecture_independent_stays_one_line() -> None:
    offers = [["bash", "noarch", "0:6-1", "bash-6-1.src.rpm", 1, "baseos"]]
    (line,) = facts(offers=offers, held_offers=[]).lines
    assert (line.name, line.arch, line.offers[0].version) == ("bash", "x86_64", "0:6-1")
    offers = [["tzdata", "x86_64", "0:2026a-1", "", 1, "baseos"]]
    (line,) = facts(offers=offers, held_offers=[]).lines
    assert (line.name, line.arch, line.offers[0].source) == ("tzdata", "noarch", "")


def test_hostile_text_and_impossible_times_are_made_safe() -> None:
    row = ["evil\x1b[2J\tname", "x86_64", "0:1\n-1", "evil-1-1.src.rpm", -5, 2**40]
    package = facts(installed=[row]).packages[0]
    assert (package.name, package.version, package.built_at, package.installed_at) == ("evil [2J name", "0:1 -1", 0, 0)
    hostile = [["X\u202e-1", "sec\nurity", "", 2**60, True, ["CVE\x00"] * 3, []]]
    listed = [["bash", "x86_64", "0:5.1.8-9.el9", ["X\u202e-1"]]]
    (notice,) = facts(notices=hostile, listed=listed).packages[0].notices
    assert (notice.id, notice.kind, notice.issued, notice.cves) == ("X -1", "sec urity", 0, ("CVE",))


def test_an_answer_of_another_shape_is_an_error_that_the_caller_expects() -> None:
    for change in ({"installed": [["bash"]]}, {"repositories": []}, {"notices": [[1]]}, {"offers": 7}):
        with pytest.raises((KeyError, TypeError, ValueError, IndexError)):
            facts(**change)


@pytest.mark.parametrize(
    ("changes", "code", "remedy"),
    [
        ({"failures": [["baseos", "404", False]]}, "INDEX_MISSING", "dnf makecache"),
        ({"failures": [["baseos", "404", True]], "fetch": "always"}, "REFRESH_FAILED", "dnf makecache"),
        ({"expired": ["baseos"]}, "INDEX_EXPIRED", "dnf makecache"),
        ({"duplicates": ["bash.x86_64"], "broken": ["x"]}, "PACKAGES_DUPLICATED", "dnf -y remove --duplicates"),
        ({"broken": ["nothing provides y"]}, "PACKAGES_BROKEN", "dnf check"),
    ],
)
def test_each_trouble_has_its_code_and_its_remedy(changes: dict[str, Any], code: str, remedy: str) -> None:
    (problem,) = facts(**changes).problems
    assert (problem.code, problem.remedy) == (code, remedy)


def test_a_host_without_repositories_does_not_look_up_to_date_in_silence() -> None:
    changes: dict[str, Any] = {"repositories": [], "offers": [], "same": []}
    assert [p.code for p in facts(**changes).problems] == ["INDEX_MISSING"]


def test_source_packages_are_named_without_their_architecture() -> None:
    assert dnf_output.source_of("java-17-openjdk-17.0.11.0.9-2.el9.src.rpm") == ("java-17-openjdk", "17.0.11.0.9-2.el9")
    for odd in ("", "(none)", "a.rpm", "a-1.src.rpm"):
        assert dnf_output.source_of(odd) == ("", "")


def test_enabled_streams_are_read_from_module_files() -> None:
    content = (CAPTURES / "nginx.module").read_text()
    assert dnf_output.parse_modules(content) == ["nginx:1.22"]
    assert dnf_output.parse_modules(content.replace("enabled", "disabled")) == []
    assert dnf_output.parse_modules("stream=1\nstate=enabled\n[a]\nstate=enabled\n=\n[") == [":1"]


def test_lock_lists_name_patterns_and_exclusions(tmp_path: Path) -> None:
    assert dnf_locklist.parse((CAPTURES / "versionlock.list").read_text()) == [("bash-0:5.1.8-9.el9.*", False)]
    assert dnf_locklist.parse("!evil-0:1-1.*  # by hand\n#x\n ! \n") == [("evil-0:1-1.*", True)]
    (tmp_path / "locks").write_text("a-1-1.*\n")
    conf = tmp_path / "versionlock.conf"
    conf.write_text("[main]\nenabled = 1\nlocklist = %s\n" % (tmp_path / "locks"))
    assert dnf_locklist.read([str(tmp_path)], plugins=True) == [("a-1-1.*", False)]
    assert dnf_locklist.read([str(tmp_path)], plugins=False) == []
    conf.write_text(conf.read_text().replace("enabled = 1", "enabled = 0"))
    assert dnf_locklist.read([str(tmp_path)], plugins=True) == []
    conf.write_text("[main\nenabled")
    assert dnf_locklist.read([str(tmp_path)], plugins=True) == dnf_locklist.parse("")


def attempt(name: str) -> tuple[dict[str, Any], str]:
    answer: dict[str, Any] = json.loads((CAPTURES / f"apply-{name}.json").read_text())
    return answer, (CAPTURES / f"apply-{name}.txt").read_text()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("conflict", MANAGER_FAILED), ("full", DISK_FULL), ("locked", LOCKED), ("dnf-locked", LOCKED),
        ("differs", REPOSITORY_CHANGED),
    ],
)  # fmt: skip
def test_a_refused_transaction_has_its_code(name: str, code: str) -> None:
    answer, printed = attempt(name)
    assert output.reason_code(answer["refused"], f"{answer['error']}\n{printed}") == code


def test_dnfs_several_lines_are_one() -> None:
    answer, _ = attempt("conflict")
    assert output.one_line(answer["error"]) == (
        "Transaction test error; file /opt/x from install of clash-0:2-1.x86_64 conflicts with file from package "
        "owner-0:1-1.x86_64"
    )


def test_failed_scripts_are_told_by_package_with_their_own_words() -> None:
    answer, printed = attempt("scripts")
    errors = [output.script_error(message, said) for message, said in answer["errors"]]
    assert errors == [
        output.ScriptError("app-pre", "its PREIN script failed, exit status 1: no room for the index", True),
        output.ScriptError("app-post", "its POSTIN script failed, exit status 3: cannot reach the database", True),
        output.ScriptError("app-unpost", "its POSTUN script failed, exit status 1: could not tidy up", False),
    ]
    assert output.last_words(printed) == "error: app-pre-0:1-1.x86_64: erase skipped"
    payload = output.script_error("Error unpacking rpm package big-tool-1:2-1.x86_64", "")
    assert payload is not None
    assert (payload.name, payload.is_incoming) == ("big-tool", True)
    assert output.script_error("something else", "") is None
