"""Version orders of deb and rpm: the published examples, odd texts that fleets contain, what the tools refuse."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from patchwright.core.versions import CACHED_CHARS, InvalidVersion, SortKey, deb, rpm

BEYOND_INT = "9" * 5000  # int() refuses more than 4,300 digits


@pytest.mark.parametrize(
    "ascending",
    [
        # Debian Policy 5.6.12: the tilde sorts before the end of a part.
        ("1~~", "1~~a", "1~", "1", "1a"),
        # Letters before other characters, so that 1.0a is earlier than 1.0+dfsg.
        ("1.0", "1.0-1", "1.0A", "1.0a", "1.0+dfsg", "1.0.1"),
        # An update of a stable release, its rebuild, the backport that must stay below the next upload.
        ("3.0.2-0ubuntu1", "3.0.2-0ubuntu1.9", "3.0.2-0ubuntu1.15", "3.0.2-1~bpo12+1", "3.0.2-1", "3.0.2-1+b1"),
        # An epoch beats everything behind it.
        ("9999", "1:0.1", "2:0"),
        # Numbers compare by value, at any length.
        ("1.9", "1.10", "1.18446744073709551616", f"1.{BEYOND_INT[1:]}", f"1.{BEYOND_INT}"),
        # Characters outside the policy's are compared, not refused: third-party packages have them.
        ("1.0", "1.0_x", "v1", "v2"),
        ("1z", "1é", "1+"),
        # dpkg's "no version" is before all versions, also before those that start with a tilde.
        ("", "~~", "0"),
    ],
)
def test_deb_order(ascending: tuple[str, ...]) -> None:
    for earlier, later in pairwise(ascending):
        assert deb.compare(earlier, later) == -1, (earlier, later)
        assert deb.compare(later, earlier) == 1, (earlier, later)
    descending = ascending[::-1]
    assert tuple(sorted(descending, key=deb.sort_key)) == ascending


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1.0", "1.0-0"),
        ("1.0", "0:1.0"),
        ("1.0", "00:1.00"),
        ("1.", "1.0"),
        ("+1:1", "1:1"),
        ("-0:1", "1"),
        (" 1.0 ", "1.0"),
        (f"1.{BEYOND_INT}", f"1.000{BEYOND_INT}"),
    ],
)
def test_deb_equal(a: str, b: str) -> None:
    assert deb.compare(a, b) == 0
    assert deb.sort_key(a) == deb.sort_key(b)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("1 0", "it contains a blank"),
        (":1", "what stands before the first colon is not an epoch"),
        ("a:1", "what stands before the first colon is not an epoch"),
        ("-1:1", "what stands before the first colon is not an epoch"),
        ("2147483648:1", "its epoch is above 2147483647"),
        (f"{BEYOND_INT}:1", "its epoch is above 2147483647"),
        ("1:", "its upstream version is empty"),
        ("-1", "its upstream version is empty"),
        ("1.0-", "nothing follows its last hyphen"),
    ],
)
def test_deb_parse_refuses_what_dpkg_refuses_and_sort_key_still_orders_it(text: str, reason: str) -> None:
    with pytest.raises(InvalidVersion) as refusal:
        deb.parse(text)
    assert (refusal.value.ordering, refusal.value.version, refusal.value.reason) == ("deb", text, reason)
    assert deb.compare(text, "99999999999999:1") in (-1, 0, 1)


def test_deb_parse_splits_at_the_first_colon_and_the_last_hyphen() -> None:
    assert deb.parse("1:2:3-4-5") == deb.DebVersion(epoch=1, upstream="2:3-4", revision="5")
    assert deb.parse("2147483647:1").epoch == deb.MAX_EPOCH
    assert deb.parse("1.0") == deb.DebVersion(epoch=0, upstream="1.0", revision="")


@pytest.mark.parametrize("text", ["1.0", "1.0-1", "3:1.0-2-1", "1:2:3", "0:2:3-1"])
def test_deb_str_of_a_parsed_version_is_the_version(text: str) -> None:
    assert str(deb.parse(text)) == text


@pytest.mark.parametrize(
    "ascending",
    [
        # A pre-release, the release, a snapshot after it, the next release.
        ("1.0~rc1", "1.0~rc2", "1.0", "1.0^20240501git", "1.0.1"),
        ("1.0~rc1", "1.0~rc1^git1", "1.0^git1~pre", "1.0^git1"),
        # Letters are older than numbers, whatever separates them.
        ("1.a", "1.0", "1.0a", "1.0b", "1.0.0"),
        ("1.A", "1.a", "1.ab"),
        # Kernel updates of one stream, then the next minor release.
        ("5.14.0-427.9.1.el9_4", "5.14.0-427.13.1.el9_4", "5.14.0-503.el9"),
        ("1:1.1.1k-9.el8_7", "1:1.1.1k-12.el8_9", "2:0-0"),
        # No release is older than any release.
        ("1", "1-~1", "1-", "1-0"),
        ("1.9", "1.10", "1.18446744073709551616", f"1.{BEYOND_INT[1:]}", f"1.{BEYOND_INT}"),
        # An epoch beyond 32 bits is still a number; one that isn't digits belongs to the version.
        ("a:9", "9", "1:0", "4294967297:0"),
    ],
)
def test_rpm_order(ascending: tuple[str, ...]) -> None:
    for older, newer in pairwise(ascending):
        assert rpm.compare(older, newer) == -1, (older, newer)
        assert rpm.compare(newer, older) == 1, (older, newer)
    descending = ascending[::-1]
    assert tuple(sorted(descending, key=rpm.sort_key)) == ascending


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1-1", "0:1-1"),
        (":1-1", "0:1-1"),
        ("1.01-1", "1.1-1"),
        ("1a-1", "1.a-1"),
        ("1.0-1.el9", "1_0-1+el9"),
        ("1é-1", "1-1"),
        (f"1.{BEYOND_INT}", f"1.000{BEYOND_INT}"),
    ],
)
def test_rpm_equal(a: str, b: str) -> None:
    assert rpm.compare(a, b) == 0
    assert rpm.sort_key(a) == rpm.sort_key(b)


def test_rpm_parse() -> None:
    assert rpm.parse("1:2-3-4.el9") == rpm.RpmVersion(epoch="1", version="2-3", release="4.el9")
    assert rpm.parse("007:1") == rpm.RpmVersion(epoch="7", version="1", release=None)
    assert rpm.parse("a:1-2") == rpm.RpmVersion(epoch="0", version="a:1", release="2")
    assert str(rpm.parse("3.0.7-27.el9")) == "0:3.0.7-27.el9"


@pytest.mark.parametrize("text", ["", "-1", "1:", "1:-1"])
def test_rpm_parse_refuses_a_text_without_a_version_and_sort_key_still_orders_it(text: str) -> None:
    with pytest.raises(InvalidVersion, match="its version is empty"):
        rpm.parse(text)
    assert rpm.compare(text, "2:1-1") == -1


def test_a_refusal_is_safe_to_print() -> None:
    """A version comes from a host: neither control characters nor a flood of text may reach a terminal or a log."""
    with pytest.raises(InvalidVersion) as refusal:
        deb.parse("\x1b[2J\n -" + "x" * 10_000)
    message = str(refusal.value)
    assert message.isprintable()
    assert message.isascii()
    assert len(message) < 400


@pytest.mark.parametrize("sort_key", [deb.sort_key, rpm.sort_key])
@pytest.mark.parametrize("text", ["\ud800", "\x00", "1\n2", "１", "é" * 600, "1." * 50_000, "9" * 2_000_000])
def test_no_text_stops_a_sort(sort_key: Callable[[str], SortKey], text: str) -> None:
    ordered = sorted([text, "", "1:1-1", "~", "^", text], key=sort_key)
    assert text in ordered[ordered.index(text) + 1 :]  # the two equal texts stand together or beside an equal one
    assert ordered == sorted(ordered, key=sort_key)


@pytest.mark.parametrize(
    ("sort_key", "remembered"), [(deb.sort_key, deb._remembered_key), (rpm.sort_key, rpm._remembered_key)]
)
def test_invented_long_versions_are_not_remembered(sort_key: Callable[[str], SortKey], remembered: Any) -> None:
    before = remembered.cache_info().currsize
    for serial in range(20):
        sort_key(f"7.{serial}." + "1" * CACHED_CHARS)
    assert remembered.cache_info().currsize == before
