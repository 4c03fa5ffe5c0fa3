"""`patchwright schedule`: words and runs, in three forms, without a server."""

import csv
import io
import json

import pytest

from patchwright.cli.main import main

FROM = ["--from", "2026-03-01T00:00:00Z"]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["schedule", *words]) == 0
    return capsys.readouterr().out


def test_a_table_says_it_in_words_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "cron(30 2 ? * SUN#2 *)", "--zone", "America/New_York", "-n", "2", *FROM)
    assert out.splitlines() == [
        "At 02:30 on the second Sunday of the month, America/New_York.",
        "",
        "DAY     LOCAL                   UTC                NOTE",
        "Sunday  2026-03-08T03:30-04:00  2026-03-08T07:30Z  moved on: clocks go forward and leave its time out",
        "Sunday  2026-04-12T02:30-04:00  2026-04-12T06:30Z",
    ]


def test_ten_runs_as_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cron(0 2 ? * TUE#2 *)", "--zone", "Europe/Berlin", "--offset", "4", *FROM]
    answer = json.loads(shown(capsys, *words, "-o", "json"))
    assert answer["Words"] == "At 02:00 on the second Tuesday of the month, plus 4 days, Europe/Berlin"
    assert len(answer["Runs"]) == 10
    assert answer["Runs"][0] == {"Day": "Saturday", "Local": "2026-03-14T02:00+01:00", "Utc": "2026-03-14T01:00Z"}
    rows = list(csv.DictReader(io.StringIO(shown(capsys, *words, "-o", "csv"))))
    assert [r["UTC"] for r in rows] == [r["Utc"] for r in answer["Runs"]]


def test_bounds_and_a_schedule_that_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    bounds = ["--start", "2026-03-02T00:00:00Z", "--end", "2026-03-04T00:00:00Z"]
    runs = json.loads(shown(capsys, "rate(1 day)", *bounds, "-o", "json", *FROM))["Runs"]
    assert [r["Utc"] for r in runs] == ["2026-03-02T00:00Z", "2026-03-03T00:00Z", "2026-03-04T00:00Z"]
    assert "does not run any more" in shown(capsys, "at(2020-01-01T00:00)", *FROM)
    assert json.loads(shown(capsys, "at(2020-01-01T00:00)", "-o", "json", *FROM))["Runs"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cron(0 2 * * TUE *)"], "must be '?'"),
        (["rate(1 day)", "--zone", "Mars"], "not a time zone"),
        (["rate(1 day)", "--offset", "1"], "cron expression only"),
        (["rate(1 day)", "--from", "yesterday"], "--from"),
        (["rate(1 day)", "--count", "0"], "--count"),
    ],
)
def test_what_is_wrong_is_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", *words]) == 64
    assert said in capsys.readouterr().err
