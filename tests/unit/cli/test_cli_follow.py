"""Following a command: few calls however many nodes, an outage is survived, and what is shown meanwhile."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub

from patchwright.cli import follow as module
from patchwright.cli.follow import follow, reason_of, state_of
from patchwright.cli.progress import LiveProgress, PlainProgress
from patchwright.client.calls import Client
from patchwright.client.errors import Unreachable

Run = Callable[..., tuple[int, str, str]]
COMMAND = "c" * 36
NODES = 200


def node_id(number: int) -> str:
    return f"mi-{number:017x}"


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(module, "POLL_SLOWEST_SECONDS", 0.001)


@pytest.fixture
def large(api: ApiStub) -> ApiStub:
    """A command of 200 nodes, 40 of which end between two looks."""
    done = 0

    def commands(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        done = min(NODES, done + 40)
        status = "Success" if done == NODES else "InProgress"
        entry = {"CommandId": COMMAND, "Status": status, "TargetCount": NODES, "CompletedCount": done}
        return {"Commands": [{**entry, "ErrorCount": 0, "DeliveryTimedOutCount": 0}]}

    def page(request: dict[str, Any]) -> dict[str, Any]:
        start = int(request.get("NextToken", "0"))
        found = [
            {"InstanceId": node_id(n), "Status": "Success" if n < done else "InProgress"}
            for n in range(start, start + 50)
        ]
        return {"CommandInvocations": found, **({"NextToken": str(start + 50)} if start < 150 else {})}

    api.answers["ListCommands"] = commands
    api.answers["ListCommandInvocations"] = page
    return api


def test_a_look_is_two_calls_however_many_nodes_there_are(large: ApiStub, data_dir: Path) -> None:
    seen = io.StringIO()
    found = follow(Client(data_dir), COMMAND, timeout_seconds=None, progress=PlainProgress(seen, "install"))
    looks = len(large.requests("ListCommands"))
    assert looks == len(large.requests("ListCommandInvocations")) == 5
    assert len(list(found)) == NODES
    assert len(large.requests("ListCommandInvocations")) == looks + NODES // 50
    assert seen.getvalue() == "install: 40 of 200 nodes ended\ninstall: 200 of 200 nodes ended\n"


def test_without_a_progress_a_look_is_one_call(large: ApiStub, data_dir: Path) -> None:
    follow(Client(data_dir), COMMAND, timeout_seconds=None)
    assert (len(large.requests("ListCommands")), large.requests("ListCommandInvocations")) == (5, [])


class Flaky(Client):
    """A server that is away for some calls."""

    def __init__(self, data_dir: Path, away: int) -> None:
        super().__init__(data_dir)
        self.away = away

    def call(self, service: str, operation: str, **members: Any) -> dict[str, Any]:
        if self.away and operation == "ListCommands":
            self.away -= 1
            raise Unreachable("no answer from http://127.0.0.1:1")
        return super().call(service, operation, **members)


def test_a_restart_of_the_server_is_survived_and_said_once(large: ApiStub, data_dir: Path) -> None:
    seen = io.StringIO()
    client = Flaky(data_dir, 3)
    assert len(list(follow(client, COMMAND, timeout_seconds=None, progress=PlainProgress(seen, "plan")))) == NODES
    assert seen.getvalue().count("no answer from") == 1


def test_an_outage_that_lasts_ends_it(
    large: ApiStub,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OUTAGE_SECONDS", 0.01)
    with pytest.raises(Unreachable):
        follow(Flaky(data_dir, 1000), COMMAND, timeout_seconds=None)


def one(api: ApiStub, status: str, missing: int = 0) -> None:
    """A command of one node that is in this state whenever it is looked at."""
    compliance = "NON_COMPLIANT" if missing else "COMPLIANT"
    node = {"NodeId": node_id(1), "Name": "web", "Compliance": compliance, "FactsCollectedAt": 1.0}
    api.answers["SendCommand"] = {"Command": {"CommandId": COMMAND, "Status": "Pending"}}
    api.answers["ListCommands"] = {"Commands": [{"Status": status, "TargetCount": 1, "CompletedCount": 0}]}
    api.answers["ListCommandInvocations"] = {
        "CommandInvocations": [{"InstanceId": node_id(1), "InstanceName": "web", "Status": status}]
    }
    api.answers["DescribeNodes"] = {"Nodes": [{**node, "Counts": {"Missing": missing, "Failed": 0}}]}


@pytest.mark.parametrize(
    ("status", "missing", "code"), [("Success", 7, 2), ("Success", 0, 0), ("Failed", 0, 1), ("TimedOut", 0, 1)]
)
def test_a_scan_ends_by_its_result(api: ApiStub, patchwright: Run, status: str, missing: int, code: int) -> None:
    one(api, status, missing)
    ended, out, errors = patchwright("scan", node_id(1), "--wait")
    assert (ended, status in out) == (code, True)
    assert f"scan: web ({node_id(1)}): {status}" in errors


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        ([node_id(1)], {"InstanceIds": [node_id(1)]}),
        (["web", node_id(1)], {"InstanceIds": [node_id(1)]}),
        (["--target", "tag:Patch Group=web=1"], {"Targets": [{"Key": "tag:Patch Group", "Values": ["web=1"]}]}),
        (["--all"], {"Targets": [{"Key": "InstanceIds", "Values": ["*"]}]}),
    ],
)
def test_a_scan_sends_a_scan_and_nothing_else(
    api: ApiStub, patchwright: Run, words: list[str], targets: dict[str, Any]
) -> None:
    one(api, "InProgress")
    code, out, _ = patchwright("scan", *words)
    assert (code, COMMAND in out) == (0, True)
    assert api.requests("SendCommand") == [
        {"DocumentName": "AWS-RunPatchBaseline", "Parameters": {"Operation": ["Scan"]}, "MaxErrors": "100%", **targets}
    ]


def test_a_scan_that_takes_too_long_says_how_to_follow_it(api: ApiStub, patchwright: Run) -> None:
    one(api, "InProgress")
    code, _, errors = patchwright("scan", node_id(1), "--wait", "--timeout", "0")
    assert code == 1
    assert "1 of 1 nodes have not ended after 0 seconds; the scan goes on" in errors
    assert f"list-command-invocations --command-id {COMMAND}" in errors


def test_a_scan_of_nobody_is_an_error(api: ApiStub, patchwright: Run) -> None:
    one(api, "Success")
    api.answers["ListCommandInvocations"] = {"CommandInvocations": []}
    code, out, errors = patchwright("scan", "--target", "tag:a=b", "--wait")
    assert (code, out, "no node was selected" in errors) == (1, "", True)


def test_a_reason_is_what_the_server_or_the_step_said() -> None:
    def failed(output: str, **more: Any) -> dict[str, Any]:
        step = {"Status": "Failed", "ResponseCode": 1, "Output": output}
        return {"StatusDetails": "Failed", "CommandPlugins": [{"Status": "Pending"}, step], **more}

    assert reason_of(failed("", TraceOutput="not started")) == "not started"
    assert reason_of(failed("one\nsh: no such file\n\n")) == "sh: no such file"
    assert reason_of(failed("Patch Summary for x\nOperation: Scan\nMessage: no facts\nSnapshotId: y")) == "no facts"
    assert reason_of(failed("Patch Summary for x\nSnapshotId: y")) == "it ended with exit code 1"
    assert reason_of({"StatusDetails": "Undeliverable"}) == "Undeliverable"


def test_a_node_that_was_told_to_reboot_is_rebooting() -> None:
    steps = [{"Status": "InProgress", "ResponseCode": 194}]
    assert state_of({"Status": "InProgress", "StatusDetails": "InProgress", "CommandPlugins": steps}) == "rebooting"
    assert state_of({"Status": "Failed", "StatusDetails": "Failed", "CommandPlugins": steps}) == "Failed"


class Wide(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_live_picture_is_never_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Wide()
    live = LiveProgress(stream, "install")
    names = {
        node_id(n): {"InstanceId": node_id(n), "InstanceName": "x" * 90, "Status": "InProgress"} for n in range(20)
    }
    live.show(module.Look(command={"TargetCount": 20, "CompletedCount": 0, "ErrorCount": 2}, invocations=names))
    lines = stream.getvalue().replace("\x1b[2K", "").splitlines()
    assert lines[0].startswith("install: 0 of 20 nodes ended, 2 failed,")
    assert len(lines) == 14
    assert lines[-1] == "  … and 8 more"
    assert max(map(len, lines)) <= 40
