"""When maintenance windows start, under a virtual clock: late, once, not at all. Source: operations.md 4.3, 4.6."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.unit.fleet import HERE, NOW
from tests.unit.window_lab import WindowLab

from patchwright.flows.change_window import update_window
from patchwright.store import windows
from patchwright.store.engine import Engine, Tx


@pytest.fixture
def lab(store: Engine) -> WindowLab:
    return WindowLab(store)


@pytest.mark.parametrize(
    ("catch_up", "found_at", "expected", "said"),
    [
        (True, (13, 4), "IN_PROGRESS", ""),
        (True, (13, 47), "IN_PROGRESS", "Started 47 minutes late"),
        (True, (14, 59), "IN_PROGRESS", "late"),
        (True, (15, 0), "TIMED_OUT", "after the cutoff time"),
        (False, (13, 4), "IN_PROGRESS", ""),
        (False, (13, 47), "TIMED_OUT", "not caught up"),
    ],
)
def test_a_start_that_was_missed_is_caught_up_or_recorded(
    store: Engine, catch_up: bool, found_at: tuple[int, int], expected: str, said: str
) -> None:
    lab = WindowLab(store)
    lab.loop = lab.new_loop(catch_up=catch_up)
    (node,) = lab.add()
    window = lab.window()
    lab.task(window, nodes=[node])
    lab.until(*found_at)
    (execution,) = lab.executions(window)
    assert execution.status == expected
    assert said in execution.details
    assert len(lab.sent(window)) == (expected == "IN_PROGRESS")
    assert execution.due_at == NOW.replace(hour=13)


def test_days_without_a_server_leave_a_row_for_each_start(lab: WindowLab) -> None:
    window = lab.window()
    lab.tick(days=45, hours=2)
    for _ in range(4):
        lab.turn()
    found = lab.executions(window)
    assert len(found) == 30
    assert {str(e.status) for e in found[:-1]} == {"TIMED_OUT"}
    assert found[-1].details.startswith("Started 60 minutes late")
    assert lab.next_start(window) > lab.now


def test_a_slot_runs_once_however_often_and_by_whomever_it_is_looked_at(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    lab.task(window, nodes=[node])
    lab.until(13)
    other = lab.new_loop()
    for _ in range(3):
        other.turn(lab.now)
        lab.turn()
    # Even if somebody sets the pointer back, as a clock that jumps would.
    lab.store.write(lambda tx: windows.set_next_start(tx, window, NOW.replace(hour=13)))
    lab.turn()
    assert len(lab.executions(window)) == 1
    assert len(lab.sent(window)) == 1
    assert lab.next_start(window) == NOW.replace(hour=13) + timedelta(days=1)


def test_disabled_windows_do_not_start_and_what_runs_goes_on(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    lab.task(window, nodes=[node])
    lab.until(13)
    _update(lab, window, enabled=False)
    assert lab.next_start(window) is None
    lab.end(node, lab.sent(window)[0])
    lab.turn()
    assert lab.statuses(window) == [["SUCCESS", "SUCCESS"]]
    lab.tick(days=1)
    lab.turn()
    assert len(lab.executions(window)) == 1
    _update(lab, window, enabled=True)
    assert lab.next_start(window) == lab.now.replace(hour=13, minute=0) + timedelta(days=1)


def test_an_update_in_the_very_moment_of_a_start_loses_nothing(lab: WindowLab) -> None:
    window = lab.window()
    lab.now = lab.now.replace(hour=13)
    _update(lab, window, schedule="cron(0 20 * * ? *)")
    lab.turn()
    assert [e.due_at.hour for e in lab.executions(window)] == [13]
    assert lab.next_start(window).hour == 20


def test_a_rate_starts_when_it_is_made_and_not_when_it_is_changed(lab: WindowLab) -> None:
    window = lab.window("rate(2 hours)")
    lab.turn()
    assert [e.due_at for e in lab.executions(window)] == [NOW]
    lab.tick(minutes=30)
    _update(lab, window, schedule="rate(3 hours)")
    lab.turn()
    assert len(lab.executions(window)) == 1
    assert lab.next_start(window) == lab.now + timedelta(hours=3)


def test_the_loop_looks_again_at_the_next_start_and_at_the_cutoff(lab: WindowLab) -> None:
    (node,) = lab.add()
    window = lab.window()
    assert lab.loop.turn(lab.now) == NOW.replace(hour=13)
    lab.task(window, nodes=[node])
    lab.now = NOW.replace(hour=13)
    assert lab.loop.turn(lab.now) == NOW.replace(hour=15)
    lab.now = NOW.replace(hour=15)
    assert lab.loop.turn(lab.now) == NOW.replace(hour=13) + timedelta(days=1)


def test_a_broken_window_does_not_keep_others_from_running(lab: WindowLab) -> None:
    broken, sound = lab.window(), lab.window()
    lab.store.write(lambda tx: windows.update(tx, replace(windows.get(tx, HERE, broken), zone="Gone/Zone")))
    with pytest.raises(Exception, match=broken):
        lab.until(13)
    assert lab.statuses(sound) == [["SUCCESS"]]


def _update(lab: WindowLab, window: str, **changes: object) -> datetime | None:
    def work(tx: Tx) -> datetime | None:
        before = windows.get(tx, HERE, window)
        after = replace(before, **changes)  # type: ignore[arg-type]
        return update_window(tx, before, after, lab.now, ids=lab.ids, catch_up=True).next_start_at

    return lab.store.write(work)
