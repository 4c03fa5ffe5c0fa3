"""Update notices: the wanted ones of a large file, dates as publishers spell them, and a cache that changes nothing."""

import bz2
import gzip
import io
import json
import lzma
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright_agent.managers import dnf_notices_ahead, dnf_updateinfo
from patchwright_agent.managers.dnf_notice_cache import NoticeCache
from patchwright_agent.managers.dnf_notices_ahead import ReadAhead
from patchwright_agent.managers.model import Notice

UPDATEINFO = Path(__file__).resolve().parents[2] / "fixtures" / "captures" / "rocky-9" / "updateinfo.xml"
MODERATE = Notice(
    "RLSA-2024:3843", "security", "Moderate", 1718150400, 1718373569, ("CVE-2023-6129", "CVE-2024-0727"), ("2257571",)
)


def read(content: bytes, *wanted: str) -> dict[str, Notice]:
    return {notice.id: notice for notice in dnf_updateinfo.read(io.BytesIO(content), set(wanted))}


def test_only_the_wanted_notices_are_read_with_both_dates_and_sorted_references() -> None:
    content = UPDATEINFO.read_bytes()
    assert read(content, "RLSA-2024:3843", "RLSA-1999:1") == {"RLSA-2024:3843": MODERATE}
    (bugfix,) = read(content, "RLBA-2024:1111").values()
    assert bugfix == Notice("RLBA-2024:1111", "bugfix", "", 1719792000, 0, (), ())


@pytest.mark.parametrize(("ending", "opener"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open), ("", open)])
def test_files_are_read_as_they_are_compressed(tmp_path: Path, ending: str, opener: object) -> None:
    path = tmp_path / f"updateinfo.xml{ending}"
    with opener(path, "wb") as file:  # type: ignore[operator]
        file.write(UPDATEINFO.read_bytes())
    assert dnf_updateinfo.read_file(str(path), {MODERATE.id}) == {MODERATE.id: MODERATE}


def test_what_cannot_be_read_is_no_notice_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.xml.gz").write_bytes(b"\x1f\x8b broken")
    (tmp_path / "a.xml.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    for name in ("a.xml.gz", "a.xml.zst", "absent.xml"):
        assert dnf_updateinfo.read_file(str(tmp_path / name), {"X"}) == {}
    assert read(b"<updates><update type='x'><id>X</id><broken></update></updates>", "X") == {}
    assert read(b"</update></update><id>X</id></update>", "X") == {}


def test_entities_do_not_expand_and_a_notice_without_end_is_let_go() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><updates><update type="&a;"><id>X</id></update></updates>'
    assert read(bomb, "X") == {}
    endless = b"<update><id>X</id>" + b"x" * (dnf_updateinfo.MAX_BLOCK_BYTES + 2_000_000)
    assert read(endless + b"</update><update type='bugfix'><id>Y</id></update>", "Y")["Y"].kind == "bugfix"


def test_a_notice_across_two_reads_is_whole() -> None:
    padding = b"<update><id>P</id>" + b"x" * (1024 * 1024 - 40) + b"</update>"
    assert read(padding + UPDATEINFO.read_bytes(), MODERATE.id) == {MODERATE.id: MODERATE}


@pytest.mark.parametrize(
    ("spelled", "seconds"),
    [
        ("2026-01-03", 1_767_398_400),
        ("2026-01-03 04", 1_767_412_800),
        ("2026-01-03 04:05", 1_767_413_100),
        ("2026-01-03 04:05:06", 1_767_413_106),
        ("2026-01-03T04:05:06Z", 1_767_413_106),
        ("2026-01-03 04:05:06 EST", 1_767_413_106),
        ("1767413106", 1_767_413_106),
        ("", 0), ("soon", 0), ("2026-02-30", 0), ("2026-13-01", 0), ("9999-01-01", 0), ("99999999999", 0),
    ],
)  # fmt: skip
def test_dates_as_publishers_spell_them(spelled: str, seconds: int) -> None:
    """Source: spec/patch-baselines.md 4.2."""
    assert dnf_updateinfo.seconds(spelled) == seconds


@given(st.integers(1, 7_000_000_000))
def test_every_date_is_read_as_utc(moment: int) -> None:
    spelled = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert dnf_updateinfo.seconds(spelled) == moment


@given(st.text(max_size=40))
def test_no_date_is_an_error(spelled: str) -> None:
    assert 0 <= dnf_updateinfo.seconds(spelled) < 2**33


class Reads:
    """A reader that counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: str, wanted: set[str]) -> dict[str, Notice]:
        assert path.endswith("updateinfo.xml.gz")
        self.count += 1
        return {MODERATE.id: MODERATE} if MODERATE.id in wanted else {}


PATH = f"/var/cache/dnf/baseos/repodata/{'0' * 64}-updateinfo.xml.gz"


def test_a_file_is_read_again_only_when_it_or_the_question_is_new(tmp_path: Path) -> None:
    reads, kept = Reads(), str(tmp_path / "notices.json")

    def asked(path: str, *wanted: str) -> dict[str, Notice]:
        cache = NoticeCache(kept, reads)
        found = cache.read(path, set(wanted))
        cache.save()
        return found

    assert asked(PATH, MODERATE.id, "X") == {MODERATE.id: MODERATE}
    assert (asked(PATH, MODERATE.id), reads.count) == ({MODERATE.id: MODERATE}, 1)
    assert (asked(PATH, "X"), reads.count) == ({}, 1)
    asked(PATH, "Y")
    assert reads.count == 2
    assert asked(PATH.replace("0", "1"), MODERATE.id) == {MODERATE.id: MODERATE}
    assert reads.count == 3
    assert list(json.loads(Path(kept).read_text())["files"]) == [
        PATH.replace("0", "1")
    ]  # what is not read any more goes
    for _ in range(2):
        asked("/repodata/updateinfo.xml.gz", MODERATE.id)  # a name without a checksum says nothing of the content
    assert reads.count == 5
    assert Path(kept).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", json.dumps({PATH: {"asked": [], "notices": []}}),
        json.dumps({"files": {PATH: 7}, "listing": {}}),
        json.dumps({"files": {PATH: {"asked": [], "notices": [[1]]}}, "listing": {"files": [PATH], "key": "a"}}),
        json.dumps({"files": {}, "listing": {"files": [PATH], "key": "a", "rows": [["bash"]]}}),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_no_cache(tmp_path: Path, content: str) -> None:
    (tmp_path / "notices.json").write_text(content)
    cache = NoticeCache(str(tmp_path / "notices.json"), Reads())
    assert cache.read(PATH, {MODERATE.id}) == {MODERATE.id: MODERATE}
    assert (cache.may_know([PATH]), cache.listed([PATH], "a")) == (False, None)
    NoticeCache(str(tmp_path / "absent" / "notices.json"), Reads()).save()


def test_what_notices_list_is_known_for_the_same_files_and_the_same_packages_alone(tmp_path: Path) -> None:
    kept, rows = str(tmp_path / "notices.json"), [["openssl-libs", "x86_64", "1:3.0.7-27.el9", [MODERATE.id]]]
    first = NoticeCache(kept, Reads())
    assert (first.may_know([PATH]), first.listed([PATH], "a")) == (False, None)
    first.keep_listed([PATH], "a", rows)
    first.save()
    second = NoticeCache(kept, Reads())
    assert second.may_know([PATH])
    assert not second.may_know([PATH, PATH])
    assert (second.listed([PATH], "a"), second.listed([PATH], "b")) == (rows, None)
    second.save()
    assert NoticeCache(kept, Reads()).listed([PATH], "a") == rows
    unnamed = NoticeCache(kept, Reads())  # what has no checksum in its name may be another file tomorrow
    unnamed.keep_listed(["/repodata/updateinfo.xml.gz"], "a", rows)
    unnamed.save()
    assert not NoticeCache(kept, Reads()).may_know(["/repodata/updateinfo.xml.gz"])


def test_files_that_another_process_reads_ahead_say_the_same(tmp_path: Path) -> None:
    sound, broken, odd = (str(tmp_path / name) for name in ("a.xml", "b.xml.gz", "c.xml.zst"))
    Path(sound).write_bytes(UPDATEINFO.read_bytes())
    Path(broken).write_bytes(gzip.compress(UPDATEINFO.read_bytes())[:-20])
    Path(odd).write_bytes(b"\x28\xb5\x2f\xfd")
    wanted = {MODERATE.id, "X", "\udce9"}
    ahead = ReadAhead([sound, broken, odd])
    for path in (sound, broken, odd, str(tmp_path / "absent.xml")):
        assert ahead.read(path, wanted) == dnf_updateinfo.read_file(path, wanted)
    assert ahead.read(sound, wanted) == {MODERATE.id: MODERATE}


def test_what_is_too_much_to_keep_is_read_in_the_usual_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(UPDATEINFO.read_bytes())
    monkeypatch.setattr(dnf_notices_ahead, "MAX_KEPT_BYTES", 10)
    assert ReadAhead([str(path)]).read(str(path), {MODERATE.id}) == {MODERATE.id: MODERATE}
