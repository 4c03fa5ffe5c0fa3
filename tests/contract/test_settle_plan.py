"""SettlePlan question by question: repeats, kills, another Plan, lies; and Plans that are only shown.

Source: decisions.md 1, 3, 4; docs/reference/worker-protocol.md.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from patchwright.core.commands import Details
from patchwright.store import commands, runs
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Refusal
from tests.contract.nodes_fleet import Fleet, refused
from tests.contract.synthetic_facts import SECURITY, DebianHost, Package, usual_host
from tests.contract.test_install import LIBSSL, OPENSSL, baseline, host_of, installing, why
from tests.contract.worker_door import Manager, Worker


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def code_of(call: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        call()
    return str(refusal.value.code)


def test_a_plan_is_settled_in_four_questions_each_of_which_may_be_repeated(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta", "gamma", "delta"), fleet.node()
    worker, parts = installing(fleet, node, host), host.parts()

    class Clashing(Manager):
        def simulate(self, targets: list[dict[str, str]]) -> dict[str, Any]:
            closure = super().simulate(targets)
            both = {"alpha", "gamma"} <= {t["Name"] for t in targets}
            return {**closure, "Problem": "gamma breaks alpha"} if both else closure

    manager = Clashing(problems={"beta": "nothing provides libz"})
    answer, modes = worker.ask(parts), []
    assert worker.ask(parts) == answer
    while answer["State"] == "RESOLVE":
        modes.append(answer["Mode"])
        call = {"Mode": answer["Mode"], "Closures": manager.answer(answer["Mode"], answer["Targets"])}
        before, answer = answer, worker.ask(parts, **call)
        assert answer != before
        again = worker.ask(parts, **call)
        assert {**again, "Plan": None} == {**answer, "Plan": None}
    assert modes == ["TOGETHER", "EACH", "TOGETHER", "CUMULATIVE"]
    plan = answer["Plan"]
    assert [i["Name"] for i in plan["Items"]] == ["alpha", "delta"]
    assert [(d["Name"], d["Version"], d["Code"], d["BecauseOf"]) for d in plan["Dropped"]] == [
        ("beta", "2", "UNRESOLVED", "nothing provides libz"),
        ("gamma", "2", "UNRESOLVED", "gamma breaks alpha"),
    ]
    assert worker.ask(parts)["Plan"]["Digest"] == plan["Digest"]


def test_a_worker_that_was_killed_gets_the_standing_question_and_then_the_plan(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker, parts = installing(fleet, node, host), host.parts()
    question = worker.ask(parts)
    assert "Plan" not in worker.start()
    assert worker.ask(parts) == question
    # An answer to a question that was not asked is none.
    assert worker.ask(parts, Mode="EACH", Closures=[]) == question
    plan = worker.settle(parts)
    assert worker.start()["Plan"]["Items"] == plan["Items"]


def test_two_calls_at_once_make_one_step(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    worker, parts = installing(fleet, node, host), host.parts()
    question = worker.ask(parts)
    call = {"Mode": "TOGETHER", "Closures": [{"Problem": "it can't"}]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: worker.ask(parts, **call), range(4)))
    assert question["Mode"] == "TOGETHER"
    assert [a["Mode"] for a in answers] == ["EACH"] * 4
    run = fleet.read(lambda tx: runs.find(tx, worker.run_id))
    assert run.draft["settling"]["asked"] == 2


def test_the_facts_must_be_the_current_ones(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker, _ = fleet.worker(node, "Install")
    assert code_of(lambda: worker.ask(host.parts())) == "ConflictException"
    worker.report(host.parts())
    old = host.parts()
    host.packages["alpha"].offers = (("3", (SECURITY,)),)
    worker.report(host.parts())
    assert code_of(lambda: worker.ask(old)) == "ConflictException"
    assert worker.ask(host.parts())["Targets"][0]["Version"] == "3"


def test_facts_that_move_on_while_a_plan_is_settled_start_it_anew(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host)
    worker.ask(host.parts())
    host.packages["alpha"].offers = (("3", (SECURITY,)),)
    worker.report(host.parts())
    answer = worker.ask(host.parts(), Mode="TOGETHER", Closures=Manager().answer("TOGETHER", [OPENSSL]))
    assert (answer["Mode"], answer["Targets"][0]["Version"]) == ("TOGETHER", "3")


def test_a_patch_that_is_rejected_meanwhile_is_no_target_any_more(fleet: Fleet) -> None:
    made = baseline(fleet)
    host, node = host_of("alpha", "beta"), fleet.node()
    worker, parts = installing(fleet, node, host), host.parts()
    answer = worker.ask(parts)
    fleet.ssm.update_patch_baseline(BaselineId=made, RejectedPatches=["beta"], RejectedPatchesAction="BLOCK")
    answer = worker.ask(parts, Mode="TOGETHER", Closures=Manager().answer("TOGETHER", answer["Targets"]))
    assert (answer["State"], [t["Name"] for t in answer["Targets"]]) == ("RESOLVE", ["alpha"])


def test_a_repository_that_moves_on_is_followed_once(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host)
    first = worker.settle(host.parts())
    host.packages["alpha"].offers = (("3", (SECURITY,)),)
    worker.report(host.parts())
    question = worker.ask(host.parts(), Replan=True)
    assert question["Targets"][0]["Version"] == "3"
    assert "Plan" not in worker.start()  # the first one does not fit any more
    second = worker.settle(host.parts(), Replan=True)
    assert second["Digest"] != first["Digest"]
    host.packages["alpha"].offers = (("4", (SECURITY,)),)
    worker.report(host.parts())
    assert code_of(lambda: worker.ask(host.parts(), Replan=True)) == "ConflictException"
    answer = worker.finish(1, ProblemCode="REPOSITORY_CHANGED")
    assert answer["ExitCode"] == 1
    assert "MISSING: alpha.amd64 1 -> 4" in answer["Report"]  # 3 has failed; nobody has tried 4


def test_a_plan_that_no_longer_fits_fails_its_targets(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host)
    worker.settle(host.parts())
    worker.settle(host.parts(), Replan=True)
    assert worker.finish(1, ProblemCode="REPOSITORY_CHANGED")["ExitCode"] == 1
    assert "the repositories changed twice" in why(fleet, node, "alpha")["Summary"]


def test_runs_that_plan_nothing_are_refused(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    scanning, _ = fleet.worker(node)
    scanning.report(host.parts())
    assert code_of(lambda: scanning.ask(host.parts())) == "AccessDeniedException"
    worker = installing(fleet, node, host)
    worker.settle(host.parts())
    worker.finish()
    assert code_of(lambda: worker.ask(host.parts(), Replan=True)) == "ConflictException"
    late, message = fleet.worker(node, "Install")
    late.report(host.parts())
    command = message.command_id
    fleet.server.application.state.store.write(
        lambda tx: commands.update_invocation(tx, command, node.id, details=Details.CANCELLING)
    )
    assert code_of(lambda: late.ask(host.parts())) == "AccessDeniedException"


def test_a_node_that_cannot_be_judged_gets_no_plan(fleet: Fleet) -> None:
    source = {"Name": "own", "Products": ["*"], "Configuration": "deb http://mirror.example stable main"}
    baseline(fleet, Sources=[source])
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host)
    assert code_of(lambda: worker.ask(host.parts())) == "ConflictException"


def test_lies_cost_the_liar_alone(fleet: Fleet) -> None:
    host, node = host_of("alpha", "beta"), fleet.node()
    worker, parts = installing(fleet, node, host), host.parts()
    question = worker.ask(parts)
    row = {"Name": "x", "Arch": "amd64", "FromVersion": "", "Version": "1"}
    for closures, code in (
        ([{"Incoming": [{**row, "Name": "a\tb"}]}], "ConflictException"),
        ([{"Incoming": [{**row, "Version": ""}]}], "ConflictException"),
        ([{"Incoming": [{**row, "Name": "x" * 256}]}], "ValidationException"),
        ([{"Incoming": [row] * 20_001}], "ValidationException"),
        ([{"Incoming": [{"Name": "x", "Version": "1"}] * 17_000}] * 6, "LimitExceededException"),
        ([{"Name": "alpha"}] * 10_002, "ValidationException"),
        ([{"Incoming": "all"}], "SerializationException"),
    ):
        assert code_of(lambda c=closures: worker.ask(parts, Mode="TOGETHER", Closures=c)) == code
    assert code_of(lambda: worker.ask(parts, Mode="NEVER", Closures=[])) == "ValidationException"
    assert code_of(lambda: worker.call("SettlePlan", {"Closures": ["x" * 8_400_000]})) == (
        "RequestEntityTooLargeException"
    )
    assert worker.ask(parts) == question
    lying = [{"Name": "beta", "Arch": "amd64", "Version": "2", "Problem": "\x1b[2J \n"}]
    answer = worker.ask(parts, Mode="TOGETHER", Closures=lying)
    while answer["State"] == "RESOLVE":
        answer = worker.ask(parts, Mode=answer["Mode"], Closures=lying)
    assert (answer["State"], answer["Plan"]["Items"]) == ("SETTLED", [])
    assert all(d["Reason"].isprintable() for d in answer["Plan"]["Dropped"])


def planning(fleet: Fleet, host: DebianHost, **parameters: str) -> tuple[Any, Worker, Any]:
    """A node whose worker has reported its facts within Patchwright-PlanPatches."""
    node = fleet.node()
    given = {k: [v] for k, v in parameters.items()}
    fleet.send([node], DocumentName="Patchwright-PlanPatches", Parameters=given)
    message = node.take()
    node.accept(message)
    worker = Worker(fleet.server.url, message.token())
    hello = worker.start()
    assert (hello["Operation"], hello["PlanOnly"], hello["Ended"]) == ("Scan", True, False)
    worker.report(host.parts())
    return node, worker, message


def test_a_plan_can_be_looked_at_and_changes_nothing(fleet: Fleet) -> None:
    made = baseline(fleet, RejectedPatches=["libssl3"], RejectedPatchesAction="BLOCK")
    host = usual_host()
    node, worker, message = planning(fleet, host)
    get = fleet.patchwright.get_patch_plan
    assert refused(lambda: get(NodeId=node.id))[0] == "DoesNotExistException"
    early = get(NodeId=node.id, CommandId=message.command_id)
    assert (early["Status"], early["Items"], early["PlanOnly"]) == ("SETTLING", [], True)
    plan = worker.settle(host.parts(), Manager(brings={"openssl": [LIBSSL]}))
    shown = get(NodeId=node.id)
    assert (shown["Status"], shown["CommandId"], shown["RunId"]) == ("SETTLED", message.command_id, worker.run_id)
    assert (shown["Operation"], shown["RebootOption"], shown["BaselineId"]) == ("Scan", "RebootIfNeeded", made)
    assert shown["Items"] == plan["Items"]
    assert [i["Name"] for i in plan["Items"]] == ["vim"]
    (dropped,) = shown["Dropped"]
    assert dropped["Code"] == "BLOCKED_DEPENDENCY"
    assert dropped["Reason"] == (
        "openssl.amd64 3.0.13-1~deb12u1 is left out: it would bring in libssl3.amd64:3.0.13-1~deb12u1, "
        "which the baseline's rejected list blocks."
    )
    assert (shown["Reboots"], shown["RebootReason"]) == (True, "PATCHES_INSTALLED")
    assert shown["PlanDigest"] == plan["Digest"]
    assert (shown["ExpiresAt"] - shown["SettledAt"]).total_seconds() == 900
    answer = worker.finish()
    assert answer["ExitCode"] == 0
    assert "WOULD INSTALL: vim.amd64 2:9.0.1378-2 -> 2:9.0.1378-3 (target)" in answer["Report"]
    assert "LEFT OUT: openssl.amd64" in answer["Report"]
    assert get(NodeId=node.id, CommandId=message.command_id)["Status"] == "FINISHED"
    # It is a Scan: what is missing is missing, and why says what stands in the way.
    assert ("openssl.amd64:3.0.13-1~deb12u1", "MISSING") in fleet.titles(node)
    found = why(fleet, node, "openssl")
    assert found["Code"] == "LEFT_OUT_OF_PLAN"
    assert "the last Plan leaves it out: it would bring in libssl3" in found["Summary"]
    (missing,) = [
        m for m in fleet.patchwright.describe_node_patches(NodeId=node.id)["Missing"] if m["Name"] == "openssl"
    ]
    assert missing["Code"] == "LEFT_OUT_OF_PLAN"
    # Once nothing blocks it any more, the old Plan has no say.
    fleet.ssm.update_patch_baseline(BaselineId=made, RejectedPatchesAction="ALLOW_AS_DEPENDENCY")
    assert why(fleet, node, "openssl")["Code"] == "APPROVED_BY_RULE"


@pytest.mark.parametrize(
    ("option", "missing", "reboots", "reason"),
    [("NoReboot", True, False, "NO_REBOOT"), ("RebootIfNeeded", False, False, "NOTHING_TO_DO")],
)
def test_a_plan_says_whether_an_install_would_reboot(
    fleet: Fleet, option: str, missing: bool, reboots: bool, reason: str
) -> None:
    host = host_of("alpha")
    if not missing:
        host.packages = {"alpha": Package("2", repos=(SECURITY,))}
    node, worker, _ = planning(fleet, host, RebootOption=option)
    worker.settle(host.parts())
    shown = fleet.patchwright.get_patch_plan(NodeId=node.id)
    assert (shown["Reboots"], shown["RebootReason"]) == (reboots, reason)


def test_a_plan_of_an_install_tells_what_was_done(fleet: Fleet) -> None:
    host, node = host_of("alpha"), fleet.node()
    worker = installing(fleet, node, host)
    plan = worker.settle(host.parts())
    worker.finish(1, "no luck", ProblemCode="DOWNLOAD", PlanDigest=plan["Digest"])
    shown = fleet.patchwright.get_patch_plan(NodeId=node.id)
    assert (shown["Status"], shown["Operation"], shown["PlanOnly"]) == ("FINISHED", "Install", False)
    assert (shown["Reboots"], shown["RebootReason"]) == (False, "NOTHING_TO_DO")
    assert (shown["ExitCode"], shown["Message"]) == (1, "no luck")


def test_a_plan_only_run_without_a_plan_has_failed(fleet: Fleet) -> None:
    _, worker, _ = planning(fleet, host_of("alpha"))
    answer = worker.finish()
    assert answer["ExitCode"] == 1
    assert "without a Plan" in answer["Report"]


def test_each_error_of_get_patch_plan(fleet: Fleet) -> None:
    node = fleet.node()
    get = fleet.patchwright.get_patch_plan
    absent = "11111111-2222-3333-4444-555555555555"
    assert refused(lambda: get(NodeId=node.id, CommandId=absent))[0] == "DoesNotExistException"
    assert refused(lambda: get(NodeId="mi-0123456789abcdef0"))[0] == "InvalidInstanceId"
    assert refused(lambda: get(NodeId=node.id, CommandId="x"))[0] == "ValidationException"
    elsewhere = fleet.client("patchwright", "elsewhere-4")
    assert refused(lambda: elsewhere.get_patch_plan(NodeId=node.id))[0] == "InvalidInstanceId"
