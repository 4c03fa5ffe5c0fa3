"""kill -9 of the server and of the agent, at chosen requests and at random: nothing lost, nothing stuck, nothing twice.

A proxy between hosts and server kills at a request: before the server has it, or after it acted and before its answer
arrives. Every server is started again on the same data folder, and nobody helps the agents to find it.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.agents import Agent, build_impatient_zipapp
from tests.e2e.cutting_proxy import Moment
from tests.e2e.killing import LOOPBACK, POLL, RAN, UNANSWERED, World, world
from tests.e2e.roots import LabNetwork
from tests.e2e.servers import ServerProcess, eventually, fresh_database

pytestmark = pytest.mark.root

BEFORE_SERVER, BEFORE_ANSWER = Moment.BEFORE_SERVER, Moment.BEFORE_ANSWER
MESSAGES = "EC2WindowsMessageDeliveryService."
REGISTER = "AmazonSSM.RegisterManagedInstance"
ROLE_TOKEN = "AmazonSSM.RequestManagedInstanceRoleToken"
SEED = 20261120
RANDOM_KILLS = 4
PROMPTLY_SECONDS = 2.0


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_impatient_zipapp(tmp_path_factory.mktemp("agent") / "patchwright-agent.pyz")


@pytest.fixture(scope="module")
def shared(
    apt_base: Path, lab_network: LabNetwork, zipapp: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with world(apt_base, lab_network, zipapp, tmp_path_factory.mktemp("kills"), hosts=3) as made:
        yield made


def test_a_server_killed_at_every_step_from_delivery_to_result_loses_and_repeats_nothing(shared: World) -> None:
    shared.scan(shared.agents[0], "the first scan")
    shared.check_commands()
    before = shared.proxy.requests[REGISTER], shared.proxy.requests[ROLE_TOKEN], shared.node_ids()

    cut_off = _on_all(shared, shared.script, "delivered to nobody")
    shared.kill_at(f"{MESSAGES}GetMessages", BEFORE_ANSWER, cut_off, answer=b"DocumentContent")
    for target, moment, order, nth in (
        (f"{MESSAGES}AcknowledgeMessage", BEFORE_SERVER, shared.long_script, 1),
        (f"{MESSAGES}AcknowledgeMessage", BEFORE_ANSWER, shared.script, 1),
        ("Patchwright.StartPatchRun", BEFORE_ANSWER, shared.scan, 1),
        ("Patchwright.PutFacts", BEFORE_SERVER, shared.scan, 1),
        ("Patchwright.PutFacts", BEFORE_ANSWER, shared.scan, 2),  # with the parts that the server asked for
        ("Patchwright.FinishPatchRun", BEFORE_SERVER, shared.scan, 1),
        ("Patchwright.FinishPatchRun", BEFORE_ANSWER, shared.scan, 1),
        (f"{MESSAGES}SendReply", BEFORE_SERVER, shared.script, 1),
        (f"{MESSAGES}SendReply", BEFORE_ANSWER, shared.script, 2),
    ):
        shared.kill_at(target, moment, _on_all(shared, order, f"{target}, killed {moment.value}"), nth)

    shared.let_long_scripts_end()
    shared.check_commands()
    after = shared.proxy.requests[REGISTER], shared.proxy.requests[ROLE_TOKEN], shared.node_ids()
    assert after == before, "a node registered anew, or its issued keys did not survive"


def _on_all(shared: World, order: Callable[[Agent, str], str], why: str) -> Callable[[], None]:
    """Order it on every host: whichever finds the server first meets the kill."""

    def provoke() -> None:
        for agent in shared.agents:
            order(agent, why)

    return provoke


@pytest.mark.parametrize(
    ("target", "moment"),
    [
        (REGISTER, BEFORE_SERVER),
        (REGISTER, BEFORE_ANSWER),
        (ROLE_TOKEN, BEFORE_ANSWER),
        ("AmazonSSM.UpdateInstanceInformation", BEFORE_SERVER),
    ],
    ids=["registration", "registration-answer", "key-answer", "heartbeat"],
)
def test_a_server_killed_during_an_enrolment_ends_with_one_working_identity(
    shared: World, zipapp: Path, tmp_path: Path, target: str, moment: Moment
) -> None:
    activation = shared.activation()
    known = shared.node_ids()
    agent = Agent(shared.roots[0], zipapp, tmp_path, f"/var/lib/{uuid.uuid4().hex}")
    if target == REGISTER:
        cut = shared.proxy.cut(target, moment, shared.server.kill)
        enrolment = threading.Thread(target=lambda: agent.register(shared.proxy.url, activation))
        enrolment.start()
        cut.wait()
        shared.server.start()
        enrolment.join(timeout=30)
    else:
        agent.register(shared.proxy.url, activation)
        cut = shared.proxy.cut(target, moment, shared.server.kill, caller=agent.node_id)
    agent.start()
    try:
        if target != REGISTER:
            cut.wait()
            shared.server.start()
        script = shared.script(agent, f"the first command after {target} was cut {moment.value}")
        assert shared.ended(script)["Status"] == "Success", agent.log
        # An answer that was lost leaves a node that never comes: the agent registered once more.
        orphans = shared.node_ids() - known - {agent.node_id}
        # A host whose answer was lost registers again, which makes a new node (as the managed service does).
        assert len(orphans) == (1 if (target, moment) == (REGISTER, BEFORE_ANSWER) else 0)
        taken = shared.ssm.describe_activations(
            Filters=[{"FilterKey": "ActivationIds", "FilterValues": [activation["ActivationId"]]}]
        )["ActivationList"][0]["RegistrationsCount"]
        assert taken == 1 + len(orphans)
    finally:
        agent.kill()


def test_a_server_killed_at_an_operators_call_has_done_it_wholly_or_not_at_all(shared: World) -> None:
    agent = shared.agents[0]
    shared.scan(agent, "a scan to judge")
    shared.check_commands()
    ssm = shared.server.client("ssm", shared.proxy.url)
    rule = {"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0, "EnableNonSecurity": True}
    create: dict[str, Any] = {
        "Name": "everything",
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": {"PatchRules": [rule]},
        "ClientToken": str(uuid.uuid4()),
    }
    shared.kill_at("AmazonSSM.CreatePatchBaseline", BEFORE_ANSWER, lambda: ssm.create_patch_baseline(**create))
    baseline = ssm.create_patch_baseline(**create)["BaselineId"]  # as clients do that got no answer
    named = ssm.describe_patch_baselines(Filters=[{"Key": "NAME_PREFIX", "Values": ["everything"]}])
    assert [found["BaselineId"] for found in named["BaselineIdentities"]] == [baseline]

    def state() -> dict[str, Any]:
        found: list[dict[str, Any]] = ssm.describe_instance_patch_states(InstanceIds=[agent.node_id])[
            "InstancePatchStates"
        ]
        return found[0]

    # Judging is due, and nothing but the store knows it, when the server dies.
    shared.kill_at(
        "AmazonSSM.RegisterDefaultPatchBaseline",
        BEFORE_ANSWER,
        lambda: ssm.register_default_patch_baseline(BaselineId=baseline),
    )
    eventually(state, lambda seen: seen["InstalledCount"] > 0 and seen["InstalledOtherCount"] == 0)
    rejecting = {"BaselineId": baseline, "RejectedPatches": ["dpkg"], "RejectedPatchesAction": "BLOCK"}
    shared.kill_at("AmazonSSM.UpdatePatchBaseline", BEFORE_SERVER, lambda: ssm.update_patch_baseline(**rejecting))
    assert ssm.get_patch_baseline(BaselineId=baseline)["RejectedPatches"] == []
    shared.kill_at("AmazonSSM.UpdatePatchBaseline", BEFORE_ANSWER, lambda: ssm.update_patch_baseline(**rejecting))
    eventually(state, lambda seen: seen["InstalledRejectedCount"] == 1)

    comment = uuid.uuid4().hex
    send: dict[str, Any] = {
        "InstanceIds": [agent.node_id],
        "DocumentName": "AWS-RunShellScript",
        "Comment": comment,
        "Parameters": {"commands": [f"echo {comment} >> {RAN}"]},
    }
    shared.kill_at("AmazonSSM.SendCommand", BEFORE_SERVER, lambda: ssm.send_command(**send))
    assert _with_comment(ssm, comment) == []
    shared.kill_at("AmazonSSM.SendCommand", BEFORE_ANSWER, lambda: ssm.send_command(**send))
    (command_id,) = _with_comment(ssm, comment)
    assert shared.ended(command_id)["Status"] == "Success"
    assert agent.root.read(RAN).splitlines().count(comment) == 1
    shared.check_commands()


def _with_comment(ssm: Any, comment: str) -> list[str]:
    return [c["CommandId"] for c in ssm.list_commands()["Commands"] if c["Comment"] == comment]


def test_an_agent_killed_in_mid_script_gives_one_result_and_does_not_run_it_again(shared: World) -> None:
    agent = shared.agents[0]
    started, finish = f"/var/tmp/{uuid.uuid4().hex}", f"/var/tmp/{uuid.uuid4().hex}"
    script = [f"echo started >> {started}", f"until [ -e {finish} ]; do sleep 0.1; done", f"echo ended >> {started}"]
    sent = shared.ssm.send_command(
        InstanceIds=[agent.node_id], DocumentName="AWS-RunShellScript", Parameters={"commands": script}
    )
    command_id = sent["Command"]["CommandId"]
    eventually(lambda: agent.root.exists(started), bool)

    agent.kill()
    agent.start()

    invocation = shared.ended(command_id)
    assert invocation["Status"] == "Failed"
    assert "It was not run again" in invocation["CommandPlugins"][0]["Output"]
    agent.root.write(finish, "")
    eventually(lambda: agent.root.read(started), lambda text: "ended" in text)
    assert agent.root.read(started) == "started\nended\n"
    shared.script(agent, "the next script")
    shared.check_commands()
    assert shared.invocation(command_id) == invocation


def test_an_agent_killed_in_mid_scan_gives_one_result(shared: World) -> None:
    agent = shared.agents[0]
    cut = shared.proxy.cut("Patchwright.PutFacts", BEFORE_SERVER, agent.kill)
    shared.scan(agent, "a scan whose agent was killed")
    cut.wait()
    agent.start()

    shared.check_commands()


def test_a_second_server_on_the_same_data_folder_is_refused(shared: World) -> None:
    refused = shared.server.second()

    assert refused.returncode != 0
    assert f"another server uses {shared.server.data_dir}" in refused.stderr
    assert "--database-url" in refused.stderr
    assert "Traceback" not in refused.stderr
    shared.script(shared.agents[0], "a script beside a refused server")
    shared.check_commands()


class Operator(threading.Thread):
    """Works on without a pause. What was acknowledged is in `baselines`, `tags` and the world's commands."""

    def __init__(self, shared: World) -> None:
        super().__init__(daemon=True)
        self._shared = shared
        self._ssm = shared.server.client("ssm")
        self.stopping = threading.Event()
        self.baselines: dict[str, str] = {}  # id -> the description acknowledged last
        self.tags: dict[str, str] = {}
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._round(len(self.baselines))
        except Exception as failure:  # shown by the test
            self.failure = failure

    def finish(self) -> None:
        """End after the round that runs now; the server has to be there."""
        self.stopping.set()
        self.join(timeout=20)

    def _round(self, number: int) -> None:
        token, agent = str(uuid.uuid4()), self._shared.agents[number % 3]
        made = self._until_answered(
            lambda: self._ssm.create_patch_baseline(Name=f"round-{number}", OperatingSystem="DEBIAN", ClientToken=token)
        )
        baseline_id = made["BaselineId"]
        description = f"changed in round {number}"
        self._until_answered(lambda: self._ssm.update_patch_baseline(BaselineId=baseline_id, Description=description))
        self.baselines[baseline_id] = description
        self._until_answered(
            lambda: self._ssm.add_tags_to_resource(
                ResourceType="ManagedInstance", ResourceId=agent.node_id, Tags=[{"Key": "Round", "Value": str(number)}]
            )
        )
        self.tags[agent.node_id] = str(number)
        try:
            self._shared.script(agent, f"the script of round {number}")
        except UNANSWERED:
            self.stopping.wait(0.05)  # whether it was taken is not known: it must not be sent again

    def _until_answered(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except UNANSWERED:
                self.stopping.wait(0.05)


def test_a_server_killed_at_random_keeps_all_that_it_acknowledged(shared: World) -> None:
    chance = random.Random(SEED)
    operator = Operator(shared)
    operator.start()
    for _ in range(RANDOM_KILLS):
        time.sleep(chance.uniform(0.02, 0.4))  # the moment of the kill, by the seed
        shared.server.kill()
        shared.server.start()
    operator.finish()

    assert operator.failure is None, f"seed {SEED}: {operator.failure!r}"
    assert len(operator.baselines) >= 2, "the operator hardly got anything done"
    kept = shared.ssm.describe_patch_baselines(
        Filters=[{"Key": "OWNER", "Values": ["Self"]}, {"Key": "NAME_PREFIX", "Values": ["round-"]}], MaxResults=100
    )["BaselineIdentities"]
    # Each was made once, though its call was repeated until it was answered; the last change of each is there.
    assert {b["BaselineId"]: b.get("BaselineDescription", "") for b in kept} == operator.baselines, f"seed {SEED}"
    for node_id, value in operator.tags.items():
        listed = shared.ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=node_id)["TagList"]
        assert {tag["Key"]: tag["Value"] for tag in listed}["Round"] == value
    shared.check_commands()


def test_two_servers_on_one_database_serve_the_same_nodes_and_one_outlives_the_other(
    apt_base: Path, lab_network: LabNetwork, zipapp: Path, postgres_url: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with (
        fresh_database(postgres_url) as url,
        world(apt_base, lab_network, zipapp, tmp_path, hosts=1, database_url=url) as pair,
    ):
        other = ServerProcess(
            tmp_path / "other", LOOPBACK, tls=False, public_url=pair.proxy.url, database_url=url,
            secret_key=pair.server.data_dir / "secret.key", options=POLL,
        )  # fmt: skip
        try:
            other.start()
            (agent,) = pair.agents
            eventually(pair.node_ids, lambda ids: ids == {agent.node_id})
            pair.ssm = other.client("ssm")  # the operator at one server, the node at the other
            began = time.monotonic()
            script = pair.script(agent, "a script through the other server")
            assert pair.ended(script)["Status"] == "Success"
            assert time.monotonic() - began < PROMPTLY_SECONDS
            tokens = pair.proxy.requests[ROLE_TOKEN]

            pair.proxy.upstream = other  # as a load balancer does
            pair.server.kill()

            pair.script(agent, "a script after the kill")
            pair.scan(agent, "a scan after the kill")
            pair.check_commands()
            assert pair.proxy.requests[ROLE_TOKEN] == tokens
        finally:
            other.kill()
