"""Workers that are ended, killed or cut off anywhere: the next one goes on, and nothing is applied twice."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from install_lab import APP, LIB, NEW, Crash, InstallLab

from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.worker import ending, install, run_journal
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.run_journal import RunJournal


class TestSignals:
    """SIGTERM: at once outside of a transaction, after it within one."""

    @pytest.fixture(autouse=True)
    def handler(self) -> Any:
        previous = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, previous)

    def test_within_the_transaction_it_is_let_finish_and_said(self, tmp_path: Path) -> None:
        lab = InstallLab(tmp_path, LIB, APP)

        def cancelled() -> None:
            lab.ending.listen()
            signal.raise_signal(signal.SIGTERM)

        lab.manager.in_transaction = cancelled
        assert lab.work() == 0
        assert lab.host == {"tb-lib": "2", "tb-app": "2"}
        assert lab.finish["Message"] == install.LET_FINISH
        assert "ProblemCode" not in lab.finish

    def test_before_it_the_worker_ends_at_once(self, tmp_path: Path) -> None:
        lab = InstallLab(tmp_path, LIB)

        def collect(refresh: bool) -> Document:
            lab.ending.listen()
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("it went on")

        with pytest.raises(SystemExit) as ended:
            lab.work(collect=collect)
        assert ended.value.code == ending.EXIT_TERMINATED == 143
        assert lab.server.sent("FinishPatchRun") == []

    def test_while_packages_are_fetched_the_worker_ends_at_once(self, tmp_path: Path) -> None:
        lab = InstallLab(tmp_path, LIB)

        def preflight(items: Any) -> None:
            if items:
                lab.ending.listen()
                signal.raise_signal(signal.SIGTERM)

        lab.manager.preflight = preflight  # type: ignore[method-assign]
        with pytest.raises(SystemExit):
            lab.work()
        assert lab.host == {"tb-lib": "1"}
        assert not (lab.command_dir / "transaction").exists()

    def test_a_resumed_worker_that_is_asked_to_end_applies_nothing_more(self, tmp_path: Path) -> None:
        lab = InstallLab(tmp_path, LIB)
        crash_in_transaction(lab)

        def repair() -> list[str]:
            lab.ending.listen()
            signal.raise_signal(signal.SIGTERM)
            return []

        lab.manager.repair = repair  # type: ignore[method-assign]
        assert lab.work() == 1
        assert lab.finish["ProblemCode"] == "CANCELLED"
        assert lab.host == {"tb-lib": "1"}


def test_a_runs_folder_and_its_journal_are_durable_with_the_folders_that_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    journal = RunJournal(str(tmp_path), "r-1")
    journal.prepare()
    assert synced == [str(tmp_path), str(tmp_path / "runs")]
    journal.write(run_journal.Entry(run_journal.APPLYING, {}, 0.0, False, "b"))
    assert synced[2].startswith(str(tmp_path / "runs" / "r-1.json"))
    assert synced[3] == str(tmp_path / "runs")


def crash_in_transaction(lab: InstallLab) -> None:
    """A worker that dies at its first package."""

    def crash() -> None:
        raise Crash

    lab.manager.in_transaction = crash
    with pytest.raises(Crash):
        lab.work()
    lab.manager.in_transaction = lambda: None


# A worker dies at each write of the journal, before it and after it, at each call, and at each package.
JOURNAL_WRITES = ["planned", "applying", "applied", "finished"]
CALLS = 6
PACKAGES = 3


def moments() -> list[tuple[str, int, str]]:
    writes = [("write", n, when) for n in range(len(JOURNAL_WRITES)) for when in ("before", "after")]
    calls = [("call", n, when) for n in range(CALLS) for when in ("before", "after")]
    return writes + calls + [("package", n, "before") for n in range(PACKAGES)]


@pytest.mark.parametrize(("kind", "number", "when"), moments())
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_ends_the_run_and_applies_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int, when: str
) -> None:
    lab = InstallLab(tmp_path, LIB, APP)
    lab.manager.brings["tb-app"] = NEW
    applied: list[str] = []
    happened = iter(range(1000))

    def meet(action: Any) -> Any:
        """Do the action; die before or after it if it is the chosen one."""
        is_chosen = next(happened) == number
        if is_chosen and when == "before":
            raise Crash
        result = action()
        if is_chosen:
            raise Crash
        return result

    write, call = RunJournal.write, lab.server.call
    if kind == "write":
        monkeypatch.setattr(RunJournal, "write", lambda self, entry: meet(lambda: write(self, entry)))
    if kind == "call":
        lab.server.call = lambda *a, **k: meet(lambda: call(*a, **k))  # type: ignore[method-assign]
    if kind == "package":
        lab.manager.in_transaction = lambda: meet(lambda: None)
    install_one = lab.manager.host.__class__.__setitem__

    class Recorded(dict[str, str]):
        def __setitem__(self, name: str, version: str) -> None:
            applied.append(name)
            install_one(self, name, version)

    lab.host = lab.manager.host = Recorded(lab.host)
    with pytest.raises(Crash):
        lab.work()

    lab.manager.repairs = ("mended",) if lab.state == run_journal.APPLYING else ()
    code = lab.work()

    assert code == 0
    assert lab.host == {"tb-lib": "2", "tb-app": "2", "tb-new": "7"}
    assert sorted(applied) == ["tb-app", "tb-lib", "tb-new"]
    assert lab.server.finished is not None
    assert lab.server.finished["ExitCode"] == 0
    assert lab.server.plan is not None
    assert lab.server.finished["PlanDigest"] == lab.server.plan["Digest"]
    if lab.manager.repairs:
        assert "mended" in lab.server.finished["Notes"]


def test_an_interrupted_transaction_that_cannot_be_mended_is_broken_with_its_remedy(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    crash_in_transaction(lab)

    def repair() -> list[str]:
        raise ManagerError("repair it by: apt-get -f install")

    lab.manager.repair = repair  # type: ignore[method-assign]
    assert lab.work() == 1
    assert (lab.finish["ProblemCode"], lab.finish["Message"]) == ("BROKEN", "repair it by: apt-get -f install")
    assert len(lab.server.sent("PutFacts")) == 2


def test_a_failed_transactions_outcome_survives_a_crash_after_it(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB, APP)
    lab.manager.failing["tb-lib"] = "its script said no"
    lab.server.scripted["FinishPatchRun"] = [Crash()]
    with pytest.raises(Crash):
        lab.work()
    assert lab.state == "applied"
    assert lab.work() == 1
    assert lab.server.finished is not None
    assert lab.server.finished["Failures"][0]["Message"] == "its script said no"
    assert len(lab.manager.transactions) == 1


def test_a_journal_that_cannot_be_written_changes_nothing_and_names_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = InstallLab(tmp_path, LIB)

    def full(self: RunJournal, entry: run_journal.Entry) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunJournal, "write", full)
    assert lab.work() == 1
    assert (lab.finish["ProblemCode"], lab.host) == ("DISK_FULL", {"tb-lib": "1"})


def test_a_full_disk_after_the_transaction_does_not_keep_its_report_from_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = InstallLab(tmp_path, LIB)
    write = RunJournal.write

    def full_later(self: RunJournal, entry: run_journal.Entry) -> None:
        if entry.state in ("applied", "finished"):
            raise OSError(28, "No space left on device")
        write(self, entry)

    monkeypatch.setattr(RunJournal, "write", full_later)
    assert lab.work() == 0
    assert lab.finish["ExitCode"] == 0


@pytest.mark.parametrize("run_id", ["", "../../etc/passwd", "a/b", ".hidden", "x" * 200])
def test_a_run_id_that_is_no_file_name_is_refused(tmp_path: Path, run_id: str) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.order["RunId"] = run_id
    assert lab.work() == 1
    assert lab.manager.transactions == []


def test_runs_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    for number in range(run_journal.KEPT_RUNS + 5):
        lab = InstallLab(tmp_path, LIB)
        lab.server.order["RunId"] = f"r-{number}"
        assert lab.work() == 0
    names = {path.stem for path in (tmp_path / "runs").iterdir()}
    assert len(names) == run_journal.KEPT_RUNS
    assert f"r-{run_journal.KEPT_RUNS + 4}" in names
    assert "r-0" not in names


def test_a_damaged_journal_is_as_none(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "r-1.json").write_text('{"state": "appl')
    assert lab.work() == 0
    assert lab.host == {"tb-lib": "2"}
