"""The documents that nodes fetch because a command tells them to: known when it is sent, and nothing else is given out.

Source: decisions.md 2 ("documents that it was sent"), operations.md 2.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchwright.core.document_parameters import delivered_parameters
from patchwright.core.document_references import MAX_DEPTH, references
from patchwright.core.document_rules import DEFAULT
from patchwright.core.documents import Document
from patchwright.core.errors import Kind, NotFound
from patchwright.core.nodes import ManagedNode
from patchwright.core.values import Scope
from patchwright.flows.find_document import Found, Located, find_document, locate
from patchwright.store import commands
from patchwright.store.engine import Tx

MAX_DOCUMENTS = 100
"""Of one command: more would make a small request a large work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """A document that a step of a command names. `found` is None where there is none of that name and version."""

    step: str
    name: str
    version: str | None
    located: Located | None
    found: Found | None


def nested_documents(tx: Tx, scope: Scope, content: Mapping[str, Any], values: Mapping[str, Any]) -> list[Nested]:
    """What a document makes its nodes fetch, what that makes them fetch, and so on, each once."""
    found: dict[tuple[str, str | None], Nested] = {}
    level: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [(content, values)]
    for _ in range(MAX_DEPTH):
        deeper: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        for body, given in level:
            for reference in references(body, given):
                key = (reference.name, reference.version)
                if key in found or len(found) >= MAX_DOCUMENTS:
                    continue
                nested = _nested(tx, scope, reference.step, *key)
                found[key] = nested
                if nested.found is not None:
                    inner = nested.found.document
                    defaults = {n: d["default"] for n, d in inner.parameters.items() if "default" in d}
                    deeper.append((inner.content, {**defaults, **reference.parameters}))
        level = deeper
    return list(found.values())


def _nested(tx: Tx, scope: Scope, step: str, name: str, version: str | None) -> Nested:
    located = found = None
    try:
        located = locate(scope, name)
        found = find_document(tx, scope, located, selector=version)
    except NotFound:
        found = None  # said with the step's name by whoever asks
    return Nested(step=step, name=name, version=version, located=located, found=found)


def document_for_node(tx: Tx, node: ManagedNode, name: str, version: str | None) -> Document:
    """A document that an open command of the node makes it fetch. Raises NotFound(DOCUMENT) for every other one."""
    wanted = (name, version or DEFAULT)
    for invocation in commands.open_of_node(tx, node.id):
        command = commands.get(tx, invocation.command_id)
        document = Document(name=command.document_name, version="", content=command.content)
        values = delivered_parameters(document, command.parameters)
        for nested in nested_documents(tx, command.scope, command.content, values):
            if nested.found is not None and (nested.name, nested.version or DEFAULT) == wanted:
                return nested.found.document
    raise NotFound(Kind.DOCUMENT, f"Document with name {name[:128]} does not exist in a command of this node.", id=name)
