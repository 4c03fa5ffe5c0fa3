"""A step's process: how it ends, what it sees, what is kept of its output. Source: spec/agent-protocol.md 10."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from patchwright_agent.daemon import steps
from patchwright_agent.daemon.steps import Abandoned, Control, Outcome, StepFolder, run_script, timeout_seconds


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PATCHWRIGHT_COMMAND_DIR": str(folder)}


def run(folder: Path, script: str, timeout: float = 20, control: Control | None = None) -> Outcome:
    step = StepFolder(str(folder), 0)
    return run_script(script.splitlines(), step, environment(folder), "/", timeout, control or Control())


def start(folder: Path, script: str, control: Control, timeout: float = 60) -> tuple[threading.Thread, list[object]]:
    """Run in a thread; what came of it is appended to the list."""
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(run(folder, script, timeout, control))
        except Abandoned as abandoned:
            ended.append(abandoned)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ended


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text().strip()
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def is_alive(pid: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_gone(pid: str) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "status", "code", "stdout", "stderr"),
    [
        ("echo out\necho err >&2", "Success", 0, b"out\n", b"err\n"),
        ("echo err >&2; exit 3", "Failed", 3, b"", b"err\nfailed to run commands: exit status 3\n"),
        ("printf x >&2; exit 1", "Failed", 1, b"", b"x\nfailed to run commands: exit status 1\n"),
        ("false\ntrue", "Success", 0, b"", b""),
        ("exit 194", "SuccessAndReboot", 194, b"", b""),
        ("exit 168", "Success", 168, b"", b""),
        ("kill -KILL $$", "Failed", -1, b"", b""),
        ("#!/bin/sh -e\nfalse\ntrue", "Failed", 1, b"", b"failed to run commands: exit status 1\n"),
        ("cat; pwd", "Success", 0, b"/\n", b""),
    ],
)
def test_how_a_script_ends(tmp_path: Path, script: str, status: str, code: int, stdout: bytes, stderr: bytes) -> None:
    outcome = run(tmp_path, script)
    assert (outcome.status, outcome.code, outcome.stdout, outcome.stderr) == (status, code, stdout, stderr)


def test_the_script_is_run_by_its_path_and_for_its_owner_alone(tmp_path: Path) -> None:
    odd = tmp_path / "a folder; with $(odd) 'name"
    odd.mkdir()
    assert run(odd, 'echo "$0"').stdout.decode() == f"{odd}/step-0.sh\n"
    assert (odd / "step-0.sh").stat().st_mode & 0o777 == 0o700
    assert (odd / "step-0.stdout").stat().st_mode & 0o777 == 0o600


def test_it_has_a_process_group_of_its_own_and_only_the_given_environment(tmp_path: Path) -> None:
    outcome = run(tmp_path, "env | cut -d= -f1 | sort | tr '\\n' ' '; ps -o pgid= -p $$ | tr -d ' '; echo $$")
    names, group, pid = (
        outcome.stdout.decode().replace(" \n", "\n").rsplit(" ", 1)[0],
        *outcome.stdout.decode().split()[-2:],
    )
    assert group == pid
    assert set(names.split()) <= {"PATCHWRIGHT_COMMAND_DIR", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_time_out_kills_the_whole_group(tmp_path: Path) -> None:
    outcome = run(tmp_path, f"echo begun; sleep 600 & echo $! > {tmp_path}/child; wait", timeout=0.3)
    assert (outcome.status, outcome.code, outcome.stdout) == ("TimedOut", 137, b"begun\n")
    wait_gone((tmp_path / "child").read_text().strip())


def test_a_cancel_kills_the_whole_group_at_once(tmp_path: Path) -> None:
    control = Control()
    thread, ended = start(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait", control)
    child = wait_for(tmp_path / "child")
    before = time.monotonic()
    control.cancel()
    thread.join(10)
    assert time.monotonic() - before < 1
    assert isinstance(ended[0], Outcome)
    assert (ended[0].status, ended[0].code) == ("Cancelled", 137)
    wait_gone(child)


TRANSACTION = """
trap 'echo asked >> {0}/trace' TERM
echo $$ > {0}/transaction
echo begun > {0}/begun
while [ ! -e {0}/may-end ]; do sleep 0.02; done
rm {0}/transaction
echo finished >> {0}/trace
"""


@pytest.mark.parametrize("names_pid", [True, False])
def test_a_package_transaction_is_asked_and_never_cut(tmp_path: Path, names_pid: bool) -> None:
    control = Control()
    script = TRANSACTION if names_pid else TRANSACTION.replace("echo $$ >", ": >")
    thread, ended = start(tmp_path, script.format(tmp_path), control)
    wait_for(tmp_path / "begun")
    control.cancel()
    assert wait_for(tmp_path / "trace") == "asked"
    assert thread.is_alive()
    (tmp_path / "may-end").touch()
    thread.join(10)
    assert (tmp_path / "trace").read_text() == "asked\nfinished\n"
    assert isinstance(ended[0], Outcome)
    assert ended[0].status == "Cancelled"
    assert b"was let finish first" in ended[0].stderr


def test_a_cancel_does_not_wait_for_a_transaction_that_hangs_and_names_what_it_waits_for(tmp_path: Path) -> None:
    control = Control()
    thread, ended = start(tmp_path, TRANSACTION.format(tmp_path), control)
    wait_for(tmp_path / "begun")
    control.cancel()
    assert wait_for(tmp_path / "trace") == "asked"
    assert thread.is_alive()  # it may be at work
    (tmp_path / "waiting").write_text("it waits for the postinst script of tb-b")
    thread.join(10)
    assert isinstance(ended[0], Outcome)
    assert (ended[0].status, ended[0].code) == ("Cancelled", 137)
    assert b"it waits for the postinst script of tb-b" in ended[0].stderr
    (tmp_path / "may-end").touch()
    wait_gone((tmp_path / "transaction").read_text().strip())
    assert (tmp_path / "trace").read_text() == "asked\nfinished\n", "it was not cut short"


def test_a_foreign_pid_in_the_transaction_file_is_not_signalled(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        (tmp_path / "transaction").write_text(str(bystander.pid))
        assert steps.transaction_worker(str(tmp_path), 4242) == 4242
        bystander.kill()


def test_when_the_daemon_ends_a_step_is_stopped_and_has_no_result(tmp_path: Path) -> None:
    control = Control()
    thread, ended = start(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 600", control)
    pid = wait_for(tmp_path / "pid")
    control.shut_down()
    thread.join(10)
    assert isinstance(ended[0], Abandoned)
    wait_gone(pid)


def test_when_the_daemon_ends_a_transaction_goes_on(tmp_path: Path) -> None:
    control = Control()
    thread, ended = start(tmp_path, TRANSACTION.format(tmp_path), control)
    wait_for(tmp_path / "begun")
    pid = (tmp_path / "transaction").read_text().strip()
    control.shut_down()
    thread.join(10)
    assert isinstance(ended[0], Abandoned)
    assert is_alive(pid)
    assert not (tmp_path / "trace").exists(), "it isn't even asked"
    (tmp_path / "may-end").touch()
    assert wait_for(tmp_path / "trace") == "finished"
    wait_gone(pid)


def test_a_background_process_that_keeps_the_output_open_does_not_hold_the_step(tmp_path: Path) -> None:
    before = time.monotonic()
    outcome = run(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; echo done")
    assert time.monotonic() - before < 5
    assert outcome.stdout == b"done\n"
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_a_talkative_step_fills_neither_memory_nor_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_CHECK_SECONDS", 0.02)
    control = Control()
    thread, ended = start(tmp_path, "echo first; yes | head -c 60000000; sleep 0.2; echo last", control)
    thread.join(30)
    assert isinstance(ended[0], Outcome)
    assert ended[0].stdout.startswith(b"first\ny\n")
    assert len(ended[0].stdout) == steps.KEPT_OUTPUT_BYTES
    assert (tmp_path / "step-0.stdout").stat().st_size < 40_000_000


def test_the_outputs_of_two_runs_are_concatenated(tmp_path: Path) -> None:
    run(tmp_path, "echo one; exit 194")
    assert run(tmp_path, "echo two").stdout == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60),
        (60, 60),
        ("5", 5),
        (4, 3600),
        ("3", 3600),
        (172800, 172800),
        (172801, 3600),
        ("x", 3600),
        (None, 3600),
    ],
)
def test_timeouts(value: object, seconds: int) -> None:
    assert timeout_seconds(value) == seconds


def test_many_scripts_at_once_are_never_refused_as_busy(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        outcomes.extend(run(folder, "exit 0") for _ in range(8))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(outcome.status, outcome.stderr) for outcome in outcomes} == {("Success", b"")}
    assert len(outcomes) == 48
