"""The memory of rows: what it may hold, and what it must not carry from one report to another."""

import threading

import pytest

from patchwright.core.errors import Invalid
from patchwright.core.patches import Notice
from patchwright.core.values import Family
from patchwright.flows import facts_notices, facts_rows
from patchwright.flows.facts_notices import KnownNotices
from patchwright.flows.facts_rows import rows_of

MAIN = ("Debian", "Debian", "stable", "bookworm", "main", "", True)
NAMED = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _empty() -> None:
    facts_rows._memory.clear()


def _rpm(number: int) -> str:
    return f"a{number}\tx86_64\t0:1-{number}\t\t\ta\t1\t0\t0\t{NAMED}"


def _notices() -> KnownNotices:
    notice = Notice(id="X-1", classification="Security", severity="Important")
    return KnownNotices({NAMED: (notice, 100)})


def test_what_a_report_may_name_of_its_notices_is_not_used_up_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_notices, "MAX_EXPANDED", 350)
    for first in range(0, 30, 3):  # reports of a fleet that share one part notices
        rows_of(Family.DNF, [MAIN], _notices()).installed([_rpm(n) for n in range(first, first + 3)])
    for _ in range(2):  # and one that names too much is refused, the second time too
        with pytest.raises(Invalid, match="notices of all packages"):
            rows_of(Family.DNF, [MAIN], _notices()).installed([_rpm(n) for n in range(4)])


def test_repositories_alone_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_rows, "MAX_ROWS", 100)
    for number in range(500):
        rows_of(Family.APT, [(f"origin{number}", *MAIN[1:])] * 3, None).installed([])
    assert len(facts_rows._memory) <= 50


def test_many_reports_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_rows, "MAX_ROWS", 2_000)
    failures: list[Exception] = []

    def report(reporter: int) -> None:
        try:
            for number in range(400):
                rows = rows_of(Family.APT, [(f"origin{reporter}-{number}", *MAIN[1:])], None)
                names = [f"p{n}\tamd64\t1-{number}\tlibs\toptional\tp\t1\t0" for n in range(10)]
                assert [named.package.version for named in rows.installed(names)] == [f"1-{number}"] * 10
        except Exception as failure:  # told below: a thread's own would be lost
            failures.append(failure)

    threads = [threading.Thread(target=report, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
