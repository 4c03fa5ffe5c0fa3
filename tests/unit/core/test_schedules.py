"""The grammar of schedules, their bounds, and how they are told in words. Source: operations.md 4.2, 4.3."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from patchwright.core.errors import Invalid, Kind
from patchwright.core.schedules.notes import note_of
from patchwright.core.schedules.schedule import Schedule, next_run, runs, schedule_from
from patchwright.core.schedules.words import words_of
from patchwright.core.schedules.zones import instant_from, text_of, zone_named

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def schedule(text: str, **options: Any) -> Schedule:
    return schedule_from(text, **{"since": NOW - timedelta(days=365), **options})


def first(text: str, count: int, *, after: datetime = NOW, **options: Any) -> list[str]:
    made = schedule(text, **options)
    return [text_of(run, made.zone) for run in islice(runs(made, after), count)]


WRONG = {
    "": "is not a schedule",
    "0 2 ? * TUE *": "is not a schedule",
    "cron(0 2 ? * TUE#2 *": "is not a schedule",
    "cron()": "0 fields",
    "cron(0 2 * *)": "4 fields",
    "cron(0 0 0 1 1 ? * *)": "8 fields",
    "cron(0 2 ? * ? *)": "only one of",
    "cron(0 2 * * TUE *)": "must be '?'",
    "cron(0 2 15 * TUE *)": "must be '?'",
    "cron(0 2 15 * * *)": "must be '?'",
    "cron(0 2 * * 2)": "must be '?'",
    "cron(60 2 ? * TUE *)": "'60' is not a minute: 0-59",
    "cron(0 24 ? * TUE *)": "is not a hour",
    "cron(0 2 32 * ? *)": "is not a day of month",
    "cron(0 2 0 * ? *)": "is not a day of month",
    "cron(0 2 ? 13 TUE *)": "is not a month",
    "cron(0 2 ? * 0 *)": "1-7 or SUN, MON",
    "cron(0 2 ? * 8 *)": "is not a day of week",
    "cron(0 2 ? * TUE 1969)": "is not a year",
    "cron(0 2 ? * TUE#6 *)": "#1 to #5",
    "cron(0 2 ? * 3#1,6#3 *)": "#1 to #5",
    "cron(0 2 ? * TUE#2,FRI *)": "#1 to #5",
    "cron(0 2 ? * XL *)": "is not a day of week",
    "cron(0 2 W * ? *)": "is not a day of month",
    "cron(0 2 32W * ? *)": "is not a day of month",
    "cron(0 2 L-31 * ? *)": "L- takes 1-30",
    "cron(0/0 2 ? * TUE *)": "the step after / is 1-59",
    "cron(0/90 2 ? * TUE *)": "the step after / is 1-59",
    "cron(5/ 2 ? * TUE *)": "the step after",
    "cron(30-10 2 ? * TUE *)": "the range ends before it begins",
    "cron(0 2 20-10 * ? *)": "the range ends before it begins",
    "cron(1,,2 2 ? * TUE *)": "is not a minute",
    "cron(٣ 2 ? * TUE *)": "is not a minute",
    "rate(0 minutes)": "at least 1",
    "rate(1 hours)": "rate(1 hour)",
    "rate(5 hour)": "hours for more than 1",
    "rate(2 weeks)": "minute, minutes, hour",
    "rate(-1 days)": "a rate is",
    "rate(1.5 days)": "a rate is",
    "rate(5  minutes)": "a rate is",
    "rate(36526 days)": "a hundred years",
    "rate(999999999 days)": "a hundred years",
    "at(2026-02-30T00:00:00)": "without a zone",
    "at(2026-02-03T00:00:00Z)": "without a zone",
    "at(2026-02-03)": "without a zone",
    "at(9999-12-31T23:59:59)": "1970-2199",
    "at(0001-01-01T00:00:00)": "1970-2199",
    f"cron(0 2 ? * TUE *{' ' * 256})": "is not a schedule",
}


@pytest.mark.parametrize(("text", "why"), WRONG.items())
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        schedule(text)
    assert refused.value.kind is Kind.SCHEDULE
    assert why in refused.value.message


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("CRON(0 2 ? * tue#2 *)", ["2026-01-13T02:00Z"]),
        ("cron( 0  2 ? * TUE#2 * )", ["2026-01-13T02:00Z"]),
        ("cron(0 2 ? * TUE#2)", ["2026-01-13T02:00Z"]),
        ("cron(0 2 ? * L *)", ["2026-01-03T02:00Z"]),
        ("cron(0 2 ? * FRIL *)", ["2026-01-30T02:00Z"]),
        ("cron(0 2 * * * *)", ["2026-01-01T02:00Z", "2026-01-02T02:00Z"]),
        ("cron(0 2 L-2 * ? *)", ["2026-01-29T02:00Z", "2026-02-26T02:00Z"]),
        ("cron(0 2 1,15W,L * ? *)", ["2026-01-01T02:00Z", "2026-01-15T02:00Z", "2026-01-31T02:00Z"]),
        ("cron(0 23-2/2 ? * * *)", ["2026-01-01T01:00Z", "2026-01-01T23:00Z", "2026-01-02T01:00Z"]),
        ("cron(0 2 ? NOV-JAN SAT-SUN *)", ["2026-01-03T02:00Z", "2026-01-04T02:00Z"]),
        ("cron(5/20 2 ? * * *)", ["2026-01-01T02:05Z", "2026-01-01T02:25Z", "2026-01-01T02:45Z"]),
        ("cron(0 0 2 * * ?)", ["2026-01-01T02:00Z"]),
        ("cron(0 2 30 2 ? *)", []),
        ("RATE(1 Day)", ["2026-01-02T00:00Z"]),
        ("rate(90minutes)", ["2026-01-01T01:30Z", "2026-01-01T03:00Z"]),
    ],
)
def test_what_is_right(text: str, runs: list[str]) -> None:
    since = NOW if "ate" in text.lower() else NOW - timedelta(days=365)
    assert first(text, max(1, len(runs)), since=since) == runs


@pytest.mark.parametrize(
    "name", ["", "Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "localtime", "Europe", "posix/UTC", "a" * 300]
)
def test_what_is_no_zone(name: str) -> None:
    with pytest.raises(Invalid, match="is not a time zone"):
        zone_named(name)


def test_an_offset_goes_with_cron_only() -> None:
    for text in ("rate(1 day)", "at(2026-01-02T03:04:05)"):
        with pytest.raises(Invalid, match="cron expression only"):
            schedule(text, offset_days=1)
    with pytest.raises(Invalid, match="-6 to 30"):
        schedule("cron(0 2 ? * TUE *)", offset_days=31)


def test_an_offset_back_never_runs_before_the_start() -> None:
    start = datetime(2026, 1, 12, tzinfo=UTC)
    assert first("cron(0 2 ? * TUE#2 *)", 2, offset_days=-2, starts_at=start) == [
        "2026-02-08T02:00Z",
        "2026-03-08T02:00Z",
    ]


def test_bounds() -> None:
    text = "cron(0 2 * * ? *)"
    start, end = datetime(2026, 2, 1, 2, tzinfo=UTC), datetime(2026, 2, 3, 2, tzinfo=UTC)
    assert first(text, 9, starts_at=start, ends_at=end) == [f"2026-02-0{d}T02:00Z" for d in (1, 2, 3)]
    with pytest.raises(Invalid, match="later than StartDate"):
        schedule(text, starts_at=start, ends_at=start)


def test_a_rate_counts_from_the_later_of_its_making_and_its_start() -> None:
    made = datetime(2026, 1, 1, 17, 1, 1, 137_900, tzinfo=UTC)
    assert first("rate(1 hour)", 2, since=made) == ["2026-01-01T17:01:01.137Z", "2026-01-01T18:01:01.137Z"]
    assert first("rate(1 hour)", 1, since=made, starts_at=NOW) == ["2026-01-01T17:01:01.137Z"]
    start = datetime(2026, 1, 5, tzinfo=UTC)
    assert first("rate(2 days)", 2, since=made, starts_at=start) == ["2026-01-05T00:00Z", "2026-01-07T00:00Z"]


def test_a_rate_counts_elapsed_time_when_clocks_change() -> None:
    options: Any = {"zone": "America/New_York", "since": datetime(2026, 3, 7, 7, tzinfo=UTC)}
    found = first("rate(1 day)", 3, after=datetime(2026, 3, 7, 6, tzinfo=UTC), **options)
    assert found == ["2026-03-07T02:00-05:00", "2026-03-08T03:00-04:00", "2026-03-09T03:00-04:00"]


def test_a_past_time_never_runs() -> None:
    made = schedule("at(2025-12-31T23:59)", since=NOW)
    assert next_run(made, NOW - timedelta(days=9)) is None
    assert next_run(schedule("at(2026-01-02T00:00)"), NOW) == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_gap_makes_no_run_twice_and_keeps_their_order() -> None:
    """02:00 and 02:30 do not exist that day; as 03:00 and 03:30 they meet those that do."""
    found = first("cron(0/30 * * * ? *)", 4, zone="America/New_York", after=datetime(2026, 3, 8, 6, tzinfo=UTC))
    assert found == [f"2026-03-08T{t}" for t in ("01:30-05:00", "03:00-04:00", "03:30-04:00", "04:00-04:00")]


def test_a_day_that_a_zone_left_out_moves_on_by_a_day() -> None:
    """Samoa had no 30 December 2011."""
    found = first(
        "cron(0 2 * * ? *)", 3, zone="Pacific/Apia", after=datetime(2011, 12, 29, tzinfo=UTC),
        since=datetime(2010, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert found == ["2011-12-29T02:00-10:00", "2011-12-31T02:00+14:00", "2012-01-01T02:00+14:00"]


@pytest.mark.parametrize(
    ("instant", "zone", "text"),
    [
        ("2026-07-01T00:00:00Z", "Europe/Berlin", "2026-07-01T02:00+02:00"),
        ("2019-10-20T12:34:56Z", "America/Los_Angeles", "2019-10-20T05:34:56-07:00"),
        ("2019-05-18T17:01:01.137999Z", "UTC", "2019-05-18T17:01:01.137Z"),
        ("2026-01-01T00:00:00.000999Z", "Europe/London", "2026-01-01T00:00Z"),
    ],
)
def test_how_a_run_is_written(instant: str, zone: str, text: str) -> None:
    assert text_of(instant_from(instant, "it"), zone_named(zone)) == text


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-01", "2026-01-01T00:00:00", "20260101T000000Z", "2026-02-30T00:00:00Z", "9999-01-01T00:00:00Z"],
)
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(Invalid, match="StartDate: "):
        instant_from(text, "StartDate")


def test_instants_with_nine_digits_are_read() -> None:
    assert instant_from("2026-01-01T01:00:00.123456789+01:00", "it") == NOW.replace(microsecond=123_456)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cron(0 2 ? * TUE#2 *)", "At 02:00 on the second Tuesday of the month, UTC"),
        ("cron(24 30 9,21 L * ? 2027-2030)", "At 09:30:24 and 21:30:24 on the last day of the month of 2027-2030, UTC"),
        ("cron(0/30 9-17 ? * MON-FRI *)", "At minute 0 and 30 of hour 9-17 every Monday to Friday, UTC"),
        ("cron(* * ? * * *)", "At every minute of every hour every day, UTC"),
        ("cron(0 3 1,15 JAN,JUL ? *)", "At 03:00 on day 1 and 15 of January and July, UTC"),
        ("cron(0 3 ? JAN SUN,WED *)", "At 03:00 every Sunday and Wednesday in January, UTC"),
        ("cron(0 3 L-1,LW,15W * ? *)",
         "At 03:00 1 day before the last day of the month, on the last working day (Monday to Friday) of the month and "
         "on the working day (Monday to Friday) nearest to day 15 of the month, UTC"),
        ("cron(0 3 ? * 6L *)", "At 03:00 on the last Friday of the month, UTC"),
        ("rate(48 hours)", "Every 2 days, counted by elapsed time, UTC"),
        ("rate(1 minute)", "Every minute, counted by elapsed time, UTC"),
        ("at(2026-07-07T15:55:30)", "Once, at 2026-07-07 15:55:30, UTC"),
    ],
)  # fmt: skip
def test_words(text: str, words: str) -> None:
    assert words_of(schedule(text)) == words


def test_words_name_zone_and_offset() -> None:
    made = schedule("cron(0 2 ? * TUE#2 *)", zone="Asia/Tokyo", offset_days=4)
    assert words_of(made) == "At 02:00 on the second Tuesday of the month, plus 4 days, Asia/Tokyo"


def test_notes_are_for_changes_of_the_clock_only() -> None:
    made = schedule("cron(30 1,2 * * ? *)", zone="America/New_York")
    noted = {text_of(run, made.zone): note for run in islice(runs(made, NOW), 700) if (note := note_of(made, run))}
    assert set(noted) == {"2026-03-08T03:30-04:00", "2026-11-01T01:30-04:00"}
    assert "forward" in noted["2026-03-08T03:30-04:00"]
    assert "first of two" in noted["2026-11-01T01:30-04:00"]
