"""Hosts posed as rpm distributions: os-release, a system-release package, and dnf's own configuration.

root = make_rpm_root("web-1", AMAZON_LINUX_2023)         # the fixture; ROCKY_9 is the other pose
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.roots import Root
from tests.e2e.rpm_repository import Rpm, build, install


@dataclass(frozen=True, slots=True)
class Pose:
    """What makes a host look like a distribution. `release` is what dnf takes for $releasever."""

    name: str
    release: str
    os_release: Mapping[str, str]
    dnf_conf: str


AMAZON_LINUX_2023 = Pose(
    name="amazon-linux-2023",
    release="2023",
    os_release={
        "NAME": "Amazon Linux", "VERSION": "2023", "ID": "amzn", "ID_LIKE": "fedora", "VERSION_ID": "2023",
        "PLATFORM_ID": "platform:al2023", "PRETTY_NAME": "Amazon Linux 2023",
    },
    dnf_conf="[main]\ngpgcheck=True\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=False\n"
    "skip_if_unavailable=True\n",
)  # fmt: skip
ROCKY_9 = Pose(
    name="rocky-9",
    release="9",
    os_release={
        "NAME": "Rocky Linux", "VERSION": "9.4 (Blue Onyx)", "ID": "rocky", "ID_LIKE": "rhel centos fedora",
        "VERSION_ID": "9.4", "PLATFORM_ID": "platform:el9", "PRETTY_NAME": "Rocky Linux 9.4 (Blue Onyx)",
    },
    dnf_conf="[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\n"
    "skip_if_unavailable=False\n",
)  # fmt: skip


def release_package(pose: Pose) -> Rpm:
    """The package that says which release this is; it stands for the shell too, which scriptlets need."""
    provides = ("system-release", "distribution-release", "system-release(releasever)")
    tags = tuple(f"Provides: {name} = {pose.release}" for name in provides)
    return Rpm(f"{pose.name}-release", f"{pose.release}-1", "noarch", (*tags, "Provides: /bin/sh"))


def pose(root: Root, as_what: Pose, built: Path) -> None:
    """Make `root` look like a distribution; `built` keeps the release packages, which are built once."""
    text = "".join(f'{name}="{value}"\n' for name, value in as_what.os_release.items())
    (root.path / "etc/os-release").unlink(missing_ok=True)  # a link into /usr/lib
    root.write("/etc/os-release", text)
    root.write("/etc/dnf/dnf.conf", as_what.dnf_conf)
    root.write("/etc/dnf/plugins/local.conf", "[main]\nenabled=0\n")  # Debian brings a plugin that others don't have
    package = release_package(as_what)
    if not (built / package.file_name).exists():
        build([package], built)
    install(root, [built / package.file_name])
