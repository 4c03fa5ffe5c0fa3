"""What the daemon makes of a patch document's step: run again after a crash, and facts once after each boot."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_lab import COMMAND, Wire, daemon, mark, message, ran, restart, run, settle
from daemon_lab import NODE_ID, enrol, order, shell
from fake_server import FakeServer

from patchwright_agent import platform, transport
from patchwright_agent.daemon import boot_report, steps
from patchwright_agent.daemon.boot_report import BootReport
from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.credentials import Credentials
from patchwright_agent.daemon.journal import Journal
from patchwright_agent.daemon.node import Node
from patchwright_agent.daemon.steps import LET_FINISH
from patchwright_agent.worker import facts
from patchwright_agent.worker import main as worker_main
from patchwright_agent.worker.facts import Document
from patchwright_agent.worker.facts_upload import upload

PATCH_DOCUMENTS = ("AWS-RunPatchBaseline", "Patchwright-PlanPatches")
DIES = "kill -9 $$"


@pytest.mark.parametrize("name", PATCH_DOCUMENTS)
def test_a_patch_documents_step_runs_again_after_a_crash_of_the_agent(tmp_path: Path, name: str) -> None:
    payload = order([shell(mark(tmp_path, "patch"), "PatchLinux")], name=name)
    journal = Journal(str(tmp_path), Clock())
    journal.append("received", COMMAND, message_id=message("x")["MessageId"], name="x", payload=json.dumps(payload))
    journal.append("started", COMMAND, step=0)
    journal.close()
    wire = Wire()
    restart(wire, tmp_path)
    assert ran(tmp_path) == ["patch"]
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Success"]


@pytest.mark.parametrize("name", PATCH_DOCUMENTS)
def test_a_worker_that_is_killed_is_followed_by_another_one(tmp_path: Path, name: str) -> None:
    script = f"{mark(tmp_path, 'worker')}; [ -e {tmp_path}/died ] || {{ touch {tmp_path}/died; {DIES}; }}"
    wire = Wire()
    run(wire, tmp_path, order([shell(script, "PatchLinux")], name=name))
    assert ran(tmp_path) == ["worker", "worker"]
    assert wire.steps["PatchLinux"]["status"] == "Success"
    assert len(wire.finals) == 1


def test_a_worker_that_is_killed_each_time_has_an_end(tmp_path: Path) -> None:
    wire = Wire()
    script = f"{mark(tmp_path, 'worker')}; {DIES}"
    run(wire, tmp_path, order([shell(script, "PatchLinux")], name="AWS-RunPatchBaseline"))
    assert len(ran(tmp_path)) == 5
    assert (wire.steps["PatchLinux"]["status"], wire.steps["PatchLinux"]["code"]) == ("Failed", -1)


def test_a_script_that_is_killed_is_not_run_again(tmp_path: Path) -> None:
    wire = Wire()
    run(wire, tmp_path, order([shell(f"{mark(tmp_path, 'script')}; {DIES}")]))
    assert ran(tmp_path) == ["script"]


def test_a_cancel_in_a_transaction_waits_for_the_worker_and_is_reported_as_cancelled(tmp_path: Path) -> None:
    """The script stands for the worker: its pid in the transaction file, deaf to SIGTERM until it is done."""
    script = (
        f"trap 'echo asked >> {tmp_path}/ran' TERM; echo $$ > $PATCHWRIGHT_COMMAND_DIR/transaction; "
        f"touch {tmp_path}/in; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo done >> {tmp_path}/ran; "
        "rm $PATCHWRIGHT_COMMAND_DIR/transaction"
    )
    wire = Wire()
    one = daemon(wire, tmp_path)
    one.take(message(order([shell(script, "PatchLinux")], name="AWS-RunPatchBaseline")))
    wait_for(tmp_path / "in")
    one.take(message({"CancelMessageId": f"aws.ssm.{COMMAND}.{NODE_ID}"}, "cancel-message-1", "cancelCommand"))
    wait_for(tmp_path / "ran")
    (tmp_path / "go").touch()
    settle(one)
    assert ran(tmp_path) == ["asked", "done"]
    result = wire.steps["PatchLinux"]
    assert (result["status"], result["code"]) == ("Cancelled", 137)
    assert LET_FINISH % "cancel" in result["standardError"]


def test_a_reboot_that_another_command_wants_waits_for_a_package_transaction_however_long(tmp_path: Path) -> None:
    script = (
        f"touch $PATCHWRIGHT_COMMAND_DIR/transaction {tmp_path}/in; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; "
        "rm $PATCHWRIGHT_COMMAND_DIR/transaction"
    )
    one = daemon(Wire(), tmp_path)
    one.take(message(order([shell("exit 194")]), "11111111-1111-4111-8111-111111111111"))
    settle(one)
    assert one.pool.awaits_reboot
    one.take(message(order([shell(script, "PatchLinux")], name="AWS-RunPatchBaseline")))
    wait_for(tmp_path / "in")
    one._reboot.want(time.monotonic() - 86400)
    one._tend_reboot()
    assert one._reboot._attempts == 0
    (tmp_path / "go").touch()
    settle(one)
    one._tend_reboot()
    assert one._reboot._attempts == 1


def wait_for(path: Path) -> None:
    turn = threading.Event()
    for _ in range(2000):
        if path.exists():
            return
        turn.wait(0.01)
    raise AssertionError(f"{path} did not appear")


class TestBootReport:
    """Facts once after each boot, by a child that is started again until they were taken."""

    @pytest.fixture(autouse=True)
    def child(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A program in place of the agent: it says that it was started, and fails as often as the file `fail` says."""
        path = tmp_path / "child.py"
        path.write_text(
            "import os, sys\n"
            f"folder = {str(tmp_path)!r}\n"
            "with open(os.path.join(folder, 'started'), 'a') as file: file.write(' '.join(sys.argv[1:]) + '\\n')\n"
            "fail = os.path.join(folder, 'fail')\n"
            "if os.path.exists(fail): os.unlink(fail); sys.exit(1)\n"
        )
        monkeypatch.setattr(boot_report, "agent_path", lambda: str(path))
        monkeypatch.setattr(platform, "BOOT_ID_PATH", str(tmp_path / "boot_id"))
        monkeypatch.setattr(boot_report, "RETRY_BASE_SECONDS", 0.01)
        (tmp_path / "boot_id").write_text("boot-a\n")
        return path

    def ended(self, tmp_path: Path) -> int:
        """Report if there is cause; how often the child was started in all."""
        report = BootReport(str(tmp_path), delay=0.0)
        report.start()
        if report._thread is not None:
            report._thread.join(20)
        report.stop()
        started = tmp_path / "started"
        return len(started.read_text().splitlines()) if started.exists() else 0

    def test_a_node_that_never_reported_has_nothing_to_clear(self, tmp_path: Path) -> None:
        assert self.ended(tmp_path) == 0
        (tmp_path / "facts.json").write_text("{}")
        assert self.ended(tmp_path) == 0, "the boot was noted: nothing was installed before it"

    def test_each_boot_is_reported_once(self, tmp_path: Path) -> None:
        (tmp_path / "facts.json").write_text("{}")
        assert self.ended(tmp_path) == 1
        assert self.ended(tmp_path) == 1
        (tmp_path / "boot_id").write_text("boot-b\n")
        assert self.ended(tmp_path) == 2
        assert (tmp_path / "started").read_text().splitlines() == [f"report --state-dir {tmp_path}"] * 2

    def test_its_child_is_not_started_while_a_step_writes_its_script(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It would inherit the open file, and the script would be refused as "text file busy"."""
        start, was_held = subprocess.Popen, []

        def started(*arguments: Any, **options: Any) -> Any:
            was_held.append(steps.starting.locked())
            return start(*arguments, **options)

        monkeypatch.setattr(subprocess, "Popen", started)
        (tmp_path / "facts.json").touch()
        self.ended(tmp_path)
        assert was_held == [True]

    def test_a_report_that_was_not_taken_is_tried_again(self, tmp_path: Path) -> None:
        (tmp_path / "facts.json").write_text("{}")
        (tmp_path / "fail").touch()
        assert self.ended(tmp_path) == 2
        assert self.ended(tmp_path) == 2

    def test_a_daemon_that_ends_ends_the_child_and_the_next_one_begins_anew(self, tmp_path: Path, child: Path) -> None:
        (tmp_path / "facts.json").write_text("{}")
        whole = child.read_text()
        child.write_text(whole + "import time; time.sleep(60)\n")
        report = BootReport(str(tmp_path), delay=0.0)
        report.start()
        wait_for(tmp_path / "started")
        report.stop()
        child.write_text(whole)
        assert self.ended(tmp_path) == 2

    def test_a_damaged_note_is_as_none(self, tmp_path: Path) -> None:
        (tmp_path / "facts.json").write_text("{}")
        (tmp_path / "boot.json").write_text("{")
        assert self.ended(tmp_path) == 1


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake
    assert fake.violations == []


def test_facts_after_a_boot_are_signed_by_the_node_itself(server: FakeServer, tmp_path: Path) -> None:
    identity = enrol(server, tmp_path / "state")
    clock, wire = Clock(), transport.Server(server.url)
    node = Node(identity, wire, Credentials(identity, wire, str(tmp_path / "state"), clock), clock)
    document = Document("0.1.0", 5.0, "d" * 64, (facts.part("installed", {}), facts.part("state", {})))
    upload(node.report_facts, document)
    wire.close()
    sent = [body for operation, body in server.calls if operation == "ReportFacts"]
    assert [["Body" in part for part in body["Parts"]] for body in sent] == [[False, False], [True, True]]
    assert "RunId" not in sent[0]


def test_a_report_without_an_identity_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert worker_main.main(["report", "--state-dir", str(tmp_path)]) == 1
    assert "not registered" in capsys.readouterr().err
