"""A host under apt or dnf with a repository of its own, spoken to in the same words: for tests that run on both.

    host = managed_host("dnf", stack, folder, network)           # a root with an enabled, signed, served repository
    host.offer("tb-lib", "1.0-1"); host.offer("tb-lib", "2.0-1", script="exit 3")    # %post, or postinst
    host.publish()
    host.put("tb-lib", "1.0-1")                                  # up or down
    host.version("tb-lib")                                       # "1.0-1"; rpm's without its epoch
    host.is_sound()

Everything ends with the stack. Raises CannotRun where this machine cannot make such hosts.
"""

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.e2e import roots
from tests.e2e.apt_hosts import republished
from tests.e2e.repository import AptRepository, Deb, FileServer, SigningKey
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.rpm_hosts import AMAZON_LINUX_2023, pose
from tests.e2e.rpm_repository import Rpm, RpmRepository, RpmSigningKey, install

MANAGERS = ("apt", "dnf")


class ManagedHost(ABC):
    """`system` is what baselines call it, `lock` a file that every transaction of the manager locks."""

    system: str
    lock: str
    upgrade: tuple[str, ...]
    """The manager's own command that brings in the newest version of the packages named after it."""

    def __init__(self, root: Root, files: FileServer) -> None:
        self.root, self.files = root, files

    @abstractmethod
    def offer(self, name: str, version: str, *, script: str = "", files: Mapping[str, str] | None = None) -> None:
        """Put a version into the repository, from the next `publish` on; `script` runs once it is unpacked."""

    @abstractmethod
    def withdraw(self, name: str, version: str) -> None:
        """Take a version out of the repository: its file at once, its name at the next `publish`."""

    @abstractmethod
    def publish(self) -> None:
        """Make what was offered visible to the host's next refresh."""

    @abstractmethod
    def put(self, name: str, version: str) -> None:
        """Install exactly this published version, whatever is installed."""

    @abstractmethod
    def version(self, name: str) -> str:
        """The installed version, "" where it is not installed whole; two of them, which must not be, with a comma."""

    @abstractmethod
    def is_sound(self) -> bool:
        """Whether the manager finds its database in order."""

    @abstractmethod
    def spoil_signatures(self, name: str, version: str) -> None:
        """Publish this package again, so that the signature that the host checks does not verify."""

    @abstractmethod
    def mend_signatures(self, name: str, version: str) -> None:
        """Undo `spoil_signatures`."""


class AptHost(ManagedHost):
    """Debian."""

    system = "DEBIAN"
    lock = "/var/lib/dpkg/lock-frontend"
    upgrade = ("apt-get", "-q", "-y", "install")

    def __init__(self, root: Root, files: FileServer, repository: AptRepository) -> None:
        super().__init__(root, files)
        self._repository = repository

    def offer(self, name: str, version: str, *, script: str = "", files: Mapping[str, str] | None = None) -> None:
        scripts = {"postinst": f"#!/bin/sh\n{script}"} if script else {}
        self._repository.add("stable", Deb(name, version, scripts=scripts, files=files or {}))

    def withdraw(self, name: str, version: str) -> None:
        self._repository.remove("stable", name, version)

    def publish(self) -> None:
        republished(self._repository)

    def put(self, name: str, version: str) -> None:
        self.root.run(["apt-get", "-q", "update"])
        self.root.run(["apt-get", "-q", "install", "-y", "--allow-downgrades", f"{name}={version}"])

    def version(self, name: str) -> str:
        asked = self.root.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Version}", name], check=False).stdout
        status, _, version = asked.partition("|")
        return version if status.strip() == "ii" else ""

    def is_sound(self) -> bool:
        audit = self.root.run(["dpkg", "--audit"]).stdout
        return audit == "" and self.root.run(["apt-get", "check"], check=False).returncode == 0

    def spoil_signatures(self, name: str, version: str) -> None:
        """apt verifies indexes, and knows packages by their checksums there: so it is an index that is spoilt."""
        del name, version
        release = self._repository.folder / "dists/stable/InRelease"
        text = release.read_text()
        assert "Origin: Lab" in text
        later = release.stat().st_mtime + 10
        release.write_text(text.replace("Origin: Lab", "Origin: Mal"))
        os.utime(release, (later, later))

    def mend_signatures(self, name: str, version: str) -> None:
        del name, version
        self.publish()


class DnfHost(ManagedHost):
    """Amazon Linux 2023."""

    system = "AMAZON_LINUX_2023"
    lock = "/var/lib/rpm/.rpm.lock"
    upgrade = ("dnf", "-q", "-y", "--refresh", "upgrade")

    def __init__(self, root: Root, files: FileServer, repository: RpmRepository) -> None:
        super().__init__(root, files)
        self._repository = repository

    def offer(self, name: str, version: str, *, script: str = "", files: Mapping[str, str] | None = None) -> None:
        self._repository.add(Rpm(name, version, scripts={"post": script} if script else {}, files=files or {}))

    def _path(self, rpm: Rpm) -> Path:
        return self._repository.folder / rpm.file_name

    def withdraw(self, name: str, version: str) -> None:
        self._repository.remove(Rpm(name, version))

    def publish(self) -> None:
        self._repository.publish()

    def put(self, name: str, version: str) -> None:
        if self.version(name) != version:
            install(self.root, [self._path(Rpm(name, version))], ("-U", "--oldpackage"))

    def version(self, name: str) -> str:
        query = "%{VERSION}-%{RELEASE}\n"
        asked = self.root.run(["rpm", "--force-debian", "-q", "--queryformat", query, name], check=False)
        return ",".join(asked.stdout.split()) if asked.returncode == 0 else ""

    def is_sound(self) -> bool:
        return self.root.run(["dnf", "-q", "check"], check=False).returncode == 0

    def spoil_signatures(self, name: str, version: str) -> None:
        """dnf verifies packages: this one is not signed any more."""
        subprocess.run(["rpmsign", "--delsign", self._path(Rpm(name, version))], check=True, capture_output=True)
        self._repository.publish()

    def mend_signatures(self, name: str, version: str) -> None:
        self._repository.key.sign([self._path(Rpm(name, version))])
        self._repository.publish()


def managed_host(manager: str, stack: ExitStack, folder: Path, network: LabNetwork, name: str) -> ManagedHost:
    """A host of this manager (one of MANAGERS) that knows a repository with nothing but what is offered in it."""
    (folder / "repository").mkdir(parents=True)
    files = FileServer(folder / "repository", network.address)
    stack.callback(files.close)
    return _apt(stack, folder, network, name, files) if manager == "apt" else _dnf(stack, folder, network, name, files)


def _apt(stack: ExitStack, folder: Path, network: LabNetwork, name: str, files: FileServer) -> AptHost:
    key = SigningKey(folder / "key")
    stack.callback(key.close)
    repository = AptRepository(folder / "repository", key, files.url)
    root = Root(roots.apt_base(), network, name)
    stack.callback(root.close)
    repository.enable(root, "stable")
    return AptHost(root, files, repository)


def _dnf(stack: ExitStack, folder: Path, network: LabNetwork, name: str, files: FileServer) -> DnfHost:
    key = RpmSigningKey(folder / "key")
    stack.callback(key.close)
    repository = RpmRepository(folder / "repository", key, files.url)
    root = Root(roots.rpm_base(), network, name)
    stack.callback(root.close)
    pose(root, AMAZON_LINUX_2023, folder / "release")
    repository.enable(root)
    return DnfHost(root, files, repository)
