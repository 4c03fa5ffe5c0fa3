"""What the text of a new document may hold: formats, schemas, parameters, steps. Source: operations.md 2.1 to 2.4.

Everything that would only fail on the nodes is refused here, with the place named: no fleet is needed to find a typo.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchwright.core.document_parameters import TYPES, BadValue, check_value
from patchwright.core.document_patterns import BadPattern, check_pattern
from patchwright.core.document_steps import check_plugin_inputs, check_step
from patchwright.core.errors import Invalid, Kind, LimitExceeded
from patchwright.core.structured_text import Unreadable, parse_json, parse_yaml

MAX_CONTENT = 65_536
"""Bytes of the text, and of text and parameter values together when it is sent. Source: operations.md 2.1."""
MAX_STEPS = 100
MAX_PARAMETERS = 200
MAX_PATTERNS = 8_192
"""Characters of all patterns together: some take a tenth of a second to read for a few thousand."""
SCHEMAS: Mapping[str, tuple[str, ...]] = {"Command": ("1.2", "2.0", "2.2"), "Policy": ("2.0", "2.2")}
"""The document types that this release runs, and the schema versions of each."""
FORMATS = ("JSON", "YAML")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TOP = {"schemaVersion", "description", "parameters", "mainSteps", "runtimeConfig"}
_BOUNDS = ("minItems", "maxItems", "minChars", "maxChars")
_DEFINITION = {"type", "description", "default", "allowedValues", "allowedPattern", "displayType", *_BOUNDS}


def check_content(text: str, *, format: str, type: str) -> dict[str, Any]:
    """The value of a document's text.

    Raises LimitExceeded(DOCUMENT_SIZE), Invalid(DOCUMENT_TYPE, DOCUMENT_SCHEMA, DOCUMENT_CONTENT).
    """
    if type not in SCHEMAS:
        raise Invalid(
            Kind.DOCUMENT_TYPE, f"Documents of type {type} are not part of this release: {', '.join(SCHEMAS)} are."
        )
    if format not in FORMATS:
        raise Invalid(Kind.DOCUMENT_CONTENT, f"A document of type {type} is JSON or YAML, not {format}.")
    if len(text) > MAX_CONTENT or len(text.encode(errors="replace")) > MAX_CONTENT:
        raise LimitExceeded(Kind.DOCUMENT_SIZE, f"The content of a document has at most {MAX_CONTENT} bytes.")
    try:
        content = parse_json(text) if format == "JSON" else parse_yaml(text)
    except Unreadable as wrong:
        raise _bad(f"the content can't be read as {format}: {wrong}") from None
    if not isinstance(content, dict):
        raise _bad("the content is not an object with schemaVersion and steps")
    _check_schema(content, type)
    unknown = sorted(set(content) - _TOP)
    if unknown:
        raise _bad(f"the key {_shown(unknown[0])} is not known here; known are {', '.join(sorted(_TOP))}")
    if not isinstance(content.get("description", ""), str):
        raise _bad("description is not a text")
    _check_parameters(content.get("parameters"))
    _check_steps(content)
    return content


def _bad(reason: str) -> Invalid:
    return Invalid(Kind.DOCUMENT_CONTENT, f"The document was not accepted: {reason}.")


def _shown(value: object) -> str:
    return ascii(value)[:100]


def _check_schema(content: Mapping[str, Any], type: str) -> None:
    version = content.get("schemaVersion")
    if isinstance(version, int | float) and not isinstance(version, bool):
        raise Invalid(Kind.DOCUMENT_SCHEMA, f'schemaVersion is a text: write "{version}", with quotes.')
    if version not in SCHEMAS[type]:
        raise Invalid(
            Kind.DOCUMENT_SCHEMA,
            f"The schemaVersion of a {type} document is {' or '.join(SCHEMAS[type])}, not {_shown(version)}.",
        )


def _check_parameters(definitions: Any) -> None:
    if definitions is None:
        return
    if not isinstance(definitions, dict):
        raise _bad("parameters is not an object")
    if len(definitions) > MAX_PARAMETERS:
        raise _bad(f"it has more than {MAX_PARAMETERS} parameters")
    patterns = (d.get("allowedPattern") for d in definitions.values() if isinstance(d, dict))
    if sum(len(pattern) for pattern in patterns if isinstance(pattern, str)) > MAX_PATTERNS:
        raise _bad(f"the patterns of its parameters have more than {MAX_PATTERNS} characters together")
    for name, definition in definitions.items():
        if not _PARAMETER_NAME.fullmatch(name):
            raise _bad(f"the parameter name {_shown(name)} has other characters than letters, digits, _, . and -")
        try:
            _check_definition(definition)
        except BadValue as wrong:
            raise _bad(f"parameter {name}{str(wrong).rstrip('.')}") from None


def _check_definition(definition: Any) -> None:
    if not isinstance(definition, dict):
        raise BadValue(" is not defined by an object")
    unknown = sorted(set(definition) - _DEFINITION)
    if unknown:
        raise BadValue(f" has the unknown field {_shown(unknown[0])}; known are {', '.join(sorted(_DEFINITION))}")
    if definition.get("type") not in TYPES:
        raise BadValue(f" has the type {_shown(definition.get('type'))}; it must be one of {', '.join(TYPES)}")
    for field in ("description", "displayType"):
        if not isinstance(definition.get(field, ""), str):
            raise BadValue(f": {field} is not a text")
    for field in _BOUNDS:
        bound = definition.get(field, 0)
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            raise BadValue(f": {field} is not a number from 0")
    allowed = definition.get("allowedValues", [])
    if not isinstance(allowed, list) or any(isinstance(value, list | dict) for value in allowed):
        raise BadValue(": allowedValues is not a list of texts")
    try:
        check_pattern(definition.get("allowedPattern", ""))
    except BadPattern as wrong:
        raise BadValue(f": allowedPattern {wrong}") from None
    if "default" in definition:
        try:
            check_value(definition, definition["default"])
        except BadValue as wrong:
            raise BadValue(f": its own default is not allowed: the value{wrong}") from None


def _check_steps(content: Mapping[str, Any]) -> None:
    old = content["schemaVersion"].startswith("1.")
    wanted, other = ("runtimeConfig", "mainSteps") if old else ("mainSteps", "runtimeConfig")
    if other in content:
        raise _bad(f"{other} does not belong to schemaVersion {content['schemaVersion']}, {wanted} does")
    try:
        if old:
            _check_runtime_config(content.get(wanted))
        else:
            _check_main_steps(content)
    except BadValue as wrong:
        raise _bad(str(wrong)) from None


def _check_runtime_config(config: Any) -> None:
    if not isinstance(config, dict) or not 1 <= len(config) <= MAX_STEPS:
        raise BadValue(f"runtimeConfig is not an object of 1 to {MAX_STEPS} plugins")
    for plugin, body in config.items():
        properties = body.get("properties") if isinstance(body, dict) else None
        inputs = properties[0] if isinstance(properties, list) and len(properties) == 1 else properties
        if not isinstance(inputs, dict):
            raise BadValue(f"{_shown(plugin)} in runtimeConfig has not exactly one set of properties")
        check_plugin_inputs(plugin, inputs, place=plugin)


def _check_main_steps(content: Mapping[str, Any]) -> None:
    steps = content.get("mainSteps")
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        raise BadValue(f"mainSteps is not a list of 1 to {MAX_STEPS} steps")
    names: set[str] = set()
    for number, step in enumerate(steps, 1):
        name = check_step(step, number, schema=content["schemaVersion"], is_last=number == len(steps))
        if name in names:
            raise BadValue(f"two steps have the name {_shown(name)}")
        names.add(name)
