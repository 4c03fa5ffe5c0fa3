"""One step of a new document: its keys, its plugin, its inputs. Source: operations.md 2.2, 2.3."""

import re
from collections.abc import Mapping
from typing import Any

from patchwright.core.document_parameters import BadValue
from patchwright.core.documents import PLUGINS

_STEP_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_STEP = {
    "action", "name", "inputs", "precondition", "timeoutSeconds", "onFailure", "onSuccess", "finallyStep",
    "maxAttempts", "description",
}  # fmt: skip
OUT_OF_SCOPE = {
    "aws:applications", "aws:psModule", "aws:domainJoin", "aws:cloudWatch", "aws:configureDocker",
    "aws:runDockerAction",
}  # fmt: skip
_STORE_PARAMETER = re.compile(r"\{\{\s*ssm(?:-secure)?:")
_SWITCH = ("Enabled", "Disabled")

# input -> (what it is, whether it must be there). Inputs that are not listed pass: plugins have more of them.
_TEXT, _LINES, _NUMBER, _MAP = "a text", "a list of texts", "a number of seconds", "an object"
_ON_OFF = "Enabled or Disabled"
_SCRIPT = {"runCommand": (_LINES, True), "timeoutSeconds": (_NUMBER, False), "workingDirectory": (_TEXT, False)}
_INVENTORY = (
    "applications", "awsComponents", "networkConfig", "windowsUpdates", "instanceDetailedInformation", "services",
    "windowsRoles", "customInventory", "billingInfo",
)  # fmt: skip
_INPUTS: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "aws:runShellScript": _SCRIPT,
    "aws:runPowerShellScript": _SCRIPT,
    "aws:softwareInventory": dict.fromkeys(_INVENTORY, (_ON_OFF, False))
    | dict.fromkeys(("files", "windowsRegistry", "customInventoryDirectory"), (_TEXT, False)),
    "aws:runDocument": {
        "documentType": (_TEXT, True),
        "documentPath": (_TEXT, True),
        "documentParameters": (_MAP, False),
    },
    "aws:downloadContent": {"sourceType": (_TEXT, True), "sourceInfo": (_MAP, True), "destinationPath": (_TEXT, False)},
    "aws:configurePackage": {"name": (_TEXT, True), "action": (_TEXT, True), "additionalArguments": (_MAP, False)},
    "aws:refreshAssociation": {},
    "aws:updateAgent": {},
    "aws:updateSsmAgent": {},
}
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("aws:runDocument", "documentType"): ("SSMDocument", "LocalPath"),
    ("aws:downloadContent", "sourceType"): ("GitHub", "Git", "HTTP", "S3", "SSMDocument"),
    ("aws:configurePackage", "action"): ("Install", "Uninstall"),
}


def check_step(step: Any, number: int, *, schema: str, is_last: bool) -> str:
    """The name of step `number` (from 1). Raises BadValue with a whole sentence, without its full stop."""
    if not isinstance(step, dict):
        raise BadValue(f"step {number} is not an object")
    name = step.get("name")
    if not isinstance(name, str) or not _STEP_NAME.fullmatch(name):
        raise BadValue(f"step {number} has no name of letters, digits, _, -, : and . (up to 128)")
    unknown = sorted(set(step) - _STEP)
    if unknown:
        raise BadValue(
            f"step {name} has the unknown key {ascii(unknown[0])[:100]}; known are {', '.join(sorted(_STEP))}"
        )
    if not isinstance(step.get("action"), str):
        raise BadValue(f"step {name} has no action")
    inputs = step.get("inputs", {})
    if not isinstance(inputs, dict):
        raise BadValue(f"the inputs of step {name} are not an object")
    _check_precondition(name, step.get("precondition"), schema)
    _check_settings(name, {**step, **inputs}, is_last=is_last)
    check_plugin_inputs(step["action"], inputs, place=name)
    return name


def _check_precondition(name: str, precondition: Any, schema: str) -> None:
    if precondition is None:
        return
    if schema != "2.2":
        raise BadValue(f"step {name} has a precondition, which needs schemaVersion 2.2")
    if not isinstance(precondition, dict) or set(precondition) - {"StringEquals"}:
        raise BadValue(f"the precondition of step {name} has another operator than StringEquals")
    operands = precondition.get("StringEquals", ["", ""])
    if not isinstance(operands, list) or len(operands) != 2 or not all(isinstance(o, str) for o in operands):
        raise BadValue(f"StringEquals in the precondition of step {name} does not take exactly two texts")


def _check_settings(name: str, settings: Mapping[str, Any], *, is_last: bool) -> None:
    """onFailure and its like stand beside the inputs or among them."""
    if settings.get("onFailure", "exit") not in ("exit", "successAndExit"):
        raise BadValue(f"onFailure of step {name} is neither exit nor successAndExit")
    if settings.get("onSuccess", "exit") != "exit":
        raise BadValue(f"onSuccess of step {name} is not exit")
    final = settings.get("finallyStep", False)
    if final not in (True, False, "true", "false", "True", "False"):
        raise BadValue(f"finallyStep of step {name} is neither true nor false")
    if final in (True, "true", "True") and not is_last:
        raise BadValue(f"step {name} is a finallyStep, which only the last step can be")


def check_plugin_inputs(plugin: str, inputs: Mapping[str, Any], *, place: str) -> None:
    """Raise BadValue unless `plugin` is one that documents may name, and its inputs have their types."""
    if plugin in OUT_OF_SCOPE:
        raise BadValue(f"{place}: the plugin {plugin} is not part of this server")
    if plugin not in PLUGINS:
        raise BadValue(f"{place}: there is no plugin {ascii(plugin)[:100]}; there are {', '.join(PLUGINS)}")
    if _refers_to_the_store(inputs):
        raise BadValue(f"{place}: refers to the parameter store, which this release does not have")
    for name, (kind, required) in _INPUTS[plugin].items():
        if name not in inputs:
            if required:
                raise BadValue(f"{place}: the input {name} is missing")
            continue
        value = inputs[name]
        if isinstance(value, str) and "{{" in value and "}}" in value:
            continue  # known when it is sent
        if not _is(kind, value):
            raise BadValue(f"{place}: the input {name} is not {kind}")
        choices = _CHOICES.get((plugin, name))
        if choices and value not in choices:
            raise BadValue(f"{place}: the input {name} is not one of {', '.join(choices)}")


def _is(kind: str, value: Any) -> bool:
    if kind == _LINES:
        lines = [value] if isinstance(value, str) else value
        return isinstance(lines, list) and bool(lines) and all(isinstance(line, str) for line in lines)
    if kind == _NUMBER:
        return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    if kind == _ON_OFF:
        return value in _SWITCH or value in ("", None)
    return isinstance(value, dict | str if kind == _MAP else str)


def _refers_to_the_store(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_refers_to_the_store(member) for member in value.values())
    if isinstance(value, list):
        return any(_refers_to_the_store(element) for element in value)
    return isinstance(value, str) and _STORE_PARAMETER.search(value) is not None
