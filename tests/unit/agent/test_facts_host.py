"""What the worker sees of the host itself: system, kernels, reboot markers, services on deleted libraries."""

import pytest

from patchwright_agent import platform, text
from patchwright_agent.platform import UnsupportedPlatform
from patchwright_agent.worker.reboot import is_newer, newest_kernel, reboot_state
from patchwright_agent.worker.stale_services import parse_deleted_libraries, parse_unit


def test_os_release_quotes_and_comments() -> None:
    content = (
        "# a comment\nPRETTY_NAME=\"Ubuntu 22.04.5 LTS\"\nNAME='Ubuntu'\nID=ubuntu\nID_LIKE=debian\n"
        'VERSION_ID="22.04"\nVERSION_CODENAME=jammy\nODD="a \\"quoted\\" word"\nnonsense\n'
    )
    system = platform.parse_os_release(content)
    assert (system.id, system.version_id, system.codename, system.id_like) == ("ubuntu", "22.04", "jammy", "debian")
    assert system.pretty_name == "Ubuntu 22.04.5 LTS"


@pytest.mark.parametrize("identity", ["ID=debian", "ID=ubuntu", "ID=mint\nID_LIKE='ubuntu debian'"])
def test_debian_and_its_kin_are_patched_with_apt(identity: str) -> None:
    assert platform.manager_for(platform.parse_os_release(identity)) == "apt"


@pytest.mark.parametrize(
    "identity",
    [
        "ID=amzn\nVERSION_ID=2023",
        "ID=rhel\nVERSION_ID=8.10",
        "ID=rocky\nVERSION_ID=9.4",
        "ID=almalinux\nVERSION_ID=10.0",
        "ID=ol\nVERSION_ID=9.2",
        "ID=centos\nVERSION_ID=9",
        "ID=eurolinux\nID_LIKE='rhel fedora'\nVERSION_ID=9.1",
    ],
)
def test_amazon_linux_2023_and_red_hats_kin_from_8_on_are_patched_with_dnf(identity: str) -> None:
    assert platform.manager_for(platform.parse_os_release(identity)) == "dnf"


@pytest.mark.parametrize(
    "identity",
    ["ID=amzn\nVERSION_ID=2", "ID=amzn\nVERSION_ID=2018.03", "ID=rhel\nVERSION_ID=7.9", "ID=centos\nVERSION_ID=x"],
)
def test_what_yum_patches_is_refused_by_name(identity: str) -> None:
    with pytest.raises(UnsupportedPlatform, match="patched by yum"):
        platform.manager_for(platform.parse_os_release(identity))


def test_another_system_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedPlatform, match="Plan 9"):
        platform.manager_for(platform.parse_os_release('ID=plan9\nPRETTY_NAME="Plan 9"'))


def test_kernels_are_ordered_by_their_numbers() -> None:
    assert newest_kernel(["6.1.0-9-amd64", "6.1.0-21-amd64", "5.10.0-30-amd64"]) == "6.1.0-21-amd64"
    assert newest_kernel([]) == ""
    assert is_newer("5.15.0-100-generic", "5.15.0-99-generic")
    assert not is_newer("6.1.0-21-cloud-amd64", "6.1.0-21-amd64")  # another flavour of the same build
    assert not is_newer("", "6.1.0-21-amd64")


def test_a_reboot_is_wanted_by_marker_or_by_kernel_and_says_why() -> None:
    running, newer = "6.1.0-18-amd64", "6.1.0-21-amd64"
    assert reboot_state("", "", running, running, False) == (False, (), ())
    assert reboot_state("", "stale\n", running, running, False).packages == ()
    marked = reboot_state("/run/reboot-required", "libc6\nlibc6\n\x1b[1mdbus\n", running, running, False)
    assert (marked.required, marked.packages) == (True, ("[1mdbus", "libc6"))
    by_kernel = reboot_state("", "", newer, running, False)
    assert by_kernel.required
    assert newer in by_kernel.evidence[0]
    assert not reboot_state("", "", newer, running, True).required  # a container runs its host's kernel


def test_only_deleted_libraries_count() -> None:
    maps = (
        b"7f1 r-xp 0 08:01 1  /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n"
        b"7f2 r-xp 0 08:01 2  /lib/x86_64-linux-gnu/libc.so.6\n"
        b"7f3 rw-s 0 00:01 3  /dev/zero (deleted)\n"
        b"7f4 rw-p 0 08:01 4  /tmp/cache.so (deleted)\n"
        b"7f5 r-xp 0 08:01 5  /usr/lib/python3/x.cpython-311.so (deleted)\n"
    )
    found = parse_deleted_libraries(maps)
    assert found == {"/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/python3/x.cpython-311.so"}


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/ssh.service\n", "ssh.service"),
        ("3:cpu:/x\n1:name=systemd:/system.slice/cron.service\n", "cron.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/tool.service\n", "tool.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("0::/\n", ""),
    ],
)
def test_the_unit_is_the_innermost_service(cgroup: str, unit: str) -> None:
    assert parse_unit(cgroup) == unit


def test_text_is_safe_for_a_terminal_and_bounded() -> None:
    assert text.field("a\x1b[31m\tb\r\nc\u202ed") == "a [31m b c d"
    assert len(text.field("x" * 10_000_000)) == text.MAX_FIELD_CHARACTERS
    assert text.block("one\x07\n\x1btwo", 100) == "one\ntwo"
