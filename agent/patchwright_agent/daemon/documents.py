"""Command documents: from the text of an order to the steps that this node has to run. Pure.

Sources: spec/agent-protocol.md 8 and 10; spec/operations.md 2.2 and 2.3.
"""

import json
import re

from patchwright_agent.daemon import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

SCHEMA_VERSIONS = ("1.0", "1.2", "2.0", "2.0.1", "2.0.2", "2.0.3", "2.2")
PATCH_DOCUMENT = "AWS-RunPatchBaseline"
PATCH_DOCUMENTS = (
    PATCH_DOCUMENT,
    "AWS-RunPatchBaselineAssociation",
    "AWS-RunPatchBaselineWithHooks",
    "Patchwright-PlanPatches",
)
RUN_SHELL_SCRIPT, RUN_POWER_SHELL_SCRIPT = "aws:runShellScript", "aws:runPowerShellScript"
RUN_DOCUMENT, DOWNLOAD_CONTENT, SOFTWARE_INVENTORY = "aws:runDocument", "aws:downloadContent", "aws:softwareInventory"
UPDATE_AGENT = ("aws:updateSsmAgent", "aws:updateAgent")
PLUGINS = (RUN_SHELL_SCRIPT, RUN_POWER_SHELL_SCRIPT, RUN_DOCUMENT, DOWNLOAD_CONTENT, SOFTWARE_INVENTORY, *UPDATE_AGENT)
MAX_STEPS = 100
_PARAMETER = re.compile(r"\{\{\s*([A-Za-z0-9_.:-]{1,128})\s*\}\}")
_STORE_PARAMETER = re.compile(r"\{\{\s*ssm(-secure)?:")
_TYPES = {
    "String": (str,),
    "StringList": (list,),
    "StringMap": (dict,),
    "MapList": (list,),
    "Integer": (int,),
    "Boolean": (bool,),
}


class DocumentError(Exception):
    """The whole document is refused; nothing was run. The message says why."""


class Step:
    """One step with its inputs, parameters already put in."""

    __slots__ = ("action", "inputs", "name", "precondition", "settings")

    def __init__(
        self,
        name: str,
        action: str,
        inputs: "Dict[str, Any]",
        settings: "Optional[Dict[str, Any]]" = None,
        precondition: "Any" = None,
    ) -> None:
        self.name = name
        self.action = action
        self.inputs = inputs
        self.precondition = precondition
        self.settings = settings or {}

    def setting(self, name: str) -> "Any":
        """onFailure, onSuccess, finallyStep, timeoutSeconds: written among the inputs, or beside them."""
        return self.inputs.get(name, self.settings.get(name))

    @property
    def is_final(self) -> bool:
        return self.setting("finallyStep") in (True, "true", "True")


class Order:
    """A checked order."""

    __slots__ = ("document_name", "schema_version", "steps")

    def __init__(self, document_name: str, schema_version: str, steps: "Tuple[Step, ...]") -> None:
        self.document_name = document_name
        self.schema_version = schema_version
        self.steps = steps

    def is_patch_step(self, step: Step) -> bool:
        """Whether it starts the patch worker; what a hook of a patch document runs is a document like any other."""
        return self.document_name in PATCH_DOCUMENTS and step.action == RUN_SHELL_SCRIPT


def parse_order(payload: str) -> Order:
    """Read an order, check its parameters, put them into its steps. Raises DocumentError."""
    try:
        order = messages.parse_object(payload)
    except ValueError as error:
        raise DocumentError("the order is not a JSON object: %s" % error)
    document = order.get("DocumentContent")
    if not isinstance(document, dict):
        raise DocumentError("the order holds no document")
    name = order.get("DocumentName")
    return order_of(name if isinstance(name, str) else "", document, order.get("Parameters") or {})


def order_of(name: str, document: "Dict[str, Any]", given: "Any") -> Order:
    """A document with its parameters put in. Raises DocumentError."""
    version = document.get("schemaVersion")
    if version not in SCHEMA_VERSIONS:
        raise DocumentError("schemaVersion %s is not one of %s" % (_shown(version), ", ".join(SCHEMA_VERSIONS)))
    values = resolve_parameters(document.get("parameters") or {}, given)
    steps = _plugin_steps(document) if version.startswith("1.") else _main_steps(document)
    if not 1 <= len(steps) <= MAX_STEPS or len({step.name for step in steps}) != len(steps):
        raise DocumentError("a document has from 1 to %d steps, each with a name of its own" % MAX_STEPS)
    return Order(name, version, tuple(_with_parameters(step, values) for step in steps))


def _main_steps(document: "Dict[str, Any]") -> "List[Step]":
    steps = document.get("mainSteps")
    if not isinstance(steps, list):
        raise DocumentError("the document has no list of mainSteps")
    return [_main_step(step) for step in steps]


def _main_step(step: "Any") -> Step:
    if not isinstance(step, dict) or not isinstance(step.get("name"), str) or not isinstance(step.get("action"), str):
        raise DocumentError("a step is not an object with a name and an action")
    inputs = step.get("inputs") or {}
    if not isinstance(inputs, dict):
        raise DocumentError("the inputs of step %s are not an object" % _shown(step["name"]))
    if not step["name"] or len(step["name"]) > 128:
        raise DocumentError("a step's name has from 1 to 128 characters")
    return Step(step["name"], step["action"], inputs, step, step.get("precondition"))


def _plugin_steps(document: "Dict[str, Any]") -> "List[Step]":
    """Schema 1: {"runtimeConfig": {plugin: {"properties": [inputs] or inputs}}}; a step is named like its plugin."""
    config = document.get("runtimeConfig")
    if not isinstance(config, dict):
        raise DocumentError("the document has no runtimeConfig")
    steps = []
    for plugin, body in config.items():
        properties = body.get("properties") if isinstance(body, dict) else None
        if isinstance(properties, dict):
            properties = [properties]
        if not isinstance(properties, list) or len(properties) != 1 or not isinstance(properties[0], dict):
            raise DocumentError("%s has not exactly one set of properties, as this agent needs it" % _shown(plugin))
        steps.append(Step(plugin, plugin, properties[0]))
    return steps


def _with_parameters(step: Step, values: "Dict[str, Any]") -> Step:
    inputs = substitute(step.inputs, values)
    return Step(step.name, step.action, inputs, step.settings, substitute(step.precondition, values))


def resolve_parameters(definitions: "Any", given: "Any") -> "Dict[str, Any]":
    """The value of each declared parameter: given, or by default. Raises DocumentError if it breaks its definition."""
    if not isinstance(definitions, dict) or not isinstance(given, dict):
        raise DocumentError("the parameters are not an object")
    values = {}
    for name, definition in definitions.items():
        if not isinstance(definition, dict):
            raise DocumentError("the definition of parameter %s is not an object" % _shown(name))
        if name in given:
            values[name] = given[name]
        elif "default" in definition:
            values[name] = definition["default"]
        else:
            raise DocumentError("parameter %s has no value" % _shown(name))
        _check_parameter(name, definition, values[name])
    return values


def _check_parameter(name: str, definition: "Dict[str, Any]", value: "Any") -> None:
    types = _TYPES.get(definition.get("type", "String"))
    if types is None:
        raise DocumentError("parameter %s has a type that this agent doesn't know" % _shown(name))
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise DocumentError("the value of parameter %s is no %s" % (_shown(name), definition.get("type", "String")))
    elements = value if isinstance(value, list) else [value]
    if isinstance(value, (list, dict)):
        _check_size(name, "Items", definition, len(value))
    texts = [element for element in elements if isinstance(element, str)]
    for text in texts:
        if _STORE_PARAMETER.search(text):
            raise DocumentError(
                "parameter %s refers to the parameter store, which the server has to resolve" % _shown(name)
            )
        _check_size(name, "Chars", definition, len(text))
    allowed = definition.get("allowedValues")
    if isinstance(allowed, list) and allowed and any(element not in allowed for element in elements):
        raise DocumentError("the value of parameter %s is not among its allowedValues" % _shown(name))
    pattern = definition.get("allowedPattern")
    if isinstance(pattern, str) and pattern:
        try:
            matched = all(re.search(pattern, text) for text in texts)
        except re.error:
            raise DocumentError("the allowedPattern of parameter %s is no regular expression" % _shown(name))
        if not matched:
            raise DocumentError("the value of parameter %s does not match its allowedPattern" % _shown(name))


def _check_size(name: str, unit: str, definition: "Dict[str, Any]", size: int) -> None:
    least, most = definition.get("min" + unit), definition.get("max" + unit)
    if (isinstance(least, int) and size < least) or (isinstance(most, int) and size > most):
        raise DocumentError("the value of parameter %s breaks its min%s or max%s" % (_shown(name), unit, unit))


def substitute(value: "Any", values: "Dict[str, Any]") -> "Any":
    """Put parameters in place of `{{ name }}`, once: what a value brings along is not read again.

    A text that is nothing but one parameter becomes its value, whatever its type; as an element of a list, a list is
    spliced in. Within a longer text a String stands as it is, anything else as JSON. Unknown names stay as they are.
    """
    if isinstance(value, dict):
        return {key: substitute(member, values) for key, member in value.items()}
    if isinstance(value, list):
        elements = []
        for element in value:
            new = substitute(element, values)
            if isinstance(element, str) and isinstance(new, list):
                elements.extend(new)
            else:
                elements.append(new)
        return elements
    if not isinstance(value, str):
        return value
    whole = _PARAMETER.match(value.strip())
    if whole and whole.end() == len(value.strip()) and whole.group(1) in values:
        found = values[whole.group(1)]
        if not isinstance(found, str) or value == value.strip():
            return found
    return _PARAMETER.sub(
        lambda match: _as_text(values[match.group(1)]) if match.group(1) in values else match.group(0), value
    )


def _as_text(value: "Any") -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: "Any") -> str:
    return repr(value)[:100]
