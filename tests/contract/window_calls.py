"""Windows, targets and tasks of a test, as an operator makes them."""

from typing import Any

NO_WINDOW = "mw-0123456789abcdef0"
NOBODY = "00000000-0000-4000-8000-000000000000"
LEAST = {
    "Name": "nightly",
    "Schedule": "cron(0 2 ? * TUE#2 *)",
    "Duration": 3,
    "Cutoff": 1,
    "AllowUnassociatedTargets": True,
}
RUN = {"RunCommand": {"Parameters": {"commands": ["true"]}, "TimeoutSeconds": 600, "Comment": "{{WINDOW_ID}}"}}


def window(ssm: Any, **more: Any) -> str:
    return str(ssm.create_maintenance_window(**{**LEAST, **more})["WindowId"])


def target(ssm: Any, window_id: str, **more: Any) -> str:
    members = {"ResourceType": "INSTANCE", "Targets": [{"Key": "tag:env", "Values": ["prod"]}], **more}
    return str(ssm.register_target_with_maintenance_window(WindowId=window_id, **members)["WindowTargetId"])


def task(ssm: Any, window_id: str, *target_ids: str, **more: Any) -> str:
    members = {
        "TaskType": "RUN_COMMAND",
        "TaskArn": "AWS-RunShellScript",
        "Targets": [{"Key": "WindowTargetIds", "Values": list(target_ids)}],
        "MaxConcurrency": "2",
        "MaxErrors": "1",
        "TaskInvocationParameters": RUN,
        **more,
    }
    return str(ssm.register_task_with_maintenance_window(WindowId=window_id, **members)["WindowTaskId"])


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}
