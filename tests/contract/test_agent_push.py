"""Our own agent on the push channel of a real server, over TLS: commands, restarts, lost and revoked nodes, new keys.

The server is a process of its own, so that it can be killed. Source: agent-protocol.md 7.
"""

import hashlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.own_agent import LOST, OPEN, OwnAgent
from tests.e2e.servers import ServerProcess, eventually

SECONDS = 40.0
_ENDED = ("Success", "Failed", "TimedOut", "Cancelled")


class Site:
    """A server over TLS and one enrolled agent."""

    def __init__(self, folder: Path) -> None:
        self.server = ServerProcess(folder, "127.0.0.1").start()
        self.ssm = self.server.client("ssm")
        pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.server.ca_file.read_text())).hexdigest()
        self.agent = OwnAgent(folder / "agent", self.server.url, self.ssm.create_activation(IamRole="lab"), pin)
        self.node = json.loads((self.agent.state / "registration.json").read_text())["instance_id"]

    def send(self, script: str) -> str:
        sent = self.ssm.send_command(
            InstanceIds=[self.node], DocumentName="AWS-RunShellScript", Parameters={"commands": [script]}
        )
        return str(sent["Command"]["CommandId"])

    def ended(self, command: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            return dict(self.ssm.get_command_invocation(CommandId=command, InstanceId=self.node))

        return eventually(look, lambda found: found["Status"] in _ENDED, SECONDS)

    def runs(self, script: str) -> str:
        found = self.ended(self.send(script))
        assert found["Status"] == "Success", found
        return str(found["StandardOutputContent"])

    def answered(self, operation: str) -> int:
        """How many calls or frames of a kind the server has taken since its start."""
        lines = [line for line in self.server.get("/metrics").splitlines() if f'operation="{operation}"' in line]
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if "requests_total" in line)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("push"))
    yield site
    site.server.stop()


@pytest.fixture
def site(enrolled: Site) -> Iterator[Site]:
    before = enrolled.agent.said(OPEN)
    with enrolled.agent.running() as agent:
        agent.wait_said(OPEN, before + 1)
        yield enrolled


def test_commands_and_results_take_the_channel(site: Site) -> None:
    replies = site.answered("AgentJobReply")
    calls = site.answered("SendReply")
    for text in ("one", "two", "three"):
        assert site.runs(f"echo {text}") == f"{text}\n"
    eventually(lambda: site.answered("AgentJobReply"), lambda count: count >= replies + 9)
    assert site.answered("SendReply") == calls
    assert site.answered("AgentJobAck") >= 3


def test_a_long_output_comes_back_whole(site: Site) -> None:
    out = site.runs("head -c 23000 /dev/zero | tr '\\0' '\\\\'")
    assert out == "\\" * 23_000


def test_a_killed_server_loses_no_result_and_gets_its_agent_back(site: Site, tmp_path: Path) -> None:
    lost, opened = site.agent.said(LOST), site.agent.said(OPEN)
    command = site.send(f"echo ran >> {tmp_path}/ran; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo done")
    eventually(lambda: (tmp_path / "ran").exists(), bool)
    site.server.kill()
    site.agent.wait_said(LOST, lost + 1)
    (tmp_path / "go").touch()
    time.sleep(0.5)  # the step ends while nobody can hear of it
    site.server.start()
    found = site.ended(command)
    assert (found["Status"], found["StandardOutputContent"]) == ("Success", "done\n")
    assert (tmp_path / "ran").read_text() == "ran\n"
    site.agent.wait_said(OPEN, opened + 1)
    assert site.runs("echo again") == "again\n"


@pytest.mark.slow
def test_keys_that_the_server_no_longer_takes_are_replaced(enrolled: Site) -> None:
    path, before = enrolled.agent.state / "credentials.json", enrolled.agent.said(OPEN)
    with enrolled.agent.running() as agent:
        agent.wait_said(OPEN, before + 1)
    kept = json.loads(path.read_text())
    old = {**kept, "SecretAccessKey": "no longer right", "IssuedAt": time.time() - 600}
    path.write_text(json.dumps(old))
    with enrolled.agent.running() as agent:
        assert enrolled.runs("echo by whichever door") == "by whichever door\n"
        agent.wait_said(OPEN, before + 2)
    assert json.loads(path.read_text())["SecretAccessKey"] not in (kept["SecretAccessKey"], "no longer right")


@pytest.mark.slow
def test_a_node_that_is_deregistered_loses_its_channel_and_gets_no_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        with site.agent.running() as agent:
            agent.wait_said(OPEN)
            site.ssm.deregister_managed_instance(InstanceId=site.node)
            agent.wait_said(LOST)
            eventually(lambda: site.answered("CreateControlChannel"), lambda count: count >= 2, SECONDS)
            assert agent.said(OPEN) == 1
            assert "patchwright_open_channels 0" in site.server.get("/metrics")
    finally:
        site.server.stop()
