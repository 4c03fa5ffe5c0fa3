"""The daemon as a process against a server: the protocol's order, kill -9 at each stage, outages, signals, reboots.

Source: spec/agent-protocol.md 4 to 6, 10.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_lab import NODE_ID, DaemonProcess, enrol, order, shell
from fake_server import FINAL_STATUSES, FakeServer, HangUp, Refusal
from tls_lab import authority


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def state_dir(tmp_path: Path, server: FakeServer) -> Path:
    enrol(server, tmp_path / "state")
    return tmp_path / "state"


def operations(server: FakeServer) -> list[str]:
    return [operation for operation, _ in server.calls]


def test_the_order_of_calls_and_the_shapes_of_heartbeats(server: FakeServer, state_dir: Path) -> None:
    command = server.send(NODE_ID, order([shell("echo hello; echo $SSM_COMMAND_ID")]))
    with DaemonProcess(state_dir, "--once") as daemon:
        final = server.wait_final(command)
        assert daemon.wait() == 0
    heartbeat = "UpdateInstanceInformation"
    assert operations(server)[:6] == [
        *("RequestManagedInstanceRoleToken", heartbeat, heartbeat),
        *("GetMessages", "SendReply", "AcknowledgeMessage"),
    ]
    assert final["documentStatus"] == "Success"
    assert server.steps(command)["runShellScript"]["standardOutput"] == f"hello\n{command}\n"
    probe, full = server.heartbeats
    assert set(probe) == {"InstanceId", "AgentName", "AgentVersion", "PlatformType"}
    assert (full["AgentStatus"], full["IPAddress"], full["SSMConnectionChannel"]) == ("Active", "127.0.0.1", "")
    assert full["ScanOnly"] is False
    assert server.replies[0][2]["runtimeStatus"] is None
    assert "stopped" not in daemon.output()


STAGES = [
    "accepted",
    "acknowledging",
    "acknowledged",
    "in the step",
    "step done",
    "step sent",
    "final stored",
    "final sent",
]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage_each_invocation_gets_exactly_one_final_result(
    server: FakeServer, state_dir: Path, tmp_path: Path, stage: str
) -> None:
    kill_in_step = "kill -9 $PPID; sleep 0.1" if stage == "in the step" else ":"
    script = f"echo run >> {tmp_path}/ran; {kill_in_step}"
    daemon = DaemonProcess(state_dir)
    seen = []

    def kill_on(kind: str, body: dict[str, Any]) -> None:
        reply = json.loads(body.get("Payload", "{}"))
        is_final = reply.get("documentStatus") in FINAL_STATUSES
        found = (
            "final" if is_final else "step" if reply.get("runtimeStatus") else "accepted" if reply else "acknowledge"
        )
        if found == kind and not seen:
            seen.append(kind)
            daemon.kill()
            raise HangUp

    point = {
        "accepted": ("before", "SendReply", "accepted"),
        "acknowledging": ("before", "AcknowledgeMessage", "acknowledge"),
        "acknowledged": ("after", "AcknowledgeMessage", "acknowledge"),
        "step done": ("before", "SendReply", "step"),
        "step sent": ("after", "SendReply", "step"),
        "final stored": ("before", "SendReply", "final"),
        "final sent": ("after", "SendReply", "final"),
    }.get(stage)
    if point:
        getattr(server, point[0])[point[1]] = lambda body: kill_on(point[2], body)
    command = server.send(NODE_ID, order([shell(script, "a"), shell(f"echo last >> {tmp_path}/ran", "b")]))
    daemon.wait()
    assert bool(seen) == bool(point)
    with DaemonProcess(state_dir) as second:
        server.wait_final(command)
        server.wait_for(lambda: server.messages[f"aws.ssm.{command}.{NODE_ID}"]["done"])
        polls = operations(server).count("GetMessages")
        server.wait_for(lambda: operations(server).count("GetMessages") >= polls + 2)
        assert second.terminate() == 0
    assert len({(reply_id, json.dumps(payload)) for reply_id, payload in server.finals(command)}) == 1
    lines = (tmp_path / "ran").read_text().split()
    assert lines.count("run") == 1, "a step never runs twice"
    assert lines.count("last") == 1 or stage in ("acknowledged", "step sent")
    steps = server.steps(command)
    assert set(steps) == {"a", "b"}
    if stage == "in the step":
        assert (steps["a"]["status"], steps["a"]["code"]) == ("Failed", -1)
        assert "It was not run again." in steps["a"]["standardError"]
    elif stage not in ("acknowledged", "step sent"):
        assert {result["status"] for result in steps.values()} == {"Success"}
    assert list((state_dir / "commands").iterdir()) == []


def test_a_cancel_ends_a_running_command(server: FakeServer, state_dir: Path, tmp_path: Path) -> None:
    with DaemonProcess(state_dir) as daemon:
        command = server.send(NODE_ID, order([shell(f"touch {tmp_path}/begun; sleep 600", "a"), shell("true", "b")]))
        server.wait_for(lambda: "AcknowledgeMessage" in operations(server))
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        server.send(NODE_ID, {"CancelMessageId": f"aws.ssm.{command}.{NODE_ID}"}, topic="cancelCommand")
        assert server.wait_final(command)["documentStatus"] == "Cancelled"
        assert daemon.terminate() == 0
    steps = server.steps(command)
    assert [(steps[name]["status"], steps[name]["code"]) for name in "ab"] == [("Cancelled", 137), ("Cancelled", 1)]


def test_an_outage_is_survived_without_haste(server: FakeServer, state_dir: Path) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise Refusal("InternalServerError", status=500)

    server.before["GetMessages"] = refuse
    with DaemonProcess(state_dir) as daemon:
        server.wait_for(lambda: "GetMessages" in operations(server))
        time.sleep(2.5)
        assert operations(server).count("GetMessages") <= 4
        del server.before["GetMessages"]
        command = server.send(NODE_ID, order([shell("true")]))
        assert server.wait_final(command, 30)["documentStatus"] == "Success"
        assert daemon.terminate() == 0
    assert daemon.output().count("InternalServerError") == 1, "an outage is one line in the log, not one per attempt"


def test_a_server_that_answers_polls_at_once_is_not_hammered(server: FakeServer, state_dir: Path) -> None:
    server.before["GetMessages"] = lambda _: setattr(server, "_closing", True)  # ends each hold immediately
    with DaemonProcess(state_dir) as daemon:
        server.wait_for(lambda: "GetMessages" in operations(server))
        time.sleep(2.5)
        assert operations(server).count("GetMessages") <= 3
        assert daemon.terminate() == 0


def test_replies_of_an_outage_arrive_when_it_is_over(server: FakeServer, state_dir: Path, tmp_path: Path) -> None:
    def refuse(body: dict[str, Any]) -> None:
        if json.loads(body["Payload"])["runtimeStatus"] is not None:
            raise Refusal("ServiceUnavailable", status=503)

    server.before["SendReply"] = refuse
    with DaemonProcess(state_dir) as daemon:
        command = server.send(NODE_ID, order([shell(f"echo run >> {tmp_path}/ran", "a"), shell("true", "b")]))
        server.wait_for(lambda: operations(server).count("SendReply") >= 3)
        del server.before["SendReply"]
        assert server.wait_final(command, 30)["documentStatus"] == "Success"
        assert daemon.terminate() == 0
    assert (tmp_path / "ran").read_text() == "run\n"
    assert set(server.steps(command)) == {"a", "b"}


def test_a_signal_ends_an_idle_poll_at_once_and_cleanly(server: FakeServer, state_dir: Path) -> None:
    with DaemonProcess(state_dir) as daemon:
        server.wait_for(lambda: "GetMessages" in operations(server))
        started = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - started < 1
        assert "Traceback" not in daemon.output()


def test_a_signal_stops_a_running_step_which_is_reported_at_the_next_start(server: FakeServer, state_dir: Path) -> None:
    with DaemonProcess(state_dir) as daemon:
        command = server.send(NODE_ID, order([shell(f"echo $$ > {state_dir}/pid; exec sleep 600")]))
        while not (state_dir / "pid").exists() or not (state_dir / "pid").read_text():
            time.sleep(0.01)
        assert daemon.terminate() == 0
    assert not Path(f"/proc/{(state_dir / 'pid').read_text().strip()}").exists()
    assert server.finals(command) == []
    with DaemonProcess(state_dir, "--once") as daemon:
        assert server.wait_final(command)["documentStatus"] == "Failed"
        assert daemon.wait() == 0


def test_only_one_daemon_uses_a_state_folder(server: FakeServer, state_dir: Path) -> None:
    with DaemonProcess(state_dir) as daemon:
        server.wait_for(lambda: "GetMessages" in operations(server))
        with DaemonProcess(state_dir) as second:
            assert second.wait() == 1
        assert "another agent is running" in daemon.output()


def test_exit_194_runs_the_reboot_command(server: FakeServer, state_dir: Path, tmp_path: Path) -> None:
    reboot = tmp_path / "fake reboot"
    reboot.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/rebooted\n')
    reboot.chmod(0o700)
    with DaemonProcess(state_dir, "--reboot-command", f"'{reboot}' -r +1") as daemon:
        command = server.send(NODE_ID, order([shell("exit 194")]))
        deadline = time.monotonic() + 10
        while not (tmp_path / "rebooted").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        daemon.kill()
    assert (tmp_path / "rebooted").read_text() == "-r +1\n"
    assert server.steps(command)["runShellScript"]["status"] == "SuccessAndReboot"
    assert server.finals(command) == []
    (tmp_path / "rebooted").unlink()
    with DaemonProcess(state_dir, "--reboot-command", f"'{reboot}' -r +1") as daemon:
        server.wait_for(lambda: operations(server).count("GetMessages") >= 4)
        assert not (tmp_path / "rebooted").exists(), "the boot is the same: it isn't hurried"
        assert server.finals(command) == []
        assert daemon.terminate() == 0


def test_scan_only_over_the_wire(server: FakeServer, state_dir: Path, tmp_path: Path) -> None:
    command = server.send(NODE_ID, order([shell(f"touch {tmp_path}/ran")], name="AWS-RunShellScript"))
    with DaemonProcess(state_dir, "--scan-only", "--once") as daemon:
        final = server.wait_final(command)
        assert daemon.wait() == 0
    assert final["documentStatus"] == "Failed"
    assert "obeys Scan and nothing else" in final["documentTraceOutput"]
    assert len(server.replies) == 1
    assert not (tmp_path / "ran").exists()
    assert server.heartbeats[1]["ScanOnly"] is True


def test_over_tls_with_the_pinned_authority(tmp_path: Path) -> None:
    ours = authority(tmp_path / "ours", "127.0.0.1")
    with FakeServer(ours.files) as server:
        (tmp_path / "state").mkdir(mode=0o700)
        (tmp_path / "state" / "ca.pem").write_bytes(ours.ca_file.read_bytes())
        enrol(server, tmp_path / "state", str(tmp_path / "state" / "ca.pem"))
        script = 'cmp "$PATCHWRIGHT_CA_FILE" ' + str(ours.ca_file)
        command = server.send(NODE_ID, order([shell(script)]))
        with DaemonProcess(tmp_path / "state", "--once") as daemon:
            assert server.wait_final(command)["documentStatus"] == "Success"
            assert daemon.wait() == 0
    assert server.violations == []


def test_messages_that_can_not_be_used_are_failed_or_dropped_and_polling_goes_on(
    server: FakeServer, state_dir: Path
) -> None:
    with DaemonProcess(state_dir) as daemon:
        strange = server.send(NODE_ID, "x", topic="updateEverything\x1b[2J")
        huge = server.send(NODE_ID, "x" * (1024 * 1024 + 1))
        command = server.send(NODE_ID, order([shell("true")]))
        assert server.wait_final(command)["documentStatus"] == "Success"
        server.wait_for(lambda: len(server.failed) == 2)
        assert daemon.terminate() == 0
    assert {body["MessageId"].split(".")[2] for body in server.failed} == {strange, huge}
    assert "\x1b" not in daemon.output()
