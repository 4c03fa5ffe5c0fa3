"""Reports of rpm hosts: notices and build times are judged by, explained with, and sent only when they changed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from patchwright.store import facts as facts_store
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node, Refusal
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import canonical
from tests.contract.synthetic_rpms import FIX, Notice, RockyHost, Version, usual_host
from tests.contract.worker_door import Worker

ALL = ["installed", "notices", "state", "times", "upgradable"]


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _scanned(fleet: Fleet, host: RockyHost) -> tuple[Node, Worker]:
    node = fleet.node()
    worker, message = fleet.worker(node)
    assert worker.report(host.parts()) == ALL
    fleet.end(node, message, str(worker.finish()["Report"]))
    return node, worker


def _why(fleet: Fleet, node: Node, patch: str) -> list[dict[str, Any]]:
    return list(fleet.patchwright.explain_patch(NodeId=node.id, Patch=patch)["Explanations"])


def test_notices_decide_what_is_missing_and_what_it_is_called(fleet: Fleet) -> None:
    node, _ = _scanned(fleet, usual_host())
    patches = {p["Title"]: p for p in fleet.ssm.describe_instance_patches(InstanceId=node.id)["Patches"]}
    # The predefined baseline takes critical and important fixes: not the newest version, the fixing one.
    fix = patches["openssl.x86_64:1:3.0.7-25.el9"]
    assert (fix["State"], fix["Classification"], fix["Severity"]) == ("MISSING", "Security", "Critical")
    assert fix["CVEIds"] == "CVE-2025-0200,CVE-2025-0201"
    assert patches["tzdata.noarch:0:2025b-1.el9"]["Classification"] == "Bugfix"
    assert patches["vim-enhanced.x86_64:2:8.2.2637-20.el9"]["State"] == "INSTALLED_OTHER"
    assert len(patches) == 3


def test_a_cve_is_open_fixed_or_unknown_and_the_advisory_says_the_same(fleet: Fleet) -> None:
    node, _ = _scanned(fleet, usual_host())
    (opened,) = _why(fleet, node, "CVE-2025-0201")
    assert (opened["Code"], opened["PatchId"], opened["State"]) == ("CVE_OPEN", "openssl.x86_64", "MISSING")
    assert "3.0.7-25.el9 fixes it" in opened["Summary"]
    (later,) = _why(fleet, node, "cve-2025-0300")
    assert later["Code"] == "CVE_OPEN"
    assert "3.0.7-27.el9" in later["Summary"]
    assert "AWS-RockyLinuxDefaultPatchBaseline" in later["Summary"]
    assert [w["Code"] for w in _why(fleet, node, "CVE-2025-0100")] == ["CVE_FIXED"]
    assert [w["Code"] for w in _why(fleet, node, "CVE-1999-0001")] == ["CVE_NOT_FOUND"]
    (advisory,) = _why(fleet, node, "RLSA-2025:0200")
    assert (advisory["Code"], advisory["PatchId"]) == ("APPROVED_BY_RULE", "openssl.x86_64")
    assert [w["Code"] for w in _why(fleet, node, "RLSA-2025:9999")] == ["ADVISORY_NOT_FOUND"]


def test_the_dates_of_notices_and_builds_are_what_a_rule_waits_for(fleet: Fleet) -> None:
    """Updated before issued before built. Source: patch-baselines.md 1.4."""
    fleet.ssm.register_default_patch_baseline(
        BaselineId=fleet.ssm.create_patch_baseline(
            Name="until-december",
            OperatingSystem="ROCKY_LINUX",
            ApprovalRules={
                "PatchRules": [
                    {
                        "PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["RockyLinux9"]}]},
                        "ApproveUntilDate": "2025-12-31",
                        "EnableNonSecurity": True,
                    }
                ]
            },
        )["BaselineId"]
    )
    early, late = 1_766_000_000, 1_768_000_000  # 2025-12-17 and 2026-01-09
    host = usual_host()
    cases = {
        "built-early": (Version("0:2-1", built_at=early), "MISSING"),
        "built-late": (Version("0:2-1", built_at=late), "INSTALLED_OTHER"),
        "issued-early": (Version("0:2-1", (Notice("A-1", issued=early),), built_at=late), "MISSING"),
        "issued-late": (Version("0:2-1", (Notice("A-2", issued=late),), built_at=early), "INSTALLED_OTHER"),
        "updated-late": (Version("0:2-1", (Notice("A-3", issued=early, updated=late),)), "INSTALLED_OTHER"),
        "undated": (Version("0:2-1", built_at=0), "MISSING"),
    }
    for name, (version, _) in cases.items():
        host.packages[name] = replace(
            host.packages["vim-enhanced"], installed=Version("0:1-1", built_at=late), offers=(version,)
        )
    node, _ = _scanned(fleet, host)
    found = {p["Title"].partition(".")[0]: p["State"] for p in _patches(fleet, node)}
    assert {name: found[name] for name in cases} == {name: state for name, (_, state) in cases.items()}


def _patches(fleet: Fleet, node: Node) -> list[dict[str, Any]]:
    return list(fleet.ssm.describe_instance_patches(InstanceId=node.id)["Patches"])


def test_only_what_changed_is_asked_for_with_the_notices_that_it_names(fleet: Fleet) -> None:
    host = usual_host()
    node, worker = _scanned(fleet, host)
    assert worker.report(host.parts()) == []
    host.boot_id = "boot-2"
    assert worker.report(host.parts()) == ["state"]
    newer = Notice("RLSA-2026:0001", cves=("CVE-2026-0001",))
    host.change("vim-enhanced", offers=(Version("2:8.2.2637-22.el9", (newer,)),))
    assert worker.report(host.parts()) == ["notices", "upgradable"]
    assert [w["Code"] for w in _why(fleet, node, "CVE-2026-0001")] == ["CVE_OPEN"]
    # A notice that is issued again is another text: what it lists is sent with it.
    host.change("vim-enhanced", offers=(Version("2:8.2.2637-22.el9", (replace(newer, severity="Low"),)),))
    assert worker.report(host.parts()) == ["notices", "upgradable"]


def test_apt_and_dnf_hosts_with_equal_names_share_nothing_by_name_alone(fleet: Fleet) -> None:
    liar, host = usual_host(), usual_host()
    liar.change("openssl", offers=(Version("1:3.0.7-25.el9", (replace(FIX, severity="Low"),)),))
    dishonest, _ = _scanned(fleet, liar)
    honest, _ = _scanned(fleet, host)
    titles = dict(fleet.titles(honest))
    assert titles["openssl.x86_64:1:3.0.7-25.el9"] == "MISSING"
    assert "openssl.x86_64:1:3.0.7-25.el9" not in dict(fleet.titles(dishonest))


def _with(part: str, change: Callable[[Any], Any]) -> Callable[[RockyHost], dict[str, str]]:
    def spoil(host: RockyHost) -> dict[str, str]:
        values = host.values()
        changed = change(values[part])
        values[part] = values[part] if changed is None else changed
        return {name: canonical(value) for name, value in values.items()}

    return spoil


def _notice(index: int, value: Any) -> Callable[[RockyHost], dict[str, str]]:
    """A notice changed, with the rows that name it: only the value itself is wrong."""

    def spoil(host: RockyHost) -> dict[str, str]:
        names = ("id", "kind", "severity", "issued", "updated", "cves", "bugzillas")
        spoilt = replace(FIX, **{names[index]: value})
        host.change("openssl", offers=(Version("1:3.0.7-25.el9", (spoilt,)),))
        return host.parts()

    return spoil


def _field(part: str, index: int, value: str) -> Callable[[RockyHost], dict[str, str]]:
    def change(content: Any) -> None:
        rows = content["packages"] if part == "installed" else content["lines"][0][2]
        fields = rows[0].split("\t")
        fields[index] = value
        rows[0] = "\t".join(fields)

    return _with(part, change)


def _swollen(host: RockyHost) -> dict[str, str]:
    """Few bytes that would fill the store: one long notice that thousands of rows name."""
    long = replace(FIX, cves=tuple(f"CVE-2025-{n:050}" for n in range(4_000)))
    for number in range(400):
        host.packages[f"zz-{number:03}"] = replace(
            host.packages["openssl"], installed=Version("0:1-1", (long,)), offers=()
        )
    return host.parts()


LIES: dict[str, Callable[[RockyHost], dict[str, str]]] = {
    "a notice that is not there": _with("notices", lambda v: v["notices"].pop()),
    "a notice twice": _with("notices", lambda v: v["notices"].append(v["notices"][0])),
    "a notice of another text": _with("notices", lambda v: v["notices"][0].__setitem__(2, "Low")),
    "a notice with a field too few": _with("notices", lambda v: v["notices"].append(["x"])),
    "too many notices": _with(
        "notices", lambda v: v["notices"].extend([[str(n), "", "", 0, 0, [], []] for n in range(20_001)])
    ),
    "notices that are text": _with("notices", lambda v: v.__setitem__("notices", "x")),
    "a notice without an id": _notice(0, ""),
    "an id with an escape": _notice(0, "RLSA\x1b[2J"),
    "an id that turns the text round": _notice(0, "RLSA\u202e"),
    "an id too long": _notice(0, "R" * 256),
    "a type too long": _notice(1, "s" * 65),
    "a severity with a newline": _notice(2, "Low\n"),
    "a date before all time": _notice(3, -1),
    "a date beyond the calendar": _notice(4, 10**12),
    "a date that is text": _notice(4, "yesterday"),
    "a CVE with NUL": _notice(5, ("CVE\x00",)),
    "a CVE too long": _notice(5, ("C" * 65,)),
    "too many CVEs": _notice(5, tuple(f"CVE-{n}" for n in range(5_001))),
    "a bug that is a number": _notice(6, (7,)),
    "a reference that is no digest": _field("installed", 9, "RLSA-2025:0100"),
    "a reference of another length": _field("installed", 9, "0" * 15),
    "a thousand and one references": _field("installed", 9, ",".join(f"{n:016x}" for n in range(1_001))),
    "a build time before all time": _field("installed", 8, "-1"),
    "a build time that is text": _field("upgradable", 8, "now"),
    "a build time in other digits": _field("upgradable", 8, "١"),
    "a build time of a thousand digits": _field("upgradable", 8, "9" * 1_000),
    "no build time": _field("upgradable", 8, ""),
    "rows of a deb": _with("installed", lambda v: v["packages"].__setitem__(0, v["packages"][0].rsplit("\t", 2)[0])),
    "a part too few": lambda host: {n: t for n, t in host.parts().items() if n != "notices"},
    "notices that swell": _swollen,
}  # fmt: skip


def test_a_report_that_lies_is_refused_whole_and_the_last_good_facts_stay(fleet: Fleet) -> None:
    node, worker = _scanned(fleet, usual_host())
    before = fleet.titles(node)
    record = fleet.read(lambda tx: facts_store.current(tx, node.id))
    for what, lie in LIES.items():
        host = usual_host()
        host.packages["aa"] = host.packages["openssl"]  # a change that must not get through with the lie
        with pytest.raises(Refusal) as refused:
            worker.put(lie(host))
            pytest.fail(f"accepted: {what}")
        assert (refused.value.status, refused.value.code) == (400, "ValidationException"), what
        assert refused.value.message.isprintable(), what
        assert fleet.read(lambda tx: facts_store.current(tx, node.id)) == record, what
    assert fleet.titles(node) == before


def test_rows_without_the_notices_they_name_are_refused(fleet: Fleet) -> None:
    _, worker = _scanned(fleet, usual_host())
    host = usual_host()
    host.change("openssl", offers=())
    assert worker.announce(host.parts())["NeedParts"] == ["notices", "upgradable"]
    answer = worker.put(host.parts(), ["upgradable"])
    assert answer == {"Accepted": False, "NeedParts": ["notices", "upgradable"]}
