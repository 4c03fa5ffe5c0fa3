"""The documents that every server has, as data. Their scripts are constant texts: no parameter becomes shell.

Source: patch-baselines.md 5.1, operations.md 2.2, decisions.md 30.
"""

from typing import Any

from patchwright.core.documents import Document
from patchwright.core.worker_script import REMOVE_WORKER_DOCUMENT, RUN_WORKER

RUN_PATCH_BASELINE = "AWS-RunPatchBaseline"
RUN_SHELL_SCRIPT = "AWS-RunShellScript"
PLAN_PATCHES = "Patchwright-PlanPatches"
PATCH_DOCUMENTS = frozenset({RUN_PATCH_BASELINE, PLAN_PATCHES})
"""Their steps start the patch worker: they, and no others, are delivered with a run token."""

_UUID_OR_EMPTY = "(^$)|^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# No quotes, blanks, $, backquote, backslash or control characters: such a value is never harmful, even in a shell.
_LOCATION_OR_EMPTY = (
    "(^$)|^https://[^\\s'\"$`\\\\\\x00-\\x1f]+$|^s3://([^/\\s'\"$`\\\\]+)/([^\\s'\"$`\\\\\\x00-\\x1f]+)$"
)
# InstancePatchState shows a list's place in at most 256 characters.
_LOCATION = {"type": "String", "default": "", "allowedPattern": _LOCATION_OR_EMPTY, "maxChars": 256}
_EXECUTION_TIMEOUT = "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)"


def _not_built(system: str) -> list[str]:
    return [f"echo 'Patching {system} is not built yet in this release of Patchwright.'", "exit 1"]


_REBOOT_OPTION = {"type": "String", "default": "RebootIfNeeded", "allowedValues": ["RebootIfNeeded", "NoReboot"]}


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

_DOCUMENTS = (
    Document(
        name=RUN_PATCH_BASELINE,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Scans a node for missing patches or installs them, as the node's patch baseline says.",
            "parameters": {
                "Operation": {
                    "type": "String",
                    "description": "(Required) Scan reports, Install reports and installs.",
                    "allowedValues": ["Scan", "Install"],
                },
                "AssociationId": {"type": "String", "default": "", "allowedPattern": _UUID_OR_EMPTY},
                "SnapshotId": {"type": "String", "default": "", "allowedPattern": _UUID_OR_EMPTY},
                "InstallOverrideList": _LOCATION,
                "BaselineOverride": _LOCATION,
                "RebootOption": _REBOOT_OPTION,
            },
            "mainSteps": _PATCH_STEPS,
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
    Document(
        name=RUN_SHELL_SCRIPT,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Runs the lines given as one script by sh, as the agent's user.",
            "parameters": {
                "commands": {
                    "type": "StringList",
                    "description": "(Required) The lines of the script.",
                    "minItems": 1,
                    "displayType": "textarea",
                },
                "workingDirectory": {"type": "String", "default": "", "description": "An absolute folder to run in."},
                "executionTimeout": {
                    "type": "String",
                    "default": "3600",
                    "description": "Seconds until the script is ended: 1 to 172800.",
                    "allowedPattern": _EXECUTION_TIMEOUT,
                },
            },
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": "aws:runShellScript",
                    "inputs": {
                        "timeoutSeconds": "{{ executionTimeout }}",
                        "workingDirectory": "{{ workingDirectory }}",
                        "runCommand": "{{ commands }}",
                    },
                }
            ],
        },
    ),
    REMOVE_WORKER_DOCUMENT,
)

BUILTIN: dict[str, Document] = {d.name: d for d in _DOCUMENTS}
