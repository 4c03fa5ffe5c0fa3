"""A host is enrolled by the one line of `patchwright enrol-command`, under systemd, and taken away again."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.agents import STATE_DIR, build_zipapp
from tests.e2e.booted import BootedRoot
from tests.e2e.roots import LabNetwork, booted_base
from tests.e2e.servers import PROGRAMS, ServerProcess, eventually

pytestmark = pytest.mark.root

UNIT = "patchwright-agent.service"
SCRIPT = "/usr/local/lib/patchwright/enrol.sh"
LEFT = ("/usr/local/lib/patchwright", STATE_DIR, f"/etc/systemd/system/{UNIT}")


@pytest.fixture
def host(lab_network: LabNetwork) -> Iterator[BootedRoot]:
    root = BootedRoot(booted_base(), lab_network, "enrol-1")
    try:
        yield root
    finally:
        root.close()


@pytest.fixture
def server(tmp_path: Path, lab_network: LabNetwork) -> Iterator[ServerProcess]:
    zipapp = build_zipapp(tmp_path / "patchwright-agent.pyz")
    process = ServerProcess(tmp_path, lab_network.address, options=("--agent-file", str(zipapp)))
    try:
        yield process.start()
    finally:
        process.stop()


def line(server: ServerProcess, *options: str) -> str:
    argv = [str(PROGRAMS / "patchwright"), "enrol-command", "--data-dir", str(server.data_dir), "-o", "json", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    command: str = json.loads(done.stdout)["Command"]
    return command


def enrol(host: BootedRoot, text: str) -> subprocess.CompletedProcess[str]:
    return host.run(["sh", "-c", text], check=False)


def arguments_of(pasted: str) -> str:
    """What the line gives to the script's `install`."""
    return pasted.rpartition(" install ")[2].rstrip(")")


def online(server: ServerProcess) -> list[str]:
    found = server.client("ssm").describe_instance_information()["InstanceInformationList"]
    return [node["InstanceId"] for node in found if node["PingStatus"] == "Online"]


def test_a_host_comes_stays_over_a_reboot_keeps_its_identity_and_goes(host: BootedRoot, server: ServerProcess) -> None:
    pasted = line(server, "--name", "web-1", "--tag", "Patch Group=web servers")
    done = enrol(host, pasted)
    assert done.returncode == 0, done.stderr
    [node] = eventually(lambda: online(server), bool, 30)
    assert host.run(["stat", "-c", "%a", STATE_DIR, f"{STATE_DIR}/registration.json"]).stdout.split() == ["700", "600"]

    host.run(["systemctl", "reboot", "--no-block"])
    host.wait_for_boot(2)
    assert host.run(["systemctl", "is-active", UNIT]).stdout.strip() == "active"

    again = enrol(host, pasted)  # its activation is used up: the key alone proves who this is
    assert again.returncode == 0, again.stderr
    assert node in again.stderr
    assert online(server) == [node]

    server.stop()
    unheard = enrol(host, "\n".join(["true", f"sh {SCRIPT} install {arguments_of(pasted)}"]))
    assert unheard.returncode != 0, "a server that is down must not cost a host its agent"
    assert host.run(["systemctl", "is-active", UNIT]).stdout.strip() == "active"
    server.start()

    server.client("ssm").deregister_managed_instance(InstanceId=node)
    anew = enrol(host, line(server))
    assert anew.returncode == 0, anew.stderr
    assert node not in anew.stderr.splitlines()[-1]

    host.run(["sh", SCRIPT, "uninstall"])
    assert [path for path in LEFT if host.exists(path)] == []
    assert host.run(["systemctl", "is-active", UNIT], check=False).returncode != 0
    refused = enrol(host, pasted)
    assert refused.returncode != 0
    assert "activation is not valid" in refused.stderr
    assert [path for path in LEFT if host.exists(path)] == []

    assert enrol(host, line(server, "--scan-only")).returncode == 0
    eventually(lambda: len(online(server)), lambda count: count == 2, 30)


def test_what_was_altered_on_the_way_is_not_run_and_leaves_nothing(host: BootedRoot, server: ServerProcess) -> None:
    pasted = line(server)
    information = server.client("patchwright").get_server_information()
    for digest in (information["EnrolSha256"], information["AgentSha256"]):
        assert digest in pasted
        done = enrol(host, pasted.replace(digest, "0" * 64))
        assert done.returncode != 0
        assert [path for path in LEFT if host.exists(path)] == []
    assert online(server) == []


@pytest.mark.slow
def test_an_agent_that_does_not_stay_up_is_taken_back_and_the_same_line_mends_it(
    host: BootedRoot, server: ServerProcess
) -> None:
    host.run(["mkdir", f"/etc/systemd/system/{UNIT}.d"])
    broken = f"/etc/systemd/system/{UNIT}.d/broken.conf"
    host.write(broken, "[Service]\nExecStartPre=/bin/false\n")
    pasted = line(server)
    failed = enrol(host, pasted)
    assert failed.returncode != 0
    assert "the next try" in failed.stderr
    assert [path for path in LEFT if host.exists(path)] == [STATE_DIR]

    host.run(["rm", broken])
    mended = enrol(host, pasted)
    assert mended.returncode == 0, mended.stderr
    eventually(lambda: len(online(server)), lambda count: count == 1, 30)

    host.run(
        [
            "systemd-run",
            "--scope",
            "--quiet",
            "--description=Patchwright patch run",
            "sh",
            "-c",
            "sleep 300 >/dev/null 2>&1 &",
        ]
    )
    for busy in (["sh", SCRIPT, "uninstall"], ["sh", "-c", pasted]):
        refused = host.run(busy, check=False)
        assert refused.returncode != 0
        assert "patch run" in refused.stderr
    assert [path for path in LEFT if not host.exists(path)] == []
