"""A host with systemd as its PID 1, whose `systemctl reboot` is real: a Debian base booted in a container.

    host = BootedRoot(booted_base(), network, "web-1")      # 2 s; the rest as with tests.e2e.roots.Root
    host.run(["systemctl", "enable", "--now", "patchwright-agent"])
    host.run(["systemctl", "reboot"]); host.wait_for_boot(2)  # a new boot id, the same files

The container has its own pid, mount, uts, ipc and network namespaces; its kernel is this machine's, so that the uptime
does not start anew while the boot id does. A container that shuts down does not start again; one that reboots does.
"""

import re
import subprocess
from pathlib import Path

from tests.e2e.roots import CannotRun, Root
from tests.e2e.servers import eventually

BOOT_SECONDS = 60.0
_UP = re.compile(r"Reached target \S*multi-user\.target")  # with an escape sequence for bold letters before it

# $1 base, $2 folder of the host's layers, $3 host name, $4 bridge, $5 number on it. systemd-nspawn ends with 133 at a
# reboot.
_CONTAINER = r"""
set -e
root="$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$root"
code=133
while [ "$code" = 133 ]; do
    code=0
    systemd-nspawn --register=no --keep-unit --quiet --boot --directory="$root" --machine="$4v$5" --hostname="$3" \
        --network-bridge="$4" --console=read-only --link-journal=no --timezone=off --resolv-conf=off \
        </dev/null >>"$2/console" 2>&1 || code=$?
done
"""


class BootedRoot(Root):
    """One booted host. `reboot` is what its own systemd does; `power_cut` kills it with everything in it."""

    def start(self) -> None:
        """Boot, and wait until systemd says that the host is up."""
        self._configure()
        # The outer pid namespace ends with the test, and all that is in it; systemd-nspawn's death alone leaves them.
        argv = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        argv += ["/bin/sh", "-c", _CONTAINER, "boot"]
        argv += [str(self._base), str(self._folder), self.name, self._network.bridge, str(self._number)]
        self._launcher = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._wait_until_up()

    def _configure(self) -> None:
        """The host's own network, which it has to set up again at each boot."""
        upper = self._folder / "upper"
        network = upper / "etc/systemd/network/10-lab.network"
        network.parent.mkdir(parents=True, exist_ok=True)
        network.write_text(
            f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nLinkLocalAddressing=no\nLLDP=no\n"
        )
        wanted = upper / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if not wanted.is_symlink():
            wanted.symlink_to("/lib/systemd/system/systemd-networkd.service")

    @property
    def pid(self) -> int:
        """The host's PID 1 as seen from outside, another one after each boot. Raises ProcessLookupError without one."""
        assert self._launcher is not None
        for loop in _children(self._launcher.pid):
            for container in _children(loop):
                for leader in _children(container):
                    return leader
        raise ProcessLookupError(f"host {self.name} is not up: {self.console[-500:]}")

    def power_cut(self) -> None:
        """Kill PID 1 and with it every process of the host, at once; it stays off until `start`."""
        if self._launcher is not None:
            self._launcher.kill()  # with the loop, so that it stays off
            for stream in (self._launcher.stdout, self._launcher.stderr):
                if stream is not None:
                    stream.close()
            self._launcher.wait(timeout=20)
            self._launcher = None
            subprocess.run(["ip", "link", "del", self._link], check=False, capture_output=True)  # as Root does

    @property
    def _link(self) -> str:
        return f"vb-{self._network.bridge}v{self._number}"

    @property
    def console(self) -> str:
        """What the host has printed at its boots."""
        console = self._folder / "console"
        return console.read_text(errors="replace") if console.exists() else ""

    @property
    def boots(self) -> int:
        """How often the host came up."""
        return len(_UP.findall(self.console))

    def wait_for_boot(self, number: int) -> None:
        """Wait until the host is up for the `number`th time."""
        eventually(lambda: self.boots, lambda boots: boots >= number, BOOT_SECONDS)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        eventually(self._state, lambda state: state in ("running", "degraded"), BOOT_SECONDS)
        self.boot_id = self.read("/proc/sys/kernel/random/boot_id").strip()

    def _state(self) -> str:
        assert self._launcher is not None
        if self._launcher.poll() is not None:
            raise CannotRun(f"host {self.name} did not start: {self.console[-500:]}")
        try:
            return self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        except ProcessLookupError:
            return ""


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []
