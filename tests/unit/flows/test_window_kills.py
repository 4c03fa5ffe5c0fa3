"""Servers that are killed between any two transactions, and two that look at once: a start runs once, nothing is lost.

Source: decisions/0032-window-runs.md.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from tests.unit.window_lab import WindowLab

from patchwright.core.values import CommandId, NodeId, WindowId
from patchwright.loops.windows import WindowsLoop
from patchwright.store import windows
from patchwright.store.engine import Engine, Tx
from patchwright.store.tables import command


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches a kill."""


class MortalStore:
    """A store whose server dies in its n-th transaction, before or after the commit."""

    def __init__(self, store: Engine, transactions: int, *, after_commit: bool) -> None:
        self._store = store
        self._left = transactions
        self._after_commit = after_commit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write(self, work: Callable[[Tx], Any]) -> Any:
        self._left -= 1
        if self._left >= 0:
            return self._store.write(work)
        if self._after_commit:
            self._store.write(work)
        raise Killed


@pytest.fixture
def lab(store: Engine) -> WindowLab:
    return WindowLab(store)


def killed_turn(lab: WindowLab, transactions: int, *, after_commit: bool) -> bool:
    """A turn by a server that dies after so many transactions; whether it did. Another server then has its turn."""
    mortal: Any = MortalStore(lab.store, transactions, after_commit=after_commit)
    try:
        WindowsLoop(mortal, lab.ids, fast_start=True, catch_up=True).turn(lab.now)
    except Killed:
        lab.turn()
        return True
    return False


def two_tasks(lab: WindowLab) -> tuple[WindowId, list[NodeId]]:
    """A window with two targets in its first task, two tasks beside it, and one that finds nobody."""
    nodes = lab.add(4)
    window = lab.window()
    lab.task(window, lab.target(window, nodes[0]), lab.target(window, nodes[1]), priority=1)
    lab.task(window, nodes=[nodes[2]], priority=1)
    lab.task(window, "00000000-0000-4000-8000-0000000000ff", priority=2)
    lab.task(window, nodes=[nodes[3]], priority=2, cutoff_behavior="CANCEL_TASK")
    return window, nodes


@pytest.mark.parametrize("after_commit", [False, True], ids=["before commit", "after commit"])
def test_a_kill_between_any_two_transactions_changes_nothing(lab: WindowLab, after_commit: bool) -> None:
    transactions, died = 0, True
    while died and transactions < 20:
        window, nodes = two_tasks(lab)
        lab.now = lab.next_start(window)
        for node in nodes:
            lab.beat(node)
        died = killed_turn(lab, transactions, after_commit=after_commit)
        assert lab.statuses(window) == [["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "PENDING", "PENDING"]]
        first, beside = lab.sent(window)
        lab.end(nodes[0], first)
        died |= killed_turn(lab, transactions, after_commit=after_commit)
        _, second, _ = lab.sent(window)
        lab.end(nodes[1], second)
        lab.end(nodes[2], beside)
        died |= killed_turn(lab, transactions, after_commit=after_commit)
        assert lab.statuses(window) == [["IN_PROGRESS", "SUCCESS", "SUCCESS", "SUCCESS", "IN_PROGRESS"]]
        sent: list[CommandId] = lab.sent(window)
        assert len(set(sent)) == len(sent) == 4
        lab.tick(hours=2)
        died |= killed_turn(lab, transactions, after_commit=after_commit)
        assert lab.command(sent[3]).cancelled_at is not None
        assert lab.statuses(window) == [["TIMED_OUT", "SUCCESS", "SUCCESS", "SUCCESS", "TIMED_OUT"]]
        _no_command_without_its_link(lab, window, sent)
        lab.store.write(lambda tx, window=window: windows.delete(tx, window))  # type: ignore[misc]
        transactions += 1
    assert 3 < transactions < 20, "a turn had fewer transactions than this test is about"


def test_two_servers_that_look_at_once_make_one_start_and_one_command(lab: WindowLab) -> None:
    made = [two_tasks(lab)[0] for _ in range(4)]
    lab.now = lab.next_start(made[0])
    barrier = threading.Barrier(2)
    failures: list[BaseException] = []

    def serve() -> None:
        loop = lab.new_loop()
        barrier.wait(10)
        try:
            for _ in range(3):
                loop.turn(lab.now)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=serve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    for window in made:
        assert lab.statuses(window) == [["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "PENDING", "PENDING"]]
        sent = lab.sent(window)
        assert len(set(sent)) == len(sent) == 2
        _no_command_without_its_link(lab, window, sent)


def _no_command_without_its_link(lab: WindowLab, window: WindowId, linked: list[CommandId]) -> None:
    arn = f"arn:aws:ssm:local-1:000000000001:maintenancewindow/{window}"
    of_window = select(command.c.id).where(command.c.requested_by == arn)
    made = lab.store.read(lambda tx: list(tx.execute(of_window).scalars()))
    assert set(made) >= set(linked)
    assert sorted(made) == sorted(lab.sent(window))
