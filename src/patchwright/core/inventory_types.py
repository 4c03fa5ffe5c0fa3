"""The standard types of inventory: their attributes, and which of them this server answers by itself.

Source: operations.md 7.1; the attributes of types without a table there are those that the vendor's agent sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass

INSTANCE_INFORMATION = "AWS:InstanceInformation"
APPLICATION = "AWS:Application"
PATCH_SUMMARY = "AWS:PatchSummary"
PATCH_COMPLIANCE = "AWS:PatchCompliance"
COMPLIANCE_ITEM = "AWS:ComplianceItem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One version of a type. `numbers` are the attributes that compare by size; every value on the wire is a text.

    `context`: the keys that an item's Context may have. `derived`: the server knows better than the host, so that what
    is put is not kept. `searchable`: filters and aggregators may name its attributes.
    """

    type_name: str
    version: str
    attributes: tuple[str, ...]
    numbers: frozenset[str] = frozenset()
    context: tuple[str, ...] = ()
    derived: bool = False
    searchable: bool = True
    disabled: bool = False


def _schema(type_name: str, version: str, attributes: str, numbers: str = "", **more: object) -> Schema:
    return Schema(
        type_name=type_name,
        version=version,
        attributes=tuple(attributes.split()),
        numbers=frozenset(numbers.split()),
        **more,  # type: ignore[arg-type]
    )


_COUNTS = (
    "InstalledCount InstalledOtherCount InstalledPendingRebootCount InstalledRejectedCount NotApplicableCount "
    "UnreportedNotApplicableCount MissingCount FailedCount CriticalNonCompliantCount SecurityNonCompliantCount "
    "OtherNonCompliantCount AvailableSecurityUpdateCount"
)

STANDARD: Mapping[str, Schema] = {
    schema.type_name: schema
    for schema in (
        _schema(
            "AWS:Application",
            "1.1",
            "Name ApplicationType Publisher Version Release Epoch InstalledTime Architecture URL Summary PackageId",
        ),
        _schema("AWS:AWSComponent", "1.0", "Name ApplicationType Publisher Version InstalledTime Architecture URL"),
        _schema("AWS:BillingInfo", "1.0", "BillingProductId"),
        _schema(
            COMPLIANCE_ITEM,
            "1.0",
            "ComplianceType ExecutionId ExecutionType ExecutionTime Id Title Status Severity DocumentName "
            "DocumentVersion Classification PatchBaselineId PatchSeverity PatchState PatchGroup InstalledTime "
            "InstallOverrideList DetailedText DetailedLink CVEIds",
            context=("ComplianceType", "ExecutionId", "ExecutionType", "ExecutionTime"),
            derived=True,
            searchable=False,
        ),
        _schema(
            "AWS:File",
            "1.0",
            "Name Size Description FileVersion InstalledDate ModificationTime LastAccessTime ProductName InstalledDir "
            "ProductLanguage CompanyName",
            "Size",
        ),
        _schema(
            "AWS:InstanceDetailedInformation",
            "1.0",
            "CPUModel CPUCores CPUs CPUSpeedMHz CPUSockets CPUHyperThreadEnabled KernelVersion OSServicePack",
            "CPUCores CPUs CPUSpeedMHz CPUSockets",
        ),
        _schema(
            INSTANCE_INFORMATION,
            "1.0",
            "AgentType AgentVersion ComputerName InstanceId IpAddress PlatformName PlatformType PlatformVersion "
            "ResourceType AgentStatus InstanceStatus",
            derived=True,
        ),
        _schema("AWS:Network", "1.0", "Name SubnetMask Gateway DHCPServer DNSServer MacAddress IPV4 IPV6"),
        _schema(
            PATCH_COMPLIANCE,
            "1.0",
            "Title KBId Classification Severity State InstalledTime",
            derived=True,
            searchable=False,
        ),
        _schema(
            PATCH_SUMMARY,
            "1.0",
            f"PatchGroup BaselineId SnapshotId OwnerInformation {_COUNTS} OperationType OperationStartTime "
            "OperationEndTime InstallOverrideList RebootOption LastNoRebootInstallOperationTime ExecutionId "
            "NonCompliantSeverity",
            _COUNTS,
            derived=True,
        ),
        _schema(
            "AWS:Service", "1.0", "Name DisplayName ServiceType Status DependentServices ServicesDependedOn StartType"
        ),
        _schema("AWS:WindowsRegistry", "1.0", "KeyPath ValueName ValueType Value"),
        _schema(
            "AWS:WindowsRole",
            "1.0",
            "Name DisplayName Path FeatureType DependsOn Description Installed InstalledState SubFeatures "
            "ServerComponentDescriptor Parent",
        ),
        _schema("AWS:WindowsUpdate", "1.0", "HotFixId Description InstalledTime InstalledBy"),
    )
}
