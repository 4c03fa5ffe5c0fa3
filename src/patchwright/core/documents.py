"""Command documents: their steps, on which platforms they run and for how long. Source: operations.md 2.2, 3.3.

What a document may hold is checked once, when it is made (`document_content.py`); here it is well-formed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from patchwright.core.structured_text import to_json

PLATFORMS = ("Linux", "MacOS", "Windows")
"""In the order in which they are shown."""
MIN_STEP_SECONDS = 5
MAX_STEP_SECONDS = 172_800
DEFAULT_STEP_SECONDS = 3_600
_ALL = frozenset(PLATFORMS)
_UNIX, _WINDOWS = frozenset({"Linux", "MacOS"}), frozenset({"Windows"})
PLUGINS: Mapping[str, frozenset[str]] = {
    "aws:runShellScript": _UNIX,
    "aws:runPowerShellScript": _ALL,
    "aws:softwareInventory": _ALL,
    "aws:runDocument": _ALL,
    "aws:downloadContent": _ALL,
    "aws:configurePackage": _ALL,
    "aws:updateAgent": _ALL,
    "aws:updateSsmAgent": _ALL,
    "aws:refreshAssociation": _ALL,
}
"""The plugins that a document may name, and where each can run. Source: operations.md 2.3, 2.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `platforms`: where its plugin runs and its precondition, if it speaks of the platform, lets it."""

    name: str
    action: str
    platforms: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of a document. `content` is its value, sent to nodes as it is; `source` the text as submitted.

    `name` is the full ARN for another account's document, so that it is never taken for one of ours.
    """

    name: str
    version: str
    content: dict[str, Any]
    owner: str = "Amazon"
    type: str = "Command"
    format: str = "JSON"
    source: str | None = None

    @property
    def text(self) -> str:
        """The content as it is shown and hashed: as submitted, byte for byte; of a built-in one JSON."""
        return to_json(self.content) if self.source is None else self.source

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in hex: what SendCommand's DocumentHash is compared with."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def schema_version(self) -> str:
        return str(self.content["schemaVersion"])

    @property
    def steps(self) -> tuple[Step, ...]:
        return steps_of(self.content)

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        definitions: Mapping[str, Mapping[str, Any]] = self.content.get("parameters") or {}
        return definitions

    @property
    def platform_types(self) -> tuple[str, ...]:
        """Where at least one step can run; in a fixed order. Source: operations.md 2.5."""
        found = frozenset[str]().union(*(step.platforms for step in self.steps))
        return tuple(platform for platform in PLATFORMS if platform in found)


def steps_of(content: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a document's value; those of schema 1.2 bear their plugins' names. Source: agent-protocol.md 9."""
    return tuple(
        Step(name=name, action=body["action"], platforms=_platforms(body)) for name, body in bodies_of(content)
    )


def bodies_of(content: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """(step name, step) of each step in the form of schema 2, whatever the document's schema."""
    if "runtimeConfig" in content:
        for plugin, config in content["runtimeConfig"].items():
            properties = config["properties"]
            inputs = properties if isinstance(properties, dict) else properties[0]
            yield plugin, {"action": plugin, "inputs": inputs}
    else:
        for step in content["mainSteps"]:
            yield step["name"], step


def _platforms(step: Mapping[str, Any]) -> frozenset[str]:
    able = PLUGINS.get(step["action"], _ALL)
    operands = (step.get("precondition") or {}).get("StringEquals") or ()
    if "platformType" not in operands:
        return able
    asked = {str(o).lower() for o in operands if o != "platformType"}
    if any("{{" in operand for operand in asked):
        return able  # by a parameter: known on the node only
    return frozenset(platform for platform in able if platform.lower() in asked)


def execution_seconds(document: Document, values: Mapping[str, Any]) -> int:
    """The largest sum of step timeouts that one platform can meet. Source: operations.md 3.3.

    `values` are the parameters' values, defaults filled in (`document_parameters.delivered_parameters`).
    """
    sums = dict.fromkeys(PLATFORMS, 0)
    for _, step in bodies_of(document.content):
        seconds = _step_seconds(step, values)
        for platform in _platforms(step):
            sums[platform] += seconds
    return max(sums.values()) or DEFAULT_STEP_SECONDS


def _step_seconds(step: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    raw = (step.get("inputs") or {}).get("timeoutSeconds", step.get("timeoutSeconds", DEFAULT_STEP_SECONDS))
    if isinstance(raw, str) and raw.strip().startswith("{{") and raw.strip().endswith("}}"):
        raw = values.get(raw.strip()[2:-2].strip(), DEFAULT_STEP_SECONDS)
    try:
        seconds = int(raw)
    except (TypeError, ValueError):
        return DEFAULT_STEP_SECONDS
    return seconds if MIN_STEP_SECONDS <= seconds <= MAX_STEP_SECONDS else DEFAULT_STEP_SECONDS


def runs_on(document: Document, platform_type: str) -> bool:
    """Whether any step may run on `platform_type` (Linux, Windows, MacOS)."""
    return platform_type.lower() in {platform.lower() for platform in document.platform_types}
