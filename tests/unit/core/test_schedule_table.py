"""The worked examples of operations.md 4.3: each schedule with its first runs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import pytest

from patchwright.core.schedules.schedule import runs, schedule_from
from patchwright.core.schedules.zones import instant_from, text_of

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
NEW_YORK, SYDNEY = "America/New_York", "Australia/Sydney"


@dataclass(frozen=True, kw_only=True)
class Row:
    text: str
    runs: str
    zone: str = "UTC"
    offset: int = 0
    now: str = "2026-01-01T00:00Z"
    made: str = ""
    start: str = ""
    end: str = ""
    last: bool = False
    """Whether nothing comes after the runs listed."""


ROWS = {
    "1 Patch Tuesday": Row(text="cron(0 2 ? * TUE#2 *)", runs="2026-01-13T02:00Z 2026-02-10T02:00Z 2026-03-10T02:00Z"),
    "2 in New York": Row(
        text="cron(0 2 ? * TUE#2 *)",
        zone=NEW_YORK,
        runs="2026-01-13T02:00-05:00 2026-02-10T02:00-05:00 2026-03-10T02:00-04:00",
    ),
    "3 the Saturday after": Row(
        text="cron(0 2 ? * TUE#2 *)",
        zone=NEW_YORK,
        offset=4,
        runs="2026-01-17T02:00-05:00 2026-02-14T02:00-05:00 2026-03-14T02:00-04:00",
    ),
    "4 two days after": Row(
        text="cron(30 23 ? * TUE#3 *)", offset=2, runs="2026-01-22T23:30Z 2026-02-19T23:30Z 2026-03-19T23:30Z"
    ),
    "5 made between day and offset": Row(
        text="cron(30 23 ? * TUE#3 *)",
        offset=2,
        now="2026-01-21T12:00Z",
        made="2026-01-21T12:00Z",
        runs="2026-02-19T23:30Z 2026-03-19T23:30Z",
    ),
    "6 the same made earlier": Row(
        text="cron(30 23 ? * TUE#3 *)", offset=2, now="2026-01-21T12:00Z", runs="2026-01-22T23:30Z 2026-02-19T23:30Z"
    ),
    "7 by number": Row(text="cron(0 2 ? * 3#2 *)", runs="2026-01-13T02:00Z 2026-02-10T02:00Z 2026-03-10T02:00Z"),
    "8 last day": Row(text="cron(0 2 L * ? *)", runs="2026-01-31T02:00Z 2026-02-28T02:00Z 2026-03-31T02:00Z"),
    "9 last Friday": Row(text="cron(15 10 ? * 6L *)", runs="2026-01-30T10:15Z 2026-02-27T10:15Z 2026-03-27T10:15Z"),
    "10 last Tuesday": Row(text="cron(0 0 ? * 3L *)", runs="2026-01-27T00:00Z 2026-02-24T00:00Z 2026-03-31T00:00Z"),
    "11 near the 15th": Row(text="cron(0 6 15W * ? *)", runs="2026-01-15T06:00Z 2026-02-16T06:00Z 2026-03-16T06:00Z"),
    "12 near the 1st": Row(text="cron(0 6 1W * ? *)", runs="2026-01-01T06:00Z 2026-02-02T06:00Z 2026-03-02T06:00Z"),
    "13 near the 31st": Row(text="cron(0 6 31W * ? *)", runs="2026-01-30T06:00Z 2026-03-31T06:00Z 2026-05-29T06:00Z"),
    "14 last working day": Row(
        text="cron(0 22 LW * ? *)", runs="2026-01-30T22:00Z 2026-02-27T22:00Z 2026-03-31T22:00Z"
    ),
    "15 leap days": Row(text="cron(0 4 29 2 ? *)", runs="2028-02-29T04:00Z 2032-02-29T04:00Z 2036-02-29T04:00Z"),
    "16 the 31st": Row(text="cron(0 4 31 * ? *)", runs="2026-01-31T04:00Z 2026-03-31T04:00Z 2026-05-31T04:00Z"),
    "17 fifth Monday": Row(text="cron(0 0 ? * MON#5 *)", runs="2026-03-30T00:00Z 2026-06-29T00:00Z 2026-08-31T00:00Z"),
    "18 quarters": Row(
        text="cron(0 3 1 JAN,APR,JUL,OCT ? *)", runs="2026-01-01T03:00Z 2026-04-01T03:00Z 2026-07-01T03:00Z"
    ),
    "19 half hours": Row(
        text="cron(0/30 9-17 ? * MON-FRI *)",
        now="2026-01-02T17:15Z",
        runs="2026-01-02T17:30Z 2026-01-05T09:00Z 2026-01-05T09:30Z",
    ),
    "20 weekends": Row(text="cron(0 3 ? * 7,1 *)", runs="2026-01-03T03:00Z 2026-01-04T03:00Z 2026-01-10T03:00Z"),
    "21 with seconds": Row(
        text="cron(24 30 09 ? * * *)", runs="2026-01-01T09:30:24Z 2026-01-02T09:30:24Z 2026-01-03T09:30:24Z"
    ),
    "22 the order of Quartz": Row(
        text="cron(0 15 10 ? * *)", runs="2026-01-01T10:15Z 2026-01-02T10:15Z 2026-01-03T10:15Z"
    ),
    "23 seven fields in London": Row(
        text="cron(0 0 21 ? 1/1 TUE#2 *)",
        zone="Europe/London",
        now="2026-02-20T00:00Z",
        runs="2026-03-10T21:00Z 2026-04-14T21:00+01:00 2026-05-12T21:00+01:00",
    ),
    "24 one year": Row(text="cron(0 9 1 1 ? 2027)", runs="2027-01-01T09:00Z", last=True),
    "24 a past year": Row(text="cron(0 9 1 1 ? 2025)", runs="", last=True),
    "25 spring gap": Row(
        text="cron(30 2 ? * SUN *)",
        zone=NEW_YORK,
        now="2026-03-01T12:00Z",
        runs="2026-03-08T03:30-04:00 2026-03-15T02:30-04:00 2026-03-22T02:30-04:00",
    ),
    "26 always in the gap": Row(
        text="cron(30 2 ? 3 SUN#2 *)",
        zone=NEW_YORK,
        runs="2026-03-08T03:30-04:00 2027-03-14T03:30-04:00 2028-03-12T03:30-04:00",
    ),
    "27 autumn overlap": Row(
        text="cron(30 1 ? * SUN *)",
        zone=NEW_YORK,
        now="2026-10-26T00:00Z",
        runs="2026-11-01T01:30-04:00 2026-11-08T01:30-05:00 2026-11-15T01:30-05:00",
    ),
    "28 southern gap": Row(
        text="cron(30 2 ? * SUN *)",
        zone=SYDNEY,
        now="2026-09-28T00:00Z",
        runs="2026-10-04T03:30+11:00 2026-10-11T02:30+11:00 2026-10-18T02:30+11:00",
    ),
    "29 southern overlap": Row(
        text="cron(30 2 ? * SUN *)",
        zone=SYDNEY,
        now="2026-03-30T00:00Z",
        runs="2026-04-05T02:30+11:00 2026-04-12T02:30+10:00 2026-04-19T02:30+10:00",
    ),
    "30 an offset over the change": Row(
        text="cron(0 22 ? * SAT#1 *)",
        zone=SYDNEY,
        offset=1,
        now="2026-03-20T00:00Z",
        runs="2026-04-05T22:00+10:00 2026-05-03T22:00+10:00 2026-06-07T22:00+10:00",
    ),
    "31 the same in the north": Row(
        text="cron(0 23 ? * SAT *)",
        zone=NEW_YORK,
        offset=1,
        now="2026-03-05T00:00Z",
        runs="2026-03-08T23:00-04:00 2026-03-15T23:00-04:00 2026-03-22T23:00-04:00",
    ),
    "32 a start date": Row(
        text="cron(0 09 ? * WED *)",
        zone="America/Los_Angeles",
        now="2021-01-01T08:00Z",
        start="2021-01-01T00:00:00-08:00",
        runs="2021-01-06T09:00-08:00",
    ),
    "33 a rate with start and end": Row(
        text="rate(7 days)",
        zone="Asia/Tokyo",
        now="2018-12-31T00:00Z",
        start="2019-01-01T00:03:15+09:00",
        end="2019-06-30T00:06:15+09:00",
        runs="2019-01-01T00:03:15+09:00 2019-01-08T00:03:15+09:00",
    ),
    "33 its last run": Row(
        text="rate(7 days)",
        zone="Asia/Tokyo",
        now="2019-06-20T00:00Z",
        start="2019-01-01T00:03:15+09:00",
        end="2019-06-30T00:06:15+09:00",
        runs="2019-06-25T00:03:15+09:00",
        last=True,
    ),
    "34 once": Row(
        text="at(2026-07-07T15:55:00)", zone="America/Los_Angeles", runs="2026-07-07T15:55-07:00", last=True
    ),
}


@pytest.fixture(params=["", "Pacific/Kiritimati"])
def _zone_of_the_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may hang on the zone that the host is set to."""
    if request.param:
        monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone_of_the_process")
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_examples(row: Row) -> None:
    schedule = schedule_from(
        row.text,
        zone=row.zone,
        since=instant_from(row.made, "made") if row.made else LONG_AGO,
        offset_days=row.offset,
        starts_at=instant_from(row.start, "StartDate") if row.start else None,
        ends_at=instant_from(row.end, "EndDate") if row.end else None,
    )
    expected = row.runs.split()
    wanted = len(expected) + row.last
    found = [text_of(r, schedule.zone) for r in islice(runs(schedule, instant_from(row.now, "now")), wanted)]
    assert found == expected
