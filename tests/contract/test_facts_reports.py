"""What a worker may send, and what becomes of it: honest reports, partial ones, and lies.

Source: decisions.md 1, 2, 11, 15.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchwright.store import facts as facts_store
from patchwright.store import first_seen as first_seen_store
from patchwright.store import nodes as node_store
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import (
    SECURITY,
    UPDATES,
    DebianHost,
    Fleet,
    Node,
    Package,
    Refusal,
    Repo,
    Worker,
    canonical,
    digest_of,
    usual_host,
)

ALL = ["installed", "state", "times", "upgradable"]


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _titles(fleet: Fleet, node: Node) -> list[tuple[str, str]]:
    found = fleet.ssm.describe_instance_patches(InstanceId=node.id)["Patches"]
    return [(p["Title"], p["State"]) for p in found]


def _scanned(fleet: Fleet) -> tuple[Node, Worker, DebianHost]:
    """A node whose worker has reported once and goes on."""
    node, host = fleet.node(), usual_host()
    worker, _ = fleet.worker(node)
    worker.report(host.parts())
    return node, worker, host


def _read(fleet: Fleet, work: Callable[[Any], Any]) -> Any:
    return fleet.server.application.state.store.read(work)


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
    node, worker, host = _scanned(fleet)
    host.reboot = True
    assert worker.report(host.parts()) == ["state"]
    host.packages["vim"].offers = (("2:9.0.1378-4", (UPDATES,)),)
    assert worker.report(host.parts()) == ["upgradable"]
    host.packages["bash"].version = "5.2.15-3"
    assert worker.report(host.parts()) == ["installed", "times", "upgradable"]
    assert ("bash.amd64:5.2.15-3", "INSTALLED_OTHER") in _titles(fleet, node)


def test_times_that_change_alone_are_kept_too(fleet: Fleet) -> None:
    """A package that was installed again in the same version."""
    node, worker, host = _scanned(fleet)
    host.packages["bash"].installed_at = 1_750_000_000
    worker.report(host.parts())
    only_bash = [{"Key": "KBId", "Values": ["bash.amd64"]}]
    (bash,) = fleet.ssm.describe_instance_patches(InstanceId=node.id, Filters=only_bash)["Patches"]
    assert bash["InstalledTime"].timestamp() == 1_750_000_000


def test_every_report_has_its_interval_and_the_past_can_be_read_again(fleet: Fleet) -> None:
    node, worker, host = _scanned(fleet)
    first = _read(fleet, lambda tx: facts_store.current(tx, node.id))
    worker.report(host.parts())
    assert _read(fleet, lambda tx: facts_store.current(tx, node.id)) == first  # unchanged: no new interval
    host.packages["bash"].version = "5.2.15-9"
    worker.report(host.parts())
    second = _read(fleet, lambda tx: facts_store.current(tx, node.id))
    assert second.id != first.id
    assert second.valid_from > first.valid_from
    just_before = second.valid_from - timedelta(microseconds=1)
    assert _read(fleet, lambda tx: facts_store.as_of(tx, node.id, just_before)) == first
    assert _read(fleet, lambda tx: facts_store.as_of(tx, node.id, second.valid_from)) == second
    assert _read(fleet, lambda tx: facts_store.as_of(tx, node.id, first.valid_from - timedelta(days=1))) is None
    old = _read(fleet, lambda tx: facts_store.installed(tx, first))
    assert [p.package.version for p in old if p.package.name == "bash"] == ["5.2.15-2+b2"]


def _with(part: str, change: Callable[[Any], Any]) -> Callable[[DebianHost], dict[str, str]]:
    """Parts of the host with one of them changed by `change`, digests made anew."""

    def spoil(host: DebianHost) -> dict[str, str]:
        values = host.values()
        changed = change(values[part])
        values[part] = values[part] if changed is None else changed
        return {name: canonical(value) for name, value in values.items()}

    return spoil


def _text(part: str, text: str) -> Callable[[DebianHost], dict[str, str]]:
    return lambda host: {**host.parts(), part: text}


def _row(**changes: str) -> Callable[[Any], None]:
    """Replace fields of the last installed row."""
    names = ("name", "arch", "version", "section", "priority", "source", "source_version", "repos")

    def change(installed: Any) -> None:
        fields = installed["packages"][-1].split("\t")
        for name, value in changes.items():
            fields[names.index(name)] = value
        installed["packages"][-1] = "\t".join(fields)

    return change


def _offer(index: int, value: str) -> Callable[[Any], None]:
    def change(upgradable: Any) -> None:
        fields = upgradable["lines"][-1][2][0].split("\t")
        fields[index] = value
        upgradable["lines"][-1][2][0] = "\t".join(fields)

    return change


def _twice(rows: list[Any]) -> None:
    rows.append(rows[-1])


LIES: dict[str, Callable[[DebianHost], dict[str, str]]] = {
    "packages unsorted": _with("installed", lambda v: v["packages"].reverse()),
    "a package twice": _with("installed", lambda v: _twice(v["packages"])),
    "lines unsorted": _with("upgradable", lambda v: v["lines"].reverse()),
    "a line twice": _with("upgradable", lambda v: _twice(v["lines"])),
    "a line of no installed package": _with(
        "upgradable", lambda v: v["lines"].insert(0, ["aa\tamd64\t1", "2", [v["lines"][0][2][0]]])
    ),
    "a line without offers": _with("upgradable", lambda v: v["lines"].insert(0, ["bash\tamd64\t5.2.15-2+b2", "", []])),
    "fewer times than packages": _with("times", lambda v: v.pop()),
    "a negative time": _with("times", lambda v: v.__setitem__(0, -1)),
    "a huge time": _with("times", lambda v: v.__setitem__(0, 2**31)),
    "a time beyond all machines": _with("times", lambda v: v.__setitem__(0, 10**30)),
    "a time that is text": _with("times", lambda v: v.__setitem__(0, "1")),
    "a name with NUL": _with("installed", _row(name="zz\x00")),
    "a name with an escape": _with("installed", _row(name="zz\x1b[2J")),
    "a name with a newline": _with("installed", _row(name="zz\n")),
    "a name that turns the text round": _with("installed", _row(name="zz\u202e")),
    "no name": _with("installed", _row(name="", version="1")),
    "no version": _with("installed", _row(version="")),
    "a name too long": _with("installed", _row(name="z" * 256)),
    "an architecture too long": _with("installed", _row(arch="a" * 33)),
    "a repository that is not there": _with("installed", _row(repos="9")),
    "a negative repository": _with("installed", _row(repos="-1")),
    "a repository number in other digits": _with("installed", _row(repos="²")),
    "a repository number of a thousand digits": _with("installed", _row(repos="9" * 5_000)),
    "too few fields": _with("installed", lambda v: v["packages"].append("zz\tamd64\t1")),
    "a row that is a number": _with("installed", lambda v: v["packages"].append(7)),
    "a repository row too short": _with("installed", lambda v: v["repositories"].append(["x"])),
    "a repository trusted by a word": _with("installed", lambda v: v["repositories"][0].__setitem__(6, "yes")),
    "too many repositories": _with("installed", lambda v: v["repositories"].extend([v["repositories"][0]] * 1_001)),
    "packages that are an object": _with("installed", lambda v: v.__setitem__("packages", {})),
    "no packages member": _with("installed", lambda v: v.pop("packages") and None),
    "a pin of two signs": _with("upgradable", _offer(6, "--5")),
    "a pin too large": _with("upgradable", _offer(6, "9" * 40)),
    "a pin in other digits": _with("upgradable", _offer(7, "١")),
    "an offer without a version": _with("upgradable", _offer(0, "")),
    "too many offers": _with("upgradable", lambda v: v["lines"][-1][2].extend([v["lines"][-1][2][0]] * 500)),
    "an unknown manager": _with("state", lambda v: v.__setitem__("manager", "pacman")),
    "a state without a manager": _with("state", lambda v: v.pop("manager") and None),
    "a boot id too long": _with("state", lambda v: v.__setitem__("boot_id", "b" * 65)),
    "holds that are text": _with("state", lambda v: v.__setitem__("holds", "vim")),
    "a release date that is text": _with("state", lambda v: v["sources"][0].__setitem__("released_at", "now")),
    "a release date beyond all machines": _with("state", lambda v: v["sources"][0].__setitem__("released_at", 10**30)),
    "not JSON": _text("state", "{"),
    "empty": _text("state", ""),
    "a list": _text("installed", "[]"),
    "null": _text("upgradable", "null"),
    "nested beyond reason": _text("state", '{"manager":"apt","x":' + "[" * 30_000 + "]" * 30_000 + "}"),
    "a number beyond all machines": _text("times", "[1e999]"),
    "a lone surrogate": _text("state", '{"manager":"\\ud800apt"}'),
}


def _refusal(worker: Worker, parts: dict[str, str]) -> Refusal | None:
    try:
        worker.put(parts)
    except Refusal as refused:
        return refused
    return None


def test_another_manager_with_the_same_packages_is_no_report(fleet: Fleet) -> None:
    node, worker, host = _scanned(fleet)
    host.manager = "dnf"
    assert worker.announce(host.parts())["NeedParts"] == ["state"]
    with pytest.raises(Refusal, match="package manager is another one"):
        worker.put(host.parts(), ["state"])
    assert ("openssl.amd64:3.0.13-1~deb12u1", "MISSING") in _titles(fleet, node)


def test_a_report_that_lies_is_refused_whole_and_the_last_good_facts_stay(fleet: Fleet) -> None:
    node, worker, _ = _scanned(fleet)
    before = _titles(fleet, node)
    record = _read(fleet, lambda tx: facts_store.current(tx, node.id))
    for what, lie in LIES.items():
        host = usual_host()
        host.packages["bash"].version = "6.0"  # a change that must not get through with the lie
        host.packages["zz"] = Package("1", offers=(("2", (SECURITY,)),))
        refusal = _refusal(worker, lie(host))
        assert refusal is not None, f"accepted: {what}"
        assert (refusal.status, refusal.code) == (400, "ValidationException"), what
        assert refusal.message.isprintable(), what
        assert _read(fleet, lambda tx: facts_store.current(tx, node.id)) == record, what
    assert _titles(fleet, node) == before
    worker.report(usual_host().parts())
    assert worker.finish()["ExitCode"] == 0


def test_a_lying_first_report_leaves_the_node_without_facts(fleet: Fleet) -> None:
    node = fleet.node()
    worker, _ = fleet.worker(node)
    for what, lie in LIES.items():
        host = usual_host()
        host.packages["zz"] = Package("1", offers=(("2", (SECURITY,)),))
        refusal = _refusal(worker, lie(host))
        assert refusal is not None, f"accepted: {what}"
        assert refusal.status == 400, what
    assert _titles(fleet, node) == []
    assert _read(fleet, lambda tx: facts_store.current(tx, node.id)) is None
    assert fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"] == []


def test_announcements_that_do_not_add_up_are_refused(fleet: Fleet) -> None:
    _, worker, host = _scanned(fleet)
    host.packages["bash"].version = "6.0"
    parts = host.parts()
    rows = [{"Name": n, "Digest": digest_of(t), "Body": t} for n, t in sorted(parts.items())]
    stray = {"Name": "extra", "Digest": digest_of("x"), "Body": "x"}
    for what, more in {
        "another document digest": {"Digest": digest_of("x")},
        "another part digest": {"Parts": [{**rows[0], "Digest": digest_of("x")}, *rows[1:]]},
        "a part missing": {"Parts": rows[:3]},
        "a part twice": {"Parts": [*rows, rows[0]]},
        "a part of another name": {"Parts": [*rows, stray]},
        "an unknown version": {"FactsVersion": 2},
        "a digest that is none": {"Digest": "x"},
        "no such run": {"RunId": "00000000-0000-4000-8000-000000000000"},
        "a time that is none": {"CollectedAt": "yesterday"},
        "a time beyond the calendar": {"CollectedAt": 1e20},
    }.items():
        for bodies in ((), None):
            with pytest.raises(Refusal) as refused:
                worker.put(parts, bodies, **more)
            assert refused.value.status == 400, what
    assert worker.announce(host.parts())["Accepted"] is False


def test_a_body_too_large_is_refused_and_the_server_goes_on(fleet: Fleet) -> None:
    _, worker, host = _scanned(fleet)
    with pytest.raises(Refusal) as refused:
        worker.put({**host.parts(), "state": '{"manager":"apt","x":"' + "x" * 8_400_000 + '"}'})
    assert refused.value.code == "ValidationException"
    assert worker.report(host.parts()) == []


def test_a_clock_that_is_off_is_noticed_and_bounded(fleet: Fleet) -> None:
    node, worker, host = _scanned(fleet)
    server_now = datetime.now(UTC).timestamp()
    for collected, least, most in (
        (server_now - 7_200, -7_260, -7_140),
        (253_402_300_000, 2**31 - 1, 2**31 - 1),
        (-62_000_000_000, 1 - 2**31, 1 - 2**31),
    ):
        assert worker.announce(host.parts(), CollectedAt=collected)["Accepted"]
        found = _read(fleet, lambda tx: node_store.find(tx, node.id))
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
    _, worker, host = _scanned(fleet)
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
            node._auth("patchwright"),
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
        found = _read(fleet, lambda tx: first_seen_store.catalogue(tx, "000000000001", names)).first_seen
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
    node, worker, host = _scanned(fleet)
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
