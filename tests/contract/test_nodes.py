"""Managed nodes through boto3 and through the node's own door. Source: operations.md 7.3, agent-protocol.md 4, 5."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa

from patchwright.core.nodes import ONLINE_FOR
from patchwright.core.values import NodeId
from patchwright.store import nodes as node_store
from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import Node, Refusal, RsaAuth, post, public_text
from tests.contract.nodes_fleet import Fleet
from tests.contract.synthetic_facts import usual_host


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


def _ids(ssm: Any, **request: Any) -> list[str]:
    return [n["InstanceId"] for n in ssm.describe_instance_information(**request)["InstanceInformationList"]]


def _filter(key: str, *values: str) -> dict[str, Any]:
    return {"Filters": [{"Key": key, "Values": list(values)}]}


def _code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def _silence(fleet: Fleet, node: Node) -> None:
    """Let the node's last ping be older than it may be."""
    store = fleet.server.application.state.store
    old = fleet.server.application.state.clock.now() - ONLINE_FOR - timedelta(seconds=1)
    store.write(lambda tx: node_store.touch(tx, NodeId(node.id), old))


def test_a_registered_node_is_shown_with_all_that_is_known_of_it(fleet: Fleet) -> None:
    activation = fleet.activation(1, DefaultInstanceName="first")
    node = Node(fleet.server.url, fleet.region).register(activation)
    assert node.id.startswith("mi-")
    assert len(node.id) == 20
    node.role_token()
    node.heartbeat()
    (shown,) = fleet.ssm.describe_instance_information()["InstanceInformationList"]
    expected = {
        "InstanceId": node.id,
        "PingStatus": "Online",
        "AgentVersion": "3.3.0.0",
        "PlatformType": "Linux",
        "PlatformName": "Debian GNU/Linux",
        "PlatformVersion": "12",
        "ActivationId": activation["ActivationId"],
        "IamRole": "service-role",
        "ResourceType": "ManagedInstance",
        "Name": "first",
        "IPAddress": "192.0.2.17",
        "ComputerName": "web01",
    }
    assert {k: shown[k] for k in expected} == expected
    assert shown["LastPingDateTime"] >= shown["RegistrationDate"]


def test_the_role_token_has_all_five_members(fleet: Fleet) -> None:
    """The real agent's credential thread crashes without UpdateKeyPair."""
    token = fleet.node(ping=False).role_token()
    assert set(token) == {"AccessKeyId", "SecretAccessKey", "SessionToken", "TokenExpirationDate", "UpdateKeyPair"}
    assert token["UpdateKeyPair"] is False
    assert isinstance(token["TokenExpirationDate"], int | float)


def test_a_probe_does_not_blank_out_what_is_stored(fleet: Fleet) -> None:
    node = fleet.node()
    node.ssm(
        "UpdateInstanceInformation",
        {
            "InstanceId": node.id,
            "AgentName": "amazon-ssm-agent",
            "AgentVersion": "3.4.0.0",
            "ComputerName": "",
            "PlatformType": "Linux",
        },
    )
    (shown,) = fleet.ssm.describe_instance_information()["InstanceInformationList"]
    assert (shown["ComputerName"], shown["IPAddress"], shown["AgentVersion"]) == ("web01", "192.0.2.17", "3.4.0.0")


def test_texts_of_a_host_are_kept_without_control_characters(fleet: Fleet) -> None:
    node = fleet.node()
    node.heartbeat(ComputerName="we\x1b[31mb\x00\n", PlatformName="x" * 1024)
    (shown,) = fleet.ssm.describe_instance_information()["InstanceInformationList"]
    assert shown["ComputerName"] == "we[31mb"
    assert shown["PlatformName"] == "x" * 256


def test_a_wrong_activation_registers_nothing_and_says_no_more(fleet: Fleet) -> None:
    good = fleet.activation()
    for bad in (
        {**good, "ActivationCode": "x" * 20},
        {**good, "ActivationId": "00000000-0000-4000-8000-000000000000"},
        {"ActivationId": "\x00" * 36, "ActivationCode": "\x00" * 20},
    ):
        with pytest.raises(Refusal) as refused:
            Node(fleet.server.url, fleet.region).register(bad)
        assert (refused.value.status, refused.value.code) == (400, "InvalidActivation")
    assert _ids(fleet.ssm) == []


def test_an_activation_registers_no_more_nodes_than_its_limit(fleet: Fleet) -> None:
    activation = fleet.activation(2)
    made = [Node(fleet.server.url, fleet.region).register(activation).id for _ in range(2)]
    with pytest.raises(Refusal, match="InvalidActivation"):
        Node(fleet.server.url, fleet.region).register(activation)
    assert _ids(fleet.ssm) == sorted(made)


def test_a_key_that_no_node_may_have_is_refused(fleet: Fleet) -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
    for text in (public_text(small), "%%%", base64.b64encode(b"nonsense").decode()):
        node = Node(fleet.server.url, fleet.region)
        body = {**fleet.activation(), "PublicKey": text, "PublicKeyType": "Rsa", "Fingerprint": "f"}
        with pytest.raises(Refusal, match=r"(?i)public ?key|RSA key"):
            node._send("AmazonSSM.RegisterManagedInstance", body, None)
    assert _ids(fleet.ssm) == []


def test_another_key_opens_no_session(fleet: Fleet) -> None:
    node = fleet.node()
    node.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(Refusal) as refused:
        node.role_token()
    assert refused.value.code == "InvalidSignatureException"


def test_a_node_speaks_only_of_itself(fleet: Fleet) -> None:
    one, two = fleet.add(2)
    for call in (
        lambda: one.ssm("UpdateInstanceInformation", {"InstanceId": two.id, "ComputerName": "evil"}),
        lambda: one.ssm("ListInstanceAssociations", {"InstanceId": two.id}),
        lambda: one.messages("GetMessages", {"Destination": two.id, "MessagesRequestId": "r"}),
    ):
        with pytest.raises(Refusal, match="AccessDeniedException"):
            call()
    assert one.ssm("ListInstanceAssociations", {"InstanceId": one.id}) == {"Associations": []}


def test_a_nodes_session_opens_no_operators_door_and_its_secret_is_checked(fleet: Fleet) -> None:
    node = fleet.node()
    with pytest.raises(Refusal, match="AccessDenied"):
        node.ssm("DescribeInstanceInformation", {})
    with pytest.raises(Refusal, match="AccessDenied"):
        node.ssm("SendCommand", {"DocumentName": "AWS-RunShellScript", "InstanceIds": [node.id]})
    assert node.session is not None
    node.session = Credentials(node.session.access_key, "wrong", node.session.token)
    with pytest.raises(Refusal, match="InvalidSignatureException"):
        node.heartbeat()


def test_no_one_unsigned_reaches_the_message_door(fleet: Fleet) -> None:
    headers = {
        "X-Amz-Target": "EC2WindowsMessageDeliveryService.GetMessages",
        "Content-Type": "application/x-amz-json-1.1",
    }
    with pytest.raises(Refusal, match="MissingAuthenticationTokenException"):
        post(fleet.server.url, headers, b"{}")


def test_a_silent_node_is_lost_and_a_ping_brings_it_back(fleet: Fleet) -> None:
    talking, silent, never = *fleet.add(2), fleet.node(ping=False)
    _silence(fleet, silent)
    assert _ids(fleet.ssm, **_filter("PingStatus", "Online")) == [talking.id]
    assert _ids(fleet.ssm, **_filter("PingStatus", "ConnectionLost")) == sorted([silent.id, never.id])
    assert len(_ids(fleet.ssm, **_filter("PingStatus", "ConnectionLost", "Online"))) == 3
    assert _ids(fleet.ssm, **_filter("PingStatus", "Inactive")) == []
    silent.heartbeat()
    assert _ids(fleet.ssm, **_filter("PingStatus", "ConnectionLost")) == [never.id]


def test_every_filter_narrows(fleet: Fleet) -> None:
    web, db = fleet.node(Role="web", Patch_Group="a"), fleet.node(Role="db")
    windows = fleet.node(platform="Windows")
    windows.heartbeat(AgentVersion="3.2.0.0", PlatformType="Windows")
    (first,) = fleet.ssm.describe_instance_information(**_filter("InstanceIds", web.id))["InstanceInformationList"]
    everyone = sorted([web.id, db.id, windows.id])
    for wanted, found in {
        ("InstanceIds", web.id, db.id): [web.id, db.id],
        ("SourceIds", db.id): [db.id],
        ("ActivationIds", first["ActivationId"]): [web.id],
        ("AgentVersion", "3.2.0.0"): [windows.id],
        ("PlatformTypes", "Linux"): [web.id, db.id],
        ("PlatformTypes", "Linux", "Windows"): everyone,
        ("IamRole", "service-role"): everyone,
        ("IamRole", "other"): [],
        ("ResourceType", "ManagedInstance"): everyone,
        ("ResourceType", "EC2Instance"): [],
        ("SourceTypes", "AWS::SSM::ManagedInstance"): everyone,
        ("SourceTypes", "AWS::EC2::Instance"): [],
        ("AssociationStatus", "Success"): [],
        ("tag:Role", "web"): [web.id],
        ("tag:Role", "web", "db"): [web.id, db.id],
        ("tag:Role", "WEB"): [],
        ("tag:Patch Group", "a"): [web.id],
        ("tag-key", "Role"): [web.id, db.id],
        ("tag-key", "Patch Group", "nothing"): [web.id],
    }.items():
        assert _ids(fleet.ssm, **_filter(*wanted)) == sorted(found), wanted
    both = {"Filters": [{"Key": "tag:Role", "Values": ["web", "db"]}, {"Key": "tag-key", "Values": ["Patch Group"]}]}
    assert _ids(fleet.ssm, **both) == [web.id]
    legacy = {"InstanceInformationFilterList": [{"key": "PlatformTypes", "valueSet": ["Windows"]}]}
    assert _ids(fleet.ssm, **legacy) == [windows.id]


BAD_LISTINGS: list[tuple[dict[str, Any], str]] = [
    (_filter("Nonsense", "x"), "InvalidFilterKey"),
    (_filter("tag:", "x"), "InvalidFilterKey"),
    (_filter("PingStatus", "Asleep"), "InvalidInstanceInformationFilterValue"),
    (_filter("ResourceType", "Toaster"), "InvalidInstanceInformationFilterValue"),
    (_filter("InstanceIds", "mi-00000000000000000"), "InvalidInstanceId"),
    ({"NextToken": "garbage"}, "InvalidNextToken"),
    ({"MaxResults": 4}, "ValidationException"),
    ({"MaxResults": 51}, "ValidationException"),
    (
        {"Filters": [{"Key": "tag:a", "Values": ["b"]}, {"Key": "PingStatus", "Values": ["Online"]}]},
        "ValidationException",
    ),
    (
        {
            **_filter("PingStatus", "Online"),
            "InstanceInformationFilterList": [{"key": "PlatformTypes", "valueSet": ["Linux"]}],
        },
        "ValidationException",
    ),
]


def test_each_bad_listing_gets_its_own_error(fleet: Fleet) -> None:
    for request, code in BAD_LISTINGS:
        with pytest.raises(ClientError) as refused:
            fleet.ssm.describe_instance_information(**request)
        assert _code(refused) == code, request


def test_pages_come_in_the_order_of_ids_and_end(fleet: Fleet) -> None:
    made = sorted(n.id for n in fleet.add(12, ping=False))
    pages = list(fleet.ssm.get_paginator("describe_instance_information").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(p["InstanceInformationList"]) for p in pages] == [5, 5, 2]
    assert [n["InstanceId"] for p in pages for n in p["InstanceInformationList"]] == made
    assert len(_ids(fleet.ssm)) == 10


def test_a_deregistered_node_is_gone_and_stays_out(fleet: Fleet) -> None:
    node = fleet.node(Role="web")
    fleet.scan(node, usual_host())
    command = fleet.send([node])
    fleet.ssm.deregister_managed_instance(InstanceId=node.id)
    assert _ids(fleet.ssm) == []
    assert _ids(fleet.ssm, **_filter("tag-key", "Role")) == []
    assert fleet.ssm.describe_instance_patch_states(InstanceIds=[node.id])["InstancePatchStates"] == []
    invocation = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)
    assert (invocation["Status"], invocation["StatusDetails"]) == ("Failed", "Undeliverable")
    for call in (node.heartbeat, node.poll, node.role_token):
        with pytest.raises(Refusal, match="AccessDeniedException"):
            call()
    for again in (
        lambda: fleet.ssm.deregister_managed_instance(InstanceId=node.id),
        lambda: fleet.send([node]),
        lambda: fleet.ssm.describe_instance_patches(InstanceId=node.id),
    ):
        with pytest.raises(ClientError) as refused:
            again()
        assert _code(refused) == "InvalidInstanceId"


def test_a_cloud_instances_id_cannot_be_deregistered(fleet: Fleet) -> None:
    with pytest.raises(ClientError) as refused:
        fleet.ssm.deregister_managed_instance(InstanceId="i-0123456789abcdef0")
    assert _code(refused) == "ValidationException"


def test_a_node_may_change_its_key(fleet: Fleet) -> None:
    node = fleet.node()
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    body = {"NewPublicKey": public_text(fresh), "NewPublicKeyType": "Rsa"}
    node._send("AmazonSSM.UpdateManagedInstancePublicKey", body, RsaAuth(node.id, node.key, node.region))
    with pytest.raises(Refusal, match="InvalidSignature"):
        node.role_token()
    node.key = fresh
    assert node.role_token()["AccessKeyId"].startswith("ASIA")
