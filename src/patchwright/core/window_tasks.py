"""Targets and tasks of a maintenance window: what may be registered, what a task runs on.

Source: operations.md 4.4, 4.5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patchwright.core.errors import Invalid, Kind, Unsupported
from patchwright.core.targets import TargetKey, targets_from
from patchwright.core.values import WindowId
from patchwright.core.window_parameters import not_for_commands

RUN_COMMAND = "RUN_COMMAND"
MEMBER_OF = {
    RUN_COMMAND: "RunCommand",
    "AUTOMATION": "Automation",
    "LAMBDA": "Lambda",
    "STEP_FUNCTIONS": "StepFunctions",
}
"""TaskType -> its member of TaskInvocationParameters."""
WINDOW_TARGET_IDS = "WindowTargetIds"
INSTANCE_IDS = "InstanceIds"
NOT_ALLOWED = "The window does not allow targets that are not registered with it (AllowUnassociatedTargets)."
WireTargets = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTarget:
    """Nodes registered with a window. `targets` as they were given: they are resolved at each run."""

    id: str
    window_id: WindowId
    resource_type: str
    targets: list[dict[str, Any]]
    created_at: datetime
    owner_information: str | None = None
    name: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if self.resource_type != "INSTANCE":
            raise Invalid(
                Kind.WINDOW_TARGET,
                "ResourceType RESOURCE_GROUP: resource groups are not served by this release; "
                "register nodes by InstanceIds or tags, as INSTANCE.",
            )
        if not self.targets:
            raise Invalid(Kind.WINDOW_TARGET, "Please specify at least one target.")
        targets_from(self.targets)  # says what is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTask:
    """What a window runs. Members that were not given are None, and stay away from answers."""

    id: str
    window_id: WindowId
    task_arn: str
    type: str
    targets: list[dict[str, Any]]
    created_at: datetime
    registered_by: str
    priority: int = 0
    max_concurrency: str | None = None
    max_errors: str | None = None
    service_role_arn: str | None = None
    task_parameters: dict[str, Any] | None = None
    invocation_parameters: dict[str, Any] | None = None
    logging_info: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    cutoff_behavior: str | None = None
    alarm_configuration: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type != RUN_COMMAND:
            raise Unsupported(
                Kind.WINDOW_TASK, f"Tasks of type {self.type} are not run by this release; RUN_COMMAND is."
            )
        for deprecated, given in (("TaskParameters", self.task_parameters), ("LoggingInfo", self.logging_info)):
            if given and self.invocation_parameters:
                raise _invalid(f"{deprecated} is deprecated and can't be combined with TaskInvocationParameters.")
        wrong = sorted(set(self.invocation_parameters or ()) - {MEMBER_OF[self.type]})
        if wrong:
            raise _invalid(f"TaskInvocationParameters of a {self.type} task has no member {wrong[0]}.")
        if not self.targets:
            raise _invalid("A RUN_COMMAND task needs Targets: WindowTargetIds, or InstanceIds.")
        for member, value in (("MaxConcurrency", self.max_concurrency), ("MaxErrors", self.max_errors)):
            if value is None:
                raise _invalid(f"{member} is required for a task with targets.")
        for target in self.targets:
            _check_target(target)
        unusable = not_for_commands(self.run_command)
        if unusable:
            raise _invalid(
                f"The pseudo parameter {unusable[0]} is not for RUN_COMMAND tasks: their commands go to many nodes."
            )

    @property
    def run_command(self) -> dict[str, Any]:
        """The members of TaskInvocationParameters.RunCommand, from the deprecated members where those were given."""
        given = dict((self.invocation_parameters or {}).get("RunCommand", {}))
        if self.task_parameters:
            given["Parameters"] = {name: list(v.get("Values", ())) for name, v in self.task_parameters.items()}
        if self.logging_info:
            given["OutputS3BucketName"] = self.logging_info["S3BucketName"]
            if self.logging_info.get("S3KeyPrefix"):
                given["OutputS3KeyPrefix"] = self.logging_info["S3KeyPrefix"]
        return given

    @property
    def window_target_ids(self) -> list[str]:
        """Each once, in the order given."""
        return _values(self.targets, WINDOW_TARGET_IDS)

    @property
    def node_ids(self) -> list[str]:
        """The same of nodes that are named directly."""
        return _values(self.targets, INSTANCE_IDS)


def _invalid(message: str) -> Invalid:
    return Invalid(Kind.WINDOW_TASK, message)


def _check_target(target: Mapping[str, Any]) -> None:
    key = str(target.get("Key", ""))
    if key not in (WINDOW_TARGET_IDS, INSTANCE_IDS):
        raise _invalid(f"Target key '{key[:163]}' of a task is not one of {WINDOW_TARGET_IDS}, {INSTANCE_IDS}.")
    if not target.get("Values"):
        raise _invalid(f"Please specify at least one target.  Filter values can't be null and {key} is.")


def _values(targets: WireTargets, key: str) -> list[str]:
    return list(dict.fromkeys(v for t in targets if t.get("Key") == key for v in t.get("Values", ())))


def registered_node_ids(targets: Sequence[WindowTarget]) -> set[str]:
    """The nodes that a window's targets name one by one."""
    named = (t for registered in targets for t in targets_from(registered.targets))
    return {v for target in named if target.key is TargetKey.INSTANCE_IDS for v in target.values}


def check_association(task: WindowTask, targets: Sequence[WindowTarget], *, allow_unassociated: bool) -> None:
    """Raise Invalid unless the targets that the task names are the window's. Source: operations.md 4.1, 4.5."""
    absent = [i for i in task.window_target_ids if i not in {t.id for t in targets}]
    if absent:
        raise _invalid(f"Window target {absent[0]} is not registered with window {task.window_id}.")
    if not allow_unassociated and not set(task.node_ids) <= registered_node_ids(targets):
        raise _invalid(f"{NOT_ALLOWED} Register them, or update the window.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedInvocation:
    """One command that a task will send: to a window target, or to the nodes that it names. `refused`: to none."""

    targets: list[dict[str, Any]]
    window_target_id: str | None = None
    owner_information: str | None = None
    refused: str = ""


def planned_invocations(
    task: WindowTask, targets: Sequence[WindowTarget], *, allow_unassociated: bool
) -> list[PlannedInvocation]:
    """One for each window target of the task that is still registered, one for the nodes that it names.

    They run one after the other. Source: operations.md 4.5.
    """
    known = {t.id: t for t in targets}
    found = [
        PlannedInvocation(targets=known[i].targets, window_target_id=i, owner_information=known[i].owner_information)
        for i in task.window_target_ids
        if i in known
    ]
    if task.node_ids:
        usable = task.node_ids
        if not allow_unassociated:
            registered = registered_node_ids(targets)
            usable = [i for i in task.node_ids if i in registered]
        found.append(
            PlannedInvocation(targets=[{"Key": INSTANCE_IDS, "Values": usable}], refused="" if usable else NOT_ALLOWED)
        )
    return found


def selects(target: WindowTarget, node_id: str, tags: Mapping[str, str]) -> bool:
    """Whether a registered target means the node with these tags."""
    for criterion in targets_from(target.targets):
        match criterion.key:
            case TargetKey.INSTANCE_IDS:
                fits = "*" in criterion.values or node_id in criterion.values
            case TargetKey.TAG:
                fits = tags.get(criterion.tag) in criterion.values
            case TargetKey.TAG_KEY:
                fits = any(key in tags for key in criterion.values)
        if not fits:
            return False
    return True
