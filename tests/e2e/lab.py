"""The lab: four real hosts (two Debian, one posed as Amazon Linux 2023, one as Rocky Linux 9) under one server.

    with lab(folder) as it:                 # hosts with their packages, a server, agents enrolled over TLS, all tagged
        it.aws("ssm", "list-commands")      # the aws CLI as `patchwright env` sets it up
        it.versions("deb-1", "lab-web")     # what dpkg-query or rpm says is installed

`deb-1` runs systemd, and its reboots are real. On the others what asks for a reboot leaves a file; `reboot` boots
them anew, under a new boot id.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.e2e import lab_packages as packages
from tests.e2e.agents import PROGRAM, STATE_DIR, Agent, build_zipapp
from tests.e2e.booted import BootedRoot
from tests.e2e.fleet import in_parallel
from tests.e2e.lab_packages import AMZN, DEB_1, DEB_2, HOSTS, ROCKY, SYSTEM_OF
from tests.e2e.repository import AptRepository, FileServer, SigningKey
from tests.e2e.roots import LabNetwork, Root, apt_base, booted_base, rpm_base
from tests.e2e.rpm_hosts import AMAZON_LINUX_2023, ROCKY_9, pose
from tests.e2e.rpm_repository import RpmRepository, RpmSigningKey, install
from tests.e2e.servers import ServerProcess, eventually

WORKLOAD = ("Workload", "Test")
REBOOT_WANTED = "/var/tmp/reboot-wanted"
UNIT = f"""[Unit]
Description=Patchwright agent
After=systemd-networkd.service

[Service]
ExecStart=/usr/bin/python3 {PROGRAM} run --state-dir {STATE_DIR} --reboot-command "systemctl reboot"
Restart=always
RestartSec=1
KillMode=mixed

[Install]
WantedBy=multi-user.target
"""


class Lab:
    """The hosts and their server. `nodes` are node ids by host."""

    def __init__(self, folder: Path, stack: ExitStack, database_url: str | None = None) -> None:
        self.folder, self._stack = folder, stack
        self.network = LabNetwork()
        stack.callback(self.network.close)
        self._apt, self._rpm = self._repositories()
        self.roots = self._hosts()
        in_parallel(self._plant, list(self.roots))
        self.server = ServerProcess(folder, self.network.address, database_url=database_url)
        stack.callback(self.server.kill)
        self.server.start()
        self.ssm, self.patchwright = self.server.client("ssm"), self.server.client("patchwright")
        zipapp = build_zipapp(folder / "patchwright-agent.pyz")
        self.agents = {name: Agent(root, zipapp, folder) for name, root in self.roots.items()}
        self._enrol()

    def _repositories(self) -> tuple[AptRepository, RpmRepository]:
        # Not below the lab's own folder: gpg's sockets lie there, whose paths may have 107 characters.
        keys = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pwlab-keys-")))
        apt_key, rpm_key = SigningKey(keys / "apt"), RpmSigningKey(keys / "rpm")
        self._stack.callback(apt_key.close)
        self._stack.callback(rpm_key.close)
        urls = {}
        for name in ("apt", "rpm"):
            (self.folder / name).mkdir()
            files = FileServer(self.folder / name, self.network.address)
            self._stack.callback(files.close)
            urls[name] = files.url
        apt = AptRepository(self.folder / "apt", apt_key, urls["apt"])
        for suite, debs in packages.DEBS.items():
            apt.add(suite, *debs)
        apt.publish()
        rpm = RpmRepository(self.folder / "rpm", rpm_key, urls["rpm"])
        rpm.add(*packages.RPMS)
        rpm.add_notice(*packages.NOTICES)
        rpm.publish()
        return apt, rpm

    def _hosts(self) -> dict[str, Root]:
        made: dict[str, Root] = {}
        for name, kind, base in (
            (DEB_1, BootedRoot, booted_base()),
            (DEB_2, Root, apt_base()),
            (AMZN, Root, rpm_base()),
            (ROCKY, Root, rpm_base()),
        ):
            made[name] = kind(base, self.network, name)
            self._stack.callback(made[name].close)
        return made

    def _plant(self, name: str) -> None:
        root = self.roots[name]
        if name in packages.INSTALLED_DEBS:
            self._apt.enable(root, packages.STABLE, packages.SECURITY)
            root.run(["apt-get", "-q", "update"])
            root.run(["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages.INSTALLED_DEBS[name]])
            return
        pose(root, AMAZON_LINUX_2023 if name == AMZN else ROCKY_9, self.folder / f"{name}-release")
        self._rpm.enable(root)
        install(root, [self._rpm.folder / rpm.file_name for rpm in packages.INSTALLED_RPMS[name]])

    def _enrol(self) -> None:
        """Every host by one activation that tags them; over TLS, with the authority pinned."""
        key, value = WORKLOAD
        activation = self.ssm.create_activation(
            IamRole="service-role", RegistrationLimit=len(HOSTS), Tags=[{"Key": key, "Value": value}]
        )
        pin = self.patchwright.get_server_information()["CaSha256"]
        in_parallel(lambda agent: agent.register(self.server.url, activation, pin), list(self.agents.values()))
        for name, agent in self.agents.items():
            if name == DEB_1:
                agent.root.write("/etc/systemd/system/patchwright-agent.service", UNIT)
                agent.root.run(["systemctl", "enable", "--now", "patchwright-agent"])
            else:
                agent.start("--reboot-command", f"touch {REBOOT_WANTED}")
                self._stack.callback(agent.kill)
        eventually(self.online, lambda online: online == set(self.nodes.values()), 30.0)

    @property
    def nodes(self) -> dict[str, str]:
        return {name: agent.node_id for name, agent in self.agents.items()}

    def online(self) -> set[str]:
        listed = self.ssm.describe_instance_information()["InstanceInformationList"]
        return {node["InstanceId"] for node in listed if node["PingStatus"] == "Online"}

    def aws(self, *arguments: str) -> Any:
        """One call of the unmodified aws CLI; its answer."""
        return self.server.aws(*arguments)

    def versions(self, name: str, package: str) -> set[str]:
        """The installed versions of a package, as the host's own database says; empty where it is not installed."""
        root = self.roots[name]
        if SYSTEM_OF[name] == "DEBIAN":
            asked = root.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Version}\n", package], check=False)
            rows = [line.split("|") for line in asked.stdout.splitlines()]
            return {version for state, version in rows if state.strip() == "ii"}
        query = "%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"
        asked = root.run(["rpm", "--force-debian", "-q", "--queryformat", query, package], check=False)
        return set(asked.stdout.split()) if asked.returncode == 0 else set()

    def database_is_sound(self, name: str) -> bool:
        """Whether the package manager finds its own database in order."""
        root = self.roots[name]
        if SYSTEM_OF[name] == "DEBIAN":
            return not root.run(["dpkg", "--audit"]).stdout and root.run(["apt-get", "check"]).returncode == 0
        return root.run(["dnf", "-q", "check", "--duplicates"], check=False).returncode == 0

    def wanting_reboot(self) -> list[str]:
        """The hosts whose reboot command was run and who wait for `reboot`."""
        return [name for name in HOSTS if name != DEB_1 and self.roots[name].exists(REBOOT_WANTED)]

    def reboot(self, name: str) -> None:
        """Boot a host anew, as its reboot command would have; its agent starts with it."""
        agent, root = self.agents[name], self.roots[name]
        agent.kill()
        (root.path / REBOOT_WANTED.lstrip("/")).unlink(missing_ok=True)
        root.reboot()
        agent.start()

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def lab(folder: Path, database_url: str | None = None) -> Iterator[Lab]:
    """The whole lab; nothing of it is left afterwards."""
    with ExitStack() as stack:
        yield Lab(folder, stack, database_url)
