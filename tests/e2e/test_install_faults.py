"""Installs that meet a fault, on apt and on dnf, under the real server: right states and words, nothing half-done.

The next Install succeeds once the fault is gone.

What an operator sees is asked by the API, what is on the host of dpkg-query and rpm. Each fault brings packages of its
own and leaves the host in order, so that they may come in any order.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.e2e.agents import Agent, build_zipapp
from tests.e2e.enrolled import Enrolled
from tests.e2e.managed_hosts import MANAGERS, ManagedHost, managed_host
from tests.e2e.roots import CannotRun, LabNetwork, Root
from tests.e2e.servers import ServerProcess, eventually

pytestmark = pytest.mark.root

OLD, NEW, NEWER = "1.0-1", "2.0-1", "3.0-1"
REBOOT_ASKED = "/var/tmp/reboot-asked"
NOBODY_ANSWERS = "/var/tmp/database-is-down"
FAILING = f"if [ -e {NOBODY_ANSWERS} ]; then echo 'cannot reach the database' >&2; exit 3; fi\n"
BEGAN, GO = "/var/tmp/began", "/var/tmp/go"
WAITING = f"touch {BEGAN}; while [ ! -e {GO} ]; do sleep 0.05; done\n"
HOLD_LOCK = """#!/usr/bin/python3
import fcntl, sys
lock = open(sys.argv[1], "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
PENDING, FAILED = "INSTALLED_PENDING_REBOOT", "FAILED"
BROKEN = ("DPKG_INTERRUPTED", "PACKAGES_DUPLICATED")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
ANOTHER_CLOCK = "/usr/local/lib/another-clock"
# The library takes the moment until which Python sleeps, of the clock that is left alone, for one of its own.
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"


class Node(Enrolled):
    """An enrolled host of either manager."""

    def __init__(self, server: ServerProcess, agent: Agent, host: ManagedHost) -> None:
        super().__init__(server, agent)
        self.host = host
        self.approve_everything(host.system)
        agent.start("--reboot-command", f"/usr/bin/touch {REBOOT_ASKED}")

    def outdated(self, *names: str, script: str = "", **files: str) -> None:
        """Install the old version of each, the new one being on offer; `script` and `files` are the first new one's."""
        for number, name in enumerate(names):
            self.host.offer(name, OLD)
            self.host.offer(name, NEW, script="" if number else script, files={} if number else files)
        self.host.publish()
        for name in names:
            self.host.put(name, OLD)

    def versions(self, *names: str) -> dict[str, str]:
        return {name: self.host.version(name) for name in names}

    def install(self, status: str, code: int, reboot: str = "NoReboot") -> str:
        """Order an Install that must end so; its report."""
        output = self.ended(self.send(Operation="Install", RebootOption=reboot), status)
        assert output["ResponseCode"] == code, output
        assert not self.host.root.exists(REBOOT_ASKED)
        return str(output["StandardOutputContent"])

    def assert_installed(self, *names: str) -> None:
        """The next Install, the fault gone, brings these in."""
        self.install("Success", 0)
        assert self.versions(*names) == dict.fromkeys(names, NEW)
        assert self.states(*names) == dict.fromkeys(names, PENDING)
        assert self.host.is_sound()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def zipapp(folder: Path) -> Path:
    return build_zipapp(folder / "patchwright-agent.pyz")


@pytest.fixture(scope="module")
def server(folder: Path, lab_network: LabNetwork) -> Iterator[ServerProcess]:
    server = ServerProcess(folder, lab_network.address, options=("--poll-seconds", "3")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=MANAGERS)
def node(
    request: pytest.FixtureRequest, folder: Path, zipapp: Path, server: ServerProcess, lab_network: LabNetwork
) -> Iterator[Node]:
    manager = str(request.param)
    with ExitStack() as stack:
        try:
            host = managed_host(manager, stack, folder / manager, lab_network, f"faults-{manager}")
        except CannotRun as reason:
            pytest.skip(f"NO REAL ROOTS, {manager} is not tested for real: {reason}")
        agent = Agent(host.root, zipapp, folder, environment={"PATCHWRIGHT_LOCK_WAIT_SECONDS": "1"})
        stack.callback(agent.kill)
        yield Node(server, agent, host)


def test_a_failing_script_fails_the_install_in_its_own_words_and_the_others_are_in(node: Node) -> None:
    node.outdated("tb-script", "tb-beside", script=FAILING)
    node.host.root.write(NOBODY_ANSWERS, "")

    report = node.install("Failed", 1)

    assert "cannot reach the database" in report
    assert node.host.version("tb-beside") == NEW
    assert node.host.is_sound()
    if node.host.system == "DEBIAN":
        assert node.host.version("tb-script") == OLD
        assert node.states("tb-script", "tb-beside") == {"tb-script": FAILED, "tb-beside": PENDING}
        why = node.why("tb-script")
        assert why["Code"] == "FAILED_LAST_INSTALL"
        assert "cannot reach the database" in why["Summary"]
        assert "Operation=Install" in why["Remedy"]
    else:  # rpm keeps a package whose %post failed: the files are in, and the report says what is left to do
        assert node.host.version("tb-script") == NEW
        assert node.states("tb-script", "tb-beside") == {"tb-script": PENDING, "tb-beside": PENDING}
        assert "dnf -y reinstall tb-script" in report

    (node.host.root.path / NOBODY_ANSWERS.lstrip("/")).unlink()
    node.assert_installed("tb-script", "tb-beside")


def test_a_mirror_that_moves_on_between_plan_and_apply_gets_a_second_plan(node: Node) -> None:
    node.outdated("tb-moved", "tb-stays")
    files = node.host.files

    def move_on(path: str) -> None:
        if "tb-moved" in path:  # the first fetch of the Plan's file: it is gone, and a newer one is in its place
            files.before = None
            node.host.withdraw("tb-moved", NEW)
            node.host.offer("tb-moved", NEWER)
            node.host.publish()

    files.before = move_on
    report = node.install("Success", 0)

    assert files.before is None, "nothing was fetched"
    assert re.search(rf"INSTALLED: tb-moved\.\w+ (0:)?{OLD} -> (0:)?{NEWER} ", report)
    assert node.versions("tb-moved", "tb-stays") == {"tb-moved": NEWER, "tb-stays": NEW}
    assert node.states("tb-moved", "tb-stays") == dict.fromkeys(("tb-moved", "tb-stays"), PENDING)
    assert node.host.is_sound()


def test_a_disk_that_fills_up_is_named_and_nothing_is_left_half_done(node: Node) -> None:
    node.outdated("tb-full", "tb-fits", **{"/srv/full/big": "x" * 3_000_000})
    node.host.root.run(["sh", "-c", "mkdir -p /srv/full && mount -t tmpfs -o size=1m small /srv/full"])

    report = node.install("Failed", 1)

    assert "/srv/full" in report or "No space left" in report
    assert node.host.version("tb-full") == OLD
    assert node.host.is_sound()
    why = node.why("tb-full")
    assert (why["Code"], why["State"]) == ("FAILED_LAST_INSTALL", FAILED)
    assert re.search("not enough room|No space left on device|more space needed|needs .* on the", why["Summary"]), why
    assert why["Remedy"].startswith("make room on the node's disk, then ")

    node.host.root.run(["umount", "/srv/full"])
    node.assert_installed("tb-full", "tb-fits")


def test_a_foreign_lock_is_named_with_its_holder(node: Node) -> None:
    node.outdated("tb-locked")
    root = node.host.root
    root.write("/usr/bin/nightly-upgrade", HOLD_LOCK, 0o755)
    with root.popen(["/usr/bin/nightly-upgrade", node.host.lock], stdin=subprocess.PIPE) as rival:
        assert rival.stdout is not None and rival.stdout.readline() == "locked\n"
        report = node.install("Failed", 1, "RebootIfNeeded")
        rival.communicate()

    assert f"nightly-upgrade holds {node.host.lock}" in report
    assert "another program" in report
    assert node.host.version("tb-locked") == OLD
    why = node.why("tb-locked")
    assert (why["Code"], why["State"]) == ("FAILED_LAST_INSTALL", FAILED)
    assert "nightly-upgrade" in why["Summary"]
    assert why["Remedy"].startswith("let the other program end, then ")

    node.assert_installed("tb-locked")


def test_a_database_that_an_interrupted_transaction_left_broken_is_left_alone_and_the_remedy_said(node: Node) -> None:
    node.outdated("tb-broken", "tb-waits", script=WAITING)
    root = node.host.root
    with root.popen([*node.host.upgrade, "tb-broken"]) as somebody:
        eventually(lambda: root.exists(BEGAN), bool)
        kill_with_children(somebody.pid)
    assert not node.host.is_sound()
    root.write(GO, "")

    report = node.install("Failed", 1, "RebootIfNeeded")

    (remedy,) = [remedy for code, remedy in node.problems().items() if code in BROKEN]
    assert f"repair it by: {remedy}" in report, report
    assert node.host.version("tb-waits") == OLD
    assert not node.host.is_sound(), "it is the operator's to repair"
    why = node.why("tb-waits")
    assert (why["Code"], why["State"]) == ("FAILED_LAST_INSTALL", FAILED)
    assert f"repair it by: {remedy}" in why["Summary"]
    assert why["Remedy"].startswith("repair the package manager by the remedy that the node names, then ")

    root.run(shlex.split(remedy))
    node.assert_installed("tb-waits")
    assert node.host.version("tb-broken") == NEW


def test_a_signature_that_does_not_verify_changes_nothing(node: Node) -> None:
    node.outdated("tb-signed", "tb-with-it")
    node.host.spoil_signatures("tb-signed", NEW)

    report = node.install("Failed", 1)

    assert "sign" in report
    assert node.versions("tb-signed", "tb-with-it") == dict.fromkeys(("tb-signed", "tb-with-it"), OLD)
    why = node.why("tb-signed")
    assert (why["Code"], why["State"]) == ("FAILED_LAST_INSTALL", FAILED)
    assert "is not signed by a key that the node trusts" in why["Summary"]
    assert why["Remedy"].startswith("install the repository's signing key on the node, then ")

    node.host.mend_signatures("tb-signed", NEW)
    node.assert_installed("tb-signed", "tb-with-it")


def test_a_clock_that_is_off_is_told_of_and_shown_and_everything_works_by_the_servers(
    node: Node, folder: Path, zipapp: Path
) -> None:
    ahead = 3600 if node.host.system == "DEBIAN" else -7200  # as a hardware clock in local time would be
    environment = another_clock(node.host.root, ahead)
    node.agent.stop()
    with ExitStack() as stack:
        stack.callback(node.agent.start)
        agent = Agent(node.host.root, zipapp, folder, "/var/lib/another-clock", environment)
        stack.callback(agent.kill)
        off = Node(node.server, agent, node.host)
        off.outdated("tb-clock")

        before = datetime.now(UTC).replace(microsecond=0)
        command_id = off.send(Operation="Install", RebootOption="NoReboot")
        output = off.ended(command_id)

        assert off.states("tb-clock") == {"tb-clock": PENDING}
        told = re.search(r"this host's clock is (\d+) s (ahead of|behind) the server's", agent.log)
        assert told is not None, agent.log
        assert abs(int(told[1]) - abs(ahead)) < 5
        assert told[2] == ("ahead of" if ahead > 0 else "behind")
        (shown,) = off.patchwright.describe_nodes(NodeIds=[agent.node_id])["Nodes"]
        assert abs(shown["ClockOffsetSeconds"] - ahead) < 30
        assert shown["PingStatus"] == "Online"
        (state,) = off.ssm.describe_instance_patch_states(InstanceIds=[agent.node_id])["InstancePatchStates"]
        command = off.ssm.list_commands(CommandId=command_id)["Commands"][0]
        (known,) = off.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [agent.node_id]}])[
            "InstanceInformationList"
        ]
        times = {
            "operation": state["OperationStartTime"], "its end": state["OperationEndTime"],
            "step": datetime.fromisoformat(output["ExecutionStartDateTime"]),
            "step's end": datetime.fromisoformat(output["ExecutionEndDateTime"]),
            "command": command["RequestedDateTime"], "ping": known["LastPingDateTime"],
        }  # fmt: skip
        before, after = before - timedelta(seconds=5), datetime.now(UTC) + timedelta(seconds=5)
        assert {what: moment for what, moment in times.items() if not before <= moment <= after} == {}


def another_clock(root: Root, seconds: int) -> dict[str, str]:
    """What makes a program on this host see a clock that is off by so much. Skips where that can't be."""
    if not FAKETIME.exists():
        pytest.skip(
            f"NO OTHER CLOCK, a host whose clock is off is not tested: no {FAKETIME}: apt-get install libfaketime"
        )
    root.write(f"{ANOTHER_CLOCK}/faketime.so", FAKETIME.read_bytes())
    root.write(f"{ANOTHER_CLOCK}/sitecustomize.py", SLEEP)
    environment = {
        "LD_PRELOAD": f"{ANOTHER_CLOCK}/faketime.so",
        "PYTHONPATH": ANOTHER_CLOCK,
        "FAKETIME": f"{seconds:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as on a host: waits don't depend on what the clock says
    }
    argv = ["env", *(f"{name}={value}" for name, value in environment.items()), "date", "+%s"]
    told = int(root.run(argv).stdout) - datetime.now(UTC).timestamp()
    assert abs(told - seconds) < 5, f"the clock is {told} s off, not {seconds}"
    return environment


def kill_with_children(pid: int) -> None:
    """kill -9 of a process and all its descendants: parents first, or they would go on after a script that failed."""
    doomed = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the script's sleep, the last of them, ends soon
        for one in doomed:  # grows
            doomed += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    for one in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
