"""The end of a run while things move: calls at once, facts that come in between, a restarted server's second look.

Source: decisions.md 5, 12; patch-baselines.md 6.4.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from patchwright.core.boots import MAX_REPEATS, ONE_REQUEST
from patchwright.core.judgement import History
from patchwright.core.values import Slot
from patchwright.flows.finish_run import conclude, finish_patch_run, read_ending
from patchwright.store import judgements, nodes, runs
from patchwright.store.engine import Tx
from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet
from tests.contract.test_install import apply, counts, host_of, install, installing
from tests.contract.worker_door import report_facts


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def test_a_run_ends_once_though_it_is_ended_four_times_at_once(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    worker = installing(fleet, node, host)
    plan = worker.settle(host.parts())
    apply(host, plan, but=("beta",))
    worker.report(host.parts())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: worker.finish(n, f"end {n}", PlanDigest=plan["Digest"]), range(4)))
    assert answers == [answers[0]] * 4
    assert answers[0]["ExitCode"] == 194
    assert counts(fleet, node) == {"InstalledCount": 1, "FailedCount": 1}


def test_facts_that_come_in_while_the_end_is_judged_are_the_ones_that_count(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host, RebootOption="NoReboot")
    plan = worker.settle(host.parts())
    state = fleet.server.application.state
    ending = read_ending({"ExitCode": 0, "PlanDigest": plan["Digest"]})
    now, delays = state.clock.now(), state.service.apt_delays
    early = state.store.read(
        lambda tx: conclude(tx, nodes.get_active(tx, node.id), runs.find(tx, worker.run_id), ending, now, delays)
    )
    assert early.code == 1
    apply(host, plan)
    worker.report(host.parts())
    _, code = state.store.write(
        lambda tx: finish_patch_run(
            tx, runs.find(tx, worker.run_id), ending, early, now=now, apt_delays=delays, ids=state.ids
        )
    )
    assert code == 0
    assert counts(fleet, node) == {"InstalledPendingRebootCount": 1}


def test_a_cancel_that_the_worker_has_not_heard_of_holds_the_reboot_back(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker, message = fleet.worker(node, "Install")
    worker.report(host.parts())
    plan = worker.settle(host.parts())
    apply(host, plan)
    worker.report(host.parts())
    state = fleet.server.application.state
    ending = read_ending({"ExitCode": 0, "PlanDigest": plan["Digest"]})
    now, delays = state.clock.now(), state.service.apt_delays
    early = state.store.read(
        lambda tx: conclude(tx, nodes.get_active(tx, node.id), runs.find(tx, worker.run_id), ending, now, delays)
    )
    assert early.reboot.reboot
    # The operator cancels while the end is being judged: the worker is told at the node's next poll.
    fleet.ssm.cancel_command(CommandId=message.command_id)
    report, code = state.store.write(
        lambda tx: finish_patch_run(
            tx, runs.find(tx, worker.run_id), ending, early, now=now, apt_delays=delays, ids=state.ids
        )
    )
    assert code == 0
    assert "Reboot: no: the run was cancelled" in report
    assert counts(fleet, node) == {"InstalledPendingRebootCount": 1}
    assert worker.start(BootId="boot-1")["ExitCode"] == 0


def test_a_reboot_that_never_happens_leaves_what_a_later_run_knows(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker, answer = install(fleet, node, host)
    assert answer["ExitCode"] == 194
    slot, long_ago = Slot(name="alpha", arch="amd64"), fleet.server.application.state.clock.now() - ONE_REQUEST

    def later(tx: Tx) -> None:
        """Another run, in a boot that this one's worker knows nothing of, has brought the same version."""
        judgements.save_history(tx, node.id, History(pending_reboot=frozenset({(slot, "2", "boot-9")})))
        runs.update(tx, worker.run_id, reboots_asked=MAX_REPEATS, reboot_asked_at=long_ago)

    fleet.write(later)
    assert worker.start(BootId="boot-1")["ExitCode"] == 3
    history = fleet.read(lambda tx: judgements.history(tx, node.id))
    assert history.pending_reboot == {(slot, "2", "boot-9")}


def test_pending_rows_of_earlier_boots_and_lost_versions_are_forgotten(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    install(fleet, node, host, RebootOption="NoReboot")

    def pending() -> set[str]:
        history = fleet.read(lambda tx: judgements.history(tx, node.id))
        return {slot.name for slot, _, _ in history.pending_reboot}

    assert pending() == {"alpha", "beta"}
    host.packages["beta"].version = "3"
    report_facts(node, host.parts())
    assert pending() == {"alpha"}
    host.boot_id = "boot-2"
    report_facts(node, host.parts())
    assert pending() == set()
