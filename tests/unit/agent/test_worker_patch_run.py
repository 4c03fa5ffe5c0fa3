"""The run of a patch operation against a scripted server: order, facts, result, and what goes wrong on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from patchwright_agent import transport
from patchwright_agent.managers.errors import ManagerError
from patchwright_agent.worker import collect, facts, main, patch_run, run_lock, server_calls
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.patch_run import PatchRun
from patchwright_agent.worker.run_lock import RunLock, RunLocked
from patchwright_agent.worker.server_calls import Refused, ServerCalls, TransportErrors, Unanswered

AGENT = Path(__file__).resolve().parents[3] / "agent"
ERRORS = TransportErrors(transport.ServerError, transport.Unreachable)
ORDER = {"RunId": "r-1", "Operation": "Scan", "RebootOption": "NoReboot", "SnapshotId": "s-1", "Unknown": 1}


class FakeServer:
    """Answers by operation with the next of its scripted answers (the last one repeats); records every call."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers: dict[str, list[Any]] = {
            "StartPatchRun": [ORDER],
            "PutFacts": [{"Accepted": True, "NeedParts": []}],
            "FinishPatchRun": [{"Report": "all fine", "ExitCode": 0}],
            **answers,
        }
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.tokens: set[str] = set()

    def call(self, target: str, body: dict[str, Any], bearer: str, timeout: float) -> dict[str, Any]:
        operation = target.removeprefix("Patchwright.")
        assert timeout > 0
        self.calls.append((operation, json.loads(json.dumps(body))))
        self.tokens.add(bearer)
        answers = self.answers[operation]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        result: dict[str, Any] = answer
        return result

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == operation]


def some_facts(problems: list[dict[str, str]] | None = None) -> Document:
    parts = (facts.part("installed", {"packages": ["naïve"]}), facts.part("state", {"problems": problems or []}))
    return Document("0.1.0", 5.0, "d" * 64, parts)


class Lab:
    """A run with everything around it faked."""

    def __init__(self, tmp_path: Path, server: FakeServer, document: Document | None = None, **changes: Any) -> None:
        self.server = server
        self.waits: list[float] = []
        self.refreshes: list[bool] = []
        self.messages: list[str] = []
        self._document = document or some_facts()
        calls = ServerCalls(server, ERRORS, "t0ken", self.messages.append, self.waits.append)
        self.run = PatchRun(calls, self._collect, str(tmp_path), False, True)._replace(**changes)

    def _collect(self, refresh: bool) -> Document:
        self.refreshes.append(refresh)
        return self._document

    def execute(self) -> int:
        return patch_run.execute(self.run)


def test_a_scan_refreshes_reports_its_facts_and_ends_with_the_servers_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = FakeServer(FinishPatchRun=[{"Report": "2 missing\x1b[2J\nbash 1 -> 2", "ExitCode": 194}])
    lab = Lab(tmp_path, server)

    assert lab.execute() == 194

    assert capsys.readouterr().out == "2 missing [2J\nbash 1 -> 2\n"
    assert [name for name, _ in server.calls] == ["StartPatchRun", "PutFacts", "FinishPatchRun"]
    assert server.sent("StartPatchRun")[0]["FactsVersions"] == [1]
    finish = server.sent("FinishPatchRun")[0]
    assert (finish["RunId"], finish["ExitCode"], finish["Message"]) == ("r-1", 0, "")
    assert lab.refreshes == [True]
    assert server.tokens == {"t0ken"}
    assert json.loads((tmp_path / "facts.json").read_text())["digest"] == "d" * 64


def test_digests_go_first_and_bodies_only_where_they_are_needed(tmp_path: Path) -> None:
    need = {"Accepted": False, "NeedParts": ["installed", "unheard-of"]}
    server = FakeServer(PutFacts=[need, {"Accepted": True, "NeedParts": []}])
    assert Lab(tmp_path, server).execute() == 0
    first, second = server.sent("PutFacts")
    assert all("Body" not in part for part in first["Parts"])
    bodies = {part["Name"]: part.get("Body") for part in second["Parts"]}
    assert bodies == {"installed": '{"packages":["naïve"]}', "state": None}
    assert (second["Digest"], second["FactsVersion"], second["CollectedAt"]) == ("d" * 64, 1, 5.0)


def test_a_failed_refresh_fails_the_scan_but_not_its_report(tmp_path: Path) -> None:
    server = FakeServer(FinishPatchRun=[{"Report": "", "ExitCode": 1}])
    document = some_facts([{"code": "REFRESH_FAILED", "message": "apt-get update failed: no route"}])
    assert Lab(tmp_path, server, document).execute() == 1
    assert server.sent("PutFacts")
    finish = server.sent("FinishPatchRun")[0]
    assert (finish["ExitCode"], finish["Message"]) == (1, "apt-get update failed: no route")


def test_without_root_nothing_is_refreshed(tmp_path: Path) -> None:
    lab = Lab(tmp_path, FakeServer(), may_refresh=False)
    assert lab.execute() == 0
    assert lab.refreshes == [False]


def test_scan_only_scans_without_a_refresh_and_refuses_everything_else(tmp_path: Path) -> None:
    lab = Lab(tmp_path, FakeServer(), scan_only=True)
    assert lab.execute() == 0
    assert lab.refreshes == [False]

    server = FakeServer(
        StartPatchRun=[dict(ORDER, Operation="Install")], FinishPatchRun=[{"Report": "", "ExitCode": 1}]
    )
    lab = Lab(tmp_path, server, scan_only=True)
    assert lab.execute() == 1
    assert lab.refreshes == []
    finish = server.sent("FinishPatchRun")[0]
    assert finish["ExitCode"] == 1
    assert "--scan-only" in finish["Message"]
    assert "nothing was changed" in finish["Message"]


@pytest.mark.parametrize("operation", ["Frobnicate", ""])
def test_an_operation_that_cannot_be_carried_out_ends_with_a_clear_failure(tmp_path: Path, operation: str) -> None:
    order = dict(ORDER, Operation=operation)
    server = FakeServer(StartPatchRun=[order], FinishPatchRun=[{"Report": "", "ExitCode": 1}])
    lab = Lab(tmp_path, server)
    assert lab.execute() == 1
    assert lab.refreshes == []
    assert "nothing was changed" in server.sent("FinishPatchRun")[0]["Message"]


def test_an_unreachable_server_is_tried_again_for_about_two_minutes(tmp_path: Path) -> None:
    gone = transport.Unreachable("connection refused")
    lab = Lab(tmp_path, FakeServer(StartPatchRun=[gone, transport.ServerError("Busy", "later", 503), ORDER]))
    assert lab.execute() == 0
    assert len(lab.waits) == 2
    assert "connection refused" in lab.messages[0]

    lab = Lab(tmp_path, FakeServer(StartPatchRun=[gone]))
    with pytest.raises(Unanswered, match="connection refused"):
        lab.execute()
    assert 100 <= sum(lab.waits) <= 140


def test_a_refusal_is_not_repeated(tmp_path: Path) -> None:
    lab = Lab(
        tmp_path, FakeServer(StartPatchRun=[transport.ServerError("AccessDeniedException", "token expired", 403)])
    )
    with pytest.raises(Refused, match="token expired"):
        lab.execute()
    assert lab.waits == []


def test_refused_facts_end_the_run_with_149(tmp_path: Path) -> None:
    refusal = transport.ServerError("ValidationException", "bad part", 400)
    server = FakeServer(PutFacts=[refusal], FinishPatchRun=[{"Report": "", "ExitCode": 149}])
    assert Lab(tmp_path, server).execute() == 149
    finish = server.sent("FinishPatchRun")[0]
    assert finish["ExitCode"] == 149
    assert "bad part" in finish["Message"]


def test_a_server_that_asks_for_the_same_parts_forever_is_left(tmp_path: Path) -> None:
    server = FakeServer(PutFacts=[{"Accepted": False, "NeedParts": ["state"]}])
    Lab(tmp_path, server).execute()
    assert len(server.sent("PutFacts")) == 2
    assert server.sent("FinishPatchRun")[0]["ExitCode"] == 149


@pytest.mark.parametrize(
    ("error", "said"),
    [(ManagerError("dpkg-query failed: gone"), "dpkg-query failed"), (KeyError("oops"), "internal error")],
)
def test_the_server_hears_of_every_end(tmp_path: Path, error: Exception, said: str) -> None:
    server = FakeServer(FinishPatchRun=[{"Report": "", "ExitCode": 1}])

    def broken(_: bool) -> Document:
        raise error

    assert Lab(tmp_path, server, collect=broken).execute() == 1
    assert said in server.sent("FinishPatchRun")[0]["Message"]


@pytest.mark.parametrize("code", [256, -1, "0", None])
def test_an_exit_code_that_no_process_can_have_is_a_failure(tmp_path: Path, code: object) -> None:
    assert Lab(tmp_path, FakeServer(FinishPatchRun=[{"Report": "", "ExitCode": code}])).execute() == 1


def test_a_second_run_waits_and_then_names_the_first(tmp_path: Path) -> None:
    script = (
        "import sys; from patchwright_agent.worker.run_lock import RunLock\n"
        "with RunLock(sys.argv[1], 'command c-1'): print('held', flush=True); sys.stdin.read()"
    )
    rival = subprocess.Popen(  # a process of its own: a process never conflicts with its own record locks
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(AGENT)},
    )  # fmt: skip
    waits: list[float] = []
    with rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "held\n"
        (tmp_path / "patch-run.waiting").write_text("it waits for the postinst script of tb-b")
        with pytest.raises(RunLocked, match=f"process {rival.pid}, command c-1.*the postinst script of tb-b"):
            RunLock(str(tmp_path), "command c-2", waits.append).__enter__()
        rival.communicate("")
    assert 60 <= sum(waits) <= 61
    with RunLock(str(tmp_path), "command c-2", waits.append):
        assert "command c-2" in (tmp_path / run_lock._FILE_NAME).read_text()


def test_a_worker_that_starts_again_for_the_same_command_waits_for_its_predecessor(tmp_path: Path) -> None:
    script = (
        "import sys; from patchwright_agent.worker.run_lock import RunLock\n"
        "with RunLock(sys.argv[1], 'command c-1'): print('held', flush=True); sys.stdin.read()"
    )
    rival = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(AGENT)},
    )  # fmt: skip
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if sum(waits) == 7200:
            rival.communicate("")  # its transaction has ended

    with rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "held\n"
        with RunLock(str(tmp_path), "command c-1", wait):
            assert sum(waits) == 7200


def test_a_report_after_a_boot_is_waited_for_longer_than_a_run(tmp_path: Path) -> None:
    script = (
        "import sys; from patchwright_agent.worker.run_lock import BOOT_REPORT, RunLock\n"
        "with RunLock(sys.argv[1], BOOT_REPORT): print('held', flush=True); sys.stdin.read()"
    )
    report = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(AGENT)},
    )  # fmt: skip
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if sum(waits) == 600:
            report.communicate("")

    with report:
        assert report.stdout is not None
        assert report.stdout.readline() == "held\n"
        with RunLock(str(tmp_path), "command c-1", wait):
            assert sum(waits) == 600


def test_the_token_leaves_the_environment_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, ...]] = []
    server = FakeServer()

    def connect(url: str, ca_file: str | None) -> FakeServer:
        assert (url, ca_file) == ("https://patch.example", None)
        return server

    def fake_collect(request: collect.CollectRequest) -> Document:
        seen.append(tuple(os.environ))
        return some_facts()

    monkeypatch.setattr(transport, "Server", connect)
    monkeypatch.setattr(collect, "collect", fake_collect)
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", "t0ken")
    monkeypatch.setenv("PATCHWRIGHT_SERVER", "https://patch.example")
    assert main.main(["patch", "--scan-only", "--state-dir", str(tmp_path)]) == 0
    assert "PATCHWRIGHT_TOKEN" not in seen[0]
    assert server.tokens == {"t0ken"}
    output = capsys.readouterr()
    assert "t0ken" not in output.out + output.err


def test_a_run_without_server_or_token_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PATCHWRIGHT_SERVER", raising=False)
    assert main.main(["patch", "--state-dir", str(tmp_path)]) == 64
    assert "PATCHWRIGHT_SERVER" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main.main(["facts", "--unheard-of"])
    assert ended.value.code == 64


def test_backoff_is_about_two_minutes() -> None:
    assert 110 <= sum(server_calls.BACKOFF_SECONDS) <= 130
