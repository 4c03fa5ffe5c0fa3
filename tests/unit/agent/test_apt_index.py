"""Wanted records are found in a Packages list however it is cut, and Release dates are read."""

from pathlib import Path

import pytest

from patchwright_agent.managers.apt_index import MAX_RECORD_BYTES, IndexRecord, IndexScanner, parse_release_date

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "captures"
WANTED = {"openssl": {"3.0.22-1~deb12u2"}, "libssl3": {"3.0.22-1~deb12u2"}, "libc6": {"9.9"}}


def scan(content: bytes, wanted: dict[str, set[str]], step: int = 1 << 20) -> dict[tuple[str, str], IndexRecord]:
    scanner = IndexScanner(wanted)
    for start in range(0, len(content), step):
        scanner.feed(content[start : start + step])
    return scanner.close()


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_the_cut_of_the_pieces_does_not_matter(step: int) -> None:
    found = scan((CAPTURES / "debian-12/Packages-security-excerpt.txt").read_bytes(), WANTED, step)
    assert found == {
        ("openssl", "3.0.22-1~deb12u2"): IndexRecord("utils", "optional", "openssl", "3.0.22-1~deb12u2", ""),
        ("libssl3", "3.0.22-1~deb12u2"): IndexRecord("libs", "optional", "openssl", "3.0.22-1~deb12u2", ""),
    }


def test_phasing_is_read() -> None:
    content = (CAPTURES / "ubuntu-22.04/Packages-excerpt.txt").read_bytes()
    found = scan(content, {"systemd": {"249.11-0ubuntu3.17"}})
    assert found["systemd", "249.11-0ubuntu3.17"].phased == "40"


def test_fields_may_stand_in_any_order_and_a_description_cannot_fake_them() -> None:
    content = (
        b"\n\nVersion: 2\nSection: net\nPackage: tool\nDescription: x\n Section: fake\n .\n Version: 3\n"
        b"Source: other (1:1.9-1)\n\n\n\nPackage: tool\nVersion: 3\nPriority: extra"
    )
    found = scan(content, {"tool": {"2", "3"}})
    assert found["tool", "2"] == IndexRecord("net", "", "other", "1:1.9-1", "")
    assert found["tool", "3"] == IndexRecord("", "extra", "tool", "3", "")


@pytest.mark.parametrize("step", [1 << 16, 1 << 20, 1 << 23])
def test_an_absurdly_long_record_costs_itself_and_no_other(step: int) -> None:
    monster = b"Package: monster\nProvides: " + b"x" * (3 * MAX_RECORD_BYTES) + b"\n\n"
    content = b"Package: a\nVersion: 1\n\n" + monster + b"Package: b\nVersion: 1\n\n"
    assert sorted(scan(content, {"a": {"1"}, "b": {"1"}}, step)) == [("a", "1"), ("b", "1")]


def test_control_characters_of_a_repository_are_not_kept() -> None:
    content = b"Package: tool\nVersion: 1\nSection: \x1b[2Jnet\nPhased-Update-Percentage: 10; x\nSource: a b c"
    assert scan(content, {"tool": {"1"}})["tool", "1"] == IndexRecord("[2Jnet", "", "tool", "1", "")


def test_release_dates() -> None:
    head = (CAPTURES / "debian-12/InRelease-head.txt").read_text()
    assert parse_release_date(head) == 1795040261
    assert parse_release_date("Date: Thu, 01 Jan 2026 00:00:00 +0000\n") == 1767225600
    for unreadable in ("", "Date: tomorrow", "Date: 31 Feb 2026 00:00:00 UTC", "Date: 1 Jan 99999 00:00:00 UTC"):
        assert parse_release_date(unreadable) == 0
