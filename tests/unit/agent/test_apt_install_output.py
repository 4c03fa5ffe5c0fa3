"""What apt-get and dpkg print about transactions is read as it is meant; what can't be read is no silent nothing."""

from pathlib import Path

import pytest

from patchwright_agent.managers import apt_install_options as options
from patchwright_agent.managers import apt_install_output as output
from patchwright_agent.managers import apt_output
from patchwright_agent.managers.apt_install_output import Inst
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import Change, Target

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "captures" / "debian-12"


def capture(name: str) -> tuple[str, str]:
    """Standard output and standard error of a capture."""
    stdout, _, stderr = (CAPTURES / name).read_text().partition("=== standard error ===\n")
    return stdout, stderr


def test_a_simulation_gives_each_change_in_the_slot_that_the_facts_call_it() -> None:
    installed, removed = output.parse_simulation(capture("apt-get-simulate-install.txt")[0])
    arches = {("lib", "amd64"): "all", ("app", "amd64"): "all", ("arched", "amd64"): "amd64"}
    assert removed == []
    assert output.changes_of(installed, arches, "amd64") == [
        Change("alt-a", "all", "", "1"),
        Change("lib", "all", "1.0-1", "1.0-1+fix"),
        Change("newdep", "amd64", "", "1:3.0-1"),
        Change("app", "all", "1.0-1", "1.1-1"),
        Change("arched", "amd64", "1", "2"),  # its new version is of architecture all
    ]


def test_a_simulation_shows_what_would_be_removed() -> None:
    installed, removed = output.parse_simulation(capture("apt-get-simulate-removal.txt")[0])
    assert [line.name for line in installed] == ["eats"]
    assert removed == [("old", "")]


def test_an_archives_own_lines_are_read() -> None:
    stdout, _ = capture("apt-get-simulate-archive.txt")
    installed, _ = output.parse_simulation(stdout)
    assert len(installed) == len(stdout.splitlines())
    assert installed[0] == Inst("base-files", "", "12.4+deb12u11", "12.4+deb12u15", "amd64")
    assert next(line for line in installed if line.name == "login").from_version == "1:4.13+dfsg1-1+deb12u1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Inst libc6:i386 [2.36-9] (2.36-10 Debian:12/stable [i386]) []",
            ("libc6", "i386", "2.36-9", "2.36-10", "i386"),
        ),
        ("Inst a (1 One:x, Two:y [all]) [b:amd64 ]", ("a", "", "", "1", "all")),
        ("Inst local [1] (2 [amd64])", ("local", "", "1", "2", "amd64")),
        ("Inst spaced [1] (2 Label with blanks:suite [amd64])", ("spaced", "", "1", "2", "amd64")),
    ],
)
def test_forms_of_a_line(line: str, expected: tuple[str, ...]) -> None:
    assert output.parse_simulation(line)[0] == [Inst(*expected)]


@pytest.mark.parametrize("line", ["Inst ", "Inst a", "Inst a [1] 2", "Inst ../x (1 [all])", "Remv a", "Purg -x [1]"])
def test_a_line_that_cannot_be_read_is_an_error_and_no_change_less(line: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        output.parse_simulation(line)


def test_why_apt_could_not_resolve_something_is_said_in_its_words() -> None:
    assert output.problem_of(*capture("apt-get-simulate-unmet.txt")) == (
        "needy : Depends: nowhere (>= 3) but it is not installable; "
        "Unable to correct problems, you have held broken packages."
    )
    assert output.problem_of(*capture("apt-get-simulate-hold.txt")).startswith("Held packages were changed")


def test_failing_scripts_are_named_with_their_words() -> None:
    assert output.parse_failures(capture("apt-get-failing-transaction.txt")[0]) == {
        ("pre", ""): "new pre package pre-installation script subprocess returned error exit status 3; "
        "it said: words of the script"
    }
    found = output.parse_failures(capture("dpkg-configure-failing.txt")[0])
    assert set(found) == {("bad", ""), ("conf", ""), ("leans", "")}
    assert found["bad", ""].endswith("exit status 3; it said: words of the script")
    assert found["conf", ""].startswith("end of file on stdin at conffile prompt")
    assert found["leans", ""].startswith(output.DEPENDENCY_PROBLEMS)
    assert "Package bad is not configured yet" in found["leans", ""]


def test_a_scripts_words_are_bounded_and_printable() -> None:
    words = "".join(f"line {n} \x1b[31m{'x' * 500}\n" for n in range(1000))
    said = f"Setting up a (1) ...\n{words}dpkg: error processing package a:i386 (--configure):\n it failed\n"
    ((slot, message),) = output.parse_failures(said).items()
    assert slot == ("a", "i386")
    assert len(message) <= output.MAX_REASON_CHARACTERS
    assert "line 999" in message or "line 995" in message
    assert "\x1b" not in message


def test_kept_configuration_files_are_those_that_stayed() -> None:
    header = "\nConfiguration file '/etc/{}'\n ==> Modified (by you or by a script) since installation.\n"
    kept, chosen, taken = (
        "Keeping old config file as default.",
        "Using current old file as you requested.",
        "Using new file",
    )
    said = "".join(header.format(n) + f" ==> {w}\n" for n, w in (("a", kept), ("b", taken), ("c", chosen)))
    assert output.kept_configuration_files(said) == ["/etc/a", "/etc/c"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "DISK_FULL"),
        ("dpkg: error: cannot copy extracted data: failed to write (No space left on device)", "DISK_FULL"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)", "LOCKED"),
        ("dpkg: error: dpkg frontend lock was locked by another process with pid 12", "LOCKED"),
        ("E: There were unauthenticated packages and -y was used without --allow-unauthenticated", "SIGNATURE"),
        ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.", "BROKEN"),
        ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "MANAGER_FAILED"),
        ("", "MANAGER_FAILED"),
    ],
)
def test_why_a_call_failed(said: str, code: str) -> None:
    assert output.reason_code(said) == code


def test_a_missing_file_is_a_download_that_failed() -> None:
    said, _ = capture("apt-get-missing-file.txt")
    assert output.reason_code(said) == "DOWNLOAD"


def test_an_addresss_password_is_shown_to_nobody() -> None:
    said = "E: Failed to fetch https://user:s3cret@mirror.example/pool/a.deb  404"
    assert apt_output.first_error(said, "") == "Failed to fetch https://mirror.example/pool/a.deb  404"


def test_sizes_are_bytes() -> None:
    sizes = output.parse_sizes(
        capture("apt-cache-show.txt")[0] + "\n\nPackage: big\nVersion: 1\nSize: 5\nInstalled-Size: 7\n"
    )
    assert sizes == {
        ("app", "1.1-1"): (20672, 0),
        ("newdep", "1:3.0-1"): (20672, 0),
        ("lib", "1.0-1+fix"): (20672, 0),
        ("big", "1"): (5, 7168),
    }


@pytest.mark.parametrize(
    "item",
    [
        Target("-oDir=/tmp", "amd64", "", "1"),
        Target("a", "amd64", "", "1 -oDir=/tmp"),
        Target("a", "amd64", "", "-1"),
        Target("a", "amd64", "", "1*"),
        Target("a", "am d64", "", "1"),
        Target("a/stable", "amd64", "", "1"),
        Target("", "amd64", "", "1"),
    ],
)
def test_a_plan_never_becomes_an_option_or_a_pattern(item: Target) -> None:
    with pytest.raises(ManagerError):
        options.spec(item, "amd64")


def test_the_private_preferences_pin_each_item_before_what_the_node_says() -> None:
    items = [Target("lib", "all", "1", "1.0-1+fix"), Target("c6", "i386", "1", "2:3~rc")]
    assert options.preferences(items, "amd64", "Package: *\nPin: release a=x\nPin-Priority: 1\n") == (
        "Package: lib:amd64\nPin: version 1.0-1+fix\nPin-Priority: 32767\n\n"
        "Package: c6:i386\nPin: version 2:3~rc\nPin-Priority: 32767\n\n"
        "Package: *\nPin: release a=x\nPin-Priority: 1\n"
    )
    assert options.spec(items[0], "amd64") == "lib:amd64=1.0-1+fix"


def test_changed_configuration_files_are_kept_unless_apts_configuration_says_otherwise() -> None:
    assert options.dpkg_options({}) == ("--force-confdef", "--force-confold")
    assert options.dpkg_options({"dpkg::options": ["--force-confnew"]}) == ()
    assert options.dpkg_options({"dpkg::options": ["--force-unsafe-io"]}) == ("--force-confdef", "--force-confold")
