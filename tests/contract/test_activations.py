"""Activations through boto3, and the hosts that register with them. Source: operations.md 7.4, 13 (16)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from patchwright.core.errors import NotFound
from patchwright.flows.register_node import register_node
from patchwright.server.clock import SystemIds
from tests.contract.conftest import RunningServer

MISSING = "01234567-89ab-4def-8123-456789abcdef"


def _code(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**members)
    code: str = refusal.value.response["Error"]["Code"]
    return code


def _register(server: RunningServer, made: dict[str, str], code: str | None = None) -> str:
    """Register a host the way the node's door does; its id."""
    return server.application.state.store.write(
        lambda tx: register_node(
            tx,
            activation_id=made["ActivationId"],
            code=code or made["ActivationCode"],
            public_key="k",
            fingerprint="f",
            now=datetime.now(UTC),
            ids=SystemIds(),
        )
    ).id


def test_an_activation_lives_as_terraform_drives_it(ssm: Any) -> None:
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    made = ssm.create_activation(
        IamRole="Patching", DefaultInstanceName="", ExpirationDate=expires, Tags=[{"Key": "b", "Value": ""}]
    )
    assert 20 <= len(made["ActivationCode"]) <= 250
    wanted = [{"FilterKey": "ActivationIds", "FilterValues": [made["ActivationId"]]}]
    listed = ssm.describe_activations(Filters=wanted)["ActivationList"]
    assert len(listed) == 1
    created = listed[0].pop("CreatedDate")
    assert abs(created - datetime.now(UTC)) < timedelta(minutes=1)
    assert listed[0] == {
        "ActivationId": made["ActivationId"],
        "IamRole": "Patching",
        "ExpirationDate": expires,
        "Expired": False,
        "RegistrationsCount": 0,
        "Tags": [{"Key": "b", "Value": ""}],
    }
    ssm.delete_activation(ActivationId=made["ActivationId"])
    assert ssm.describe_activations(Filters=wanted)["ActivationList"] == []
    assert _code(ssm.delete_activation, ActivationId=made["ActivationId"]) == "InvalidActivation"


def test_one_host_registers_takes_the_tags_and_the_next_is_refused(ssm: Any, server: RunningServer) -> None:
    made = ssm.create_activation(IamRole="r", Tags=[{"Key": "Patch Group", "Value": "web"}])
    with pytest.raises(NotFound):
        _register(server, made, code="a-wrong-code-of-20-chars")
    node = _register(server, made)
    assert ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=node)["TagList"] == [
        {"Key": "Patch Group", "Value": "web"}
    ]
    with pytest.raises(NotFound):
        _register(server, made)
    listed = ssm.describe_activations()["ActivationList"][0]
    assert (listed["RegistrationsCount"], listed["Expired"]) == (1, True)


def test_a_deleted_activation_registers_nobody_and_its_nodes_stay(ssm: Any, server: RunningServer) -> None:
    made = ssm.create_activation(IamRole="r", RegistrationLimit=2)
    node = _register(server, made)
    ssm.delete_activation(ActivationId=made["ActivationId"])
    with pytest.raises(NotFound):
        _register(server, made)
    assert ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=node)["TagList"] == []


def test_each_declared_error(ssm: Any) -> None:
    now = datetime.now(UTC)
    assert _code(ssm.create_activation, IamRole="") == "InvalidParameters"
    for days in (-1, 31):
        late = now + timedelta(days=days)
        assert _code(ssm.create_activation, IamRole="r", ExpirationDate=late) == "InvalidParameters"
    assert _code(ssm.delete_activation, ActivationId=MISSING) == "InvalidActivation"
    assert _code(ssm.delete_activation, ActivationId="not-a-uuid") in ("InvalidActivationId", "ValidationException")
    assert _code(ssm.describe_activations, Filters=[{"FilterKey": "IamRole"}]) == "InvalidFilter"
    assert _code(ssm.describe_activations, NextToken="garbage") == "InvalidNextToken"


def test_the_paginator_walks_three_pages(ssm: Any) -> None:
    made = [ssm.create_activation(IamRole="r")["ActivationId"] for _ in range(5)]
    pages = list(ssm.get_paginator("describe_activations").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(p["ActivationList"]) for p in pages] == [2, 2, 1]
    assert sorted(a["ActivationId"] for p in pages for a in p["ActivationList"]) == sorted(made)
