"""The whole road on one real host: planned, installed, rebooted, compliant; with kills on the way. Nothing is scripted.

Each test brings packages of its own, so that they may come in any order.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.agents import Agent, build_zipapp
from tests.e2e.apt_hosts import republished, versions
from tests.e2e.enrolled import OVER, Enrolled
from tests.e2e.repository import AptRepository, Deb, FileServer, SigningKey
from tests.e2e.roots import LabNetwork, Root
from tests.e2e.servers import ServerProcess, eventually
from tests.e2e.test_apt_interrupted import WAITING
from tests.unit.agent.tls_lab import authority

pytestmark = pytest.mark.root

REBOOT = "/usr/bin/touch /var/tmp/reboot-asked"


class Road(Enrolled):
    """A server, a host under it, and what is published for the host."""

    def __init__(self, server: ServerProcess, root: Root, agent: Agent, repository: AptRepository) -> None:
        super().__init__(server, agent)
        self.root, self.repository = root, repository
        self.approve_everything("DEBIAN")
        self.start_agent()

    def start_agent(self) -> None:
        self.agent.start("--reboot-command", REBOOT)

    def publish(self, name: str, **new: Any) -> None:
        """Install version 1 of a package on the host and offer version 2, which has these members."""
        self.repository.add("stable", Deb(name, "1"))
        republished(self.repository)
        self.root.run(["apt-get", "update"])
        self.root.run(["apt-get", "install", "-y", f"{name}=1"])
        self.repository.add("stable", Deb(name, "2", **new))
        republished(self.repository)

    def within(self, script: str) -> None:
        """Wait until a waiting script of a package has begun on the host."""
        eventually(lambda: self.root.exists("/var/tmp/began"), bool, 40)
        assert script in self.root.read("/var/tmp/began")

    def let_go(self) -> None:
        self.root.write("/var/tmp/go", "")

    def clear(self) -> None:
        self.root.run(["rm", "-f", "/var/tmp/began", "/var/tmp/go", "/var/tmp/ran", "/var/tmp/reboot-asked"])


@pytest.fixture(scope="module")
def made(
    apt_base: Path, lab_network: LabNetwork, signing_key: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    with ExitStack() as stack:
        # Short polls: a message must not wait in the poll of an agent that was killed.
        server = ServerProcess(folder, lab_network.address, options=("--poll-seconds", "3")).start()
        stack.callback(server.kill)
        files = FileServer(folder / "repository", lab_network.address)
        stack.callback(files.close)
        repository = AptRepository(folder / "repository", signing_key, files.url)
        root = Root(apt_base, lab_network, "road-1")
        stack.callback(root.close)
        repository.add("stable", Deb("tb-first", "1"))
        repository.publish()
        repository.enable(root, "stable")
        root.run(["apt-get", "update"])
        agent = Agent(root, build_zipapp(folder / "agent.pyz"), folder)
        stack.callback(agent.kill)
        yield Road(server, root, agent, repository)


@pytest.fixture
def road(made: Road) -> Road:
    made.clear()
    return made


def test_a_plan_is_shown_and_changes_nothing(road: Road) -> None:
    road.publish("tb-planned")
    command_id = road.send("Patchwright-PlanPatches")
    output = road.ended(command_id)
    assert "tb-planned" in output["StandardOutputContent"]
    assert versions(road.root, "tb-planned") == {"tb-planned": "1"}


def test_an_install_reboots_the_host_and_ends_compliant_once_it_is_back(road: Road) -> None:
    road.publish("tb-boot")
    command_id = road.send(Operation="Install", RebootOption="RebootIfNeeded")
    eventually(lambda: road.root.exists("/var/tmp/reboot-asked"), bool, 60)
    assert versions(road.root, "tb-boot") == {"tb-boot": "2"}
    assert road.ssm.list_commands(CommandId=command_id)["Commands"][0]["Status"] == "InProgress"

    road.agent.stop()
    road.root.reboot()
    road.start_agent()

    output = road.ended(command_id)
    assert output["ResponseCode"] == 0
    assert road.states("tb-boot") == {"tb-boot": "INSTALLED"}


def test_documents_of_ones_own_run_around_an_install_and_after_its_reboot(road: Road) -> None:
    road.publish("tb-hooked")
    for hook in ("pre", "post", "exit"):
        line = f"echo {hook} $(dpkg-query -W -f '${{Version}}' tb-hooked) >> /var/tmp/hooks"
        step = {"action": "aws:runShellScript", "name": hook, "inputs": {"runCommand": [line]}}
        content = json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})
        road.ssm.create_document(Name=f"hook-{hook}", Content=content)
    hooks = {
        "PreInstallHookDocName": "hook-pre",
        "PostInstallHookDocName": "hook-post",
        "OnExitHookDocName": "hook-exit",
    }
    command_id = road.send("AWS-RunPatchBaselineWithHooks", Operation="Install", **hooks)
    eventually(lambda: road.root.exists("/var/tmp/reboot-asked"), bool, 90)
    assert road.root.read("/var/tmp/hooks") == "pre 1\npost 2\n"

    road.agent.stop()
    road.root.reboot()
    road.start_agent()

    which = {"CommandId": command_id, "Details": True}
    (over,) = eventually(
        lambda: road.ssm.list_command_invocations(**which)["CommandInvocations"], lambda i: i[0]["Status"] in OVER, 60
    )
    codes = {plugin["Name"]: (plugin["Status"], plugin["ResponseCode"]) for plugin in over["CommandPlugins"]}
    assert (over["Status"], set(codes.values())) == ("Success", {("Success", 0)}), (codes, road.agent.log[-3000:])
    assert road.root.read("/var/tmp/hooks") == "pre 1\npost 2\nexit 2\n"
    assert road.states("tb-hooked") == {"tb-hooked": "INSTALLED"}
    assert road.root.read("/var/log/dpkg.log").count("upgrade tb-boot") == 1


def test_what_waits_for_a_reboot_is_cleared_by_the_boot_itself(road: Road) -> None:
    road.publish("tb-pending")
    road.ended(road.send(Operation="Install", RebootOption="NoReboot"))
    assert road.states("tb-pending") == {"tb-pending": "INSTALLED_PENDING_REBOOT"}

    road.agent.stop()
    road.root.reboot()
    road.start_agent()

    eventually(lambda: road.states("tb-pending"), lambda states: states == {"tb-pending": "INSTALLED"}, 30)
    assert "facts after the boot were reported" in eventually(
        lambda: road.agent.log, lambda log: "after the boot" in log
    )


def test_a_killed_agent_and_a_killed_worker_leave_the_transaction_whole_and_the_command_ends(road: Road) -> None:
    road.publish("tb-kill", scripts={"postinst": WAITING})
    command_id = road.send(Operation="Install", RebootOption="NoReboot")
    road.within("tb-kill")
    road.agent.kill()
    road.start_agent()
    eventually(lambda: f"resuming command {command_id}" in road.agent.log, bool)
    kill_all_workers(road.root)

    road.let_go()

    road.ended(command_id)
    assert versions(road.root, "tb-kill") == {"tb-kill": "2"}
    assert len(road.root.read("/var/tmp/ran").splitlines()) == 1


def test_a_cancel_lets_the_transaction_finish_and_tells_what_came_of_it(road: Road) -> None:
    road.publish("tb-cancel", scripts={"postinst": WAITING})
    command_id = road.send(Operation="Install", RebootOption="RebootIfNeeded")
    road.within("tb-cancel")
    road.ssm.cancel_command(CommandId=command_id)
    eventually(lambda: road.agent.log, lambda log: f"cancelling command {command_id}" in log)

    road.let_go()

    output = road.ended(command_id, "Cancelled")
    assert output["ResponseCode"] == 137
    assert "was let finish" in output["StandardErrorContent"]
    assert versions(road.root, "tb-cancel") == {"tb-cancel": "2"}
    assert road.states("tb-cancel")["tb-cancel"].startswith("INSTALLED")
    assert not road.root.exists("/var/tmp/reboot-asked")
    assert road.root.run(["dpkg", "--audit"]).stdout == ""


def test_a_power_cut_in_the_transaction_is_mended_after_the_boot(road: Road) -> None:
    road.publish("tb-cut", scripts={"postinst": WAITING})
    command_id = road.send(Operation="Install", RebootOption="NoReboot")
    road.within("tb-cut")
    road.agent.kill()
    road.root.reboot()
    road.let_go()
    road.start_agent()

    road.ended(command_id)

    assert versions(road.root, "tb-cut") == {"tb-cut": "2"}
    assert road.root.run(["dpkg", "--audit"]).stdout == ""


def kill_all_workers(root: Root) -> None:
    """kill -9 of every worker on the host; the package manager that they started is none of them."""
    mine = Path(f"/proc/{root.pid}/ns/pid").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if (process / "ns/pid").readlink() == mine and b"patch" in words:
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue


def test_an_override_list_is_fetched_by_the_host_and_decides_what_goes_in(
    road: Road, lab_network: LabNetwork, tmp_path: Path
) -> None:
    road.publish("tb-listed")
    road.publish("tb-unlisted")
    trusted = authority(tmp_path / "ca", lab_network.address)
    cafile = road.root.run(["python3", "-c", "import ssl; print(ssl.get_default_verify_paths().openssl_cafile)"])
    road.root.write(cafile.stdout.strip(), trusted.ca_file.read_text())
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "list.yaml").write_text("patches:\n    -\n        id: 'tb-listed*'\n        title: '*2'\n")
    files = FileServer(folder, lab_network.address, trusted.context())
    try:
        listed = {"Operation": "Install", "RebootOption": "NoReboot", "InstallOverrideList": f"{files.url}/list.yaml"}
        output = road.ended(road.send(**listed))
        missing = road.ended(road.send(**listed | {"InstallOverrideList": f"{files.url}/none.yaml"}), "Failed")
    finally:
        files.close()
    assert "INSTALLED: tb-listed" in output["StandardOutputContent"]
    assert "the node can't fetch it: HTTP 404. Nothing was done." in missing["StandardOutputContent"]
    assert versions(road.root, "tb-*listed") == {"tb-listed": "2", "tb-unlisted": "1"}
    assert road.states("tb-unlisted") == {"tb-unlisted": "MISSING"}
