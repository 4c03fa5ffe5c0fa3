"""aws:runDocument: a document within a document. Sources: spec/operations.md 2.3; spec/agent-protocol.md 10.

Its steps run like those of a command, but nothing is journalled of them: a step that is interrupted is not run again as
a whole. A reboot (exit code 194) within is an error.
"""

import json
import os
import re

from patchwright_agent.daemon import documents, outcomes, plugins, steps
from patchwright_agent.daemon.credentials import NoCredentials
from patchwright_agent.daemon.storage import StorageError
from patchwright_agent.transport import ServerError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

    from patchwright_agent.daemon.documents import Step
    from patchwright_agent.daemon.plugins import Place

MAX_DEPTH = 3
MAX_DOCUMENT_BYTES = 64 * 1024
ATTEMPTS, PAUSE_SECONDS = 4, 3.0
REBOOT = "A nested document asked for a reboot (exit code 194), which is an error."
# A name or an ARN, and a version.
_DOCUMENT = re.compile(
    r"((?:arn:[a-zA-Z0-9:-]{1,150}:document/)?[a-zA-Z0-9_.-]{3,128})(?::(\$LATEST|\$DEFAULT|[1-9][0-9]{0,8}))?\Z"
)


def run_document(step: "Step", place: "Place", folder: steps.StepFolder) -> steps.Outcome:
    """Run the document that a step names. Raises Abandoned, ValueError, OSError, StorageError."""
    if place.depth + 1 >= MAX_DEPTH:
        raise ValueError("documents nest more than %d deep" % MAX_DEPTH)
    kind, path = step.inputs.get("documentType"), step.inputs.get("documentPath")
    if not isinstance(path, str):
        raise ValueError("documentPath is not a text")
    if kind == "SSMDocument":
        name, content = fetch(path, place)
    elif kind == "LocalPath":
        name, content = _local(path, place)
    else:
        raise ValueError("documentType is neither SSMDocument nor LocalPath")
    given = plugins.object_of(step.inputs.get("documentParameters"), "documentParameters")
    try:
        order = documents.order_of(name, content, _by_type(content.get("parameters"), given))
    except documents.DocumentError as error:
        raise ValueError("document %s: %s" % (name, error))
    return _run_steps(order, place.deeper(), folder)


def _run_steps(order: documents.Order, place: "Place", folder: steps.StepFolder) -> steps.Outcome:
    exit_requested = False
    statuses, code = [], 0
    for index, step in enumerate(order.steps):
        inner = steps.StepFolder(folder.command_dir, "%s-%d" % (folder.label, index))
        outcome = _run_step(step, order, place, inner, exit_requested)
        _append(folder.stdout, outcome.stdout)
        _append(folder.stderr, outcome.stderr)
        status, step_code = outcomes.settle(step, outcome.status, outcome.code)
        statuses.append(status)
        if status in (outcomes.FAILED, outcomes.TIMED_OUT, outcomes.CANCELLED):
            code = step_code
        exit_requested = exit_requested or outcomes.requests_exit(step, status, step_code)
    stdout, stderr = folder.streams()
    status = outcomes.document_status(statuses)
    return steps.Outcome(status, code if status != outcomes.SUCCESS else 0, stdout, stderr)


def _run_step(
    step: "Step", order: documents.Order, place: "Place", folder: steps.StepFolder, exit_requested: bool
) -> steps.Outcome:
    if place.control.is_cancelled:
        return steps.Outcome(outcomes.CANCELLED, 1, b"", b"")
    decision, reason = outcomes.decide(step, order.schema_version, exit_requested)
    said = reason.encode("utf-8", "replace") + b"\n"
    if decision == outcomes.SKIP:
        return steps.Outcome(outcomes.SKIPPED, 0, said, b"")
    if decision == outcomes.FAIL:
        return steps.Outcome(outcomes.FAILED, 1, b"", said)
    try:
        outcome = plugins.run(step, place, folder)
    except (OSError, ValueError, StorageError) as error:
        said = ("Step %s could not be started: %s\n" % (step.name, error)).encode("utf-8", "replace")
        return steps.Outcome(outcomes.FAILED, 1, b"", said)
    if outcome.status == outcomes.SUCCESS_AND_REBOOT:
        stderr = outcome.stderr + REBOOT.encode("ascii") + b"\n"
        return steps.Outcome(outcomes.FAILED, outcome.code, outcome.stdout, stderr)
    return outcome


def fetch(text: str, place: "Place") -> "Tuple[str, Dict[str, Any]]":
    """Name and value of a document that the server has; only documents that the command names are given out."""
    match = _DOCUMENT.match(text)
    if match is None:
        raise ValueError("%r is not a document's name" % text[:100])
    name, version = match.group(1), match.group(2) or ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = place.context.node.get_document(name, version)
            break
        except (ServerError, NoCredentials) as error:
            raise ValueError("document %s was not given: %s" % (text, error))
        except Unreachable as error:
            if attempt == ATTEMPTS or place.control.is_cancelled:
                raise ValueError("document %s could not be fetched: %s" % (text, error.reason))
            place.control.wait(PAUSE_SECONDS)
            if place.control.is_shutting_down:
                raise steps.Abandoned()
    return name, _parsed(str(answer.get("Content")), name)


def _local(path: str, place: "Place") -> "Tuple[str, Dict[str, Any]]":
    """A document in a file; a relative path is one of what was downloaded, and "." the only file there."""
    whole = os.path.normpath(os.path.join(place.downloads, path))
    if os.path.isdir(whole):
        files = sorted(name for name in os.listdir(whole) if os.path.isfile(os.path.join(whole, name)))
        if len(files) != 1:
            raise ValueError("documentPath names a folder of %d files: name the document" % len(files))
        whole = os.path.join(whole, files[0])
    with open(whole, "rb") as file:
        content = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ValueError("%s is larger than %d bytes" % (path, MAX_DOCUMENT_BYTES))
    return os.path.basename(whole), _parsed(content.decode("utf-8", "replace"), path)


def _parsed(text: str, name: str) -> "Dict[str, Any]":
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("document %s is not JSON, which is what this agent reads" % name)
    if not isinstance(value, dict):
        raise ValueError("document %s is not an object" % name)
    return value


def _by_type(definitions: "Any", given: "Dict[str, Any]") -> "Dict[str, Any]":
    """documentParameters as an order has them: a list of one for a String, and a text for a list, are both in use."""
    values = {}
    for name, value in given.items():
        definition = definitions.get(name) if isinstance(definitions, dict) else None
        kind = definition.get("type") if isinstance(definition, dict) else None
        if kind is None:
            raise ValueError("the nested document has no parameter %s" % name)
        if kind == "StringList" and isinstance(value, str):
            value = [value]
        elif kind != "StringList" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        values[name] = value
    return values


def _append(path: str, content: bytes) -> None:
    if content:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
            file.write(content)
