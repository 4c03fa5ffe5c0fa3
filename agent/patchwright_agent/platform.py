"""What this host is: operating system, boot, kernel, and the package manager that patches it."""

import os
from collections import namedtuple

from patchwright_agent import text

# Not typing.NamedTuple: the daemon imports this file, and typing alone costs it 0.6 MB for as long as it runs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

OS_RELEASE_PATHS = ("/etc/os-release", "/usr/lib/os-release")
BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id"
# Files by which container managers mark a container: its running kernel is not one of its own packages.
CONTAINER_MARKS = ("/run/systemd/container", "/.dockerenv", "/run/.containerenv")

_MANAGERS = {"debian": "apt", "ubuntu": "apt", "raspbian": "apt"}
# rpm systems: the first major release that dnf 4 patches. Older ones have yum.
_DNF_SINCE = {"rhel": 8, "centos": 8, "rocky": 8, "almalinux": 8, "ol": 8, "amzn": 2022}
_MAX_SMALL_FILE_BYTES = 64 * 1024


class UnsupportedPlatform(Exception):
    """No supported package manager runs this host's operating system."""


_OperatingSystem = namedtuple("_OperatingSystem", "id version_id codename name pretty_name id_like")


class OperatingSystem(_OperatingSystem):
    """The fields of os-release that name a system, all texts; "" where it says nothing. Source: os-release(5)."""

    __slots__ = ()


def parse_os_release(content: str) -> OperatingSystem:
    """Read shell-like assignments, one a line; quotes and backslashes as os-release(5) allows them."""
    values: "Dict[str, str]" = {}
    for line in content.splitlines():
        name, assigned, value = line.strip().partition("=")
        if assigned and not name.startswith("#"):
            values[name] = text.field(_unquoted(value.strip()))
    return OperatingSystem(
        id=values.get("ID", "linux").lower(),
        version_id=values.get("VERSION_ID", ""),
        codename=values.get("VERSION_CODENAME", ""),
        name=values.get("NAME", ""),
        pretty_name=values.get("PRETTY_NAME", ""),
        id_like=values.get("ID_LIKE", ""),
    )


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    for character in "\\$\"'`":
        value = value.replace("\\" + character, character)
    return value


def manager_for(system: OperatingSystem) -> str:
    """The name of the package manager of `system`. Raises UnsupportedPlatform."""
    for identifier in [system.id] + system.id_like.lower().split():
        if identifier in _MANAGERS:
            return _MANAGERS[identifier]
        if identifier in _DNF_SINCE:
            major = _major(system.version_id)
            if major >= _DNF_SINCE[identifier]:
                return "dnf"
            raise UnsupportedPlatform(
                "%s is patched by yum, which this version of the agent does not support; nothing was changed"
                % (system.pretty_name or system.id)
            )
    raise UnsupportedPlatform(
        "%s is not supported by this version of the agent, which patches Debian, Ubuntu and their kin with apt, "
        "and Amazon Linux 2023, Red Hat Enterprise Linux 8 and later and its kin with dnf 4; nothing was changed"
        % (system.pretty_name or system.id)
    )


def _major(version_id: str) -> int:
    digits = version_id.partition(".")[0]
    return int(digits) if digits.isdigit() and len(digits) <= 4 else 0


def operating_system() -> OperatingSystem:
    """This host's os-release. A host without one is an unnamed Linux."""
    for path in OS_RELEASE_PATHS:
        content = small_file(path)
        if content:
            return parse_os_release(content)
    return parse_os_release("")


def boot_id() -> str:
    """The identity of the running boot, the only trustworthy sign of a reboot: uptime may be the machine's."""
    return text.field(small_file(BOOT_ID_PATH))


def booted_at() -> int:
    """When this boot began, in seconds since 1970; 0 if the kernel does not say. For comparing, never for reporting."""
    for line in small_file("/proc/stat").split("\n"):
        name, _, value = line.partition(" ")
        if name == "btime" and value.isdigit():
            return int(value)
    return 0


def running_kernel() -> str:
    return text.field(os.uname().release)


def in_container() -> bool:
    return any(os.path.exists(path) for path in CONTAINER_MARKS)


def small_file(path: str) -> str:
    """The first 64 KiB of a file as text, or "" if there is none to read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_SMALL_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
