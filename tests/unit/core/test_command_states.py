"""Rates, moves of status and the roll-up. Source: operations.md 3.2, 3.4, 13 (4)."""

import pytest

from patchwright.core.commands import ERRORS, OPEN, Details, details_of_reply, may_move, roll_up
from patchwright.core.rates import Progress, concurrency_cap, error_threshold, may_start

D = Details


@pytest.mark.parametrize(
    ("n", "concurrency", "cap", "errors", "threshold", "stops_at"),
    [
        (50, "10%", 5, "10%", 5, 6),
        (50, "50", 50, "0", 0, 1),
        (15, "10%", 1, "10%", 1, 2),
        (5, "10%", 1, "10%", 0, 1),
        (7, "50%", 3, "50%", 3, 4),
        (3, "100%", 3, "100%", 3, None),
        (1, "1", 1, "1", 1, None),
        (200, "25", 25, "3", 3, 4),
    ],
)
def test_the_rows_of_the_table(
    n: int, concurrency: str, cap: int, errors: str, threshold: int, stops_at: int | None
) -> None:
    assert concurrency_cap(concurrency, n) == cap
    assert error_threshold(errors, n) == threshold
    stopped = [
        e
        for e in range(n + 1)
        if may_start(Progress(waiting=1, in_flight=0, errors=e), cap=cap, threshold=threshold) is None
    ]
    assert min(stopped, default=None) == stops_at


def test_no_more_start_than_wait_and_than_there_is_room_for() -> None:
    def start(waiting: int, in_flight: int) -> int | None:
        return may_start(Progress(waiting=waiting, in_flight=in_flight, errors=0), cap=5, threshold=0)

    assert [start(10, 0), start(10, 3), start(1, 3), start(0, 0), start(10, 5), start(10, 9)] == [5, 2, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("counts", "threshold", "status", "details"),
    [
        ({D.FAILED: 1, D.TERMINATED: 4}, 0, "Failed", "Failed"),
        ({D.FAILED: 1, D.SUCCESS: 4}, 2, "Failed", "Incomplete"),
        ({D.FAILED: 2, D.SUCCESS: 3}, 2, "Failed", "Failed"),
        ({D.INVALID_PLATFORM: 1, D.SUCCESS: 1}, 0, "Success", "Success"),
        ({D.INVALID_PLATFORM: 2}, 0, "Failed", "Failed"),
        ({D.INVALID_PLATFORM: 4, D.SUCCESS: 1}, 0, "Success", "Success"),
        ({D.INVALID_PLATFORM: 5}, 0, "Failed", "Failed"),
        ({D.UNDELIVERABLE: 4, D.SUCCESS: 1}, 0, "Success", "Success"),
        ({D.UNDELIVERABLE: 2, D.ACCESS_DENIED: 1}, 0, "Failed", "Failed"),
        ({D.DELIVERY_TIMED_OUT: 1, D.SUCCESS: 2}, 0, "TimedOut", "DeliveryTimedOut"),
        ({D.DELIVERY_TIMED_OUT: 1, D.SUCCESS: 9}, 2, "Failed", "Incomplete"),
        ({D.EXECUTION_TIMED_OUT: 2}, 0, "TimedOut", "ExecutionTimedOut"),
        ({D.EXECUTION_TIMED_OUT: 1, D.FAILED: 1}, 0, "Failed", "Failed"),
        ({D.CANCELLED: 1, D.SUCCESS: 1}, 0, "Failed", "Incomplete"),
        ({D.SUCCESS: 3}, 0, "Success", "Success"),
        ({}, 0, "Success", "NoInstancesInTag"),
    ],
)
def test_the_final_word(counts: dict[Details, int], threshold: int, status: str, details: str) -> None:
    rolled = roll_up(counts, threshold=threshold)
    assert (rolled.status, rolled.details, rolled.open) == (status, details, False)
    assert rolled.completed == sum(counts.values())
    assert rolled.errors == sum(counts.get(d, 0) for d in ERRORS)


def test_a_command_is_pending_until_something_was_sent_and_cancelling_when_told() -> None:
    assert roll_up({D.PENDING: 2}, threshold=0).status == "Pending"
    assert roll_up({D.PENDING: 1, D.DELAYED: 1}, threshold=0).status == "InProgress"
    assert roll_up({D.PENDING: 1, D.SUCCESS: 1}, threshold=0).status == "InProgress"
    assert roll_up({D.IN_PROGRESS: 1}, threshold=0, cancelled=True).status == "Cancelling"
    assert roll_up({D.SUCCESS: 1, D.CANCELLED: 1}, threshold=0, cancelled=True).details == "Cancelled"


def test_terminal_states_never_change_and_every_open_one_can_end() -> None:
    for old in Details:
        for new in Details:
            if old not in OPEN:
                assert not may_move(old, new), (old, new)
    for old in OPEN:
        assert any(may_move(old, new) and new.terminal for new in Details)
        assert not may_move(old, D.PENDING)
    assert not may_move(D.IN_PROGRESS, D.TERMINATED)
    assert not may_move(D.CANCELLING, D.IN_PROGRESS)


def test_an_unknown_word_of_an_agent_means_nothing() -> None:
    assert details_of_reply("Success") is D.SUCCESS
    assert details_of_reply("TimedOut") is D.EXECUTION_TIMED_OUT
    assert details_of_reply("success") is None
    assert details_of_reply("") is None
