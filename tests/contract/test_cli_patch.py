"""`patchwright plan` and `patch` against a real server, with nodes that answer by a script."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cli_runs import CommandLine, Typing
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Message
from tests.contract.nodes_fleet import Fleet
from tests.contract.scripted_nodes import Script
from tests.contract.synthetic_facts import usual_host
from tests.contract.worker_door import Manager

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
PLAN, INSTALL = "Patchwright-PlanPatches", "AWS-RunPatchBaseline"
LIBSSL = {"Name": "libssl3", "Arch": "amd64", "FromVersion": "3.0.11-1", "Version": "3.0.13-1~deb12u1"}
CHANGE = "openssl.amd64  3.0.11-1 -> 3.0.13-1~deb12u1"


@pytest.fixture
def run(server: RunningServer, region: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.setattr("patchwright.cli.follow.POLL_SECONDS", 0.02)
    line = CommandLine(Fleet(server, region), monkeypatch)
    yield line
    for node in line.nodes:
        node.join()


def with_dependency() -> Script:
    return Script(usual_host(), manager=Manager({"openssl": [LIBSSL]}))


def blocked() -> Script:
    return Script(usual_host(), manager=Manager(problems={"openssl": "Depends: libx but it is not installable"}))


def up_to_date() -> Script:
    host = usual_host()
    host.packages["openssl"].offers = ()
    return Script(host)


def block(text: str, name: str) -> list[str]:
    """The lines about one node."""
    (found,) = re.findall(rf"(?:\A|\n){name} \(mi-[0-9a-f]+\)\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    return str(found).splitlines()


def test_a_plan_shows_what_would_change_and_changes_nothing(run: CommandLine) -> None:
    run.script("web-1", with_dependency(), 1)
    run.script("db-1", blocked(), 1)
    run.script("log-1", up_to_date(), 1)
    printed = run("plan", "--all")
    assert printed.code == 2
    assert block(printed.out, "web-1") == [
        "  libssl3.amd64  3.0.11-1 -> 3.0.13-1~deb12u1  dependency",
        f"  {CHANGE}",
        "  reboots afterwards, since packages are installed",
    ]
    assert block(printed.out, "db-1") == [
        "  left out  openssl.amd64  3.0.13-1~deb12u1",
        "      the node's package manager can't resolve it: Depends: libx but it is not installable.",
        "  nothing to change",
    ]
    assert printed.out.splitlines()[-1] == (
        "1 of 3 nodes would change; 2 packages, 1 dependency among them; 1 package left out; 1 node would reboot. "
        "Nothing was changed."
    )
    assert run.sent() == [PLAN]


def test_nothing_to_do_ends_with_0_for_plan_and_patch_and_asks_nothing(run: CommandLine) -> None:
    run.script("log-1", up_to_date(), 2)
    planned = run("plan", "log-1")
    assert (planned.code, "nothing to change" in planned.out) == (0, True)
    patched = run("patch", "log-1", typed="")
    assert (patched.code, "[y/N]" in patched.err) == (0, False)
    assert "NO_CHANGE" in patched.out
    assert run.sent() == [PLAN, PLAN]


def test_equal_plans_are_shown_once(run: CommandLine) -> None:
    for name in ("a", "b", "c"):
        run.script(name, Script(usual_host()), 1, tier="web")
    printed = run("plan", "--target", "tag:tier=web")
    assert printed.out.count(CHANGE) == 1
    assert ": 3 nodes\n" in printed.out


def test_yes_at_the_prompt_installs_reboots_and_says_what_came_of_it(run: CommandLine) -> None:
    node = run.script("web-1", with_dependency(), 2)
    printed = run(
        "patch", "web-1", "--comment", "week 48", "--max-concurrency", "10%", "--max-errors", "2", typed="y\n"
    )
    assert printed.code == 0
    assert "Install 2 packages on 1 node, 1 of which reboot? [y/N] " in printed.err
    assert f"  installed  {CHANGE}\n" in printed.out
    row = next(line for line in printed.out.splitlines() if line.startswith(node.node.id)).split()
    assert row[1:] == ["web-1", "Success", "2", "0", "done", "COMPLIANT"]
    assert printed.out.endswith("2 packages installed, 0 failed; 1 of 1 node compliant.\n")
    assert node.documents == [PLAN, INSTALL]
    install = run.fleet.ssm.list_commands()["Commands"][0]
    assert install["Parameters"] == {"Operation": ["Install"], "RebootOption": ["RebootIfNeeded"]}
    assert (install["Comment"], install["MaxConcurrency"], install["MaxErrors"]) == ("week 48", "10%", "2")


@pytest.mark.parametrize("typed", ["n\n", "", "yesterday\n"])
def test_anything_but_yes_sends_nothing(run: CommandLine, typed: str) -> None:
    run.script("web-1", Script(usual_host()), 1)
    printed = run("patch", "web-1", typed=typed)
    assert printed.code == 2
    assert "nothing was installed" in printed.err
    assert run.sent() == [PLAN]


def test_an_interrupt_at_the_prompt_means_no(run: CommandLine) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    run.script("web-1", Script(usual_host()), 1)
    printed = run("patch", "web-1", typed=Typing(interrupt))
    assert (printed.code, "nothing was installed" in printed.err) == (2, True)
    assert run.sent() == [PLAN]


def test_without_a_terminal_it_takes_yes_to_install(run: CommandLine) -> None:
    printed = run("patch", "--all")
    assert printed.code == 64
    assert "--yes" in printed.err
    assert "Nothing was sent" in printed.err
    assert run.sent() == []
    run.script("web-1", Script(usual_host()), 2)
    assert run("patch", "--all", "--yes").code == 0
    assert run.sent() == [PLAN, INSTALL]


def test_a_node_that_fails_is_named_with_the_managers_words(run: CommandLine) -> None:
    words = "dpkg: error processing package openssl (--configure)\x1b[2J"
    run.script("web-1", Script(usual_host(), refuses={"openssl": words}), 2)
    run.script("web-2", Script(usual_host()), 2)
    printed = run("patch", "--all", "--yes", "--max-errors", "100%")
    assert printed.code == 1
    assert f"  failed  {CHANGE}\n      {words[:-4]}" in printed.out
    assert "\x1b" not in printed.out + printed.err
    assert printed.out.endswith("1 package installed, 1 failed; 1 of 2 nodes compliant; 1 node failed.\n")


def test_a_failure_past_the_threshold_leaves_the_others_alone(run: CommandLine) -> None:
    first, second = sorted(run.fleet.add(2), key=lambda node: node.id)
    run.carry_out(first, Script(usual_host(), refuses={"openssl": "no"}), 2)
    other = run.carry_out(second, Script(usual_host()), 1)
    printed = run("patch", first.id, second.id, "--yes", "--max-concurrency", "1")
    assert printed.code == 1
    assert other.documents == [PLAN]
    row = next(line for line in printed.out.splitlines() if line.startswith(other.node.id)).split()
    assert row[2:5] == ["Terminated", "0", "0"]
    assert "passed its error threshold" in printed.out


def test_no_reboot_leaves_the_node_pending_and_not_compliant(run: CommandLine) -> None:
    node = run.script("web-1", Script(usual_host()), 2)
    printed = run("patch", "web-1", "--yes", "--no-reboot")
    assert printed.code == 2
    assert "does not reboot (NoReboot)" in printed.out
    assert "waits for a reboot: 1 installed" in printed.out
    row = next(line for line in printed.out.splitlines() if line.startswith(node.node.id)).split()
    assert row[2:] == ["Success", "1", "0", "pending", "NON_COMPLIANT"]
    assert "1 wait for a reboot" in run("nodes").out


def test_only_nodes_that_would_change_are_sent_the_install(run: CommandLine) -> None:
    web = run.script("web-1", Script(usual_host()), 2)
    run.script("db-1", blocked(), 1)
    log = run.script("log-1", up_to_date(), 1)
    printed = run("patch", "--all", "--yes")
    assert printed.code == 2  # db-1 lacks what had to be left out
    assert run.fleet.ssm.list_commands()["Commands"][0]["InstanceIds"] == [web.node.id]
    row = next(line for line in printed.out.splitlines() if line.startswith(log.node.id)).split()
    assert row[2:] == ["NO_CHANGE", "0", "0", "no", "COMPLIANT"]


def test_a_node_without_a_plan_is_left_out_and_ends_with_1(run: CommandLine) -> None:
    gone = run.fleet.node(name="gone")

    def leave(message: Message) -> None:
        if message.payload["DocumentName"] == PLAN:
            run.fleet.ssm.deregister_managed_instance(InstanceId=gone.id)

    run.script("web-1", Script(usual_host(), before=leave), 2)
    printed = run("patch", "--all", "--yes")
    assert printed.code == 1
    assert "no plan: " in printed.out
    assert "1 node without a plan: left out" in printed.err


def test_the_results_as_json_and_csv_have_the_same_words(run: CommandLine) -> None:
    run.script("web-1", with_dependency(), 3)
    run.script("web-2", Script(usual_host(), refuses={"openssl": "=cmd|' /C calc'!A0"}), 4)
    answer = run("patch", "--all", "--yes", "--max-errors", "9", "-o", "json")
    nodes = {n["Name"]: n for n in answer.json["Nodes"]}
    assert [i["Name"] for i in nodes["web-1"]["Installed"]] == ["libssl3", "openssl"]
    assert [nodes["web-1"][k] for k in ("Status", "Reboot", "PlanAsShown", "Reason")] == ["Success", "done", True, None]
    assert nodes["web-2"]["Failed"] == [{
        "Name": "openssl", "Arch": "amd64", "FromVersion": "3.0.11-1", "ToVersion": "3.0.13-1~deb12u1",
        "Role": "target", "Code": "NOT_INSTALLED", "Reason": "=cmd|' /C calc'!A0",
    }]  # fmt: skip
    assert answer.json["Totals"]["Installed"] == 2
    assert CHANGE in answer.err  # what is about to be done is shown beside the document, not in it
    again = run("patch", "--all", "--yes", "-o", "csv")
    assert again.code == 1
    rows = {r["NAME"]: r for r in csv.DictReader(io.StringIO(again.out, newline=""))}
    assert [rows["web-1"][k] for k in ("STATUS", "PACKAGE", "RESULT", "COMPLIANCE")] == [
        "NO_CHANGE",
        "",
        "",
        "COMPLIANT",
    ]
    assert [rows["web-2"][k] for k in ("STATUS", "PACKAGE", "RESULT", "REBOOT", "REASON")] == [
        "Failed", "openssl.amd64", "failed", "no", "'=cmd|' /C calc'!A0",
    ]  # fmt: skip


RESULT = {
    "NodeId", "Name", "Status", "Reason", "ExitCode", "Installed", "Failed", "Dropped", "Reboot", "Compliance",
    "Counts", "PlanAsShown", "Plan",
}  # fmt: skip
NODE_PLAN = {
    "NodeId", "Name", "State", "Reason", "BaselineId", "Items", "Dropped", "Reboots", "RebootReason", "PlanDigest",
    "SettledAt", "ExpiresAt",
}  # fmt: skip
TOTALS = {
    "Nodes", "NodesToChange", "NodesToReboot", "NodesWithoutPlan", "Changes", "Dependencies", "Dropped",
}  # fmt: skip
SUMS = {"Installed", "Failed", "NodesPendingReboot", "NodesCompliant", "NodesBroken"}


def test_documents_have_the_members_that_the_reference_promises(run: CommandLine) -> None:
    run.script("web-1", with_dependency(), 4)
    scanned = run("scan", "web-1", "--wait", "-o", "json").json
    planned = run("plan", "web-1", "-o", "json").json
    patched = run("patch", "web-1", "--yes", "-o", "json").json
    found = [
        (scanned, {"CommandId", "Nodes"}),
        (scanned["Nodes"][0], {"NodeId", "Name", "Status", "Reason", "Compliance", "Counts"}),
        (planned, {"CommandId", "RebootOption", "Nodes", "Totals"}),
        (planned["Nodes"][0], NODE_PLAN),
        (planned["Totals"], TOTALS),
        (patched, {"PlanCommandId", "CommandId", "RebootOption", "Nodes", "Totals"}),
        (patched["Nodes"][0], RESULT),
        (patched["Nodes"][0]["Plan"], NODE_PLAN),
        (patched["Totals"], TOTALS | SUMS),
    ]
    page = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text(encoding="utf-8")
    for document, members in found:
        assert set(document) == members
        assert not [m for m in members if f"`{m}`" not in page]


def test_a_plan_as_json_and_csv(run: CommandLine) -> None:
    run.script("=2+2", with_dependency(), 2)
    run.script("db-1", blocked(), 2)
    answer = run("plan", "--all", "-o", "json").json
    states = {n["Name"]: (n["State"], n["Reboots"], len(n["Items"]), len(n["Dropped"])) for n in answer["Nodes"]}
    assert states == {"=2+2": ("WOULD_CHANGE", True, 2, 0), "db-1": ("NO_CHANGE", False, 0, 1)}
    assert answer["Totals"] == {
        "Nodes": 2, "NodesToChange": 1, "NodesToReboot": 1, "NodesWithoutPlan": 0, "Changes": 2, "Dependencies": 1,
        "Dropped": 1,
    }  # fmt: skip
    text = run("plan", "--all", "-o", "csv").out
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {(r["NAME"], r["STATE"], r["PACKAGE"], r["ROLE"], r["REBOOTS"]) for r in rows} == {
        ("'=2+2", "WOULD_CHANGE", "libssl3.amd64", "dependency", "yes"),
        ("'=2+2", "WOULD_CHANGE", "openssl.amd64", "target", "yes"),
        ("db-1", "NO_CHANGE", "openssl.amd64", "left out", "no"),
    }
