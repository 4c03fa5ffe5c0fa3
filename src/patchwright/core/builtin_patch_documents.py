"""The documents that patch, as data. Their scripts are constant texts: no parameter becomes shell.

Source: patch-baselines.md 5.1 to 5.3, decisions.md 30.
"""

from typing import Any

from patchwright.core.documents import Document
from patchwright.core.worker_script import RUN_WORKER

RUN_PATCH_BASELINE = "AWS-RunPatchBaseline"
RUN_FOR_ASSOCIATION = "AWS-RunPatchBaselineAssociation"
RUN_WITH_HOOKS = "AWS-RunPatchBaselineWithHooks"
PLAN_PATCHES = "Patchwright-PlanPatches"
NOOP = "AWS-Noop"

SCAN_STEP, INSTALL_STEP, REBOOT_STEP = "Scan", "Install", "InstallAndReboot"
"""The steps of the document with hooks that start the worker."""

_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_UUID_OR_EMPTY = f"(^$)|^{_UUID}$"
# No quotes, blanks, $, backquote, backslash or control characters: such a value is never harmful, even in a shell.
_LOCATION_OR_EMPTY = (
    "(^$)|^https://[^\\s'\"$`\\\\\\x00-\\x1f]+$|^s3://([^/\\s'\"$`\\\\]+)/([^\\s'\"$`\\\\\\x00-\\x1f]+)$"
)
# InstancePatchState shows a list's place in at most 256 characters.
_LOCATION = {"type": "String", "default": "", "allowedPattern": _LOCATION_OR_EMPTY, "maxChars": 256}
_DOCUMENT_NAME = "[a-zA-Z0-9_.-]{3,128}|arn:aws[a-z-]*:ssm:[a-zA-Z0-9-]{1,100}:[0-9]{12}:document/[a-zA-Z0-9_.-]{3,128}"
_BASELINE_TAGS = "(^$)|^Key=[^,'\"$`\\\\\\x00-\\x1f]{1,128},Values=[^'\"$`\\\\\\x00-\\x1f]{1,512}$"

_OPERATION = {
    "type": "String",
    "description": "(Required) Scan reports, Install reports and installs.",
    "allowedValues": ["Scan", "Install"],
}
_REBOOT_OPTION = {"type": "String", "default": "RebootIfNeeded", "allowedValues": ["RebootIfNeeded", "NoReboot"]}
_SNAPSHOT_ID = {"type": "String", "default": "", "allowedPattern": _UUID_OR_EMPTY}


def _not_built(system: str) -> list[str]:
    return [f"echo 'Patching {system} is not built yet in this release of Patchwright.'", "exit 1"]


def _patch_step(name: str, action: str, platform: str, script: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "name": name,
        "precondition": {"StringEquals": ["platformType", platform]},
        "inputs": {"timeoutSeconds": "7200", "runCommand": script},
    }


_PATCH_STEPS = [
    _patch_step("PatchWindows", "aws:runPowerShellScript", "Windows", _not_built("Windows")),
    _patch_step("PatchLinux", "aws:runShellScript", "Linux", RUN_WORKER),
    _patch_step("PatchMacOS", "aws:runShellScript", "MacOS", _not_built("macOS")),
]


def _worker_step(name: str, when: list[str] | None = None) -> dict[str, Any]:
    """A step of the document with hooks. Where it fails, only what comes at the end in any case still runs."""
    step: dict[str, Any] = {"action": "aws:runShellScript", "name": name}
    if when:
        step["precondition"] = {"StringEquals": when}
    return {**step, "onFailure": "exit", "inputs": {"timeoutSeconds": "7200", "runCommand": RUN_WORKER}}


def _hook_step(name: str, parameter: str, **more: Any) -> dict[str, Any]:
    inputs = {"documentType": "SSMDocument", "documentPath": f"{{{{ {parameter} }}}}"}
    return {"action": "aws:runDocument", "name": name, **more, "inputs": inputs}


def _hook(when: str) -> dict[str, Any]:
    return {
        "type": "String",
        "default": NOOP,
        "description": f"The name, or another account's ARN, of the document that runs {when}.",
        "allowedPattern": _DOCUMENT_NAME,
    }


DOCUMENTS = (
    Document(
        name=RUN_PATCH_BASELINE,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Scans a node for missing patches or installs them, as the node's patch baseline says.",
            "parameters": {
                "Operation": _OPERATION,
                "AssociationId": {"type": "String", "default": "", "allowedPattern": _UUID_OR_EMPTY},
                "SnapshotId": _SNAPSHOT_ID,
                "InstallOverrideList": _LOCATION,
                "BaselineOverride": _LOCATION,
                "RebootOption": _REBOOT_OPTION,
            },
            "mainSteps": _PATCH_STEPS,
        },
    ),
    Document(
        name=RUN_FOR_ASSOCIATION,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Scans a node or installs patches on it, on behalf of an association.",
            "parameters": {
                "Operation": _OPERATION,
                "AssociationId": {"type": "String", "allowedPattern": f"^{_UUID}$"},
                "InstallOverrideList": _LOCATION,
                "BaselineTags": {"type": "String", "default": "", "allowedPattern": _BASELINE_TAGS},
                "RebootOption": _REBOOT_OPTION,
            },
            "mainSteps": _PATCH_STEPS,
        },
    ),
    Document(
        name=RUN_WITH_HOOKS,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Installs patches with documents of your own before, after, and at the end in any case.",
            "parameters": {
                "Operation": _OPERATION,
                "SnapshotId": _SNAPSHOT_ID,
                "RebootOption": _REBOOT_OPTION,
                "PreInstallHookDocName": _hook("before anything is installed"),
                "PostInstallHookDocName": _hook("after the patches are installed, before a reboot"),
                "OnExitHookDocName": _hook("at the end of an Install, after a reboot if there is one"),
            },
            # A Scan, and an Install that finds nothing to do, end after the first step: it exits with 168.
            "mainSteps": [
                _worker_step(SCAN_STEP),
                _hook_step("PreInstallHook", "PreInstallHookDocName", onFailure="exit"),
                _worker_step(INSTALL_STEP),
                _hook_step("PostInstallHook", "PostInstallHookDocName", onFailure="exit"),
                _worker_step(REBOOT_STEP, ["{{ RebootOption }}", "RebootIfNeeded"]),
                _hook_step(
                    "OnExitHook",
                    "OnExitHookDocName",
                    precondition={"StringEquals": ["{{ Operation }}", "Install"]},
                    finallyStep=True,
                ),
            ],
        },
    ),
    Document(
        name=NOOP,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Does nothing: stands where a hook is not used.",
            "mainSteps": [
                {"action": "aws:runShellScript", "name": "noop", "inputs": {"runCommand": ["exit 0"]}},
            ],
        },
    ),
    Document(
        name=PLAN_PATCHES,
        version="1",
        owner="Patchwright",
        content={
            "schemaVersion": "2.2",
            "description": "Scans a node and says what an Install would change, dependencies and reboot included.",
            "parameters": {"RebootOption": _REBOOT_OPTION},
            "mainSteps": _PATCH_STEPS,
        },
    ),
)
