"""Commands through crashes at every journal write, reboots, refusals and unsent replies, in one process.

Sources: spec/agent-protocol.md 6.4, 8 to 10; the rule "exactly one result per invocation, whatever is killed when".
"""

import contextlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_lab import COMMAND, CrashingJournal, Wire, daemon, mark, message, ran, restart, run, settle
from daemon_lab import NODE_ID, order, shell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchwright_agent import platform
from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.command_run import NOT_RUN_AGAIN
from patchwright_agent.daemon.journal import Journal, JournalError
from patchwright_agent.transport import Unreachable


@pytest.mark.parametrize("before", [True, False])
def test_a_crash_at_any_journal_write_gives_exactly_one_final_reply_and_runs_no_step_twice(
    tmp_path: Path, before: bool
) -> None:
    crashes = 0
    for number in range(1, 40):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        payload = order([shell(mark(folder, "a"), "a"), shell(mark(folder, "b"), "b")])
        wire = Wire()
        journal = CrashingJournal(str(folder), Clock())
        journal.writes_left, journal.before = number, before
        wire.is_down = lambda journal=journal: journal.is_dead  # a dead process sends nothing either
        first = daemon(wire, folder, journal=journal)
        with contextlib.suppress(JournalError):
            first.take(message(payload))
        settle(first)
        crashed = journal.is_dead
        crashes += crashed
        journal.close()
        wire.is_down = lambda: False
        second = restart(wire, folder)
        if not wire.acknowledged and not wire.finals:
            second.take(message(payload))  # the server delivers again what was never acknowledged
            settle(second)
        assert len({reply_id for reply_id, _ in wire.finals}) == 1, f"write {number}"
        contents = {json.dumps(payload, sort_keys=True) for _, payload in wire.finals}
        assert len(contents) == 1, f"write {number}"
        assert sorted(set(ran(folder))) == sorted(ran(folder)), f"write {number}: a step ran twice"
        assert set(wire.steps) == {"a", "b"}
        for name, result in wire.steps.items():
            if result["status"] == "Success":
                assert name in ran(folder)
            else:
                assert (result["code"], NOT_RUN_AGAIN in result["standardError"]) == (-1, True)
        failed = any(result["status"] == "Failed" for result in wire.steps.values())
        assert wire.finals[0][1]["documentStatus"] == ("Failed" if failed else "Success")
        assert not (folder / "commands" / COMMAND).exists()
        if not crashed:
            break
    assert crashes >= 10, "received, acked, 2 x (started, done, sent), final, sent"
    assert not crashed


def test_replies_that_could_not_be_sent_go_out_later_unchanged_and_in_order(tmp_path: Path) -> None:
    wire = Wire()
    wire.is_down = lambda: True
    first = daemon(wire, tmp_path)
    with pytest.raises(Unreachable):
        first.take(message(order([shell("echo 1", "a"), shell("echo 2", "b")])))
    settle(first)
    stored = Journal(str(tmp_path), Clock()).commands[COMMAND]
    wire.is_down = lambda: False
    restart(wire, tmp_path)
    assert [list(payload["runtimeStatus"]) for _, payload in wire.replies] == [["a"], ["b"], []]
    assert [reply_id for reply_id, _ in wire.replies] == [
        stored.results[0].reply_id,
        stored.results[1].reply_id,
        stored.final[0] if stored.final else None,
    ]
    assert wire.finals[0][1] == json.loads(stored.final[1] if stored.final else "")


def test_a_command_delivered_again_is_acknowledged_answered_and_not_run(tmp_path: Path) -> None:
    wire = Wire()
    one = run(wire, tmp_path, order([shell(mark(tmp_path, "a"))]))
    one.take(message(order([shell(mark(tmp_path, "a"))])))
    settle(one)
    restart(wire, tmp_path).take(message(order([shell(mark(tmp_path, "a"))])))
    assert ran(tmp_path) == ["a"]
    assert len(wire.acknowledged) == 3
    statuses = [payload["documentStatus"] for _, payload in wire.replies]
    assert statuses == ["InProgress", "InProgress", "Success", *["InProgress", "Success"] * 2]
    assert len({json.dumps(final) for final in wire.finals}) == 1


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "boot_id"
    path.write_text("boot-a\n")
    monkeypatch.setattr(platform, "BOOT_ID_PATH", str(path))
    return path


def test_exit_194_runs_the_same_step_again_after_a_boot_and_only_then(tmp_path: Path, boot: Path) -> None:
    script = f"{mark(tmp_path, 'b')}; [ -e {tmp_path}/booted ] || exit 194"
    payload = order([shell(mark(tmp_path, "a"), "a"), shell(script, "b"), shell(mark(tmp_path, "c"), "c")])
    wire = Wire()
    one = run(wire, tmp_path, payload)
    assert one.pool.awaits_reboot
    assert wire.replies[-1][1]["documentStatus"] == "SuccessAndReboot"
    assert wire.steps["b"]["code"] == 194
    assert restart(wire, tmp_path).pool.awaits_reboot, "the agent was restarted, the host wasn't"
    assert ran(tmp_path) == ["a", "b"]
    assert wire.finals == []
    boot.write_text("boot-b\n")
    (tmp_path / "booted").touch()
    restart(wire, tmp_path)
    assert ran(tmp_path) == ["a", "b", "b", "c"]
    assert wire.steps["b"]["standardOutput"] == "b-output\nb-output\n"
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Success"]


def test_a_reboot_that_never_comes_fails_the_step_and_the_rest_goes_on(tmp_path: Path, boot: Path) -> None:
    wire = Wire()
    one = run(wire, tmp_path, order([shell("exit 194", "a"), shell(mark(tmp_path, "b"), "b")]))
    one.pool.give_up_reboot()
    settle(one)
    assert (wire.steps["a"]["status"], wire.steps["a"]["code"]) == ("Failed", -1)
    assert "did not happen" in wire.steps["a"]["standardError"]
    assert ran(tmp_path) == ["b"]
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Failed"]


def test_a_command_that_waits_for_a_reboot_can_be_cancelled(tmp_path: Path, boot: Path) -> None:
    wire = Wire()
    one = run(wire, tmp_path, order([shell("exit 194", "a")]))
    one.take(message({"CancelMessageId": f"aws.ssm.{COMMAND}.{NODE_ID}"}, "cancel-message-1", "cancelCommand"))
    settle(one)
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Cancelled"]
    assert not one.pool.awaits_reboot


def test_the_steps_of_the_patch_document_are_run_again_after_a_crash(tmp_path: Path) -> None:
    payload = order([shell(mark(tmp_path, "patch"), "PatchLinux")], name="AWS-RunPatchBaseline")
    journal = Journal(str(tmp_path), Clock())
    journal.append("received", COMMAND, message_id=message("x")["MessageId"], name="x", payload=json.dumps(payload))
    journal.append("started", COMMAND, step=0)
    journal.close()
    wire = Wire()
    restart(wire, tmp_path)
    assert ran(tmp_path) == ["patch"]
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Success"]


def test_a_patch_step_that_crashes_the_agent_each_time_has_an_end(tmp_path: Path) -> None:
    payload = order([shell(mark(tmp_path, "patch"), "PatchLinux")], name="AWS-RunPatchBaseline")
    journal = Journal(str(tmp_path), Clock())
    journal.append("received", COMMAND, message_id=message("x")["MessageId"], name="x", payload=json.dumps(payload))
    for _ in range(5):
        journal.append("started", COMMAND, step=0)
    journal.close()
    wire = Wire()
    restart(wire, tmp_path)
    assert ran(tmp_path) == []
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Failed"]


@pytest.mark.parametrize(
    ("steps", "document", "statuses", "run_names"),
    [
        ([("a", 1, {}), ("b", 0, {})], "Failed", ["Failed", "Success"], ["a", "b"]),
        ([("a", 1, {"onFailure": "exit"}), ("b", 0, {})], "Failed", ["Failed", "Skipped"], ["a"]),
        ([("a", 1, {"onFailure": "successAndExit"}), ("b", 0, {})], "Success", ["Success", "Skipped"], ["a"]),
        ([("a", 0, {"onSuccess": "exit"}), ("b", 0, {})], "Success", ["Success", "Skipped"], ["a"]),
        ([("a", 168, {}), ("b", 0, {})], "Success", ["Success", "Skipped"], ["a"]),
        (
            [("a", 169, {}), ("b", 0, {}), ("c", 0, {"finallyStep": True})],
            "Failed",
            ["Failed", "Skipped", "Success"],
            ["a", "c"],
        ),
    ],
)
def test_what_a_failed_or_exiting_step_means_for_the_others(
    tmp_path: Path, steps: list[Any], document: str, statuses: list[str], run_names: list[str]
) -> None:
    wire = Wire()
    made = [shell(f"{mark(tmp_path, name)}; exit {code}", name, **inputs) for name, code, inputs in steps]
    run(wire, tmp_path, order(made))
    assert [wire.steps[name]["status"] for name, _, _ in steps] == statuses
    assert ran(tmp_path) == run_names
    assert [payload["documentStatus"] for _, payload in wire.finals] == [document]


@pytest.mark.parametrize("payload", ["no JSON", {"DocumentName": "x"}, order([]), order([{"name": "a"}])])
def test_a_bad_document_gets_one_failed_reply_with_the_reason_and_no_acknowledgement(
    tmp_path: Path, payload: Any
) -> None:
    wire = Wire()
    run(wire, tmp_path, payload)
    assert len(wire.replies) == 1
    reply = wire.replies[0][1]
    assert (reply["documentStatus"], reply["runtimeStatus"]) == ("Failed", None)
    assert reply["documentTraceOutput"]
    assert wire.acknowledged == []


@pytest.mark.parametrize(
    "inputs",
    [
        {"runCommand": []},
        {"runCommand": [5]},
        {"runCommand": ["a\0b"]},
        {"runCommand": ["\ud800"]},
        {"runCommand": ["true"], "environment": "text"},
        {"runCommand": ["true"], "environment": {"A B": "x"}},
        {"runCommand": ["true"], "environment": {"A": 5}},
        {"runCommand": ["true"], "workingDirectory": "/no/such/folder"},
        {},
    ],
)
def test_a_step_that_can_not_be_started_fails_and_says_why(tmp_path: Path, inputs: dict[str, Any]) -> None:
    wire = Wire()
    one = run(wire, tmp_path, order([{"action": "aws:runShellScript", "name": "a", "inputs": inputs}]))
    assert (wire.steps["a"]["status"], wire.steps["a"]["code"]) == ("Failed", 1)
    assert "could not be started" in wire.steps["a"]["standardError"]
    assert one.pool.failure is None


def test_a_host_whose_clock_is_off_tells_when_things_happened_by_the_servers(tmp_path: Path) -> None:
    wire = Wire()
    before = datetime.now(UTC)
    run(wire, tmp_path, order([shell("true", "a"), shell("exit 1", "b")]), clock_offset=-3600.0)
    after = datetime.now(UTC)
    told = [wire.steps[name][when] for name in wire.steps for when in ("startDateTime", "endDateTime")]
    told += [payload["additionalInfo"]["dateTime"] for _, payload in wire.replies]
    assert len(told) >= 4
    hour = timedelta(hours=1, milliseconds=1)
    for moment in map(datetime.fromisoformat, told):
        assert before - hour <= moment <= after - timedelta(hours=1) + timedelta(milliseconds=1), told


def test_what_a_script_finds_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHWRIGHT_ACTIVATION_CODE", "leaked")
    wire = Wire()
    names = ("INSTANCE_ID", "REGION_NAME", "PLATFORM_NAME", "PLATFORM_VERSION")
    script = 'echo "' + "|".join(f"$AWS_SSM_{name}" for name in names) + '|$SSM_COMMAND_ID"'
    script += '; echo "$PATCHWRIGHT_SERVER|$PATCHWRIGHT_STATE_DIR|$PATCHWRIGHT_TOKEN|$PATCHWRIGHT_ACTIVATION_CODE"'
    script += '; "$PATCHWRIGHT_PYTHON" "$PATCHWRIGHT_AGENT" version'
    run(wire, tmp_path, order([shell(script, "a", environment={"PATCHWRIGHT_TOKEN": "t0ken"})]))
    assert wire.steps["a"]["standardOutput"].splitlines() == [
        f"{NODE_ID}|lab-1|Debian GNU/Linux|12|{COMMAND}",
        f"http://127.0.0.1:1|{tmp_path}|t0ken|",
        "0.1.0",
    ]


def test_secrets_of_an_order_are_not_in_the_log_nor_readable_by_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire()
    wire.is_down = lambda: len(wire.acknowledged) > 0
    run(wire, tmp_path, order([shell("exit 1", "a", environment={"PATCHWRIGHT_TOKEN": "t0p-s3cret"})]))
    assert "t0p-s3cret" not in capsys.readouterr().err
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            path = Path(folder) / name
            if b"t0p-s3cret" in path.read_bytes():
                assert path.stat().st_mode & 0o077 == 0


def test_an_eleventh_command_is_left_to_the_server(tmp_path: Path) -> None:
    wire = Wire()
    one = daemon(wire, tmp_path)
    ids = [f"command-{number:04d}" for number in range(11)]
    waiting = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    taken = [one.take(message(order([shell(waiting)]), command_id)) for command_id in ids]
    assert taken == [True] * 10 + [False]
    assert not any(ids[10] in message_id for message_id in wire.acknowledged)
    (tmp_path / "go").touch()
    settle(one)
    assert len(wire.finals) == 10


def test_a_cancel_reaches_running_waiting_and_unknown_commands(tmp_path: Path) -> None:
    wire = Wire()
    one = daemon(wire, tmp_path)
    ids = [f"command-{number:04d}" for number in range(6)]
    for command_id in ids:
        one.take(message(order([shell("sleep 600", "a"), shell("true", "b")]), command_id))
    for number, command_id in enumerate([*ids, "command-unknown"]):
        one.take(
            message({"CancelMessageId": f"aws.ssm.{command_id}.{NODE_ID}"}, f"cancel-{number:04d}", "cancelCommand")
        )
    one.take(message("no JSON", "cancel-9999", "cancelCommand"))
    settle(one)
    assert [payload["documentStatus"] for _, payload in wire.finals] == ["Cancelled"] * 6
    assert sum("cancel-" in message_id for message_id in wire.acknowledged) == 8
    assert wire.steps["b"]["code"] == 1


def test_a_full_disk_before_the_order_is_recorded_leaves_it_with_the_server(tmp_path: Path) -> None:
    journal = CrashingJournal(str(tmp_path), Clock())
    journal.writes_left = 1
    wire = Wire()
    one = daemon(wire, tmp_path, journal=journal)
    with pytest.raises(JournalError):
        one.take(message(order([shell(mark(tmp_path, "a"))])))
    assert (wire.replies, wire.acknowledged, ran(tmp_path)) == ([], [], [])


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["{{ a }}", "aws:runShellScript", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    steps=st.lists(
        st.fixed_dictionaries(
            {"name": st.text(max_size=5), "action": st.text(max_size=5) | st.just("aws:applications")},
            optional={"inputs": HOSTILE, "precondition": HOSTILE},
        ),
        max_size=3,
    ),
    definitions=HOSTILE,
    parameters=HOSTILE,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_order_whatever_gets_exactly_one_final_reply(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, definitions: Any, parameters: Any
) -> None:
    wire = Wire()
    folder = tmp_path_factory.mktemp("state")
    one = run(wire, folder, order(steps, definitions=definitions, parameters=parameters))
    assert len(wire.finals) == 1
    assert one.pool.failure is None
