"""The values that filters of rules may have, by system and property. Source: patch-baselines.md 1.3, 8."""

from collections.abc import Iterable

from patchwright.core.errors import Invalid, Kind
from patchwright.core.values import FAMILY_OF, Family, OperatingSystem

_RPM = ("Security", "Bugfix", "Enhancement", "Recommended", "Newpackage")
_SUSE = ("Security", "Recommended", "Optional", "Feature", "Document", "Yast")
_PRIORITIES = ("Required", "Important", "Standard", "Optional", "Extra")
_WINDOWS_CLASSIFICATIONS = (
    "CriticalUpdates", "DefinitionUpdates", "Drivers", "FeaturePacks", "SecurityUpdates", "ServicePacks", "Tools",
    "UpdateRollups", "Updates", "Upgrades",
)  # fmt: skip
_AMAZON_SEVERITIES = ("Critical", "Important", "Medium", "Low")
_RHEL_SEVERITIES = ("Critical", "Important", "Moderate", "Low", "None")
_SEVERITIES = {
    OperatingSystem.AMAZON_LINUX: _AMAZON_SEVERITIES,
    OperatingSystem.AMAZON_LINUX_2: _AMAZON_SEVERITIES,
    OperatingSystem.AMAZON_LINUX_2022: (*_AMAZON_SEVERITIES, "None"),
    OperatingSystem.AMAZON_LINUX_2023: (*_AMAZON_SEVERITIES, "None"),
    OperatingSystem.SUSE: ("Critical", "Important", "Moderate", "Low"),
}
_PRODUCTS = {
    OperatingSystem.AMAZON_LINUX: (
        "AmazonLinux2012.03", "AmazonLinux2012.09", "AmazonLinux2013.03", "AmazonLinux2013.09", "AmazonLinux2014.03",
        "AmazonLinux2014.09", "AmazonLinux2015.03", "AmazonLinux2015.09", "AmazonLinux2016.03", "AmazonLinux2016.09",
        "AmazonLinux2017.03", "AmazonLinux2017.09", "AmazonLinux2018.03",
    ),
    OperatingSystem.AMAZON_LINUX_2: ("AmazonLinux2", "AmazonLinux2.0"),
    OperatingSystem.AMAZON_LINUX_2022: ("AmazonLinux2022",),
    OperatingSystem.AMAZON_LINUX_2023: ("AmazonLinux2023",),
    OperatingSystem.DEBIAN: ("Debian10", "Debian11", "Debian12", "Debian13"),
    OperatingSystem.UBUNTU: ("Ubuntu16.04", "Ubuntu18.04", "Ubuntu20.04", "Ubuntu22.04", "Ubuntu24.04"),
    OperatingSystem.WINDOWS: (
        "WindowsServer2012", "WindowsServer2012R2", "WindowsServer2016", "WindowsServer2019", "WindowsServer2022",
        "WindowsServer2025",
    ),
}  # fmt: skip
"""Products that are known beforehand; those of the nodes are added. Of the others the nodes' are all there are."""
_WINDOWS_FAMILIES = {"OS": ("Windows",), "APPLICATION": ("Office", "SQL Server")}
_MSRC = ("Critical", "Important", "Moderate", "Low", "Unspecified")


def properties(system: OperatingSystem, wanted: str, patch_set: str | None, reported: Iterable[str]) -> tuple[str, ...]:
    """The values of one property in order of name; `reported`: products of the nodes. Raises Invalid(PARAMETERS)."""
    family = FAMILY_OF[system]
    if patch_set is not None and family is not Family.WINDOWS:
        raise Invalid(Kind.PARAMETERS, "PatchSet can be given for WINDOWS only.")
    known = {"PRODUCT": (*_PRODUCTS.get(system, ()), *reported), **_of(system, family, patch_set or "OS")}
    if wanted not in known:
        valid = ", ".join(sorted(known))
        raise Invalid(Kind.PARAMETERS, f"{wanted} is not a property of {system}; valid are {valid}.")
    return tuple(sorted(set(known[wanted])))


def _of(system: OperatingSystem, family: Family, patch_set: str) -> dict[str, tuple[str, ...]]:
    if family is Family.WINDOWS:
        return {
            "PRODUCT_FAMILY": _WINDOWS_FAMILIES[patch_set],
            "CLASSIFICATION": _WINDOWS_CLASSIFICATIONS,
            "MSRC_SEVERITY": _MSRC,
        }
    if family is Family.APT:
        return {"PRIORITY": _PRIORITIES}
    if family is Family.MACOS:
        return {"CLASSIFICATION": ("Security", "Recommended")}
    classifications = _SUSE if family is Family.ZYPPER else _RPM
    return {"CLASSIFICATION": classifications, "SEVERITY": _SEVERITIES.get(system, _RHEL_SEVERITIES)}
