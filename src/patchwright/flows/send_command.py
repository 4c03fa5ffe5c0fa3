"""A request -> a Command with all its Invocations. The only place where a Command is born."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from patchwright.core.builtin_run_documents import GATHER_INVENTORY
from patchwright.core.commands import Command, Details, Invocation, StepResult
from patchwright.core.document_content import MAX_CONTENT
from patchwright.core.document_parameters import check_parameters
from patchwright.core.documents import Document, execution_seconds, runs_on
from patchwright.core.errors import Duplicate, Invalid, Kind, LimitExceeded, NotFound, Unsupported
from patchwright.core.nodes import ManagedNode
from patchwright.core.targets import Target
from patchwright.core.values import CommandId, NodeId, Scope
from patchwright.flows.advance_command import advance_command, settle
from patchwright.flows.ports import Ids
from patchwright.store import commands, nodes
from patchwright.store.engine import Tx

DEFAULT_TIMEOUT_SECONDS = 3_600
SENDABLE_POLICIES = frozenset({GATHER_INVENTORY})
"""Policies are for associations; this one may be sent as well, so that inventory is there when it is wanted."""
MAX_NAME = 200
"""Of a document's name or ARN as commands keep it."""


def check_document(document: Document, *, sha256: str | None) -> None:
    """Raise Invalid(DOCUMENT) unless commands can be made of it, NotFound(DOCUMENT) if it is not the one meant.

    `sha256` is the hash that the caller expects its content to have.
    """
    if document.type != "Command" and document.name not in SENDABLE_POLICIES:
        raise Invalid(
            Kind.DOCUMENT,
            f"Document {document.name} is of type {document.type}: commands are made of Command documents.",
        )
    if len(document.name) > MAX_NAME:
        raise Invalid(Kind.DOCUMENT, f"The ARN of a document that is sent has at most {MAX_NAME} characters.")
    if sha256 is not None and sha256.lower() != document.sha256:
        raise NotFound(
            Kind.DOCUMENT,
            f"Document {document.name} has the Sha256 hash {document.sha256}, not the one given. Nothing was sent.",
        )


def select_nodes(tx: Tx, scope: Scope, *, node_ids: Sequence[str], targets: Sequence[Target]) -> list[ManagedNode]:
    """The nodes that a request means, in order of dispatch. Raises NotFound or Duplicate (nodes), Invalid."""
    if bool(node_ids) == bool(targets):
        raise Invalid(Kind.REQUEST, "Exactly one of InstanceIds and Targets must be given.")
    return _listed(tx, scope, node_ids) if node_ids else nodes.select_targets(tx, scope, targets)


def send_command(
    tx: Tx,
    scope: Scope,
    *,
    document: Document,
    request: Mapping[str, Any],
    chosen: Sequence[ManagedNode],
    requested_by: str,
    now: datetime,
    ids: Ids,
    fast_start: bool,
) -> Command:
    """Write the command with every invocation on the nodes chosen, in this transaction.

    `request` is kept as it was given. `fast_start`: as many as MaxConcurrency has at once, without the slow start.
    Raises Invalid(PARAMETERS, NOTIFICATION), LimitExceeded(DOCUMENT_SIZE) or Unsupported(NODE), and then nothing is
    written.
    """
    parameters: Mapping[str, list[str]] = request.get("Parameters", {})
    values = check_parameters(document, parameters)
    if len(document.text.encode()) + len(msgspec.json.encode(parameters)) > MAX_CONTENT:
        raise LimitExceeded(
            Kind.DOCUMENT_SIZE, f"Document and parameters exceed {MAX_CONTENT} bytes. Nothing was sent."
        )
    if request.get("NotificationConfig") and not request.get("ServiceRoleArn"):
        raise Invalid(Kind.NOTIFICATION, "NotificationConfig needs ServiceRoleArn beside it. Nothing was sent.")
    if request.get("InstanceIds"):
        _require_platforms(document, chosen)
    timeout = int(request.get("TimeoutSeconds", DEFAULT_TIMEOUT_SECONDS))
    seconds = timeout + execution_seconds(document, values)
    command = Command(
        id=CommandId(ids.uuid()),
        scope=scope,
        document_name=document.name,
        document_version=request.get("DocumentVersion", "$DEFAULT"),
        content=document.content,
        request={**request, "TimeoutSeconds": timeout},
        requested_by=requested_by,
        requested_at=now,
        expires_at=now + timedelta(seconds=seconds),
        status="Pending",
        status_details="Pending",
        target_count=len(chosen),
        fast_start=fast_start,
    )
    # Once for the document, not once for each of ten thousand nodes.
    able = frozenset(platform.lower() for platform in document.platform_types)
    of_document = document.steps
    invocations = [_invocation(command, node, i, able) for i, node in enumerate(chosen)]
    steps = [
        (node.id, StepResult(name=s.name, ordinal=n, plugin=s.action))
        for node in chosen
        for n, s in enumerate(of_document)
    ]
    commands.insert(tx, command, invocations, steps)
    # Some may be over from the start, and a command without any is.
    settle(tx, command.id)
    if chosen:
        tx.wake("commands")
        advance_command(tx, command.id, now)
    return command


def _listed(tx: Tx, scope: Scope, node_ids: Sequence[str]) -> list[ManagedNode]:
    if len(set(node_ids)) != len(node_ids):
        twice = sorted({n for n in node_ids if node_ids.count(n) > 1})
        raise Duplicate(Kind.NODE, f"Instance ids given more than once: {', '.join(twice)}")
    found = {n.id: n for n in nodes.get_many(tx, scope, node_ids)}
    absent = [n for n in node_ids if n not in found]
    if absent:
        raise NotFound(Kind.NODE, f"Instances [[{', '.join(absent)}]] not in a valid state for account {scope.account}")
    return [found[NodeId(n)] for n in node_ids]


def _require_platforms(document: Document, chosen: Sequence[ManagedNode]) -> None:
    """Schemas before 2.2 know no preconditions, so a node that can't run one refuses the call. Source: 3.1."""
    if document.schema_version == "2.2":
        return
    unable = [n.id for n in chosen if n.platform_type is not None and not runs_on(document, n.platform_type)]
    if unable:
        raise Unsupported(
            Kind.NODE, f"Document {document.name} can't run on the platform of {', '.join(unable)}. Nothing was sent."
        )


def _invocation(command: Command, node: ManagedNode, ordinal: int, able: frozenset[str]) -> Invocation:
    fits = node.platform_type is None or node.platform_type.lower() in able
    return Invocation(
        command_id=command.id,
        node_id=node.id,
        ordinal=ordinal,
        node_name=node.label,
        details=Details.PENDING if fits else Details.INVALID_PLATFORM,
        requested_at=command.requested_at,
        ended_at=None if fits else command.requested_at,
        trace="" if fits else f"Document {command.document_name} has no step for {node.platform_type}.",
    )
