"""What dpkg and apt print is read as it is meant, and hostile text changes nothing but a counter."""

from pathlib import Path

import pytest

from patchwright_agent.managers import apt_output
from patchwright_agent.managers.apt_output import FIELD_SEPARATOR, RECORD_SEPARATOR

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "captures"


def capture(name: str) -> str:
    return (CAPTURES / name).read_text()


def record(*fields: str) -> str:
    return FIELD_SEPARATOR.join(fields) + RECORD_SEPARATOR


def test_dpkg_records_carry_their_source_package() -> None:
    records, unreadable = apt_output.parse_dpkg_query(capture("debian-12/dpkg-query.txt"))
    assert unreadable == 0
    assert len(records) == 11
    by_name = {found.name: found for found in records}
    assert by_name["libssl3"].source == "openssl"
    assert (by_name["bash"].version, by_name["bash"].source_version) == ("5.2.15-2+b8", "5.2.15-2")
    assert (by_name["tzdata"].arch, by_name["tzdata"].status) == ("all", "ii")


@pytest.mark.parametrize(
    "bad",
    [
        record("ii ", "bad name", "amd64", "1.0", "misc", "optional", "", ""),
        record("ii ", "evil\x1b[2J", "amd64", "1.0", "misc", "optional", "", ""),
        record("ii ", "tab", "amd64", "1.0\t2.0", "misc", "optional", "", ""),
        record("ii ", "long", "amd64", "1" * 10_000, "misc", "optional", "", ""),
        record("ii ", "-oDir=/tmp", "amd64", "1.0", "misc", "optional", "", ""),
        record("ii ", "fields", "amd64", "1.0", "misc"),
    ],
)
def test_a_record_that_cannot_be_trusted_is_counted_and_its_neighbours_stay(bad: str) -> None:
    good = record("ii ", "bash", "amd64", "5.2", "shells", "required", "", "")
    records, unreadable = apt_output.parse_dpkg_query(good + bad + good)
    assert [found.name for found in records] == ["bash", "bash"]
    assert unreadable == 1


def test_free_text_fields_are_cleaned_and_bounded() -> None:
    hostile = record("ii ", "tool", "amd64", "1.0", "misc\x1b]0;x\x07\n\tevil", "o" * 9000, "", "")
    (found,), unreadable = apt_output.parse_dpkg_query(hostile)
    assert found.section == "misc ]0;x evil"
    assert len(found.priority) == 512
    assert (found.source, found.source_version, unreadable) == ("tool", "1.0", 0)


def test_a_mere_selection_without_a_package_is_no_unreadable_record() -> None:
    assert apt_output.parse_dpkg_query(record("un ", "wished", "", "", "", "", "", "")) == ([], 0)


def test_policy_tables_of_debian() -> None:
    policies = apt_output.parse_policy(capture("debian-12/apt-cache-policy.txt"))
    python = policies["python3.11"]
    assert python.candidate == "3.11.2-6+deb12u9"
    assert [(v.version, v.installed, v.pin) for v in python.versions] == [
        ("3.11.2-6+deb12u9", False, "500"),
        ("3.11.2-6+deb12u8", False, "500"),
        ("3.11.2-6+deb12u6", True, "100"),
    ]
    newer = apt_output.newer_versions(python, "3.11.2-6+deb12u6")
    assert [version.version for version in newer] == ["3.11.2-6+deb12u8", "3.11.2-6+deb12u9"]  # oldest first
    assert apt_output.newer_versions(policies["libc6"], "2.36-9+deb12u14") == []  # an older one below is no offer
    assert policies["ca-certificates"].versions[1].descriptions == (
        "http://deb.debian.org/debian bookworm/main amd64 Packages",
        "http://deb.debian.org/debian bookworm-updates/main amd64 Packages",
        "/var/lib/dpkg/status",
    )


def test_policy_tables_with_phasing_pins_and_foreign_architectures() -> None:
    policies = apt_output.parse_policy(capture("ubuntu-22.04/apt-cache-policy.txt"))
    systemd = apt_output.newer_versions(policies["systemd"], "249.11-0ubuntu3.12")
    assert [(v.version, v.phased) for v in systemd] == [("249.11-0ubuntu3.16", ""), ("249.11-0ubuntu3.17", "40")]
    assert policies["libc6:i386"].candidate == "2.35-0ubuntu3.9"
    assert [v.pin for v in policies["base-files"].versions] == ["-10", "1001"]
    assert policies["backport-tool"].versions[0].pin == "100"


def test_lines_that_a_hostile_version_brings_along_are_not_taken_for_apts_own() -> None:
    output = (
        "tool:\n  Installed: 1.0\n  Candidate: \x1b[31m9\n  Version table:\n"
        "     9.9 evil 500\n     2.0;reboot 500\n *** 1.0 100\n        100 /var/lib/dpkg/status\n"
    )
    policy = apt_output.parse_policy(output)["tool"]
    assert policy.candidate == ""
    assert [version.version for version in policy.versions] == ["1.0"]


def test_equal_version_strings_of_other_content_are_not_newer_than_the_installed_one() -> None:
    output = "tool:\n  Candidate: 1.0\n     1.0 500\n        500 http://a b/main amd64 Packages\n *** 1.0 100\n"
    assert apt_output.newer_versions(apt_output.parse_policy(output)["tool"], "1.0") == []


def test_index_targets_name_the_repository_its_trust_and_its_file() -> None:
    targets = apt_output.parse_index_targets(capture("debian-12/apt-get-indextargets.txt"))
    first = targets[0]
    assert (first.origin, first.suite, first.codename, first.component) == ("Debian", "oldstable", "bookworm", "main")
    assert (first.site, first.arch, first.trusted) == ("deb.debian.org", "amd64", True)
    assert first.filename.endswith("_bookworm_main_binary-amd64_Packages.lz4")
    assert len(targets) == 3


def test_a_label_cannot_make_its_repository_trusted() -> None:
    stanza = "Description: http://e s/main amd64 Packages\nFilename: /x\nLabel: a\n Trusted: yes\nTrusted: no\n"
    (target,) = apt_output.parse_index_targets(stanza)
    assert target.trusted is False


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("http://deb.debian.org/debian/", "deb.debian.org"),
        ("https://user:secret@repo.example:8443/x", "repo.example"),
        ("http://[2001:db8::1]:80/x", "[2001:db8::1]"),
        ("file:/srv/repo", ""),
    ],
)
def test_the_site_is_the_host_alone(uri: str, host: str) -> None:
    assert apt_output.host_of(uri) == host


def test_settings_keep_their_list_items() -> None:
    settings = apt_output.parse_config(capture("debian-12/apt-config-dump.txt"))
    assert settings["dir::state::lists"] == ["lists/"]
    assert settings["apt::architectures"] == ["", "amd64"]


def test_packages_with_unmet_dependencies_are_named() -> None:
    output = (
        "Reading package lists...\nThe following packages have unmet dependencies:\n"
        " tb-app : Depends: tb-lib (>= 2) but it is not installed\n          Depends: other\n"
        " tb-old:i386 : Breaks: tb-app\n"
    )
    assert apt_output.parse_unmet(output) == ("tb-app", "tb-old:i386")


def test_the_error_shown_is_the_managers_first() -> None:
    messages = "W: minor\nE: The list of sources could not be read.\x1b[0m\nE: later\n"
    assert apt_output.first_error(messages, "") == "The list of sources could not be read. [0m"
    assert apt_output.first_error("", "silence") == "silence"
