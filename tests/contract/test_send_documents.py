"""Commands of one's own documents, of shared and of nested ones, as nodes get them. Source: operations.md 2, 3.1."""

import json
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Refusal
from tests.contract.nodes_fleet import Fleet, refused
from tests.unit.api.documents_lab import SHELL, YAML, text


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _send(fleet: Fleet, node: Any, name: str, **more: Any) -> str:
    return fleet.send([node], **{"DocumentName": name, "Parameters": {}, **more})


def test_a_node_gets_the_version_meant_with_typed_parameters(fleet: Fleet) -> None:
    parameters = {
        "word": {"type": "String", "default": "hello"},
        "lines": {"type": "StringList"},
        "count": {"type": "Integer", "default": 2},
        "map": {"type": "StringMap", "default": {}},
    }
    fleet.ssm.create_document(Name="own", Content=text(parameters=parameters))
    fleet.ssm.update_document(Name="own", Content=text(description="new", parameters=parameters), DocumentVersion="1")
    node = fleet.node()
    given = {"lines": ["a", "b"], "map": ['{"k": "v"}']}
    for selector, description in ((None, "says a word"), ("$LATEST", "new"), ("2", "new"), ("1", "says a word")):
        more = {} if selector is None else {"DocumentVersion": selector}
        command_id = _send(fleet, node, "own", Parameters=given, **more)
        payload = node.run().payload
        assert payload["DocumentContent"]["description"] == description
        assert payload["Parameters"] == {"word": "hello", "lines": ["a", "b"], "count": 2, "map": {"k": "v"}}
        command = fleet.command(command_id)
        assert (command["DocumentName"], command["DocumentVersion"]) == ("own", selector or "$DEFAULT")
    own = fleet.ssm.list_commands(Filters=[{"key": "DocumentName", "value": "own"}])["Commands"]
    arn = f"arn:aws:ssm:{fleet.region}:000000000001:document/own"
    assert len(own) == 4
    assert fleet.ssm.list_commands(Filters=[{"key": "DocumentName", "value": arn}])["Commands"] == own


def test_the_timeouts_of_a_document_bound_its_command(fleet: Fleet) -> None:
    step = {**SHELL, "inputs": {"runCommand": ["true"], "timeoutSeconds": "{{ seconds }}"}}
    seconds = {"seconds": {"type": "String", "default": "60"}}
    fleet.ssm.create_document(Name="timed", Content=text(parameters=seconds, mainSteps=[step, {**step, "name": "two"}]))
    sent = fleet.ssm.send_command(
        DocumentName="timed",
        Targets=[{"Key": "tag:a", "Values": ["b"]}],
        Parameters={"seconds": ["90"]},
        TimeoutSeconds=30,
    )["Command"]
    assert (sent["ExpiresAfter"] - sent["RequestedDateTime"]).total_seconds() == 30 + 2 * 90


def test_what_send_command_refuses_of_a_document(fleet: Fleet) -> None:
    node, windows = fleet.node(), fleet.node(platform="Windows")
    fleet.ssm.create_document(Name="own", Content=text())
    step = {"action": "aws:softwareInventory", "name": "collect"}
    inventory = text(parameters=None, mainSteps=[step])
    fleet.ssm.create_document(Name="policy", Content=inventory, DocumentType="Policy")
    fleet.ssm.create_document(Name="old", Content=text(schemaVersion="2.0"))
    nests = {
        "action": "aws:runDocument",
        "name": "nest",
        "inputs": {"documentType": "SSMDocument", "documentPath": "none"},
    }
    fleet.ssm.create_document(Name="nests", Content=text(parameters=None, mainSteps=[nests]))

    def code(name: str, where: Any = node, **more: Any) -> str:
        return refused(lambda: _send(fleet, where, name, **more))[0]

    assert code("never-made") == "InvalidDocument"
    assert code("policy") == "InvalidDocument"
    assert code("own", DocumentVersion="2") == "InvalidDocumentVersion"
    assert code("own", Parameters={"word": ["NO"]}) == "InvalidParameters"
    assert code("own", Parameters={"word": ["hello"], "other": ["x"]}) == "InvalidParameters"
    assert code("own", DocumentHash="0" * 64, DocumentHashType="Sha256") == "InvalidDocument"
    assert code("old", windows) == "UnsupportedPlatformType"
    assert code("nests") == "InvalidParameters"
    large = ["x" * 60_000]
    assert code("AWS-RunShellScript", Parameters={"commands": large * 2}) == "MaxDocumentSizeExceeded"
    command_id = _send(fleet, windows, "own")
    assert fleet.details(command_id) == ["InvalidPlatform"]


def test_a_document_of_schema_1_2_has_a_step_named_like_its_plugin(fleet: Fleet) -> None:
    config = {"aws:runShellScript": {"properties": [{"id": "0.aws:runShellScript", "runCommand": ["true"]}]}}
    fleet.ssm.create_document(Name="old", Content=json.dumps({"schemaVersion": "1.2", "runtimeConfig": config}))
    node = fleet.node()
    command_id = _send(fleet, node, "old")
    message = node.take()
    assert message.payload["DocumentContent"]["runtimeConfig"] == config
    got = fleet.ssm.get_command_invocation(CommandId=command_id, InstanceId=node.id)
    assert got["PluginName"] == "aws:runShellScript"


def test_a_node_reads_the_documents_that_its_open_commands_name_and_no_others(fleet: Fleet) -> None:
    inner = {"action": "aws:runDocument", "name": "deeper", "inputs": {}}
    inner["inputs"] = {"documentType": "SSMDocument", "documentPath": "third:1"}
    fleet.ssm.create_document(Name="third", Content=YAML, DocumentFormat="YAML")
    fleet.ssm.create_document(Name="second", Content=text(parameters=None, mainSteps=[inner]))
    fleet.ssm.create_document(Name="private", Content=text())
    node, other = fleet.node(), fleet.node()

    def read(who: Any, name: str, **more: str) -> Any:
        return who.ssm("GetDocument", {"Name": name, **more})

    with pytest.raises(Refusal) as refusal:
        read(node, "second")
    assert refusal.value.code == "InvalidDocument"
    source = {"sourceType": ["SSMDocument"], "sourceInfo": ['{"name": "second"}']}
    _send(fleet, node, "AWS-RunDocument", Parameters=source)
    assert json.loads(read(node, "second")["Content"])["mainSteps"] == [inner]
    assert read(node, "second", DocumentVersion="$DEFAULT")["Name"] == "second", "as the real agent may ask"
    assert read(node, "third", DocumentVersion="1")["Content"] == YAML
    as_json = read(node, "third", DocumentVersion="1", DocumentFormat="JSON")
    assert json.loads(as_json["Content"])["schemaVersion"] == "2.2"
    for who, name in ((node, "private"), (node, "third"), (other, "second"), (node, "AWS-RunShellScript")):
        with pytest.raises(Refusal) as refusal:
            read(who, name)
        assert refusal.value.code == "InvalidDocument"
    node.run()
    with pytest.raises(Refusal):
        read(node, "second")


def test_a_hook_is_part_of_what_is_allowed(fleet: Fleet) -> None:
    fleet.ssm.create_document(Name="hook", Content=text())
    node = fleet.node()
    resources = ["arn:aws:ssm:*::document/AWS-RunPatch*", "arn:aws:ssm:*:*:managed-instance/*"]
    policy = {"Statement": {"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": resources}}
    made = fleet.patchwright.create_access_key(UserName="narrow", Policy=json.dumps(policy))
    narrow = fleet.server.client(region=fleet.region, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    send = {"DocumentName": "AWS-RunPatchBaselineWithHooks", "InstanceIds": [node.id]}
    assert narrow.send_command(**send, Parameters={"Operation": ["Scan"]})["Command"]["CommandId"]
    hooked = {"Operation": ["Install"], "OnExitHookDocName": ["hook"]}
    assert refused(lambda: narrow.send_command(**send, Parameters=hooked))[0] == "AccessDeniedException"
    assert fleet.ssm.send_command(**send, Parameters=hooked)["Command"]["CommandId"]
