"""Executions of maintenance windows for all tasks and all courses of events. Source: operations.md 4.6."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.window_parameters import Pseudo, filled, not_for_commands
from patchwright.core.window_runs import (
    BeginTask,
    CancelInvocation,
    EndExecution,
    EndInvocation,
    EndTask,
    ExecutionState,
    InvocationState,
    RunStatus,
    StartInvocation,
    Step,
    TaskState,
    next_step,
)

S = RunStatus
CUTOFF = datetime(2026, 1, 1, 15, tzinfo=UTC)
ENDS = (S.SUCCESS, S.FAILED, S.TIMED_OUT, S.CANCELLED)
TASKS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([None, "CONTINUE_TASK", "CANCEL_TASK"])), max_size=5
)


class Course:
    """An execution to which things happen; checks each step against what was so before it."""

    def __init__(self, tasks: list[tuple[int, int, str | None]]) -> None:
        made = [
            TaskState(
                id=f"t{n}",
                status=S.PENDING,
                priority=priority,
                cutoff_behavior=behavior,
                invocations=tuple(InvocationState(id=f"t{n}.{i}", status=S.PENDING) for i in range(count)),
            )
            for n, (priority, count, behavior) in enumerate(sorted(tasks, key=lambda task: task[0]))
        ]
        self.state = ExecutionState(status=S.IN_PROGRESS, cutoff_at=CUTOFF, tasks=made)
        self.now = CUTOFF - timedelta(hours=2)

    def running(self) -> list[str]:
        return [i.id for t in self.state.tasks for i in t.invocations if i.status in (S.IN_PROGRESS, S.CANCELLING)]

    def step(self) -> None:
        """All steps that are due now."""
        for _ in range(200):
            step = next_step(self.state, self.now)
            if step is None:
                return
            self._take(step)
        raise AssertionError("it does not come to rest")

    def _take(self, step: Step) -> None:
        match step:
            case BeginTask(task_id):
                task = self._task(task_id)
                assert self.now < CUTOFF and self.state.status is S.IN_PROGRESS
                assert not [t for t in self.state.tasks if t.priority < task.priority and t.status.open]
                self._set_task(task_id, S.IN_PROGRESS)
            case StartInvocation(invocation_id):
                task = self._task_of(invocation_id)
                assert task.status is S.IN_PROGRESS
                assert self.now < CUTOFF or task.cutoff_behavior != "CANCEL_TASK"
                assert not [i for i in task.invocations if i.status in (S.IN_PROGRESS, S.CANCELLING)]
                self.move(invocation_id, S.IN_PROGRESS)
            case CancelInvocation(invocation_id, task_id):
                assert self.now >= CUTOFF and self._task(task_id).cutoff_behavior == "CANCEL_TASK"
                self.move(invocation_id, S.CANCELLING)
                self._set_task(task_id, S.CANCELLING)
            case EndInvocation(invocation_id, status, _):
                self.move(invocation_id, status)
            case EndTask(task_id, status, _):
                assert not [i for i in self._task(task_id).invocations if i.status.open]
                self._set_task(task_id, status)
            case EndExecution(status, _):
                assert not [t for t in self.state.tasks if t.status.open]
                self.state = replace(self.state, status=status)

    def move(self, invocation_id: str, status: RunStatus) -> None:
        task = self._task_of(invocation_id)
        before = next(i.status for i in task.invocations if i.id == invocation_id)
        assert before.open and (before, status) != (S.IN_PROGRESS, S.PENDING), "statuses only move forward"
        changed = tuple(replace(i, status=status) if i.id == invocation_id else i for i in task.invocations)
        self._replace(task.id, replace(task, invocations=changed))

    def _set_task(self, task_id: str, status: RunStatus) -> None:
        assert self._task(task_id).status.open
        self._replace(task_id, replace(self._task(task_id), status=status))

    def _replace(self, task_id: str, new: TaskState) -> None:
        tasks = [new if t.id == task_id else t for t in self.state.tasks]
        self.state = replace(self.state, tasks=tasks)

    def _task(self, task_id: str) -> TaskState:
        return next(t for t in self.state.tasks if t.id == task_id)

    def _task_of(self, invocation_id: str) -> TaskState:
        return self._task(invocation_id.split(".")[0])


@given(TASKS, st.randoms(use_true_random=False), st.booleans())
def test_every_execution_ends_and_keeps_its_rules_on_the_way(
    tasks: list[tuple[int, int, str | None]], chance: Random, cancelled: bool
) -> None:
    course = Course(tasks)
    course.step()
    for turn in range(60):
        if not course.state.status.open:
            break
        if cancelled and turn == 1:
            course.state = replace(course.state, status=S.CANCELLING)
        running = course.running()
        if running and chance.random() < 0.7:
            course.move(chance.choice(running), chance.choice(ENDS))
        else:
            course.now += timedelta(minutes=chance.randint(1, 90))
        course.step()
    else:
        raise AssertionError(f"never over: {course.state}")
    results = {t.status for t in course.state.tasks}
    if course.state.status is S.SUCCESS:
        assert results <= {S.SUCCESS}
    if S.FAILED in results:
        assert course.state.status in (S.FAILED, S.CANCELLED)


@given(st.recursive(st.text(max_size=20), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)))
def test_texts_without_pseudo_parameters_stay_as_they_are(value: object) -> None:
    known = dict.fromkeys(Pseudo, "x")
    if "{{" not in str(value):
        assert filled(value, known) == value
        assert not_for_commands(value) == []


@given(st.sampled_from(list(Pseudo)), st.text(max_size=10), st.text(max_size=10))
def test_a_pseudo_parameter_is_replaced_wherever_it_stands(name: Pseudo, before: str, after: str) -> None:
    text = f"{before.replace('{', '')}{{{{{name}}}}}{after.replace('}', '')}"
    expected = f"{before.replace('{', '')}VALUE{after.replace('}', '')}"
    assert filled({"a": [text]}, {name: "VALUE"}) == {"a": [expected]}
    assert filled(text, {}) == text
