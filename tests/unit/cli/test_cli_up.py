"""`patchwright up`, part by part: what it prints, whom it enrols, and that its children end with it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub, Refusal

from patchwright.cli.exits import Failed
from patchwright.cli.up import node as up_node
from patchwright.cli.up.children import Child
from patchwright.cli.up.node import LocalAgent
from patchwright.cli.up.result import as_json, as_tables, failure_of, problems_text
from patchwright.client.calls import Client

PATCH = {
    "PatchId": "bash.amd64", "Name": "bash", "Arch": "amd64", "Installed": "5.1", "Target": "5.2",
    "Severity": "required",
    "Classification": "Security", "Cves": ["CVE-2030-1"], "Code": "APPROVED_BY_RULE",
    "Reason": "bash.amd64 5.1 -> 5.2 is missing: rule 1 approves it.",
}  # fmt: skip
FOUND: dict[str, Any] = {
    "NodeId": "mi-0123456789abcdef0", "Name": "me\x1b[2J", "Compliance": "NON_COMPLIANT",
    "Baseline": {"BaselineId": "pb-1", "Name": "own", "OperatingSystem": "DEBIAN", "Source": "Default"},
    "Counts": {"Missing": 1, "PendingApproval": 2, "Installed": 3, "InstalledOther": 4},
    "Offered": [
        {"Name": "bash", "Arch": "amd64", "Installed": "5.1", "Candidate": "5.2", "Held": False},
        {"Name": "pinned", "Arch": "all", "Installed": "1", "Candidate": "", "Offers": ["2"]},
    ],
    "Missing": [PATCH],
    "Problems": [{"Code": "LOCKED", "Message": "held by apt\x1b", "Remedy": "fuser -v /var/lib/dpkg/lock"}],
    "Reboot": {"Required": True, "Evidence": ["kernel"]},
}  # fmt: skip


def test_the_object_has_the_names_of_the_contract() -> None:
    found = as_json(FOUND, "Success")
    assert found["node"] == {"id": "mi-0123456789abcdef0", "name": "me\x1b[2J"}
    assert found["baseline"]["name"] == "own"
    assert (found["compliance"], found["counts"]["pending_approval"]) == ("NON_COMPLIANT", 2)
    # What the manager itself would keep is not offered by it.
    assert found["offered"] == [
        {"name": "bash", "arch": "amd64", "installed": "5.1", "candidate": "5.2", "held": False}
    ]
    (missing,) = found["missing"]
    assert (missing["name"], missing["arch"], missing["severity"]) == ("bash", "amd64", "required")
    assert (missing["cves"], missing["reason"]) == (["CVE-2030-1"], PATCH["Reason"])
    assert (missing["installed"], missing["target"]) == ("5.1", "5.2")


def test_the_table_says_what_is_missing_and_why_without_saying_it_twice() -> None:
    text = as_tables(FOUND)
    row = next(line for line in text.splitlines() if line.startswith("bash.amd64"))
    assert row.split() == ["bash.amd64", "5.1", "5.2", "required", "CVE-2030-1", "rule", "1", "approves", "it."]
    assert "1 offered" in text
    assert "NON_COMPLIANT" in text
    assert "\x1b" not in text


def test_problems_come_with_their_remedy_and_harmless() -> None:
    text = problems_text(FOUND)
    assert "LOCKED: held by apt\\u001b" in text
    assert "fuser -v /var/lib/dpkg/lock" in text


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({}, None),
        ({"Problems": [{"Code": "INDEX_MISSING", "Message": "m"}]}, None),
        ({"Problems": [{"Code": "PACKAGES_BROKEN", "Message": "unmet"}]}, "unmet"),
        (
            {
                "Problems": [
                    {"Code": "DPKG_INTERRUPTED", "Message": "half"},
                    {"Code": "LOCKED", "Message": "held by apt"},
                ]
            },
            "held by apt. Run this again",
        ),
        ({"Problems": [{"Code": "MANAGER_FAILED", "Message": "boom"}]}, "boom"),
        ({"Problems": [], "Compliance": "UNJUDGED", "UnjudgedReason": "no facts yet"}, "no facts yet"),
    ],
)
def test_a_scan_that_is_no_result_is_a_failure(changes: dict[str, Any], failure: str | None) -> None:
    found = failure_of({**FOUND, **changes})
    assert (found is None) if failure is None else (found is not None and failure in found)


# Stands in for the agent: `register` writes an identity as the real one does, with the code that the environment has.
AGENT = """
import json, os, sys
words = sys.argv[1:]
server, state = words[words.index("--server") + 1], words[words.index("--state-dir") + 1]
os.makedirs(state, exist_ok=True)
identity = {"instance_id": "mi-0000000000000new0", "server": server, "code": os.environ["PATCHWRIGHT_ACTIVATION_CODE"]}
identity["secrets_seen"] = [n for n in os.environ if n.startswith("AWS_")]
with open(os.path.join(state, "registration.json"), "w") as file:
    json.dump(identity, file)
print(identity["instance_id"])
"""


@pytest.fixture
def agent(tmp_path: Path, api: ApiStub) -> LocalAgent:
    file = tmp_path / "agent.py"
    file.write_text(AGENT)
    api.answers["CreateActivation"] = {"ActivationId": "a" * 36, "ActivationCode": "CODE"}
    api.answers["DeleteActivation"] = {}
    api.answers["DeregisterManagedInstance"] = {}
    api.answers["GetServerInformation"] = {"Region": "local-1"}
    return LocalAgent(file=file, state_dir=tmp_path / "state")


def keep_identity(agent: LocalAgent, server: str) -> None:
    agent.state_dir.mkdir()
    identity = {"instance_id": "mi-0000000000000old0", "server": server}
    (agent.state_dir / "registration.json").write_text(json.dumps(identity))


def test_a_new_machine_is_enrolled_once_with_an_activation_of_its_own(
    agent: LocalAgent, api: ApiStub, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for agents")
    assert agent.enrolled(Client(data_dir), api.url) == "mi-0000000000000new0"
    identity = json.loads((agent.state_dir / "registration.json").read_text())
    assert (identity["server"], identity["code"], identity["secrets_seen"]) == (api.url, "CODE", [])
    assert api.requests("CreateActivation")[0]["RegistrationLimit"] == 1
    assert api.requests("DeleteActivation") == [{"ActivationId": "a" * 36}]


def test_a_known_identity_is_used_again(agent: LocalAgent, api: ApiStub, data_dir: Path) -> None:
    keep_identity(agent, api.url)
    api.answers["DescribeInstanceInformation"] = {"InstanceInformationList": [{"InstanceId": "mi-0000000000000old0"}]}
    assert agent.enrolled(Client(data_dir), api.url) == "mi-0000000000000old0"
    assert not api.requests("CreateActivation")


def test_an_identity_that_a_new_database_does_not_know_is_replaced(
    agent: LocalAgent, api: ApiStub, data_dir: Path
) -> None:
    def unknown(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("InvalidInstanceId")

    keep_identity(agent, api.url)
    api.answers["DescribeInstanceInformation"] = unknown
    assert agent.enrolled(Client(data_dir), api.url) == "mi-0000000000000new0"
    assert not api.requests("DeregisterManagedInstance")


def test_an_identity_for_another_port_is_ended_and_replaced(agent: LocalAgent, api: ApiStub, data_dir: Path) -> None:
    keep_identity(agent, "http://127.0.0.1:1")
    api.answers["DescribeInstanceInformation"] = {"InstanceInformationList": [{"InstanceId": "mi-0000000000000old0"}]}
    assert agent.enrolled(Client(data_dir), api.url) == "mi-0000000000000new0"
    assert api.requests("DeregisterManagedInstance") == [{"InstanceId": "mi-0000000000000old0"}]


def test_an_agent_that_can_not_register_says_why(agent: LocalAgent, api: ApiStub, data_dir: Path) -> None:
    agent.file.write_text("raise SystemExit('no such server\\x1b')")
    with pytest.raises(Failed, match="no such server") as failure:
        agent.enrolled(Client(data_dir), api.url)
    assert "\x1b" not in str(failure.value)


def test_the_agent_is_started_scan_only_and_can_not_reboot(tmp_path: Path) -> None:
    file = tmp_path / "agent.py"
    file.write_text("import sys; print(sys.argv[1:])")
    child = LocalAgent(file=file, state_dir=tmp_path / "s").start(tmp_path / "log")
    while child.exit_code() is None:
        time.sleep(0.01)
    words = child.last_words()
    assert "'run', '--scan-only'" in words
    assert f"'--reboot-command', '{up_node.NO_REBOOT}'" in words


PARENT = """
import sys, time
from pathlib import Path
from patchwright.cli.up.children import Child
child = Child([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"], Path(sys.argv[1]), {})
print(child._process.pid, flush=True)
time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def is_gone(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_children_end_even_if_their_parent_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, log], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert wait_until(lambda: log.read_text() == "up\n")
    assert not is_gone(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: is_gone(pid))


STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def own_signals() -> Any:
    """`Child.end` makes this process deaf to signals; the test runner is not to stay so."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_a_child_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchwright.cli.up.children.GRACE_SECONDS", 0.1)
    child = Child([sys.executable, "-c", STUBBORN], tmp_path / "log", dict(os.environ))
    assert wait_until(lambda: child.output() == "up\n")
    child.end()
    assert child.exit_code() == -signal.SIGKILL


def test_a_log_is_private_and_only_the_childs_own_words_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an earlier run: address already in use\n")
    log.chmod(0o600)
    child = Child([sys.executable, "-c", "print('hello')"], log, {})
    assert wait_until(lambda: child.exit_code() is not None)
    assert (child.output(), child.last_words()) == ("hello\n", "hello")
    fresh = Child([sys.executable, "-c", ""], tmp_path / "fresh", {})
    assert wait_until(lambda: fresh.exit_code() is not None)
    assert (tmp_path / "fresh").stat().st_mode & 0o077 == 0
