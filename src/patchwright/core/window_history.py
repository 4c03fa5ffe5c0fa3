"""What is kept of each start of a window: the execution, its tasks as they were then, and their invocations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patchwright.core.values import CommandId, Scope, WindowId
from patchwright.core.window_runs import RunStatus

MAX_DETAILS = 250
"""Characters of StatusDetails, by the service's model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowExecution:
    """One start of a window. `due_at` is when it was to begin, `started_at` when it did."""

    id: str
    scope: Scope
    window_id: WindowId
    due_at: datetime
    cutoff_at: datetime
    status: RunStatus
    details: str
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExecution:
    """A task in it. `task` is what the task was when the execution began: see `task_record`."""

    id: str
    execution_id: str
    task_id: str
    ordinal: int
    priority: int
    cutoff_behavior: str | None
    task: dict[str, Any]
    status: RunStatus
    details: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInvocation:
    """A command that the task sends, to one window target. `parameters` is JSON, "" until it is sent."""

    id: str
    task_execution_id: str
    ordinal: int
    targets: list[dict[str, Any]]
    status: RunStatus
    window_target_id: str | None = None
    owner_information: str | None = None
    command_id: CommandId | None = None
    parameters: str = ""
    details: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
