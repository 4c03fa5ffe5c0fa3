"""One invocation of a window's task -> one command, by the same road as SendCommand. Source: operations.md 4.5."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from patchwright.core.document_parameters import check_parameters
from patchwright.core.errors import DomainError, Invalid, Kind
from patchwright.core.nodes import ManagedNode
from patchwright.core.targets import targets_from
from patchwright.core.values import CommandId, Scope
from patchwright.core.window_history import TaskExecution, TaskInvocation, WindowExecution
from patchwright.core.window_parameters import Pseudo, filled
from patchwright.core.window_runs import RunStatus
from patchwright.core.window_tasks import WindowTask
from patchwright.flows.find_document import Found, find_document, locate
from patchwright.flows.ports import Ids
from patchwright.flows.send_command import check_document, send_command
from patchwright.flows.sent_documents import nested_documents
from patchwright.store import audit, nodes
from patchwright.store.engine import Tx

MAX_COMMENT = 100
"""Characters, as SendCommand has it: an id that stands in for its name can be longer than that."""
SHOWN_NODES = 50
"""Ids that an invocation's Parameters name; more nodes are told by the targets that select them."""
NO_NODES = "No nodes: none that is registered matches the targets."
_KEPT = (
    "Comment",
    "CloudWatchOutputConfig",
    "DocumentVersion",
    "NotificationConfig",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "ServiceRoleArn",
    "TimeoutSeconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of it. `ended`: there is no command, for the reason in `details`."""

    command_id: CommandId | None = None
    parameters: str = ""
    ended: RunStatus | None = None
    details: str = ""


def send_window_command(
    tx: Tx,
    execution: WindowExecution,
    task_execution: TaskExecution,
    invocation: TaskInvocation,
    task: WindowTask,
    *,
    now: datetime,
    ids: Ids,
    fast_start: bool,
) -> Sent:
    """Send the command to the nodes that the invocation's targets select now, or say why there is none.

    A task that can't be sent (its document is gone, say) fails with the sentence that SendCommand would answer.
    """
    known = {
        Pseudo.WINDOW_ID: execution.window_id,
        Pseudo.WINDOW_TASK_ID: task.id,
        Pseudo.WINDOW_TARGET_ID: invocation.window_target_id or "",
        Pseudo.WINDOW_EXECUTION_ID: execution.id,
        Pseudo.TASK_EXECUTION_ID: task_execution.id,
        Pseudo.INVOCATION_ID: invocation.id,
        Pseudo.TARGET_TYPE: "INSTANCE",
    }
    given: dict[str, Any] = filled(task.run_command, known)
    chosen = nodes.select_targets(tx, execution.scope, targets_from(invocation.targets))
    parameters = _shown(task, given, invocation, chosen)
    if not chosen:
        return Sent(parameters=parameters, ended=RunStatus.SUCCESS, details=NO_NODES)
    try:
        document = sendable(tx, execution.scope, task.task_arn, given).document
        command = send_command(
            tx,
            execution.scope,
            document=document,
            request=_request(task, given, invocation),
            chosen=chosen,
            requested_by=_arn(execution),
            now=now,
            ids=ids,
            fast_start=fast_start,
        )
    except DomainError as refused:
        return Sent(parameters=parameters, ended=RunStatus.FAILED, details=refused.message)
    audit.record(
        tx,
        execution.scope,
        at=now,
        principal=_arn(execution),
        action="ssm:SendCommand",
        request_id=execution.id,
        resources=[command.document_name, command.id],
    )
    return Sent(command_id=command.id, parameters=parameters)


def sendable(tx: Tx, scope: Scope, task_arn: str, given: Mapping[str, Any]) -> Found:
    """The document of a RUN_COMMAND task, if a command with the parameters given can be made of it.

    `given` are the members of TaskInvocationParameters.RunCommand. Raises NotFound or Invalid, in SendCommand's words.
    """
    if given.get("DocumentHash") and given.get("DocumentHashType", "Sha256") != "Sha256":
        raise Invalid(Kind.REQUEST, "DocumentHashType must be Sha256: Sha1 protects nothing any more.")
    found = find_document(tx, scope, locate(scope, task_arn), selector=given.get("DocumentVersion"))
    check_document(found.document, sha256=given.get("DocumentHash") or None)
    values = check_parameters(found.document, given.get("Parameters", {}))
    for nested in nested_documents(tx, scope, found.document.content, values):
        if nested.found is None:
            which = f"{nested.name}:{nested.version}" if nested.version else nested.name
            raise Invalid(Kind.PARAMETERS, f"Step {nested.step} runs document {which}, which does not exist.")
    return found


def _request(task: WindowTask, given: Mapping[str, Any], invocation: TaskInvocation) -> dict[str, Any]:
    """As SendCommand would have had it."""
    request = {name: given[name] for name in _KEPT if name in given}
    if task.service_role_arn:
        request.setdefault("ServiceRoleArn", task.service_role_arn)
    if "Comment" in request:
        request["Comment"] = request["Comment"][:MAX_COMMENT]
    return {
        **request,
        "Parameters": given.get("Parameters", {}),
        "Targets": invocation.targets,
        "MaxConcurrency": task.max_concurrency,
        "MaxErrors": task.max_errors,
        **({"AlarmConfiguration": task.alarm_configuration} if task.alarm_configuration else {}),
    }


def _shown(
    task: WindowTask, given: Mapping[str, Any], invocation: TaskInvocation, chosen: Sequence[ManagedNode]
) -> str:
    """The invocation's Parameters, a text with JSON. Source: operations.md 4.5."""
    few = len(chosen) <= SHOWN_NODES
    shown = {
        "documentName": task.task_arn,
        **({"instanceIds": [node.id for node in chosen]} if few else {"targets": invocation.targets}),
        "maxConcurrency": task.max_concurrency,
        "maxErrors": task.max_errors,
        "parameters": given.get("Parameters", {}),
    }
    return msgspec.json.encode(shown).decode()


def _arn(execution: WindowExecution) -> str:
    return f"arn:aws:ssm:{execution.scope.region}:{execution.scope.account}:maintenancewindow/{execution.window_id}"
