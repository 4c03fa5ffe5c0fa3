"""Command documents: their steps, parameters and timeouts. Source: operations.md 2.2, agent-protocol.md 8."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchwright.core.errors import Invalid, Kind

MIN_STEP_SECONDS = 5
MAX_STEP_SECONDS = 172_800
DEFAULT_STEP_SECONDS = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One main step. `platform` is the platformType that its precondition asks for, or None."""

    name: str
    action: str
    platform: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A command document. `content` is its JSON value, sent to nodes as it is."""

    name: str
    version: str
    content: dict[str, Any]
    owner: str = "Amazon"

    @property
    def text(self) -> str:
        """The content as it is shown and hashed: JSON in the order given."""
        return json.dumps(self.content, indent=2, ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in hex: what SendCommand's DocumentHash is compared with."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(Step(name=s["name"], action=s["action"], platform=_platform(s)) for s in self.content["mainSteps"])

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        definitions: Mapping[str, Mapping[str, Any]] = self.content.get("parameters", {})
        return definitions


def _platform(step: Mapping[str, Any]) -> str | None:
    operands = step.get("precondition", {}).get("StringEquals", [])
    if "platformType" in operands:
        return str(next((o for o in operands if o != "platformType"), ""))
    return None


def check_parameters(document: Document, given: Mapping[str, list[str]]) -> None:
    """Raise Invalid(PARAMETERS) unless `given` satisfies the document's parameter definitions."""
    for name in given:
        if name not in document.parameters:
            raise Invalid(Kind.PARAMETERS, f"Document {document.name} has no parameter named {name}.")
    for name, definition in document.parameters.items():
        if name not in given:
            if "default" not in definition:
                raise Invalid(Kind.PARAMETERS, f"Parameter {name} of document {document.name} is required.")
            continue
        _check_value(name, definition, given[name])


def _check_value(name: str, definition: Mapping[str, Any], values: list[str]) -> None:
    if definition["type"] == "String" and len(values) != 1:
        raise Invalid(Kind.PARAMETERS, f"Parameter {name} takes exactly one value, {len(values)} were given.")
    if len(values) < definition.get("minItems", 0):
        raise Invalid(Kind.PARAMETERS, f"Parameter {name} takes at least {definition['minItems']} values.")
    if len(values) > definition.get("maxItems", 1_000):
        raise Invalid(Kind.PARAMETERS, f"Parameter {name} takes at most {definition.get('maxItems', 1_000)} values.")
    allowed = definition.get("allowedValues")
    pattern = definition.get("allowedPattern")
    least, most = definition.get("minChars", 0), definition.get("maxChars")
    for value in values:
        if len(value) < least or (most is not None and len(value) > most):
            raise Invalid(Kind.PARAMETERS, f"Parameter {name} has {least} to {most or 'any number of'} characters.")
        if allowed is not None and value not in allowed:
            raise Invalid(Kind.PARAMETERS, f"Parameter {name}: '{value[:100]}' is not one of {', '.join(allowed)}.")
        # Patterns are the product's own constants: nobody else's can run away here.
        if pattern is not None and re.fullmatch(pattern, value) is None:
            raise Invalid(Kind.PARAMETERS, f"Parameter {name}: '{value[:100]}' does not match {pattern}.")


def delivered_parameters(document: Document, given: Mapping[str, list[str]]) -> dict[str, Any]:
    """Parameters as a message carries them: a String as one text, a StringList as a list; defaults filled in."""
    values: dict[str, Any] = {}
    for name, definition in document.parameters.items():
        if name in given:
            values[name] = given[name][0] if definition["type"] == "String" else list(given[name])
        elif "default" in definition:
            values[name] = definition["default"]
    return values


def execution_seconds(document: Document, given: Mapping[str, list[str]]) -> int:
    """The largest sum of step timeouts that one platform can meet. Source: operations.md 3.3."""
    values = delivered_parameters(document, given)
    sums: dict[str, int] = {}
    platforms = {_platform(s) for s in document.content["mainSteps"]} - {None} or {None}
    for step in document.content["mainSteps"]:
        seconds = _step_seconds(step, values)
        mine = _platform(step)
        for platform in platforms:
            if mine is None or mine == platform:
                sums[str(platform)] = sums.get(str(platform), 0) + seconds
    return max(sums.values(), default=DEFAULT_STEP_SECONDS)


def _step_seconds(step: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    raw = step.get("inputs", {}).get("timeoutSeconds", DEFAULT_STEP_SECONDS)
    if isinstance(raw, str) and raw.startswith("{{") and raw.endswith("}}"):
        raw = values.get(raw[2:-2].strip(), DEFAULT_STEP_SECONDS)
    try:
        seconds = int(raw)
    except (TypeError, ValueError):
        return DEFAULT_STEP_SECONDS
    return seconds if MIN_STEP_SECONDS <= seconds <= MAX_STEP_SECONDS else DEFAULT_STEP_SECONDS


def runs_on(document: Document, platform_type: str) -> bool:
    """Whether any step may run on `platform_type` (Linux, Windows, MacOS)."""
    return any(s.platform is None or s.platform.lower() == platform_type.lower() for s in document.steps)
