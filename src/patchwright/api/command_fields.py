"""Commands and invocations as AWS shows them. Source: operations.md 3.4, 3.5."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from patchwright.core.commands import Command, Invocation, StepResult
from patchwright.core.documents import steps_of
from patchwright.core.rates import DEFAULT_MAX_CONCURRENCY, DEFAULT_MAX_ERRORS

_ECHOED = (
    "Comment",
    "OutputS3Region",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "NotificationConfig",
    "CloudWatchOutputConfig",
    "AlarmConfiguration",
)


def command_to(command: Command, *, fresh: bool = False) -> dict[str, Any]:
    """A Command. `fresh`: as SendCommand answers it, before its targets are counted."""
    request = command.request
    return {
        "CommandId": command.id,
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        **{name: request[name] for name in _ECHOED if name in request},
        "Comment": request.get("Comment", ""),
        "ExpiresAfter": command.expires_at,
        "Parameters": command.parameters,
        "InstanceIds": request.get("InstanceIds", []),
        "Targets": request.get("Targets", []),
        "RequestedDateTime": command.requested_at,
        "Status": command.status,
        "StatusDetails": command.status_details,
        "OutputS3BucketName": request.get("OutputS3BucketName", ""),
        "OutputS3KeyPrefix": request.get("OutputS3KeyPrefix", ""),
        "MaxConcurrency": request.get("MaxConcurrency", DEFAULT_MAX_CONCURRENCY),
        "MaxErrors": request.get("MaxErrors", DEFAULT_MAX_ERRORS),
        "TargetCount": 0 if fresh and request.get("Targets") else command.target_count,
        "CompletedCount": command.completed_count,
        "ErrorCount": command.error_count,
        "DeliveryTimedOutCount": command.delivery_timed_out_count,
        "ServiceRole": request.get("ServiceRoleArn", ""),
        "TimeoutSeconds": command.timeout_seconds,
    }


def invocation_to(invocation: Invocation, command: Command, steps: list[StepResult] | None) -> dict[str, Any]:
    """A CommandInvocation; `steps` only when the request asked for details."""
    request = command.request
    return {
        "CommandId": command.id,
        "InstanceId": invocation.node_id,
        "InstanceName": invocation.node_name,
        "Comment": request.get("Comment", ""),
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        "RequestedDateTime": invocation.requested_at,
        "Status": invocation.details.status,
        "StatusDetails": str(invocation.details),
        "TraceOutput": invocation.trace,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": [_plugin_to(_ended_with(s, invocation), command) for s in steps or ()],
        "ServiceRole": request.get("ServiceRoleArn", ""),
        "NotificationConfig": request.get("NotificationConfig"),
        "CloudWatchOutputConfig": request.get("CloudWatchOutputConfig"),
    }


def _ended_with(step: StepResult, invocation: Invocation) -> StepResult:
    """A step that nobody spoke of is over when its invocation is: whoever waits for it must not wait for ever."""
    if not invocation.details.terminal or step.status not in ("Pending", "InProgress"):
        return step
    return replace(step, status=invocation.details.status, status_details=str(invocation.details))


def _plugin_to(step: StepResult, command: Command) -> dict[str, Any]:
    return {
        "Name": step.name,
        "Status": step.status,
        "StatusDetails": step.status_details,
        "ResponseCode": step.response_code,
        "ResponseStartDateTime": step.started_at,
        "ResponseFinishDateTime": step.ended_at,
        "Output": step.output,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "OutputS3Region": command.request.get("OutputS3Region"),
        "OutputS3BucketName": command.request.get("OutputS3BucketName", ""),
        "OutputS3KeyPrefix": command.request.get("OutputS3KeyPrefix", ""),
    }


def step_to(invocation: Invocation, command: Command, step: StepResult) -> dict[str, Any]:
    """The answer of GetCommandInvocation: one invocation with one of its steps."""
    step = _ended_with(step, invocation)
    one_step = len(steps_of(command.content)) == 1
    status, details = (
        (invocation.details.status, str(invocation.details)) if one_step else (step.status, step.status_details)
    )
    return {
        "CommandId": command.id,
        "InstanceId": invocation.node_id,
        "Comment": command.request.get("Comment", ""),
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        "PluginName": step.name,
        "ResponseCode": step.response_code,
        "ExecutionStartDateTime": _iso(step.started_at),
        "ExecutionElapsedTime": _duration(step.started_at, step.ended_at),
        "ExecutionEndDateTime": _iso(step.ended_at),
        "Status": status,
        "StatusDetails": details,
        "StandardOutputContent": step.standard_output,
        "StandardOutputUrl": "",
        "StandardErrorContent": step.standard_error,
        "StandardErrorUrl": "",
        "CloudWatchOutputConfig": command.request.get("CloudWatchOutputConfig"),
    }


def _iso(moment: datetime | None) -> str:
    if moment is None:
        return ""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _duration(start: datetime | None, end: datetime | None) -> str:
    """ISO 8601, such as PT1M3.502S; empty before the end."""
    if start is None or end is None:
        return ""
    milliseconds = max(0, (end - start) // timedelta(milliseconds=1))
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = f"{hours}H" if hours else ""
    parts += f"{minutes}M" if minutes else ""
    return f"PT{parts}{seconds}.{rest:03d}S" if rest else f"PT{parts}{seconds}S"
