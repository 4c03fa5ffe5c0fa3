"""The worker's half of an Install, branch by branch of the protocol. Source: docs/reference/worker-protocol.md."""

import os
from pathlib import Path
from typing import Any

import pytest
from install_lab import APP, LIB, NEW, InstallLab

from patchwright_agent import transport
from patchwright_agent.managers.errors import ManagerError

REFUSED = transport.ServerError("ConflictException", "there is no third Plan", 400)


def operations(lab: InstallLab) -> list[str]:
    return [name for name, _ in lab.server.calls]


def test_an_install_settles_its_plan_applies_it_and_reports_the_facts_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = InstallLab(tmp_path, LIB, APP)
    lab.manager.brings["tb-app"] = NEW
    lab.server.exit_code = 194

    assert lab.work() == 194

    assert lab.host == {"tb-lib": "2", "tb-app": "2", "tb-new": "7"}
    assert operations(lab) == ["StartPatchRun", "PutFacts", "SettlePlan", "SettlePlan", "PutFacts", "FinishPatchRun"]
    assert lab.refreshes == [True, False]
    first, second = lab.server.sent("SettlePlan")
    before, after = lab.server.sent("PutFacts")
    assert (first["FactsDigest"], first["Replan"], "Mode" in first) == (before["Digest"], False, False)
    assert second["Mode"] == "TOGETHER"
    (closure,) = second["Closures"]
    assert "Name" not in closure
    assert {"Name": "tb-new", "Arch": "amd64", "FromVersion": "", "Version": "7"} in closure["Incoming"]
    assert after["Digest"] != before["Digest"]
    assert lab.server.plan is not None
    assert lab.finish["PlanDigest"] == lab.server.plan["Digest"]
    assert (lab.finish["ExitCode"], lab.finish["Message"]) == (0, "")
    assert lab.state == "finished"
    assert capsys.readouterr().out == "the report\n"
    assert not (lab.command_dir / "transaction").exists()


def test_the_transaction_file_holds_the_workers_pid_from_the_first_change_to_the_end_of_the_report(
    tmp_path: Path,
) -> None:
    lab = InstallLab(tmp_path, LIB)
    seen: list[str] = []
    path = lab.command_dir / "transaction"
    lab.manager.in_transaction = lambda: seen.append(path.read_text())
    original = lab.server.call

    def call(target: str, body: dict[str, Any], bearer: str, timeout: float) -> dict[str, Any]:
        seen.append(path.read_text() if path.exists() else target.partition(".")[2])
        return original(target, body, bearer, timeout)

    lab.server.call = call  # type: ignore[method-assign]
    lab.work()

    pid = str(os.getpid())
    assert seen == ["StartPatchRun", "PutFacts", "SettlePlan", "SettlePlan", pid, pid, pid]


@pytest.mark.parametrize("order", [{"Operation": "Install"}, {"Operation": "Scan"}, {"Operation": "Plan"}])
def test_a_plan_alone_is_settled_and_nothing_is_applied(tmp_path: Path, order: dict[str, str]) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.order.update(order, PlanOnly=True)
    assert lab.work() == 0
    assert lab.host == {"tb-lib": "1"}
    assert operations(lab) == ["StartPatchRun", "PutFacts", "SettlePlan", "SettlePlan", "FinishPatchRun"]
    assert lab.server.plan is not None
    assert lab.finish["PlanDigest"] == lab.server.plan["Digest"]
    assert lab.state == ""


def test_an_empty_plan_applies_nothing(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path)
    assert lab.work() == 0
    assert lab.manager.transactions == []
    assert operations(lab)[-2:] == ["SettlePlan", "FinishPatchRun"]


def test_a_run_that_has_ended_is_printed_and_nothing_else_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.finished = {"ExitCode": 2}
    assert lab.work() == 2
    assert operations(lab) == ["StartPatchRun"]
    assert capsys.readouterr().out == "stored report\n"


def test_each_and_cumulative_are_answered_target_by_target(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB, APP, ("tb-bad", "1", "2"), ("tb-eats", "1", "2"))
    lab.manager.problems["tb-bad"] = "it cannot be resolved"
    lab.manager.removes["tb-eats"] = "tb-old"
    lab.manager.brings["tb-app"] = NEW
    server = lab.server
    server.scripted["SettlePlan"] = [server.question("EACH"), server.question("CUMULATIVE"), server.settled([])]
    server.plan = None  # not before it is asked for
    assert lab.work() == 0

    _, each, cumulative = server.sent("SettlePlan")
    assert each["Mode"] == "EACH"
    assert [(c["Name"], c["Arch"], c["Version"]) for c in each["Closures"]] == [
        (name, "amd64", "2") for name in ("tb-lib", "tb-app", "tb-bad", "tb-eats")
    ]
    assert [[i["Name"] for i in c["Incoming"]] for c in each["Closures"]] == [[], ["tb-new"], [], []]
    assert each["Closures"][2]["Problem"] == "it cannot be resolved"
    assert each["Closures"][3]["Removed"] == [{"Name": "tb-old", "Arch": "amd64"}]
    *alone, joint = cumulative["Closures"]
    assert [[i["Name"] for i in c["Incoming"]] for c in alone[:2]] == [[], ["tb-lib", "tb-new"]]
    assert "Name" not in joint
    assert [i["Name"] for i in joint["Incoming"]] == ["tb-lib", "tb-app", "tb-new"]
    names = ["tb-lib", "tb-app", "tb-bad", "tb-eats"]
    assert all(available == names for _, available in lab.manager.asked)


@pytest.mark.parametrize(
    "answer",
    [
        {"State": "SETTLED", "Plan": {"Digest": "0" * 64, "Items": []}},
        {"State": "SETTLED"},
        {"State": "RESOLVE", "Mode": "SOMEHOW", "Targets": []},
        {"State": "RESOLVE", "Mode": "EACH", "Targets": [{"Name": "tb\tlib", "Arch": "a", "Version": "1"}]},
        {"State": "RESOLVE", "Mode": "EACH", "Targets": [{"Name": "tb-lib"}]},
    ],
)
def test_a_plan_or_a_question_that_is_not_whole_changes_nothing(tmp_path: Path, answer: dict[str, Any]) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.scripted["SettlePlan"] = [answer]
    assert lab.work() == 1
    assert lab.manager.transactions == []
    assert lab.finish["Message"]


def test_a_server_that_never_settles_is_left(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.scripted["SettlePlan"] = [lab.server.question("TOGETHER")] * 9
    assert lab.work() == 1
    assert len(lab.server.sent("SettlePlan")) == 5


def test_a_simulation_that_differs_gets_one_new_plan_on_fresh_facts(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, APP)
    stale = [{"Name": "tb-app", "Arch": "amd64", "FromVersion": "1", "Version": "2"}]
    lab.manager.brings["tb-app"] = NEW
    lab.server.scripted["SettlePlan"] = [lab.server.settled(stale)]
    lab.server.plan = None
    assert lab.work() == 0
    assert lab.refreshes == [True, True, False]
    assert [body["Replan"] for body in lab.server.sent("SettlePlan")] == [False, True, True]
    assert lab.host == {"tb-app": "2", "tb-new": "7"}


def test_a_second_plan_that_does_not_fit_either_ends_the_run(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, APP)
    stale = lab.server.settled([{"Name": "tb-app", "Arch": "amd64", "FromVersion": "1", "Version": "2"}])
    lab.server.plan = None
    lab.manager.brings["tb-app"] = NEW
    lab.server.scripted["SettlePlan"] = [stale, stale]
    assert lab.work() == 1
    assert lab.finish["ProblemCode"] == "REPOSITORY_CHANGED"
    assert "tb-new" in lab.finish["Message"]
    assert lab.host == {"tb-app": "1"}
    assert lab.manager.transactions == []


GONE = ("DOWNLOAD", "404 Not Found; nothing was changed")


@pytest.mark.parametrize("when", ["gone", "gone_late"])
def test_a_file_that_the_mirror_has_no_more_gets_one_new_plan_on_fresh_facts(tmp_path: Path, when: str) -> None:
    """apt's files are fetched before its transaction, dnf's with it."""
    lab = InstallLab(tmp_path, LIB)
    setattr(lab.manager, when, [GONE])
    assert lab.work() == 0
    assert lab.refreshes == [True, True, False]
    assert [body["Replan"] for body in lab.server.sent("SettlePlan")] == [False, False, True, True]
    assert lab.host == {"tb-lib": "2"}
    assert "ProblemCode" not in lab.finish


@pytest.mark.parametrize("when", ["gone", "gone_late"])
def test_a_file_that_is_missing_under_the_second_plan_too_ends_the_run(tmp_path: Path, when: str) -> None:
    lab = InstallLab(tmp_path, LIB)
    setattr(lab.manager, when, [GONE, GONE])
    assert lab.work() == 1
    assert (lab.finish["ProblemCode"], lab.finish["Message"]) == GONE
    assert lab.host == {"tb-lib": "1"}
    assert lab.manager.transactions == []


def test_a_run_that_is_cancelled_while_it_fetches_settles_no_second_plan(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.manager.gone_late = [GONE]
    lab.manager.in_transaction = lambda: setattr(lab.ending, "is_asked", True)
    assert lab.work() == 1
    assert lab.finish["ProblemCode"] == "DOWNLOAD"
    assert [body["Replan"] for body in lab.server.sent("SettlePlan")] == [False, False]


def test_a_new_plan_that_is_refused_ends_the_run_as_changed(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.lifetime_seconds = -1
    lab.server.scripted["SettlePlan"] = [None, None, REFUSED]
    assert lab.work() == 1
    assert lab.finish["ProblemCode"] == "REPOSITORY_CHANGED"
    assert lab.manager.transactions == []


def test_a_refused_plan_says_why(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.server.scripted["SettlePlan"] = [transport.ServerError("ValidationException", "no baseline", 400)]
    assert lab.work() == 1
    assert "no baseline" in lab.finish["Message"]
    assert "ProblemCode" not in lab.finish


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("apt-get update failed: The following signatures couldn't be verified: NO_PUBKEY 4BE2", "SIGNATURE"),
        ("apt-daily kept /var/lib/apt/lists/lock locked for 300 seconds", "LOCKED"),
        ("apt-get update failed: Failed to fetch http://mirror.example", "DOWNLOAD"),
    ],
)
def test_a_refresh_that_fails_ends_the_run_before_a_plan(tmp_path: Path, message: str, code: str) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.problems = [{"code": "REFRESH_FAILED", "message": message}]
    assert lab.work() == 1
    assert operations(lab) == ["StartPatchRun", "PutFacts", "FinishPatchRun"]
    assert lab.finish["ProblemCode"] == code
    assert message in lab.finish["Message"]


def test_what_the_preflight_finds_ends_the_run_with_its_code_and_nothing_changed(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    lab.manager.stopped = ("BROKEN", "dpkg was interrupted; repair it by: dpkg --configure -a")
    assert lab.work() == 1
    assert (lab.finish["ProblemCode"], lab.host) == ("BROKEN", {"tb-lib": "1"})
    assert "dpkg --configure -a" in lab.finish["Message"]
    assert len(lab.server.sent("PutFacts")) == 1


def test_failures_are_reported_with_the_facts_after_them(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB, APP)
    lab.manager.failing["tb-lib"] = "its script said no"
    assert lab.work() == 1
    assert lab.finish["Failures"] == [{"Name": "tb-lib", "Arch": "amd64", "Message": "its script said no"}]
    assert (lab.finish["ProblemCode"], lab.finish["Message"]) == ("MANAGER_FAILED", "it failed")
    assert len(lab.server.sent("PutFacts")) == 2
    assert lab.host == {"tb-lib": "1", "tb-app": "2"}


def test_a_manager_that_breaks_off_in_the_transaction_is_reported_with_facts(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)

    def broken() -> None:
        raise ManagerError("dpkg-query failed")

    lab.manager.in_transaction = broken
    assert lab.work() == 1
    assert (lab.finish["ProblemCode"], lab.finish["Message"]) == ("MANAGER_FAILED", "dpkg-query failed")
    assert len(lab.server.sent("PutFacts")) == 2


@pytest.mark.parametrize("change", [{"scan_only": True}, {"may_refresh": False}])
def test_a_scan_only_node_and_one_without_root_refuse(tmp_path: Path, change: dict[str, bool]) -> None:
    for plan_only in (False, True):
        lab = InstallLab(tmp_path, LIB)
        lab.server.order["PlanOnly"] = plan_only
        assert lab.work(**change) == 1
        assert "nothing was changed" in lab.finish["Message"]
        assert (lab.refreshes, lab.manager.asked) == ([], [])


def test_the_worker_moves_into_its_scope_for_an_install_alone(tmp_path: Path) -> None:
    moves: list[str] = []
    for operation, plan_only in (("Scan", False), ("Install", True), ("Install", False)):
        lab = InstallLab(tmp_path, LIB)
        lab.server.order.update(Operation=operation, PlanOnly=plan_only)
        lab.work(move=lambda name=operation: moves.append(name))
    assert moves == ["Install"]


def test_a_server_that_is_away_after_the_transaction_is_waited_for(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB)
    gone = transport.Unreachable("connection refused")
    lab.server.scripted["PutFacts"] = [None, *([gone] * 20)]
    lab.server.scripted["FinishPatchRun"] = [gone] * 20
    assert lab.work() == 0
    assert lab.state == "finished"


def test_facts_that_are_refused_after_the_transaction_do_not_hide_what_came_of_it(tmp_path: Path) -> None:
    lab = InstallLab(tmp_path, LIB, APP)
    lab.manager.failing["tb-lib"] = "no"
    lab.server.scripted["PutFacts"] = [None, transport.ServerError("ValidationException", "bad part", 400)]
    assert lab.work() == 1
    assert lab.finish["Failures"]
    assert "bad part" in lab.finish["Message"]
