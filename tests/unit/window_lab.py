"""Maintenance windows under a virtual clock: the loop itself on a real store, and nodes that a test speaks for."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tests.unit.command_lab import STEP, CommandLab
from tests.unit.fleet import HERE

from patchwright.core.values import CommandId, NodeId, WindowId
from patchwright.core.window_history import TaskExecution, TaskInvocation, WindowExecution
from patchwright.core.window_tasks import WindowTarget, WindowTask
from patchwright.core.windows import Window
from patchwright.flows.change_window import create_window
from patchwright.flows.run_window import cancel_execution
from patchwright.loops.windows import WindowsLoop
from patchwright.store import window_executions, window_tasks, windows
from patchwright.store.engine import Engine
from patchwright.store.window_executions import ExecutionFilter

HOURLY = "cron(0 * * * ? *)"


class WindowLab(CommandLab):
    """`turn` is a turn of the loop at the lab's time."""

    def __init__(self, store: Engine) -> None:
        super().__init__(store)
        self.loop = self.new_loop()
        self._there: list[NodeId] = []

    def add(self, count: int = 1, *, online: bool = True, platform: str | None = "Linux") -> list[NodeId]:
        made = super().add(count, online=online, platform=platform)
        self._there += made if online else []
        return made

    def new_loop(self, *, catch_up: bool = True) -> WindowsLoop:
        return WindowsLoop(self.store, self.ids, fast_start=True, catch_up=catch_up)

    def turn(self) -> None:
        self.loop.turn(self.now)

    def window(self, schedule: str = "cron(0 13 * * ? *)", *, hours: int = 3, cutoff: int = 1, **more: Any) -> WindowId:
        """By default every day at 13:00, an hour after the lab's time begins."""
        window = Window(
            id=WindowId(self.ids.window()),
            scope=HERE,
            name="window",
            schedule=schedule,
            duration_hours=hours,
            cutoff_hours=cutoff,
            created_at=self.now,
            modified_at=self.now,
            schedule_since=self.now,
            **{"allow_unassociated": True, **more},
        )
        self.store.write(lambda tx: create_window(tx, window, ()))
        return window.id

    def target(self, window_id: WindowId, *node_ids: NodeId, targets: Sequence[Any] = (), owner: str = "") -> str:
        made = WindowTarget(
            id=self.ids.uuid(),
            window_id=window_id,
            resource_type="INSTANCE",
            targets=list(targets) or [{"Key": "InstanceIds", "Values": list(node_ids)}],
            created_at=self.now,
            owner_information=owner or None,
        )
        self.store.write(lambda tx: window_tasks.insert_target(tx, made))
        return made.id

    def task(
        self,
        window_id: WindowId,
        *target_ids: str,
        nodes: Sequence[NodeId] = (),
        commands: str = "true",
        run_command: Any = None,
        **more: Any,
    ) -> str:
        targets = [{"Key": "WindowTargetIds", "Values": list(target_ids)}] if target_ids else []
        targets += [{"Key": "InstanceIds", "Values": list(nodes)}] if nodes else []
        members = {"Parameters": {"commands": [commands]}, **(run_command or {})}
        values: dict[str, Any] = {
            "task_arn": "AWS-RunShellScript",
            "max_concurrency": "10",
            "max_errors": "0",
            "invocation_parameters": {"RunCommand": members},
            **more,
        }
        made = WindowTask(
            id=self.ids.uuid(),
            window_id=window_id,
            type="RUN_COMMAND",
            targets=targets,
            created_at=self.now,
            registered_by="arn:me",
            **values,
        )
        self.store.write(lambda tx: window_tasks.insert_task(tx, made))
        return made.id

    def executions(self, window_id: WindowId) -> list[WindowExecution]:
        """The oldest first."""
        found = self.store.read(lambda tx: window_executions.page(tx, HERE, window_id, ExecutionFilter()))
        return list(reversed(found))

    def tasks(self, execution: WindowExecution) -> list[TaskExecution]:
        return self.store.read(lambda tx: window_executions.tasks(tx, execution.id))

    def statuses(self, window_id: WindowId) -> list[list[str]]:
        """Of each execution: its status, then those of its tasks by priority."""
        return [[str(e.status), *(str(t.status) for t in self.tasks(e))] for e in self.executions(window_id)]

    def runs(self, task: TaskExecution) -> list[TaskInvocation]:
        """The invocations of a task."""
        return self.store.read(lambda tx: window_executions.invocations(tx, task.id))

    def sent(self, window_id: WindowId) -> list[CommandId]:
        """Every command of the window's executions, the oldest first, tasks by priority."""
        tasks = [t for e in self.executions(window_id) for t in self.tasks(e)]
        return [i.command_id for t in tasks for i in self.runs(t) if i.command_id is not None]

    def end(self, node_id: NodeId, command_id: CommandId, status: str = "Success") -> None:
        """The node has run the command."""
        self.take(node_id)
        self.reply(node_id, command_id, status, {STEP: {"status": status, "code": int(status != "Success")}})

    def cancel_execution(self, window_id: WindowId) -> None:
        (*_, latest) = self.executions(window_id)
        self.store.write(lambda tx: cancel_execution(tx, window_executions.get(tx, latest.id), self.now))

    def next_start(self, window_id: WindowId) -> Any:
        return self.store.read(lambda tx: windows.get(tx, HERE, window_id)).next_start_at

    def until(self, hour: int, minute: int = 0) -> None:
        """Let time pass to this time of day, with the nodes that are online still there, and have a turn."""
        at = self.now.replace(hour=hour, minute=minute)
        self.now = at if at >= self.now else at + timedelta(days=1)
        for node_id in self._there:
            self.beat(node_id)
        self.turn()
