"""A node that obeys Scan and nothing else: enforced here, whatever the server sends. Source: design decision 25."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_lab import COMMAND, Wire, mark, message, ran, restart, run
from daemon_lab import order, shell
from fake_server import FakeServer

from patchwright_agent.daemon.clock import Clock
from patchwright_agent.daemon.command_run import SCAN_ONLY_REFUSAL
from patchwright_agent.daemon.journal import Journal


def scan(name: str = "AWS-RunPatchBaseline", operation: str = "Scan", script: str = "") -> dict[str, Any]:
    step = shell(script, "PatchLinux", environment={"PATCHWRIGHT_TOKEN": "v1.abc"})
    return order([step], name=name, parameters={"Operation": operation})


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("AWS-RunShellScript", "Scan"),
        ("AWS-RunPatchBaseline", "Install"),
        ("Patchwright-PlanPatches", ""),
        ("Patchwright-PlanPatches", "Scan"),
    ],
)
def test_a_scan_only_node_runs_nothing_but_a_scan(tmp_path: Path, name: str, operation: str) -> None:
    wire = Wire()
    run(wire, tmp_path, scan(name, operation, mark(tmp_path, "script")), scan_only=True)
    assert ran(tmp_path) == []
    assert len(wire.replies) == 1
    reply = wire.replies[0][1]
    assert (reply["documentStatus"], reply["documentTraceOutput"]) == ("Failed", SCAN_ONLY_REFUSAL)
    assert reply["runtimeStatus"]["PatchLinux"]["standardError"] == SCAN_ONLY_REFUSAL


def test_a_scan_on_a_scan_only_node_runs_its_own_worker_and_never_the_servers_script(tmp_path: Path) -> None:
    wire = Wire()
    with FakeServer() as server:
        run(wire, tmp_path, scan(script=mark(tmp_path, "script")), scan_only=True, url=server.url)
    assert ran(tmp_path) == []
    assert server.worker_calls[0] == ("StartPatchRun", "Bearer v1.abc")
    assert wire.steps["PatchLinux"]["status"] == "Failed", "this server refuses every patch run"
    assert len(wire.finals) == 1
    assert not list((tmp_path / "commands").glob("*"))


def test_a_command_begun_without_scan_only_is_not_continued_with_it(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), Clock())
    payload = json.dumps(order([shell(mark(tmp_path, "a"))]))
    journal.append("received", COMMAND, message_id=message("x")["MessageId"], name="x", payload=payload)
    journal.close()
    wire = Wire()
    restart(wire, tmp_path, scan_only=True)
    assert ran(tmp_path) == []
    assert [payload["documentTraceOutput"] for _, payload in wire.finals] == [SCAN_ONLY_REFUSAL]
