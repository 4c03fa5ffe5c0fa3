"""How apt-get is called for an Install: options, exact specifications, the private preferences. Pure but for the node's
own dpkg configuration, which is read."""

import os
from typing import Iterable, List, Mapping, Sequence, Tuple, Union

from patchwright_agent import platform
from patchwright_agent.managers import apt_output
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.managers.installer import Change, Target

Item = Union[Target, Change]

LOCK_TIMEOUT_SECONDS = 60  # for who comes in between after the locks were seen free
# Above every pin that a node may have (the highest that apt takes): the version of the Plan is the candidate.
_PRIORITY = 32767
_DPKG_CONFIGURATION = ("/etc/dpkg/dpkg.cfg", "/etc/dpkg/dpkg.cfg.d")
_KEEP_CONFIGURATION = ("--force-confdef", "--force-confold")
_ALL_ARCHES = ("all",)

COMMON = (
    "-y",
    "-q",
    "--no-install-recommends",
    "-o",
    "APT::Install-Suggests=false",
    "-o",
    "APT::Get::AutomaticRemove=false",
    # Whatever the node's own configuration lets people do: no hold is overridden, nothing goes back or away.
    "-o",
    "APT::Get::allow-change-held-packages=false",
    "-o",
    "APT::Get::allow-downgrades=false",
    "-o",
    "APT::Get::allow-remove-essential=false",
    "-o",
    "APT::Get::force-yes=false",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Acquire::Retries=3",
    "-o",
    "DPkg::Lock::Timeout=%d" % LOCK_TIMEOUT_SECONDS,
    # All that comes in anew is a dependency: autoremove may take it when nothing needs it any more.
    "-o",
    "APT::Get::Mark-Auto=1",
)


def spec(item: Item, native: str) -> str:
    """`name:arch=version`. Raises ManagerError unless all three are what they claim to be: never an option of apt's."""
    return "%s=%s" % (qualified(item, native), version_of(item.version))


def qualified(item: Item, native: str) -> str:
    """`name:arch`; `all` counts as native."""
    arch = native if item.arch in _ALL_ARCHES else item.arch
    if not apt_output.NAME.match(item.name) or not apt_output.ARCHITECTURE.match(arch):
        raise ManagerError("the Plan names a package that cannot be one: %r" % (item.name[:100],))
    return "%s:%s" % (item.name, arch)


def version_of(version: str) -> str:
    """The version, checked: no blank, no wildcard. Raises ManagerError."""
    if not apt_output.VERSION.match(version) or version.startswith("-"):
        raise ManagerError("the Plan names a version that cannot be one: %r" % (version[:100],))
    return version


def preferences(items: Iterable[Item], native: str, own: str) -> str:
    """The private preferences: a pin per item, then what the node's own file says (apt takes the first that fits)."""
    stanzas = [
        "Package: %s\nPin: version %s\nPin-Priority: %d\n"
        % (qualified(item, native), version_of(item.version), _PRIORITY)
        for item in items
    ]
    return "\n".join(stanzas + [own])


def dpkg_options(settings: Mapping[str, Sequence[str]]) -> Tuple[str, ...]:
    """Keep changed configuration files, unless the node configures what happens with them.

    Source: spec/patch-baselines.md 4.4.
    """
    own = [value for value in settings.get("dpkg::options", ()) if value.startswith("--force-conf")]
    if own or any("force-conf" in content for content in _dpkg_configuration()):
        return ()
    return _KEEP_CONFIGURATION


def _dpkg_configuration() -> List[str]:
    """The lines of dpkg's configuration files, comments left out."""
    paths = [_DPKG_CONFIGURATION[0]]
    try:
        paths += [os.path.join(_DPKG_CONFIGURATION[1], name) for name in sorted(os.listdir(_DPKG_CONFIGURATION[1]))]
    except OSError:
        pass  # no such folder: nothing is configured there
    lines = [line.strip() for path in paths for line in platform.small_file(path).split("\n")]
    return [line for line in lines if not line.startswith("#")]
