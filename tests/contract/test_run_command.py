"""Run Command through boto3, with nodes that speak the real protocol. Source: operations.md 3, 13 (2 to 5, 7, 17)."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Fleet, step_result

NOBODY = "mi-0123456789abcdef0"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _command(fleet: Fleet, command_id: str) -> dict[str, Any]:
    (command,) = fleet.ssm.list_commands(CommandId=command_id)["Commands"]
    return dict(command)


def _details(fleet: Fleet, command_id: str) -> list[str]:
    """StatusDetails of every invocation, sorted."""
    pages = fleet.ssm.get_paginator("list_command_invocations").paginate(CommandId=command_id)
    return sorted(i["StatusDetails"] for p in pages for i in p["CommandInvocations"])


def _wait(until: Callable[[], Any], what: str) -> Any:
    """Loops run in the background: give them a few seconds."""
    deadline = time.monotonic() + 8
    while not (found := until()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return found


def _ended(fleet: Fleet, command_id: str) -> dict[str, Any]:
    def finished() -> dict[str, Any] | None:
        command = _command(fleet, command_id)
        return command if command["Status"] not in ("Pending", "InProgress") else None

    return dict(_wait(finished, "the end of the command"))


def _refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_command_goes_from_pending_to_success_and_every_listing_agrees(fleet: Fleet) -> None:
    node = fleet.node(name="first")
    sent = fleet.ssm.send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[node.id],
        Parameters={"commands": ["echo hi"]},
        Comment="why",
        TimeoutSeconds=600,
        OutputS3BucketName="bucket",
        OutputS3KeyPrefix="prefix",
        CloudWatchOutputConfig={"CloudWatchLogGroupName": "g", "CloudWatchOutputEnabled": True},
    )["Command"]
    assert (sent["Status"], sent["StatusDetails"], sent["TargetCount"]) == ("Pending", "Pending", 1)
    assert (sent["InstanceIds"], sent["Targets"], sent["Comment"]) == ([node.id], [], "why")
    assert (sent["MaxConcurrency"], sent["MaxErrors"], sent["TimeoutSeconds"]) == ("50", "0", 600)
    assert (sent["DocumentName"], sent["DocumentVersion"]) == ("AWS-RunShellScript", "$DEFAULT")
    assert sent["Parameters"] == {"commands": ["echo hi"]}
    assert (sent["OutputS3BucketName"], sent["OutputS3KeyPrefix"]) == ("bucket", "prefix")
    assert sent["CloudWatchOutputConfig"] == {"CloudWatchLogGroupName": "g", "CloudWatchOutputEnabled": True}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sent["CommandId"])
    before = fleet.ssm.get_command_invocation(CommandId=sent["CommandId"], InstanceId=node.id)
    assert (before["ResponseCode"], before["ExecutionStartDateTime"], before["ExecutionElapsedTime"]) == (-1, "", "")
    node.run(out="hi\n", err="oh\n")
    after = fleet.ssm.get_command_invocation(
        CommandId=sent["CommandId"], InstanceId=node.id, PluginName="aws:runShellScript"
    )
    expected = {
        "Status": "Success",
        "StatusDetails": "Success",
        "ResponseCode": 0,
        "StandardOutputContent": "hi\n",
        "StandardErrorContent": "oh\n",
        "ExecutionStartDateTime": "2030-01-02T03:04:06.050Z",
        "ExecutionEndDateTime": "2030-01-02T03:05:09.552Z",
        "ExecutionElapsedTime": "PT1M3.502S",
        "Comment": "why",
        "PluginName": "aws:runShellScript",
        "DocumentName": "AWS-RunShellScript",
    }
    assert {k: after[k] for k in expected} == expected
    command = _command(fleet, sent["CommandId"])
    assert (command["Status"], command["StatusDetails"], command["CompletedCount"]) == ("Success", "Success", 1)
    (listed,) = fleet.ssm.list_command_invocations(CommandId=sent["CommandId"], Details=True)["CommandInvocations"]
    assert (listed["InstanceName"], listed["Status"], listed["Comment"]) == ("first", "Success", "why")
    (plugin,) = listed["CommandPlugins"]
    assert (plugin["Name"], plugin["Status"], plugin["ResponseCode"], plugin["Output"]) == (
        "aws:runShellScript",
        "Success",
        0,
        "hi\n",
    )
    (bare,) = fleet.ssm.list_command_invocations(CommandId=sent["CommandId"])["CommandInvocations"]
    assert bare["CommandPlugins"] == []


def test_invocations_can_be_read_as_soon_as_send_command_answers(fleet: Fleet) -> None:
    nodes = fleet.add(3, ping=False)
    for _ in range(5):
        command = fleet.send(nodes)
        for node in nodes:
            assert fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)["Status"] in (
                "Pending",
                "Delayed",
            )


def test_botocores_waiter_sees_success_and_failure(fleet: Fleet) -> None:
    node = fleet.node()
    waiter = fleet.ssm.get_waiter("command_executed")
    command = fleet.send([node])
    node.run()
    waiter.wait(CommandId=command, InstanceId=node.id, WaiterConfig={"Delay": 1, "MaxAttempts": 2})
    command = fleet.send([node])
    node.run("Failed", code=3)
    with pytest.raises(WaiterError, match="terminal failure state"):
        waiter.wait(CommandId=command, InstanceId=node.id, WaiterConfig={"Delay": 1, "MaxAttempts": 2})


def test_fifty_one_ids_get_the_services_own_words(fleet: Fleet) -> None:
    ids = [f"mi-{n:017x}" for n in range(51)]
    code, message = _refused(lambda: fleet.ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=ids))
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value '[mi-00000000000000000, mi-00000000000000001, ")
    constraint = "Member must have length less than or equal to 50"
    assert message.endswith(f"at 'instanceIds' failed to satisfy constraint: {constraint}")


def test_duplicate_and_unknown_ids_store_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    code, message = _refused(
        lambda: fleet.ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[node.id, node.id], Parameters={"commands": ["x"]}
        )
    )
    assert (code, node.id in message) == ("DuplicateInstanceId", True)
    code, message = _refused(
        lambda: fleet.ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[node.id, NOBODY], Parameters={"commands": ["x"]}
        )
    )
    assert code == "InvalidInstanceId"
    assert message == f"Instances [[{NOBODY}]] not in a valid state for account 000000000001"
    assert fleet.ssm.list_commands()["Commands"] == []
    assert fleet.ssm.list_command_invocations()["CommandInvocations"] == []


BAD_SENDS: list[tuple[dict[str, Any], str, str]] = [
    ({"DocumentName": "AWS-Nonsense"}, "InvalidDocument", "does not exist"),
    ({"DocumentVersion": "7"}, "InvalidDocument", "no version 7"),
    ({"Parameters": {}}, "InvalidParameters", "commands"),
    ({"Parameters": {"commands": []}}, "InvalidParameters", "at least 1"),
    ({"Parameters": {"commands": ["x"], "color": ["red"]}}, "InvalidParameters", "no parameter named color"),
    ({"Parameters": {"commands": ["x"], "executionTimeout": ["1", "2"]}}, "InvalidParameters", "exactly one"),
    ({"Parameters": {"commands": ["x"], "executionTimeout": ["172801"]}}, "InvalidParameters", "executionTimeout"),
    ({"Parameters": {"commands": ["é" * 33_000]}}, "InvalidParameters", "65536"),
    ({"TimeoutSeconds": 29}, "ValidationException", "'timeoutSeconds'"),
    ({"TimeoutSeconds": 2_592_001}, "ValidationException", "'timeoutSeconds'"),
    ({"MaxConcurrency": "0"}, "ValidationException", "'maxConcurrency'"),
    ({"MaxConcurrency": "101%"}, "ValidationException", "'maxConcurrency'"),
    ({"MaxErrors": "-1"}, "ValidationException", "'maxErrors'"),
    ({"InstanceIds": ["x"]}, "ValidationException", "'instanceIds'"),
    ({"Targets": [{"Key": "tag:a", "Values": ["b"]}]}, "ValidationException", "Exactly one"),
    ({"InstanceIds": []}, "ValidationException", "Exactly one"),
    ({"InstanceIds": [], "Targets": [{"Key": "tag:a", "Values": []}]}, "ValidationException", "at least one target"),
    ({"InstanceIds": [], "Targets": [{"Key": "colour", "Values": ["b"]}]}, "ValidationException", "colour"),
    (
        {"InstanceIds": [], "Targets": [{"Key": "resource-groups:Name", "Values": ["b"]}]},
        "ValidationException",
        "resource groups",
    ),
    (
        {"InstanceIds": [], "Targets": [{"Key": f"tag:{n}", "Values": ["b"]} for n in range(6)]},
        "ValidationException",
        "'targets'",
    ),
    ({"Comment": "x" * 101}, "ValidationException", "'comment'"),
]


def test_each_bad_request_gets_its_error_and_stores_nothing(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    request = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [node.id], "Parameters": {"commands": ["x"]}}
    for changes, code, words in BAD_SENDS:
        got, message = _refused(lambda changes=changes: fleet.ssm.send_command(**{**request, **changes}))
        assert (got, words in message) == (code, True), (changes, message)
    assert fleet.ssm.list_commands()["Commands"] == []


BAD_PATCH_PARAMETERS: list[dict[str, list[str]]] = [
    {"Operation": ["Destroy"]},
    {},
    {"Operation": ["Scan"], "RebootOption": ["Always"]},
    {"Operation": ["Scan"], "SnapshotId": ["not-a-uuid"]},
    {"Operation": ["Scan"], "InstallOverrideList": ["https://a.example/$(reboot)"]},
    {"Operation": ["Scan"], "InstallOverrideList": ["https://a.example/" + "x" * 300]},
    {"Operation": ["Scan"], "BaselineOverride": ["file:///etc/passwd"]},
]


def test_the_patch_documents_parameters_are_checked_here(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    for parameters in BAD_PATCH_PARAMETERS:
        code, _ = _refused(
            lambda parameters=parameters: fleet.ssm.send_command(
                DocumentName="AWS-RunPatchBaseline", InstanceIds=[node.id], Parameters=parameters
            )
        )
        assert code == "InvalidParameters", parameters


def test_a_document_goes_by_its_arn_too(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node], DocumentName="arn:aws:ssm:local-1::document/AWS-RunShellScript")
    assert _command(fleet, command)["DocumentName"] == "AWS-RunShellScript"


def test_tags_and_over_keys_or_over_values(fleet: Fleet) -> None:
    web, db, old = fleet.node(Role="web", Env="prod"), fleet.node(Role="db", Env="prod"), fleet.node(Role="web")

    def hit(*targets: tuple[str, list[str]]) -> set[str]:
        wanted = [{"Key": k, "Values": v} for k, v in targets]
        sent = fleet.ssm.send_command(
            DocumentName="AWS-RunShellScript", Targets=wanted, Parameters={"commands": ["x"]}
        )["Command"]
        assert (sent["InstanceIds"], sent["TargetCount"], sent["Targets"]) == ([], 0, wanted)
        found = fleet.ssm.list_command_invocations(CommandId=sent["CommandId"])["CommandInvocations"]
        assert _command(fleet, sent["CommandId"])["TargetCount"] == len(found)
        return {i["InstanceId"] for i in found}

    assert hit(("tag:Role", ["web"])) == {web.id, old.id}
    assert hit(("tag:Role", ["web", "db"])) == {web.id, db.id, old.id}
    assert hit(("tag:Role", ["web", "db"]), ("tag:Env", ["prod"])) == {web.id, db.id}
    assert hit(("tag:Role", ["WEB"])) == set()
    assert hit(("tag-key", ["Env"])) == {web.id, db.id}
    assert hit(("tag-key", ["Env", "Role"])) == {web.id, db.id, old.id}
    assert hit(("InstanceIds", [web.id]), ("tag:Role", ["web"])) == {web.id}
    assert hit(("instanceids", [old.id, db.id])) == {old.id, db.id}
    assert hit(("InstanceIds", ["*"])) == {web.id, db.id, old.id}


def test_a_target_that_nobody_carries_ends_the_command_at_once(fleet: Fleet) -> None:
    fleet.node(Role="web")
    command = _command(fleet, fleet.send(Targets=[{"Key": "tag:Role", "Values": ["none"]}]))
    assert (command["Status"], command["StatusDetails"], command["TargetCount"]) == ("Success", "NoInstancesInTag", 0)
    assert len(fleet.ssm.list_commands(Filters=[{"key": "Status", "value": "NoInstancesInTag"}])["Commands"]) == 1


def test_a_node_tagged_after_the_send_is_not_added(fleet: Fleet) -> None:
    fleet.node(Role="web")
    late = fleet.node()
    command = fleet.send(Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    fleet.ssm.add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=late.id, Tags=[{"Key": "Role", "Value": "web"}]
    )
    assert _command(fleet, command)["TargetCount"] == 1


EXPIRIES: list[tuple[dict[str, Any], int]] = [
    ({"TimeoutSeconds": 600}, 4_200),
    ({}, 7_200),
    ({"TimeoutSeconds": 600, "Parameters": {"commands": ["x"], "executionTimeout": ["60"]}}, 660),
    # Only one of the three steps runs on a node: their timeouts do not add up.
    ({"TimeoutSeconds": 600, "DocumentName": "AWS-RunPatchBaseline", "Parameters": {"Operation": ["Scan"]}}, 7_800),
]


def test_expires_after_adds_delivery_and_execution(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    for request, seconds in EXPIRIES:
        command = _command(fleet, fleet.send([node], **request))
        assert command["ExpiresAfter"] - command["RequestedDateTime"] == timedelta(seconds=seconds), request


def test_outputs_are_cut_at_their_limits_from_the_front(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node])
    node.run(out="a" * 30_000, err="b" * 9_000)
    got = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)
    assert len(got["StandardOutputContent"]) == 24_000
    assert re.fullmatch(r"a+--output truncated--", got["StandardOutputContent"])
    assert len(got["StandardErrorContent"]) == 8_000
    assert re.fullmatch(r"b+--output truncated--", got["StandardErrorContent"])
    (shown,) = fleet.ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
    assert len(shown["CommandPlugins"][0]["Output"]) <= 2_500


def test_at_most_max_concurrency_are_started_and_a_slot_is_handed_on(fleet: Fleet) -> None:
    nodes = fleet.add(5)
    command = fleet.send(nodes, MaxConcurrency="2", MaxErrors="100%")
    assert _details(fleet, command) == ["Pending"] * 5
    order = sorted(nodes, key=lambda n: nodes.index(n))
    first, second = order[0].take(), order[1].take()
    assert _details(fleet, command) == ["InProgress"] * 2 + ["Pending"] * 3
    order[0].finish(first)
    third = _wait(lambda: order[2].poll(), "the third start")[0]
    assert _details(fleet, command) == ["InProgress"] * 2 + ["Pending"] * 2 + ["Success"]
    order[1].finish(second, "Failed")
    order[2].finish(third)
    for node in order[3:]:
        node.run()
    ended = _ended(fleet, command)
    assert (ended["CompletedCount"], ended["ErrorCount"]) == (5, 1)
    assert (ended["Status"], ended["StatusDetails"]) == ("Failed", "Incomplete")


def test_of_fifty_one_after_another_the_sixth_error_stops_the_rest(fleet: Fleet) -> None:
    nodes = [*fleet.add(6), *fleet.add(44, ping=False)]
    command = fleet.send(nodes, MaxConcurrency="1", MaxErrors="10%")
    for node in nodes[:6]:
        node.run("Failed")
    ended = _ended(fleet, command)
    assert (ended["Status"], ended["StatusDetails"], ended["ErrorCount"]) == ("Failed", "Failed", 6)
    assert (ended["TargetCount"], ended["CompletedCount"]) == (50, 50)
    assert _details(fleet, command) == ["Failed"] * 6 + ["Terminated"] * 44
    terminated = fleet.ssm.list_command_invocations(
        CommandId=command, Filters=[{"key": "Status", "value": "Terminated"}]
    )["CommandInvocations"]
    assert len(terminated) == 44
    assert {i["Status"] for i in terminated} == {"Cancelled"}
    last = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=nodes[49].id)
    assert (last["Status"], last["StatusDetails"]) == ("Cancelled", "Terminated")


def test_platforms_that_the_document_cannot_serve(fleet: Fleet) -> None:
    strange = fleet.add(4, platform="Plan9")
    linux = fleet.node()
    patch = {"DocumentName": "AWS-RunPatchBaseline", "Parameters": {"Operation": ["Scan"]}}
    command = fleet.send(strange, **patch)
    ended = _ended(fleet, command)
    assert (ended["Status"], ended["CompletedCount"], ended["ErrorCount"]) == ("Failed", 4, 0)
    assert _details(fleet, command) == ["InvalidPlatform"] * 4
    mixed = fleet.send([*strange, linux], **patch)
    message = linux.take()
    linux.accept(message)
    fleet.end(linux, message)
    assert _ended(fleet, mixed)["Status"] == "Success"
    assert _details(fleet, mixed) == ["InvalidPlatform"] * 4 + ["Success"]


def test_an_offline_node_is_delayed_and_runs_when_it_is_back(fleet: Fleet) -> None:
    node = fleet.node(ping=False)
    command = fleet.send([node])
    delayed = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)
    assert (delayed["Status"], delayed["StatusDetails"]) == ("Delayed", "Delayed")
    assert _command(fleet, command)["Status"] == "InProgress"
    node.heartbeat()
    node.run()
    assert _ended(fleet, command)["Status"] == "Success"


def test_a_step_must_be_named_where_there_are_several(fleet: Fleet) -> None:
    node = fleet.node()
    message = fleet.order(node)
    ask = {"CommandId": message.command_id, "InstanceId": node.id}
    code, text = _refused(lambda: fleet.ssm.get_command_invocation(**ask))
    assert (code, "PatchLinux" in text) == ("InvalidPluginName", True)
    code, _ = _refused(lambda: fleet.ssm.get_command_invocation(**ask, PluginName="Nonsense"))
    assert code == "InvalidPluginName"
    code, _ = _refused(lambda: fleet.ssm.get_command_invocation(**ask, PluginName="aws:runShellScript"))
    assert code == "InvalidPluginName"  # two steps go by it
    assert fleet.ssm.get_command_invocation(**ask, PluginName="PatchLinux")["Status"] == "Pending"
    fleet.end(node, message, out="done")
    shown = fleet.ssm.get_command_invocation(**ask, PluginName="PatchLinux")
    assert (shown["Status"], shown["StandardOutputContent"]) == ("Success", "done")


def test_unknown_commands_and_pairs(fleet: Fleet) -> None:
    node, other = fleet.add(2)
    command = fleet.send([node])
    nowhere = "00000000-0000-4000-8000-000000000000"
    for asked, expected in (
        ({"CommandId": nowhere, "InstanceId": node.id}, "InvalidCommandId"),
        ({"CommandId": command, "InstanceId": other.id}, "InvocationDoesNotExist"),
    ):
        assert _refused(lambda asked=asked: fleet.ssm.get_command_invocation(**asked))[0] == expected
    assert fleet.ssm.list_command_invocations(CommandId=nowhere)["CommandInvocations"] == []
    assert fleet.ssm.list_commands(CommandId=nowhere)["Commands"] == []
    elsewhere = fleet.client("ssm", "elsewhere-9")
    assert _refused(lambda: elsewhere.get_command_invocation(CommandId=command, InstanceId=node.id))[0] == (
        "InvalidCommandId"
    )


def test_a_step_that_never_ran_is_over_when_its_invocation_is(fleet: Fleet) -> None:
    """Whoever polls the step by its name must see an end."""
    node = fleet.node()
    message = fleet.order(node)
    fleet.ssm.deregister_managed_instance(InstanceId=node.id)
    shown = fleet.ssm.get_command_invocation(CommandId=message.command_id, InstanceId=node.id, PluginName="PatchLinux")
    assert (shown["Status"], shown["StatusDetails"], shown["ResponseCode"]) == ("Failed", "Undeliverable", -1)
    (listed,) = fleet.ssm.list_command_invocations(CommandId=message.command_id, Details=True)["CommandInvocations"]
    assert {p["Status"] for p in listed["CommandPlugins"]} == {"Failed"}


def test_every_filter_of_the_listings(fleet: Fleet) -> None:
    one, two = fleet.add(2)
    start = datetime.now(UTC) - timedelta(minutes=1)
    done = fleet.send([one])
    one.run()
    _ended(fleet, done)
    failed = fleet.send([one, two], MaxErrors="1")
    one.run("Failed")
    patch = fleet.send([two], DocumentName="AWS-RunPatchBaseline", Parameters={"Operation": ["Scan"]})

    def commands(*pairs: tuple[str, str], **more: Any) -> list[str]:
        filters = {"Filters": [{"key": k, "value": v} for k, v in pairs]} if pairs else {}
        return [c["CommandId"] for c in fleet.ssm.list_commands(**filters, **more)["Commands"]]

    def invocations(*pairs: tuple[str, str], **more: Any) -> list[tuple[str, str]]:
        filters = {"Filters": [{"key": k, "value": v} for k, v in pairs]} if pairs else {}
        found = fleet.ssm.list_command_invocations(**filters, **more)["CommandInvocations"]
        return [(i["CommandId"], i["InstanceId"]) for i in found]

    both = sorted([one.id, two.id])
    assert commands() == [patch, failed, done]
    assert commands(("Status", "Success")) == [done]
    assert commands(("Status", "In Progress")) == [failed]
    assert commands(("ExecutionStage", "Complete")) == [done]
    assert commands(("ExecutionStage", "Executing")) == [patch, failed]
    assert commands(("DocumentName", "AWS-RunPatchBaseline")) == [patch]
    assert commands(("InvokedAfter", start.isoformat())) == [patch, failed, done]
    assert commands(("InvokedAfter", "2099-01-01T00:00:00Z")) == []
    assert commands(("InvokedBefore", start.isoformat())) == []
    assert commands(("InvokedBefore", "2099-01-01")) == [patch, failed, done]
    assert commands(InstanceId=one.id) == [failed, done]
    assert commands(CommandId=done) == [done]
    assert invocations() == [(patch, two.id), *((failed, i) for i in both), (done, one.id)]
    assert invocations(("Status", "Failed")) == [(failed, one.id)]
    assert invocations(("Status", "Success"), InstanceId=one.id) == [(done, one.id)]
    assert invocations(InstanceId=two.id) == [(patch, two.id), (failed, two.id)]
    assert invocations(("DocumentName", "AWS-RunShellScript"), ("Status", "Pending")) == [(failed, two.id)]


BAD_LISTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("list_commands", {"Filters": [{"key": "Status", "value": "Terminated"}]}, "InvalidFilterKey"),
    ("list_commands", {"Filters": [{"key": "ExecutionStage", "value": "Over"}]}, "InvalidFilterKey"),
    ("list_commands", {"Filters": [{"key": "InvokedAfter", "value": "yesterday"}]}, "InvalidFilterKey"),
    ("list_commands", {"Filters": [{"key": "InvokedAfter", "value": "0001-01-01T00:00:00+14:00"}]}, "InvalidFilterKey"),
    ("list_commands", {"Filters": [{"key": "Colour", "value": "red"}]}, "ValidationException"),
    (
        "list_commands",
        {"InstanceId": NOBODY, "Filters": [{"key": "Status", "value": "Pending"}]},
        "ValidationException",
    ),
    ("list_commands", {"NextToken": "garbage"}, "InvalidNextToken"),
    ("list_commands", {"MaxResults": 51}, "ValidationException"),
    ("list_commands", {"CommandId": "short"}, "ValidationException"),
    ("list_command_invocations", {"Filters": [{"key": "ExecutionStage", "value": "Complete"}]}, "InvalidFilterKey"),
    ("list_command_invocations", {"Filters": [{"key": "Status", "value": "Incomplete"}]}, "InvalidFilterKey"),
    ("list_command_invocations", {"NextToken": "garbage"}, "InvalidNextToken"),
]


def test_each_bad_listing_gets_its_error(fleet: Fleet) -> None:
    for call, request, code in BAD_LISTINGS:
        assert _refused(lambda call=call, request=request: getattr(fleet.ssm, call)(**request))[0] == code, request


def test_paginators_run_over_three_pages_newest_first(fleet: Fleet) -> None:
    nodes = fleet.add(2, ping=False)
    sent = [fleet.send(nodes) for _ in range(5)]
    pages = list(fleet.ssm.get_paginator("list_commands").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(p["Commands"]) for p in pages] == [2, 2, 1]
    assert [c["CommandId"] for p in pages for c in p["Commands"]] == sent[::-1]
    pages = list(fleet.ssm.get_paginator("list_command_invocations").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(p["CommandInvocations"]) for p in pages] == [3, 3, 3, 1]
    both = sorted(n.id for n in nodes)
    found = [(i["CommandId"], i["InstanceId"]) for p in pages for i in p["CommandInvocations"]]
    assert found == [(c, n) for c in sent[::-1] for n in both]


def test_a_policy_for_some_nodes_sends_to_those_alone(fleet: Fleet) -> None:
    mine, theirs = fleet.node(Team="a"), fleet.node(Team="b")
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "ssm:SendCommand",
                    "Resource": "arn:aws:ssm:*::document/AWS-RunShellScript",
                },
                {
                    "Effect": "Allow",
                    "Action": "ssm:SendCommand",
                    "Resource": "arn:aws:ssm:*:*:managed-instance/*",
                    "Condition": {"StringEquals": {"ssm:resourceTag/Team": "a"}},
                },
            ],
        }
    )
    made = fleet.patchwright.create_access_key(UserName=f"team-{fleet.region[-6:]}", Policy=policy)
    client = fleet.server.client("ssm", region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    send = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["x"]}}
    client.send_command(InstanceIds=[mine.id], **send)
    assert _refused(lambda: client.send_command(InstanceIds=[mine.id, theirs.id], **send))[0] == "AccessDeniedException"
    assert len(fleet.ssm.list_commands()["Commands"]) == 1


def test_a_step_result_without_a_start_has_no_times(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node])
    message = node.take()
    node.reply(message, "Success", {"aws:runShellScript": {**step_result(), "startDateTime": "soon", "endDateTime": 7}})
    got = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)
    assert (got["ExecutionStartDateTime"], got["ExecutionElapsedTime"], got["Status"]) == ("", "", "Success")
