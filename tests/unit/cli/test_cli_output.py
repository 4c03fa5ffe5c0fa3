"""What commands print is aligned, complete, and can't steer the terminal it is printed on."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from patchwright.cli.output import as_text, csv_text, json_text, printable, table


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("web\x1b[2J", "web\\u001b[2J"),
        ("a\nb\r\tc", "a\\u000ab\\u000d\\u0009c"),
        ("\x9b31m", "\\u009b31m"),
        ("\x7f\x00", "\\u007f\\u0000"),
        ("exe\u202ecod.pyz", "exe\\u202ecod.pyz"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\udcff", "\\udcff"),
        ("größe 日本", "größe 日本"),
    ],
)
def test_nothing_steers_the_terminal(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_columns_are_aligned_and_numbers_to_the_right() -> None:
    text = table(["NODE", "MISSING", "WHY"], [["mi-1", 7, "a b"], ["web-10\x1b", 123, None]])
    assert text == "NODE          MISSING  WHY\nmi-1                7  a b\nweb-10\\u001b      123\n"


def test_an_empty_table_still_names_its_columns() -> None:
    assert table(["NODE", "MISSING"], []) == "NODE  MISSING\n"


def test_values_become_cells() -> None:
    berlin = datetime(2026, 11, 20, 19, 30, tzinfo=timezone(timedelta(hours=1)))
    assert [as_text(v) for v in (None, True, 3, berlin, ["CVE-1", "CVE-2"])] == [
        "", "yes", "3", "2026-11-20T18:30:00Z", "CVE-1, CVE-2",
    ]  # fmt: skip


def test_json_is_ascii_and_says_the_same() -> None:
    value = {"name": "\x1b]0;x\x07\x7fé\u202e", "at": datetime(2026, 1, 2, tzinfo=UTC), "count": 3}
    text = json_text(value)
    assert text.isascii()
    assert not set(text) & {"\x1b", "\x07", "\x7f"}
    assert json.loads(text) == {**value, "at": "2026-01-02T00:00:00Z"}


def test_csv_reads_back_and_is_no_formula() -> None:
    text = csv_text(["NAME", "COUNT"], [['a,"b"', 1], ["=HYPERLINK(1)", -2], ["@x\x1b", None]])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["NAME", "COUNT"], ['a,"b"', "1"], ["'=HYPERLINK(1)", "-2"], ["'@x\\u001b", ""],
    ]  # fmt: skip
