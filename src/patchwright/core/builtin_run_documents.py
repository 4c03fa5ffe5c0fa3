"""The documents that run scripts and other documents, gather inventory and update the agent, as data.

Source: operations.md 2.3, 2.5.
"""

from typing import Any

from patchwright.core.documents import Document

RUN_SHELL_SCRIPT = "AWS-RunShellScript"
GATHER_INVENTORY = "AWS-GatherSoftwareInventory"
UPDATE_AGENT = "AWS-UpdateSSMAgent"
_EXECUTION_TIMEOUT = {
    "type": "String",
    "default": "3600",
    "description": "Seconds until the script is ended: 1 to 172800.",
    "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
}
_WORKING_DIRECTORY = {"type": "String", "default": "", "description": "An absolute folder to run in."}
_SOURCE_TYPE = {
    "type": "String",
    "description": "(Required) Where the content is. Our own agent knows HTTP and SSMDocument.",
    "allowedValues": ["GitHub", "Git", "HTTP", "S3", "SSMDocument"],
}
_SOURCE_INFO = {
    "type": "StringMap",
    "description": '(Required) Such as {"url": "https://…"} for HTTP, {"name": "…"} for SSMDocument.',
    "displayType": "textarea",
}
_DOWNLOAD_STEP = {
    "action": "aws:downloadContent",
    "name": "downloadContent",
    "onFailure": "exit",
    "inputs": {"sourceType": "{{ sourceType }}", "sourceInfo": "{{ sourceInfo }}"},
}


def _script_document(name: str, description: str, action: str, step: str) -> Document:
    return Document(
        name=name,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": description,
            "parameters": {
                "commands": {
                    "type": "StringList",
                    "description": "(Required) The lines of the script.",
                    "minItems": 1,
                    "displayType": "textarea",
                },
                "workingDirectory": _WORKING_DIRECTORY,
                "executionTimeout": _EXECUTION_TIMEOUT,
            },
            "mainSteps": [
                {
                    "action": action,
                    "name": step,
                    "inputs": {
                        "timeoutSeconds": "{{ executionTimeout }}",
                        "workingDirectory": "{{ workingDirectory }}",
                        "runCommand": "{{ commands }}",
                    },
                }
            ],
        },
    )


_INVENTORY = (
    "applications",
    "awsComponents",
    "networkConfig",
    "windowsUpdates",
    "instanceDetailedInformation",
    "services",
    "windowsRoles",
    "customInventory",
    "billingInfo",
)


def _inventory_document() -> Document:
    switches: dict[str, Any] = {
        name: {"type": "String", "default": "Enabled", "allowedValues": ["Enabled", "Disabled"]} for name in _INVENTORY
    }
    texts = {name: {"type": "String", "default": ""} for name in ("files", "windowsRegistry")}
    return Document(
        name=GATHER_INVENTORY,
        version="1",
        type="Policy",
        content={
            "schemaVersion": "2.0",
            "description": "Gathers what is installed and how the node is built.",
            "parameters": switches | texts,
            "mainSteps": [
                {
                    "action": "aws:softwareInventory",
                    "name": "collectSoftwareInventoryItems",
                    "inputs": {name: f"{{{{ {name} }}}}" for name in (*_INVENTORY, *texts)},
                }
            ],
        },
    )


DOCUMENTS = (
    _script_document(
        RUN_SHELL_SCRIPT,
        "Runs the lines given as one script by sh, as the agent's user.",
        "aws:runShellScript",
        "aws:runShellScript",
    ),
    _script_document(
        "AWS-RunPowerShellScript",
        "Runs the lines given as one script by PowerShell: on Windows, and elsewhere where pwsh is installed.",
        "aws:runPowerShellScript",
        "runPowerShellScript",
    ),
    Document(
        name="AWS-RunDocument",
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Fetches a document and runs it.",
            "parameters": {
                "sourceType": _SOURCE_TYPE,
                "sourceInfo": _SOURCE_INFO,
                "documentPath": {
                    "type": "String",
                    "default": ".",
                    "description": "Which of the files fetched is the document; not needed where there is one.",
                },
                "documentParameters": {"type": "StringMap", "default": {}, "displayType": "textarea"},
            },
            "mainSteps": [
                _DOWNLOAD_STEP,
                {
                    "action": "aws:runDocument",
                    "name": "runDocument",
                    "inputs": {
                        "documentType": "LocalPath",
                        "documentPath": "{{ documentPath }}",
                        "documentParameters": "{{ documentParameters }}",
                    },
                },
            ],
        },
    ),
    Document(
        name="AWS-RunRemoteScript",
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Fetches files and runs a command line among them.",
            "parameters": {
                "sourceType": _SOURCE_TYPE,
                "sourceInfo": _SOURCE_INFO,
                "commandLine": {"type": "String", "description": "(Required) Such as: sh script.sh --verbose"},
                "workingDirectory": _WORKING_DIRECTORY,
                "executionTimeout": _EXECUTION_TIMEOUT,
            },
            "mainSteps": [
                _DOWNLOAD_STEP,
                {
                    "action": "aws:runShellScript",
                    "name": "runShellScript",
                    "inputs": {
                        "timeoutSeconds": "{{ executionTimeout }}",
                        "workingDirectory": "{{ workingDirectory }}",
                        "runCommand": ["{{ commandLine }}"],
                    },
                },
            ],
        },
    ),
    _inventory_document(),
    Document(
        name=UPDATE_AGENT,
        version="1",
        content={
            "schemaVersion": "2.2",
            "description": "Updates the agent to the server's; back to the old one if the new one does not come up.",
            "parameters": {
                "version": {
                    "type": "String",
                    "default": "",
                    "description": "The version expected of the server's agent; empty: whichever it has.",
                    "allowedPattern": "(^$)|latest|[0-9]{1,5}(\\.[0-9]{1,9}){0,4}",
                },
                "allowDowngrade": {"type": "String", "default": "false", "allowedValues": ["true", "false"]},
            },
            "mainSteps": [
                {
                    "action": "aws:updateSsmAgent",
                    "name": "updateSsmAgent",
                    "inputs": {
                        "agentName": "amazon-ssm-agent",
                        "targetVersion": "{{ version }}",
                        "allowDowngrade": "{{ allowDowngrade }}",
                    },
                }
            ],
        },
    ),
)
