"""Reports that lie or do not add up are refused whole. Source: decisions.md 1, 2, 11, 15."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from patchwright.store import facts as facts_store
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Refusal
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package, Repo, canonical, usual_host
from tests.contract.worker_door import Worker, digest_of


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


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
    "a name of too many bytes": _with("installed", _row(name="字" * 86)),
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
    node, worker, host = fleet.scanned()
    host.manager = "dnf"
    assert worker.announce(host.parts())["NeedParts"] == ["state"]
    with pytest.raises(Refusal, match="package manager is another one"):
        worker.put(host.parts(), ["state"])
    assert ("openssl.amd64:3.0.13-1~deb12u1", "MISSING") in fleet.titles(node)


def test_a_report_that_lies_is_refused_whole_and_the_last_good_facts_stay(fleet: Fleet) -> None:
    node, worker, _ = fleet.scanned()
    before = fleet.titles(node)
    record = fleet.read(lambda tx: facts_store.current(tx, node.id))
    for what, lie in LIES.items():
        host = usual_host()
        host.packages["bash"].version = "6.0"  # a change that must not get through with the lie
        host.packages["zz"] = Package("1", offers=(("2", (SECURITY,)),))
        refusal = _refusal(worker, lie(host))
        assert refusal is not None, f"accepted: {what}"
        assert (refusal.status, refusal.code) == (400, "ValidationException"), what
        assert refusal.message.isprintable(), what
        assert fleet.read(lambda tx: facts_store.current(tx, node.id)) == record, what
    assert fleet.titles(node) == before
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
    assert fleet.titles(node) == []
    assert fleet.read(lambda tx: facts_store.current(tx, node.id)) is None
    assert fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"] == []


def test_announcements_that_do_not_add_up_are_refused(fleet: Fleet) -> None:
    _, worker, host = fleet.scanned()
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
    _, worker, host = fleet.scanned()
    with pytest.raises(Refusal) as refused:
        worker.put({**host.parts(), "state": '{"manager":"apt","x":"' + "x" * 8_400_000 + '"}'})
    assert refused.value.code == "ValidationException"
    assert worker.report(host.parts()) == []


def test_the_longest_names_that_are_allowed_are_kept(fleet: Fleet) -> None:
    # Keys of an index have a limit on PostgreSQL, and text that looks like chance is not made smaller there.
    chance = random.Random(7)

    def long(size: int) -> str:
        return "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(size // 3))

    repo = Repo(long(255), origin=long(255), label=long(255))
    host = DebianHost(packages={long(255): Package(long(255), offers=((long(255), (repo,)),), repos=(repo,))})
    node = fleet.node()
    worker, _ = fleet.worker(node)
    assert _refusal(worker, host.parts()) is None
    assert fleet.read(lambda tx: facts_store.current(tx, node.id)) is not None
