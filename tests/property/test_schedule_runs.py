"""Cron schedules for all expressions: equal to a second, plain reading; and what holds for every schedule."""

from datetime import UTC, datetime, timedelta
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property import second_schedule

from patchwright.core.errors import Invalid
from patchwright.core.schedules.expressions import parse
from patchwright.core.schedules.schedule import next_run, runs, schedule_from
from patchwright.core.schedules.words import words_of
from patchwright.core.schedules.zones import zone_named

ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"]
)
"""Gaps of an hour and of half an hour, at night and at midnight."""
CHANGES = [
    datetime(2026, *at, tzinfo=UTC) for at in ((3, 8, 7), (3, 29, 1), (10, 25, 1), (11, 1, 6), (10, 3, 15), (4, 4, 15))
]
MOMENTS = st.builds(
    lambda change, minutes: change + timedelta(minutes=minutes),
    st.sampled_from([*CHANGES, datetime(2026, 2, 27, 12, tzinfo=UTC), datetime(2026, 12, 31, 12, tzinfo=UTC)]),
    st.integers(-1_500, 1_500),
)


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    """`5`, `5/7`, `5-9`, `5-9/2`, `*`, `*/3`, and lists of them."""
    one = st.integers(low, high)
    step = st.integers(1, high - low)
    span = st.tuples(one, one).map(lambda p: f"{min(p)}-{max(p)}")
    item = st.one_of(
        one.map(str), span, st.just("*"),
        st.tuples(one.map(str) | span | st.just("*"), step).map(lambda p: f"{p[0]}/{p[1]}"),
    )  # fmt: skip
    return st.lists(item, min_size=1, max_size=3).map(",".join)


NAMES = st.sampled_from(second_schedule.DAYS)
MONTH_DAYS = st.one_of(
    numbers(1, 31),
    st.lists(
        st.one_of(
            st.integers(1, 31).map(str), st.integers(1, 31).map(lambda n: f"{n}W"),
            st.integers(1, 30).map(lambda n: f"L-{n}"),
            st.sampled_from(["L", "LW"]),
        ),
        min_size=1, max_size=4,
    ).map(",".join),
)  # fmt: skip
WEEKDAYS = st.one_of(
    st.lists(NAMES | NAMES.map(lambda n: f"{n}L") | st.just("L"), min_size=1, max_size=4).map(",".join),
    st.tuples(NAMES, st.integers(1, 5)).map(lambda p: f"{p[0]}#{p[1]}"),
    st.just("*"),
)
DAYS = st.one_of(MONTH_DAYS.map(lambda d: (d, "?")), WEEKDAYS.map(lambda d: ("?", d)))
FIELDS = st.tuples(
    numbers(0, 59), numbers(0, 23), DAYS, st.just("*") | numbers(1, 12), st.just("*") | st.just("2026")
).map(lambda f: [f[0], f[1], f[2][0], f[3], f[2][1], f[4]])


def equal_to_the_plain_reading(
    fields: list[str], zone: str, offset: int, after: datetime, made: int, days: int
) -> None:
    since = after + timedelta(minutes=made)
    schedule = schedule_from(f"cron({' '.join(fields)})", zone=zone, since=since, offset_days=offset)
    until = after + timedelta(days=days)
    found = []
    for run in runs(schedule, after):
        if run > until:
            break
        found.append(run)
    assert found == second_schedule.runs(fields, schedule.zone, offset, since, after, until)


@settings(max_examples=30, deadline=None)
@given(FIELDS, MOMENTS, st.integers(-2_000, 2_000))
def test_a_cron_means_what_the_plain_reading_says(fields: list[str], after: datetime, made: int) -> None:
    equal_to_the_plain_reading(fields, "UTC", 0, after, made, 4)


@settings(max_examples=60, deadline=None)
@given(
    numbers(0, 59), st.just("*") | numbers(0, 5), ZONES, st.integers(0, 2), MOMENTS, st.integers(-2_000, 500)
)  # fmt: skip
def test_clocks_that_change_mean_what_the_plain_reading_says(
    minutes: str, hours: str, zone: str, offset: int, after: datetime, made: int
) -> None:
    equal_to_the_plain_reading([minutes, hours, "*", "*", "?", "*"], zone, offset, after, made, 1)


@settings(deadline=None)
@given(FIELDS, ZONES, st.integers(-6, 30), MOMENTS)
def test_the_next_run_is_the_first_of_all_and_comes_after(
    fields: list[str], zone: str, offset: int, after: datetime
) -> None:
    """Asking again after each run gives the same list: the loop does that, a preview walks through."""
    schedule = schedule_from(f"cron({' '.join(fields)})", zone=zone, since=after, offset_days=offset)
    listed = list(islice(runs(schedule, after), 4))
    at, asked = after, []
    while len(asked) < 4 and (run := next_run(schedule, at)) is not None:
        assert run > at
        asked.append(run)
        at = run
    assert asked == listed
    assert words_of(schedule)


@given(st.text(max_size=60).map(lambda t: f"cron({t})") | st.text(max_size=60))
def test_any_text_is_a_schedule_or_is_refused_with_a_reason(text: str) -> None:
    try:
        parse(text)
    except Invalid as refused:
        assert refused.message


@given(st.text(max_size=40))
def test_any_text_is_a_zone_or_is_refused(name: str) -> None:
    try:
        assert zone_named(name).key == name
    except Invalid as refused:
        assert "IANA" in refused.message
