"""Whether this host wants a reboot, and by what evidence."""

import os
import re
from typing import Iterable, List, NamedTuple, Sequence, Tuple

from patchwright_agent import platform, text
from patchwright_agent.managers.model import Package

MARKERS = ("/run/reboot-required", "/var/run/reboot-required")
MAX_PACKAGES = 500
# Source: dnf-plugins-core(8), needs-restarting, "reboot should be suggested".
CORE_RPMS = frozenset(
    ["glibc", "linux-firmware", "systemd", "dbus", "dbus-broker", "dbus-daemon", "microcode_ctl"]
    + ["openssl-libs", "zlib"]
)
_NUMBER = re.compile(r"\d{1,9}")


class Reboot(NamedTuple):
    """`evidence` says in words why; `packages` are those that asked for the reboot."""

    required: bool
    evidence: Tuple[str, ...]
    packages: Tuple[str, ...]


def newest_kernel(releases: Sequence[str]) -> str:
    """The newest of kernel releases as `uname -r` prints them, "" of none. Their numbers decide, then their names."""
    return max(releases, key=lambda release: (_numbers(release), release), default="")


def is_newer(release: str, running: str) -> bool:
    """Whether the kernel `release` is newer than the running one; another flavour of the same build is not."""
    return bool(release) and _numbers(release) > _numbers(running)


def _numbers(release: str) -> List[int]:
    return [int(number) for number in _NUMBER.findall(release)]


def updated_since_boot(packages: Iterable[Package], booted_at: int) -> Tuple[str, ...]:
    """The packages that nothing running picks up without a reboot and that are newer than the boot (0: unknown).

    rpm systems have no marker file; `dnf needs-restarting --reboothint` decides the same way.
    """
    if not booted_at:
        return ()
    return tuple(sorted({p.name for p in packages if p.name in CORE_RPMS and p.installed_at > booted_at}))


def reboot_state(
    marker: str, marker_packages: str, newest: str, running: str, in_container: bool, updated: Sequence[str] = ()
) -> Reboot:
    """Weigh the marker file's path ("" if absent), its list of packages, the kernels, and what was `updated` since.

    Packages write the marker themselves and many do not, so the kernels are compared too; within a container they are
    not, since the running kernel is another system's, and so is the boot.
    """
    evidence = [marker] if marker else []
    if not in_container and is_newer(newest, running):
        evidence.append("kernel %s is installed, newer than the running %s" % (newest, running))
    names = {text.field(line) for line in marker_packages.split("\n") if line.strip()} if marker else set()
    if updated and not in_container:
        evidence.append("updated since the boot: " + ", ".join(updated))
        names.update(updated)
    return Reboot(bool(evidence), tuple(evidence), tuple(sorted(names)[:MAX_PACKAGES]))


def reboot_of_host(newest: str, running: str, updated: Sequence[str] = ()) -> Reboot:
    marker = next((path for path in MARKERS if os.path.exists(path)), "")
    listed = platform.small_file(marker + ".pkgs") if marker else ""
    return reboot_state(marker, listed, newest, running, platform.in_container(), updated)
