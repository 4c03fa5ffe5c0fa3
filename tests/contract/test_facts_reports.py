"""What a worker may send, and what becomes of it: whole reports, partial ones, and whose they are.

Source: decisions.md 1, 2, 11, 15.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from patchwright.store import facts as facts_store
from patchwright.store import first_seen as first_seen_store
from patchwright.store import nodes as node_store
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Refusal
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import UPDATES, DebianHost, Package, Repo, usual_host
from tests.contract.worker_door import Worker, digest_of

ALL = ["installed", "state", "times", "upgradable"]


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def test_the_first_report_sends_everything_and_a_repeat_sends_digests_alone(fleet: Fleet) -> None:
    node, host = fleet.node(), usual_host()
    worker, _ = fleet.worker(node)
    assert worker.report(host.parts()) == ALL
    assert worker.report(host.parts()) == []
    again, _ = fleet.worker(node)
    assert again.start()["KnownDigest"] == worker.start()["KnownDigest"]
    assert again.report(host.parts()) == []


def test_hello_answers_the_order_of_the_command(fleet: Fleet) -> None:
    node = fleet.node()
    snapshot = "11111111-2222-3333-4444-555555555555"
    message = fleet.order(node, "Install", RebootOption="NoReboot", SnapshotId=snapshot)
    worker = Worker(fleet.server.url, message.token())
    hello = worker.start()
    assert (hello["Operation"], hello["RebootOption"], hello["SnapshotId"]) == ("Install", "NoReboot", snapshot)
    assert "KnownDigest" not in hello
    assert abs(hello["ServerTime"] - datetime.now(UTC).timestamp()) < 60
    # A worker that was killed, or comes back after a reboot, goes on with the same run.
    assert worker.start()["RunId"] == hello["RunId"]


def test_only_what_changed_is_asked_for(fleet: Fleet) -> None:
    node, worker, host = fleet.scanned()
    host.reboot = True
    assert worker.report(host.parts()) == ["state"]
    host.packages["vim"].offers = (("2:9.0.1378-4", (UPDATES,)),)
    assert worker.report(host.parts()) == ["upgradable"]
    host.packages["bash"].version = "5.2.15-3"
    assert worker.report(host.parts()) == ["installed", "times", "upgradable"]
    assert ("bash.amd64:5.2.15-3", "INSTALLED_OTHER") in fleet.titles(node)


def test_times_that_change_alone_are_kept_too(fleet: Fleet) -> None:
    """A package that was installed again in the same version."""
    node, worker, host = fleet.scanned()
    host.packages["bash"].installed_at = 1_750_000_000
    worker.report(host.parts())
    only_bash = [{"Key": "KBId", "Values": ["bash.amd64"]}]
    (bash,) = fleet.ssm.describe_instance_patches(InstanceId=node.id, Filters=only_bash)["Patches"]
    assert bash["InstalledTime"].timestamp() == 1_750_000_000


def test_every_report_has_its_interval_and_the_past_can_be_read_again(fleet: Fleet) -> None:
    node, worker, host = fleet.scanned()
    first = fleet.read(lambda tx: facts_store.current(tx, node.id))
    worker.report(host.parts())
    assert fleet.read(lambda tx: facts_store.current(tx, node.id)) == first  # unchanged: no new interval
    host.packages["bash"].version = "5.2.15-9"
    worker.report(host.parts())
    second = fleet.read(lambda tx: facts_store.current(tx, node.id))
    assert second.id != first.id
    assert second.valid_from > first.valid_from
    just_before = second.valid_from - timedelta(microseconds=1)
    assert fleet.read(lambda tx: facts_store.as_of(tx, node.id, just_before)) == first
    assert fleet.read(lambda tx: facts_store.as_of(tx, node.id, second.valid_from)) == second
    assert fleet.read(lambda tx: facts_store.as_of(tx, node.id, first.valid_from - timedelta(days=1))) is None
    old = fleet.read(lambda tx: facts_store.installed(tx, first))
    assert [p.package.version for p in old if p.package.name == "bash"] == ["5.2.15-2+b2"]


def test_a_clock_that_is_off_is_noticed_and_bounded(fleet: Fleet) -> None:
    node, worker, host = fleet.scanned()
    server_now = datetime.now(UTC).timestamp()
    for collected, least, most in (
        (server_now - 7_200, -7_260, -7_140),
        (253_402_300_000, 2**31 - 1, 2**31 - 1),
        (-62_000_000_000, 1 - 2**31, 1 - 2**31),
    ):
        assert worker.announce(host.parts(), CollectedAt=collected)["Accepted"]
        found = fleet.read(lambda tx: node_store.find(tx, node.id))
        assert least <= found.clock_offset_seconds <= most


def test_free_text_of_a_host_is_shown_without_control_characters(fleet: Fleet) -> None:
    node = fleet.node()
    worker, _ = fleet.worker(node)
    host = usual_host()
    host.problems = ({"code": "LOCKED", "message": "held by \x1b[31mapt\x00\n", "remedy": "wait\r", "packages": []},)
    worker.report(host.parts())
    answer = worker.finish(message="all \x1b]0;well\x07\x00 done")
    assert answer["Report"].replace("\n", "").isprintable()
    assert "Problem: LOCKED: held by  [31mapt" in answer["Report"]
    shown = fleet.patchwright.describe_node_patches(NodeId=node.id)
    assert shown["Problems"][0]["Message"].isprintable()


def test_a_finished_run_answers_the_same_again(fleet: Fleet) -> None:
    _, worker, host = fleet.scanned()
    first = worker.finish(exit_code=0)
    host.packages["bash"].version = "6.0"
    assert worker.finish(exit_code=3, message="other") == first


def test_a_run_that_never_reported_facts_has_failed(fleet: Fleet) -> None:
    worker, _ = fleet.worker(fleet.node())
    assert worker.finish(exit_code=0)["ExitCode"] == 1


def test_tokens_open_their_own_run_alone(fleet: Fleet) -> None:
    node, other = fleet.add(2)
    mine, message = fleet.worker(node)
    theirs, _ = fleet.worker(other)
    step = Worker(fleet.server.url, message.token("PatchWindows"))
    own_run = mine.run_id
    for stranger in (theirs, step):
        stranger.run_id = own_run
        for call in (lambda w=stranger: w.announce(usual_host().parts()), lambda w=stranger: w.finish()):
            with pytest.raises(Refusal) as refused:
                call()
            assert refused.value.code == "DoesNotExistException"
    for token in ("", "x", "pwr1.x", message.token()[:-2] + "AA", node.session.token if node.session else ""):
        with pytest.raises(Refusal) as refused:
            Worker(fleet.server.url, token).start()
        assert refused.value.code in ("UnrecognizedClientException", "IncompleteSignatureException")
    past = datetime.now(UTC) - timedelta(seconds=1)
    late = fleet.server.application.state.run_tokens.issue(node.id, message.command_id, "PatchLinux", past)
    with pytest.raises(Refusal) as refused:
        Worker(fleet.server.url, late).start()
    assert refused.value.code == "ExpiredTokenException"
    mine.report(usual_host().parts())


def test_a_worker_is_no_node_and_a_node_no_worker(fleet: Fleet) -> None:
    node = fleet.node()
    worker, _ = fleet.worker(node)
    with pytest.raises(Refusal, match="AccessDenied"):
        node._send(
            "Patchwright.StartPatchRun",
            {"AgentVersion": "1", "FactsVersions": [1], "BootId": "b"},
            node.auth("patchwright"),
        )
    with pytest.raises(Refusal, match=r"AccessDenied|UnknownOperation"):
        worker.call("ExplainPatch", {"NodeId": node.id, "Patch": "vim"})


def test_after_the_command_no_run_begins_with_its_token(fleet: Fleet) -> None:
    node = fleet.node()
    message = fleet.order(node)
    fleet.end(node, message)
    with pytest.raises(Refusal) as refused:
        Worker(fleet.server.url, message.token()).start()
    assert (refused.value.code, "is over" in refused.value.message) == ("AccessDeniedException", True)


def test_a_deregistered_nodes_worker_is_refused(fleet: Fleet) -> None:
    node = fleet.node()
    worker, message = fleet.worker(node)
    fleet.ssm.deregister_managed_instance(InstanceId=node.id)
    for call in (worker.start, lambda: worker.report(usual_host().parts()), worker.finish):
        with pytest.raises(Refusal) as refused:
            call()
        assert refused.value.code == "AccessDeniedException"
    assert message.command_id


def test_a_worker_whose_facts_nobody_reads_is_told_so(fleet: Fleet) -> None:
    message = fleet.order(fleet.node())
    with pytest.raises(Refusal) as refused:
        Worker(fleet.server.url, message.token()).start(FactsVersions=[2, 3])
    assert (refused.value.code, "version" in refused.value.message) == ("ValidationException", True)


def test_a_repository_is_dated_by_its_release_at_first_sight_and_by_reports_after_that(fleet: Fleet) -> None:
    one, two = fleet.add(2)
    origin = f"Lab-{fleet.region}"
    old, new = 1_700_000_000, 1_710_000_000

    def host(released: int, **offers: str) -> DebianHost:
        repo = Repo("lab-security", origin=origin, released_at=released)
        packages = {n: Package("1", offers=((v, (repo,)),), repos=()) for n, v in offers.items()}
        return DebianHost(packages=packages, sources=(repo,))

    def seen() -> dict[tuple[str, str], tuple[float, str]]:
        names = ("alpha", "beta", "gamma")
        found = fleet.read(lambda tx: first_seen_store.catalogue(tx, "000000000001", names)).first_seen
        mine = {k: s for k, s in found.items() if origin in k.repository}
        return {(k.name, k.version): (s.at.timestamp(), str(s.source)) for k, s in mine.items()}

    first, _ = fleet.worker(one)
    first.report(host(old, alpha="2").parts())
    assert seen() == {("alpha", "2"): (old, "REPOSITORY_FIRST_SEEN")}
    second, _ = fleet.worker(two)
    second.report(host(old, alpha="2", beta="2").parts())
    assert seen()["beta", "2"] == (old, "REPOSITORY_FIRST_SEEN")
    first.report(host(new, alpha="3", gamma="2").parts())
    at, source = seen()["alpha", "3"]
    assert (source, at > datetime.now(UTC).timestamp() - 60) == ("FIRST_REPORT", True)
    assert seen()["alpha", "2"] == (old, "REPOSITORY_FIRST_SEEN")
    # Another node's older mirror proves that the version is as old as the first Release: the earliest wins.
    second.report(host(old, alpha="3", beta="2").parts())
    assert seen()["alpha", "3"] == (old, "REPOSITORY_FIRST_SEEN")
    # And it never moves later again.
    first.report(host(new + 1, alpha="3", beta="2").parts())
    assert seen()["alpha", "3"] == (old, "REPOSITORY_FIRST_SEEN")


def test_an_unchanged_document_has_the_digest_of_the_protocol(fleet: Fleet) -> None:
    """Spelled out once, so that another implementation can be written from it."""
    node, worker, host = fleet.scanned()
    parts = host.parts()
    body = {
        "RunId": worker.run_id,
        "FactsVersion": 1,
        "CollectedAt": 1.5,
        "Parts": [{"Name": n, "Digest": digest_of(parts[n])} for n in ("upgradable", "installed", "times", "state")],
    }
    text = "".join(f"{n}:{digest_of(parts[n])}\n" for n in ("installed", "state", "times", "upgradable"))
    assert worker.call("PutFacts", {**body, "Digest": digest_of(text)}) == {"Accepted": True, "NeedParts": []}
    assert json.loads(parts["times"]) == [1_700_000_000] * 3
    assert node.id
