"""What works today: the operations of both doors, from the registries and the models. Writes README and reference."""

import sys
from collections import Counter

from tools import generated

from patchwright.api.registry import registry
from patchwright.gateway.context import doors
from patchwright.server import handlers
from patchwright.wire.model import Models, Operation

README, REFERENCE = "README.md", "docs/reference/operations.md"

FAMILIES = (
    ("Patch baselines", ("PatchBaseline",)),
    ("Patch groups", ("PatchGroup", "PatchBaselineForPatchGroup")),
    ("Patch states", ("InstancePatch", "NodePatches", "ExplainPatch", "PatchGroupState", "StatesForPatchGroup")),
    ("Patches on offer", ("AvailablePatches", "EffectivePatchesForPatchBaseline", "PatchProperties", "PatchSnapshot")),
    ("Plans", ("PatchPlan",)),
    ("Compliance", ("Compliance",)),
    ("Managed nodes and activations", ("Activation", "ManagedInstance", "InstanceInformation", "DescribeNodes")),
    ("Run Command", ("Command",)),
    ("Documents", ("Document",)),
    ("Maintenance windows", ("MaintenanceWindow",)),
    ("Inventory", ("Inventory", "InventoryEntries", "InventorySchema", "InventoryDeletions")),
    ("Tags", ("Tags",)),
    ("Accounts and access keys", ("AccessKey", "Account", "ServerInformation")),
)
"""Heading -> words in an operation's name; the longest word that fits decides."""

NOTES = {
    "ssm:SendCommand": "documents of type `Command`: built in, of one's own, or shared, to ids and tags",
    "ssm:CancelCommand": "a whole command, or its invocations on some nodes",
    "ssm:GetCommandInvocation": "`PluginName` is needed for documents of several steps, such as the patch documents",
    "ssm:DescribeInstancePatchStatesForPatchGroup": "by node id; a filter compares one count with one number",
    "ssm:ListComplianceItems": "of one node: its patches, and items of `Custom:` types",
    "ssm:ListComplianceSummaries": "a row for each type",
    "ssm:ListResourceComplianceSummaries": "a row for each node and type",
    "ssm:PutComplianceItems": "of `Custom:` types, by operators and by the node itself",
    "ssm:PutInventory": "by operators and by the node itself",
    "ssm:DeleteInventory": "of `Custom:` types",
    "patchwright:DescribeComplianceGroups": "every registered node in one group, by the group's value",
    "ssm:GetDeployablePatchSnapshotForInstance": "freezes the baseline of the node's group and system under the id",
    "ssm:DescribeAvailablePatches": "`PRODUCT` is needed; without a filter it asks for Windows",
    "ssm:DescribeEffectivePatchesForPatchBaseline": "of what is on offer for the baseline's system, by approval date",
    "patchwright:GetPatchPlan": "of a command named, else the node's latest",
    "ssm:CreateDocument": "types `Command` and `Policy`, JSON or YAML",
    "ssm:UpdateDocument": "a new version; the default version stays",
    "ssm:GetDocument": "byte for byte as submitted, or converted by `DocumentFormat`",
    "ssm:ListDocuments": "by name; another account's under its ARN",
    "ssm:ListDocumentVersions": "the latest first; of a shared document its default alone",
    "ssm:ModifyDocumentPermission": "with accounts of this server, or `all`; to remove wins",
    "ssm:CreateMaintenanceWindow": "`cron`, `rate` and `at` in any time zone",
    "ssm:CancelMaintenanceWindowExecution": "what has not begun is cancelled, what runs goes on",
    "ssm:DeleteMaintenanceWindow": "what runs goes on; history stays for 30 days",
    "ssm:DescribeMaintenanceWindowExecutions": "the newest first, of a deleted window too",
    "ssm:DescribeMaintenanceWindowSchedule": "the coming year, of one window, of some nodes, or of all windows",
    "ssm:DescribeMaintenanceWindowsForTarget": "by node id, and by the tags that the node has now",
    "ssm:RegisterTargetWithMaintenanceWindow": "`INSTANCE`, by ids and tags",
    "ssm:RegisterTaskWithMaintenanceWindow": "`RUN_COMMAND`; needs `ssm:SendCommand` too, for document and nodes",
    "ssm:AddTagsToResource": "patch baselines, managed nodes, documents and maintenance windows",
    "ssm:RemoveTagsFromResource": "patch baselines, managed nodes, documents and maintenance windows",
    "ssm:ListTagsForResource": "patch baselines, managed nodes, documents and maintenance windows",
}


def served() -> dict[str, list[str]]:
    """Heading -> `service:Operation` of the operator's door, in alphabetical order."""
    found: dict[str, list[str]] = {heading: [] for heading, _ in FAMILIES}
    for key in sorted(registry.entries):
        found[family_of(registry.entries[key].operation)].append(key)
    return {heading: keys for heading, keys in found.items() if keys}


def family_of(operation: str) -> str:
    """The heading of an operation. Raises ValueError for one that no heading fits: give it one above."""
    fits = [(len(w), heading) for heading, words in FAMILIES for w in words if w in operation]
    if not fits:
        raise ValueError(f"{operation} belongs under no heading of tools/operations_table.py")
    return max(fits)[1]


def not_served(models: Models) -> list[str]:
    """Operations of the SSM model that answer 501."""
    ssm = models.services["AmazonSSM"].operations.values()
    return sorted(
        o.name
        for o in ssm
        if f"{o.service}:{o.name}" not in registry.entries and o.target not in doors and not _ours(o)
    )


def _ours(operation: Operation) -> bool:
    """Operations of nodes at the SSM door, which the vendor's model does not have."""
    return operation.name in ("UpdateInstanceAssociationStatus",)


def readme_part(models: Models) -> str:
    rows = [(heading, ", ".join(f"`{k.split(':')[1]}`" for k in keys)) for heading, keys in served().items()]
    count = Counter(k.split(":")[0] for keys in served().values() for k in keys)
    summary = (
        f"{count['ssm']} operations of SSM, {count['patchwright']} of our own service `patchwright`, and "
        "`sts:GetCallerIdentity`. "
        f"The other {len(not_served(models))} operations of SSM answer `NotImplementedException` (HTTP 501)."
    )
    return generated.table(("what", "operations"), rows) + "\n\n" + summary


def operator_part(models: Models) -> str:
    lines = []
    for heading, keys in served().items():
        rows = [_operator_row(models, key) for key in keys]
        lines += [f"### {heading}", "", generated.table(("operation", "", "errors it declares", "notes"), rows), ""]
    return "\n".join(lines)


def _operator_row(models: Models, key: str) -> tuple[str, ...]:
    service, name = key.split(":")
    modelled = (o for s in models.services.values() for o in s.operations.values())
    operation = next(o for o in modelled if (o.service, o.name) == (service, name))
    kind = "reads" if registry.entries[key].reads else "changes"
    return (f"`{key}`", kind, ", ".join(f"`{e}`" for e in sorted(operation.errors)), NOTES.get(key, ""))


def node_part() -> str:
    rows = [(f"`{target}`", str(door.proof)) for target, door in sorted(doors.items())]
    return generated.table(("X-Amz-Target", "the caller proves itself by"), rows)


def not_served_part(models: Models) -> str:
    return ", ".join(f"`{name}`" for name in not_served(models)) + "."


def parts() -> dict[tuple[str, str], str]:
    """Everything that this tool writes."""
    models = Models.load()
    handlers.check(models)
    return {
        (README, "operations"): readme_part(models),
        (REFERENCE, "operator's door"): operator_part(models),
        (REFERENCE, "node's door"): node_part(),
        (REFERENCE, "not served"): not_served_part(models),
    }


if __name__ == "__main__":
    sys.exit(generated.run(parts()))
