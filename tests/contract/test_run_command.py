"""Sending commands and their targets, through boto3, to nodes that speak the real protocol.

Source: operations.md 3, 13 (2 to 5, 7, 17).
"""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.contract.conftest import RunningServer
from tests.contract.nodes_fleet import Fleet, refused

NOBODY = "mi-0123456789abcdef0"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


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
    command = fleet.command(sent["CommandId"])
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
    code, message = refused(lambda: fleet.ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=ids))
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value '[mi-00000000000000000, mi-00000000000000001, ")
    constraint = "Member must have length less than or equal to 50"
    assert message.endswith(f"at 'instanceIds' failed to satisfy constraint: {constraint}")


def test_duplicate_and_unknown_ids_store_nothing(fleet: Fleet) -> None:
    node = fleet.node()
    code, message = refused(
        lambda: fleet.ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[node.id, node.id], Parameters={"commands": ["x"]}
        )
    )
    assert (code, node.id in message) == ("DuplicateInstanceId", True)
    code, message = refused(
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
    ({"DocumentVersion": "7"}, "InvalidDocumentVersion", "no version 7"),
    ({"Parameters": {}}, "InvalidParameters", "commands"),
    ({"Parameters": {"commands": []}}, "InvalidParameters", "at least 1"),
    ({"Parameters": {"commands": ["x"], "color": ["red"]}}, "InvalidParameters", "no parameter named color"),
    ({"Parameters": {"commands": ["x"], "executionTimeout": ["1", "2"]}}, "InvalidParameters", "exactly one"),
    ({"Parameters": {"commands": ["x"], "executionTimeout": ["172801"]}}, "InvalidParameters", "executionTimeout"),
    ({"Parameters": {"commands": ["é" * 33_000]}}, "MaxDocumentSizeExceeded", "65536"),
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
        got, message = refused(lambda changes=changes: fleet.ssm.send_command(**{**request, **changes}))
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
        code, _ = refused(
            lambda parameters=parameters: fleet.ssm.send_command(
                DocumentName="AWS-RunPatchBaseline", InstanceIds=[node.id], Parameters=parameters
            )
        )
        assert code == "InvalidParameters", parameters


def test_a_document_goes_by_its_arn_too(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node], DocumentName="arn:aws:ssm:local-1::document/AWS-RunShellScript")
    assert fleet.command(command)["DocumentName"] == "AWS-RunShellScript"


def test_tags_and_over_keys_or_over_values(fleet: Fleet) -> None:
    web, db, old = fleet.node(Role="web", Env="prod"), fleet.node(Role="db", Env="prod"), fleet.node(Role="web")

    def hit(*targets: tuple[str, list[str]]) -> set[str]:
        wanted = [{"Key": k, "Values": v} for k, v in targets]
        sent = fleet.ssm.send_command(
            DocumentName="AWS-RunShellScript", Targets=wanted, Parameters={"commands": ["x"]}
        )["Command"]
        assert (sent["InstanceIds"], sent["TargetCount"], sent["Targets"]) == ([], 0, wanted)
        found = fleet.ssm.list_command_invocations(CommandId=sent["CommandId"])["CommandInvocations"]
        assert fleet.command(sent["CommandId"])["TargetCount"] == len(found)
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
    command = fleet.command(fleet.send(Targets=[{"Key": "tag:Role", "Values": ["none"]}]))
    assert (command["Status"], command["StatusDetails"], command["TargetCount"]) == ("Success", "NoInstancesInTag", 0)
    assert len(fleet.ssm.list_commands(Filters=[{"key": "Status", "value": "NoInstancesInTag"}])["Commands"]) == 1


def test_a_node_tagged_after_the_send_is_not_added(fleet: Fleet) -> None:
    fleet.node(Role="web")
    late = fleet.node()
    command = fleet.send(Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    fleet.ssm.add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=late.id, Tags=[{"Key": "Role", "Value": "web"}]
    )
    assert fleet.command(command)["TargetCount"] == 1


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
        command = fleet.command(fleet.send([node], **request))
        assert command["ExpiresAfter"] - command["RequestedDateTime"] == timedelta(seconds=seconds), request


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
    assert refused(lambda: client.send_command(InstanceIds=[mine.id, theirs.id], **send))[0] == "AccessDeniedException"
    assert len(fleet.ssm.list_commands()["Commands"]) == 1
