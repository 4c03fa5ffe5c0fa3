"""kill -9 of server, agent and worker at named points of an install, and power cuts: on apt and on dnf.

Each case installs one package anew and must end the same way: the command is over, the version is there and was applied
once, the package database is sound, and the next command runs. A package's own script says how often it ran.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.agents import Agent, build_impatient_zipapp
from tests.e2e.cutting_proxy import Moment
from tests.e2e.enrolled import EVERYTHING
from tests.e2e.killing import World, world_of
from tests.e2e.managed_hosts import MANAGERS, ManagedHost, managed_host
from tests.e2e.roots import CannotRun, LabNetwork, Root
from tests.e2e.servers import eventually

pytestmark = pytest.mark.root

BEFORE_SERVER, BEFORE_ANSWER = Moment.BEFORE_SERVER, Moment.BEFORE_ANSWER
APPLIED, WAIT, WAITING = "/var/tmp/applied", "/var/tmp/wait", "/var/tmp/waiting"
SCRIPT = f"""echo applied >> {APPLIED}
if [ -e {WAIT} ]; then touch {WAITING}; while [ -e {WAIT} ]; do sleep 0.05; done; fi
"""
PACKAGE, OLD, NEW = "kill-me", "1.0-1", "2.0-1"
ENDED = ("Success", "Failed", "Cancelled", "TimedOut")


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of an install: at a call (its nth, before or after the server acted), or in the transaction."""

    name: str
    call: str = ""
    moment: Moment = BEFORE_ANSWER
    nth: int = 1


POINTS = (
    Point("hello unanswered", "StartPatchRun"),
    Point("facts not sent", "PutFacts", BEFORE_SERVER),
    Point("facts unanswered", "PutFacts", BEFORE_ANSWER),
    Point("targets unanswered", "SettlePlan", BEFORE_ANSWER, 1),
    Point("closure not sent", "SettlePlan", BEFORE_SERVER, 2),
    Point("plan unanswered", "SettlePlan", BEFORE_ANSWER, 2),
    Point("in the transaction"),
    Point("facts after not sent", "PutFacts", BEFORE_SERVER, 2),
    Point("end not sent", "FinishPatchRun", BEFORE_SERVER),
    Point("end unanswered", "FinishPatchRun", BEFORE_ANSWER),
)
VICTIMS = ("server", "agent", "worker")


def _is_quick(number: int, point: Point, victim: int, manager: int) -> bool:
    """Whether a case runs in every run of the suite: each point with one victim, the managers taking turns.

    Where the manager itself is at work both do.
    """
    return number % len(VICTIMS) == victim and (not point.call or number % len(MANAGERS) == manager)


CASES = [
    pytest.param(
        manager, point, victim, id=f"{manager}-{point.name}-{victim}",
        marks=() if _is_quick(i, point, j, k) else (pytest.mark.slow,),
    )
    for k, manager in enumerate(MANAGERS)
    for i, point in enumerate(POINTS)
    for j, victim in enumerate(VICTIMS)
]  # fmt: skip


class Managed:
    """One enrolled host whose repository offers version 2.0-1 of a package that is installed in 1.0-1."""

    def __init__(self, world: World, host: ManagedHost) -> None:
        self.world, self.host = world, host
        self.agent: Agent = world.agents[0]
        self.root: Root = world.roots[0]

    def reset(self) -> None:
        """Back to the old version, as if nothing had happened."""
        for path in (APPLIED, WAIT, WAITING):
            (self.root.path / path.lstrip("/")).unlink(missing_ok=True)
        self.host.put(PACKAGE, OLD)
        assert self.version() == OLD

    def version(self) -> str:
        return self.host.version(PACKAGE)

    def is_sound(self) -> bool:
        return self.host.is_sound()

    def applied(self) -> int:
        """How often the new version's script has run."""
        return len(self.root.read(APPLIED).splitlines()) if self.root.exists(APPLIED) else 0

    def install(self, why: str) -> str:
        """Order an install; the command's id."""
        return self.world.order(
            self.agent, "AWS-RunPatchBaseline", why, Operation=["Install"], RebootOption=["NoReboot"]
        )

    def workers(self) -> list[int]:
        """The worker's processes, as pids outside."""
        inside = Path(f"/proc/{self.root.pid}/ns/pid").readlink()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[2:3] == [b"patch"] and (folder / "ns/pid").readlink() == inside:
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def kill_worker(self) -> None:
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_impatient_zipapp(tmp_path_factory.mktemp("agent") / "patchwright-agent.pyz")


@pytest.fixture(scope="module")
def host(
    request: pytest.FixtureRequest, lab_network: LabNetwork, zipapp: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Managed]:
    folder = tmp_path_factory.mktemp(f"kills-{request.param}")
    with ExitStack() as stack:
        try:
            host = managed_host(str(request.param), stack, folder, lab_network, f"{request.param}-kills")
        except CannotRun as reason:
            pytest.skip(f"NO REAL ROOTS, {request.param} is not tested for real: {reason}")
        host.offer(PACKAGE, OLD)
        host.offer(PACKAGE, NEW, script=SCRIPT)
        host.publish()
        host.put(PACKAGE, OLD)
        made = stack.enter_context(world_of([host.root], lab_network, zipapp, folder))
        _approve_everything(made, host.system)
        yield Managed(made, host)


def _approve_everything(made: World, system: str) -> None:
    baseline = made.ssm.create_patch_baseline(Name="everything", OperatingSystem=system, ApprovalRules=EVERYTHING)
    made.ssm.register_default_patch_baseline(BaselineId=baseline["BaselineId"])


@pytest.mark.parametrize(("host", "point", "victim"), CASES, indirect=["host"])
def test_an_install_survives_a_kill(host: Managed, point: Point, victim: str) -> None:
    host.reset()
    kill, restart = _means(host, victim)
    why = f"{victim} killed: {point.name}"
    if point.call:
        cut = host.world.proxy.cut(f"Patchwright.{point.call}", point.moment, kill, point.nth)
        command = host.install(why)
        cut.wait()
        restart()
    else:
        host.root.write(WAIT, "")
        command = host.install(why)
        eventually(lambda: host.root.exists(WAITING), bool)
        kill()
        restart()
        (host.root.path / WAIT.lstrip("/")).unlink()

    ended = eventually(lambda: host.world.invocation(command), lambda seen: seen["Status"] in ENDED, 60.0)

    assert ended["Status"] == "Success", (why, ended, host.agent.log[-3000:])
    assert host.version() == NEW
    assert host.applied() == 1, "a script of the package ran twice"
    assert host.is_sound()
    host.world.scan(host.agent, f"a scan after {why}")
    host.world.check_commands()


def _means(host: Managed, victim: str) -> tuple[Callable[[], None], Callable[[], object]]:
    if victim == "server":
        return host.world.server.kill, host.world.server.start
    if victim == "agent":
        return host.agent.kill, host.agent.start
    return host.kill_worker, lambda: None


@pytest.mark.parametrize("host", MANAGERS, indirect=True)
def test_a_power_cut_in_the_transaction_is_mended_after_the_boot(host: Managed) -> None:
    host.reset()
    host.root.write(WAIT, "")
    command = host.install("power cut in the transaction")
    eventually(lambda: host.root.exists(WAITING), bool)

    host.root.power_cut()
    host.agent.kill()  # it is dead already: its end is taken note of
    host.root.start()
    for path in (WAIT, WAITING):
        (host.root.path / path.lstrip("/")).unlink()
    host.agent.start()

    ended = eventually(lambda: host.world.invocation(command), lambda seen: seen["Status"] in ENDED, 60.0)
    assert ended["Status"] == "Success", (ended, host.agent.log[-3000:])
    assert host.version() == NEW
    assert host.is_sound()
    host.world.scan(host.agent, "a scan after a power cut")
    host.world.check_commands()
