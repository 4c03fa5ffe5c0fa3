"""Tags through boto3, on baselines and nodes. Source: operations.md 7.5."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from patchwright.flows.register_node import register_node
from patchwright.server.clock import SystemIds
from tests.contract.conftest import RunningServer


def _code(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**members)
    code: str = refusal.value.response["Error"]["Code"]
    return code


@pytest.fixture(params=["PatchBaseline", "ManagedInstance"])
def resource(request: pytest.FixtureRequest, ssm: Any, server: RunningServer) -> dict[str, str]:
    """A resource of each type that carries tags, as the operations name it."""
    if request.param == "PatchBaseline":
        found = ssm.create_patch_baseline(Name="own", OperatingSystem="UBUNTU")["BaselineId"]
    else:
        made = ssm.create_activation(IamRole="r")
        found = server.application.state.store.write(
            lambda tx: register_node(
                tx,
                activation_id=made["ActivationId"],
                code=made["ActivationCode"],
                public_key="k",
                fingerprint="f",
                now=datetime.now(UTC),
                ids=SystemIds(),
            )
        ).id
    return {"ResourceType": request.param, "ResourceId": found}


def test_tags_are_put_over_by_key_and_taken_away(ssm: Any, resource: dict[str, str]) -> None:
    assert ssm.list_tags_for_resource(**resource)["TagList"] == []
    ssm.add_tags_to_resource(**resource, Tags=[{"Key": "Patch Group", "Value": "web"}, {"Key": "b", "Value": ""}])
    ssm.add_tags_to_resource(**resource, Tags=[{"Key": "b", "Value": "2"}, {"Key": "é", "Value": "x"}])
    ssm.remove_tags_from_resource(**resource, TagKeys=["é", "never there"])
    assert ssm.list_tags_for_resource(**resource)["TagList"] == [
        {"Key": "Patch Group", "Value": "web"},
        {"Key": "b", "Value": "2"},
    ]


def test_the_limit_and_the_reserved_prefix(ssm: Any, resource: dict[str, str]) -> None:
    fifty = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    assert _code(ssm.add_tags_to_resource, **resource, Tags=[{"Key": "aws:x", "Value": ""}]) == "ValidationException"
    ssm.add_tags_to_resource(**resource, Tags=fifty)
    assert _code(ssm.add_tags_to_resource, **resource, Tags=[{"Key": "k50", "Value": ""}]) == "TooManyTagsError"
    assert len(ssm.list_tags_for_resource(**resource)["TagList"]) == 50


@pytest.mark.parametrize(
    ("kind", "resource_id", "code"),
    [
        ("PatchBaseline", "pb-0123456789abcdef0", "InvalidResourceId"),
        ("PatchBaseline", "nonsense", "InvalidResourceId"),
        ("ManagedInstance", "mi-0123456789abcdef0", "InvalidResourceId"),
        ("ManagedInstance", "i-0123456789abcdef0", "InvalidResourceId"),
        ("OpsItem", "oi-1", "InvalidResourceType"),
    ],
)
def test_each_declared_error(ssm: Any, kind: str, resource_id: str, code: str) -> None:
    which = {"ResourceType": kind, "ResourceId": resource_id}
    assert _code(ssm.list_tags_for_resource, **which) == code
    assert _code(ssm.add_tags_to_resource, **which, Tags=[{"Key": "a", "Value": ""}]) == code
    assert _code(ssm.remove_tags_from_resource, **which, TagKeys=["a"]) == code
