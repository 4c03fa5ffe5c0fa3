"""The predefined AWS-* baselines as data, their ids and ARNs. Names are the vendor's, so that scripts find them."""

import re

from patchwright.core.baselines import ApprovalRule, FilterKey, PatchBaseline, PatchFilter
from patchwright.core.errors import InvalidId, Kind
from patchwright.core.values import BaselineId, OperatingSystem

OWNER_ACCOUNT = "000000000000"
"""Owns the predefined baselines; no customer account has this number. Source: patch-baselines.md 1.10, DECISION."""

_BARE = re.compile(r"pb-[0-9a-f]{17}")
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]{1,64}:[0-9]{12}:patchbaseline/(pb-[0-9a-f]{17})")

_ANY_PRODUCT = PatchFilter(key=FilterKey.PRODUCT, values=("*",))


def _is(key: FilterKey, *values: str) -> PatchFilter:
    return PatchFilter(key=key, values=values)


def _rule(*filters: PatchFilter, days: int, non_security: bool = False) -> ApprovalRule:
    return ApprovalRule(filters=filters, approve_after_days=days, enable_non_security=non_security)


def _security(*severities: str) -> ApprovalRule:
    return _rule(_is(FilterKey.CLASSIFICATION, "Security"), _is(FilterKey.SEVERITY, *severities), days=7)


_BUGFIX = _rule(_is(FilterKey.CLASSIFICATION, "Bugfix"), days=7)
_SECURITY_AND_BUGFIX = (_security("Critical", "Important"), _BUGFIX)
_ALL_PRIORITIES = _is(FilterKey.PRIORITY, "Required", "Important", "Standard", "Optional", "Extra")
_WINDOWS_OS = _rule(
    _is(FilterKey.CLASSIFICATION, "CriticalUpdates", "SecurityUpdates"),
    _is(FilterKey.MSRC_SEVERITY, "Critical", "Important"),
    days=7,
)
_WINDOWS_APPLICATIONS = _rule(
    _is(FilterKey.PATCH_SET, "APPLICATION"), _is(FilterKey.PRODUCT_FAMILY, "*"), _ANY_PRODUCT, days=7
)


def _baseline(
    id: str,
    name: str,
    operating_system: OperatingSystem,
    description: str,
    *rules: ApprovalRule,
    global_filters: tuple[PatchFilter, ...] = (),
) -> PatchBaseline:
    return PatchBaseline(
        id=BaselineId(id),
        name=name,
        operating_system=operating_system,
        description=description,
        global_filters=global_filters,
        rules=rules,
        predefined=True,
    )


# Ids are "pb-" and the first 17 hex digits of SHA-256 of "patchwright predefined <name>"; written out, so that
# they never change again.
PREDEFINED: tuple[PatchBaseline, ...] = (
    _baseline("pb-4d970d3682980fe73", "AWS-AmazonLinuxDefaultPatchBaseline", OperatingSystem.AMAZON_LINUX, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-09fcf161521a16599", "AWS-AmazonLinux2DefaultPatchBaseline", OperatingSystem.AMAZON_LINUX_2, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-862bad5994839d7bf", "AWS-AmazonLinux2022DefaultPatchBaseline", OperatingSystem.AMAZON_LINUX_2022, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-f4cb462ecdaa76d16", "AWS-AmazonLinux2023DefaultPatchBaseline", OperatingSystem.AMAZON_LINUX_2023, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-ccb3f7ecb2281e852", "AWS-AlmaLinuxDefaultPatchBaseline", OperatingSystem.ALMA_LINUX, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-e61163ac5301e3030", "AWS-CentOSDefaultPatchBaseline", OperatingSystem.CENTOS, "Every update, non-security ones included, after 7 days.", _rule(_ANY_PRODUCT, days=7, non_security=True)),
    _baseline("pb-5dbf5f2d6e91c3251", "AWS-DebianDefaultPatchBaseline", OperatingSystem.DEBIAN, "Every update from the security archives, of any priority.", _rule(_ALL_PRIORITIES, days=0)),
    _baseline("pb-6458fb7c43a316c9a", "AWS-DefaultRaspbianPatchBaseline", OperatingSystem.RASPBIAN, "Every update from the security archives, of any priority.", _rule(_ALL_PRIORITIES, days=0)),
    _baseline("pb-9d64b17e67367af14", "AWS-UbuntuDefaultPatchBaseline", OperatingSystem.UBUNTU, "Every update from the security archives, of any priority.", _rule(_ALL_PRIORITIES, days=7), global_filters=(_ANY_PRODUCT,)),
    _baseline("pb-28b6d3dae53b921a3", "AWS-MacOSDefaultPatchBaseline", OperatingSystem.MACOS, "Security updates, and every package with a current update.", _rule(_is(FilterKey.CLASSIFICATION, "Security"), days=0), _rule(_ANY_PRODUCT, days=0, non_security=True)),
    _baseline("pb-492ddd5155c46fd23", "AWS-OracleLinuxDefaultPatchBaseline", OperatingSystem.ORACLE_LINUX, "Important and moderate security notices, and bug fixes, after 7 days.", _security("Important", "Moderate"), _BUGFIX),
    _baseline("pb-f08f9f149960dfcbe", "AWS-RedHatDefaultPatchBaseline", OperatingSystem.REDHAT_ENTERPRISE_LINUX, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-e6999fb183380a5dc", "AWS-RockyLinuxDefaultPatchBaseline", OperatingSystem.ROCKY_LINUX, "Critical and important security notices, and bug fixes, after 7 days.", *_SECURITY_AND_BUGFIX),
    _baseline("pb-9b83cbfda2545a625", "AWS-SuseDefaultPatchBaseline", OperatingSystem.SUSE, "Critical and important security patches, after 7 days.", _security("Critical", "Important")),
    _baseline("pb-9fdc156beb48eaa77", "AWS-DefaultPatchBaseline", OperatingSystem.WINDOWS, "Critical and security updates of the system, rated critical or important, after 7 days.", _WINDOWS_OS),
    _baseline("pb-910d62317fca52b68", "AWS-WindowsPredefinedPatchBaseline-OS", OperatingSystem.WINDOWS, "Critical and security updates of the system, rated critical or important, after 7 days.", _WINDOWS_OS),
    _baseline("pb-cf4907071473c891b", "AWS-WindowsPredefinedPatchBaseline-OS-Applications", OperatingSystem.WINDOWS, "Critical and security updates of the system, and every application update, after 7 days.", _WINDOWS_OS, _WINDOWS_APPLICATIONS),
)  # fmt: skip
"""Source: patch-baselines.md 1.10. All levels are UNSPECIFIED."""

BY_ID: dict[BaselineId, PatchBaseline] = {baseline.id: baseline for baseline in PREDEFINED}

_NOT_DEFAULT = frozenset(
    {"AWS-WindowsPredefinedPatchBaseline-OS", "AWS-WindowsPredefinedPatchBaseline-OS-Applications"}
)

DEFAULT_FOR: dict[OperatingSystem, PatchBaseline] = {
    baseline.operating_system: baseline for baseline in PREDEFINED if baseline.name not in _NOT_DEFAULT
}
"""The default of each system until another one is registered. Source: patch-baselines.md 1.10, 1.11."""


def arn_of(baseline_id: BaselineId, region: str) -> str:
    """The full ARN by which a predefined baseline goes on the wire. Source: patch-baselines.md 1.2."""
    return f"arn:aws:ssm:{region}:{OWNER_ACCOUNT}:patchbaseline/{baseline_id}"


def parse_baseline_id(text: str) -> BaselineId:
    """The bare id of `pb-` and 17 hex digits, from that form or from a full ARN.

    Raises InvalidId for anything else. Whether such a baseline exists is not asked. Source: patch-baselines.md 1.2.
    """
    if _BARE.fullmatch(text):
        return BaselineId(text)
    arn = _ARN.fullmatch(text)
    if arn is None:
        raise InvalidId(
            Kind.BASELINE, "a patch baseline id is pb- and 17 hexadecimal digits, or its ARN", id=text[:128]
        )
    return BaselineId(arn[1])
