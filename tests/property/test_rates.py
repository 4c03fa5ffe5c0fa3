"""Rates for all inputs: the slow start never outruns its acknowledgements nor the cap, and never stalls.

Source: operations.md 3.2.
"""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.commands import ERRORS, OPEN, Details, RollUp, may_move, moved, roll_up
from patchwright.core.rates import Progress, Ramp, concurrency_cap, error_threshold, may_start

RATES = st.one_of(st.integers(1, 200).map(str), st.integers(1, 100).map(lambda p: f"{p}%"))


@given(RATES, st.integers(0, 10_000))
def test_a_cap_starts_something_and_a_threshold_is_never_above_what_was_written(text: str, n: int) -> None:
    assert concurrency_cap(text, n) >= 1
    whole = int(text.rstrip("%"))
    assert error_threshold(text, n) <= (n * whole / 100 if text.endswith("%") else whole)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.integers(0, 5))
def test_what_may_start_fits_the_cap(waiting: int, in_flight: int, errors: int, cap: int, threshold: int) -> None:
    count = may_start(Progress(waiting=waiting, in_flight=in_flight, errors=errors), cap=cap, threshold=threshold)
    if errors > threshold:
        assert count is None
        return
    assert count is not None
    assert count <= waiting
    assert in_flight + count <= max(cap, in_flight)
    assert count > 0 or waiting == 0 or in_flight >= cap


@given(st.integers(1, 64), st.integers(1, 20), st.lists(st.booleans(), min_size=200, max_size=200), st.randoms())
def test_a_slow_start_offers_all_in_the_end_and_never_more_than_it_may(
    targets: int, cap: int, there: list[bool], chance: Random
) -> None:
    """Nodes acknowledge and end in any order; offline ones give their slot up after a while."""
    queue = list(range(targets))
    flying: list[int] = []
    acknowledged = asked = 0
    unanswered: set[int] = set()
    for _ in range(4 * targets + 8):
        room = may_start(Progress(waiting=len(queue), in_flight=len(flying), errors=0), cap=cap, threshold=0) or 0
        ramp = Ramp(acknowledged=acknowledged, unanswered=len(unanswered))
        offered = queue[: ramp.admits(there[i] for i in queue[:room])]
        del queue[: len(offered)]
        flying += offered
        unanswered |= {i for i in offered if there[i]}
        asked += len(offered)
        assert len(flying) <= cap
        assert len(unanswered) <= acknowledged + 1
        if not flying:
            break
        one = chance.choice(flying)
        if one in unanswered:
            unanswered.remove(one)
            acknowledged += 1
        flying.remove(one)
    assert (asked, queue) == (targets, [])


@given(st.lists(st.sampled_from(sorted(OPEN)), min_size=1, max_size=12), st.data(), st.integers(0, 4), st.booleans())
def test_counters_carried_move_by_move_are_those_that_counting_gives(
    start: list[Details], data: st.DataObject, threshold: int, cancelled: bool
) -> None:
    now = list(start)

    def counted() -> RollUp:
        return roll_up({d: now.count(d) for d in set(now)}, threshold=threshold, cancelled=cancelled)

    rolled = counted()
    for _ in range(20):
        moves = [(i, new) for i, old in enumerate(now) for new in Details if may_move(old, new)]
        if not moves:
            break
        at, new = data.draw(st.sampled_from(moves))
        rolled = moved(rolled, now[at], new)
        now[at] = new
        if all(d.terminal for d in now):
            assert rolled.completed == len(now)
            return
        assert rolled == counted()
        assert rolled.errors == sum(d in ERRORS for d in now)
