"""Tags as a client sees them, on baselines and nodes; and when they make a node due."""

from typing import Any

import pytest
from tests.unit.api.harness import AnswerError, Api
from tests.unit.fleet import NOW, Fleet, due

from patchwright.core.predefined import PREDEFINED
from patchwright.store.engine import Engine

VENDOR = f"arn:aws:ssm:local-1:000000000000:patchbaseline/{PREDEFINED[0].id}"
BASELINE, NODE = "PatchBaseline", "ManagedInstance"


def _create(api: Api, **tags: str) -> str:
    made: str = api("CreatePatchBaseline", Name="own", OperatingSystem="UBUNTU", Tags=_wire(tags))["BaselineId"]
    return made


def _wire(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _add(api: Api, kind: str, resource: str, **tags: str) -> None:
    assert api("AddTagsToResource", ResourceType=kind, ResourceId=resource, Tags=_wire(tags)) == {}


def _list(api: Api, kind: str, resource: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = api("ListTagsForResource", ResourceType=kind, ResourceId=resource)["TagList"]
    return found


def _refused(api: Api, operation: str, **members: Any) -> AnswerError:
    with pytest.raises(AnswerError) as refusal:
        api(operation, **members)
    return refusal.value


def test_tags_of_a_baseline_by_its_id_and_by_its_arn(api: Api) -> None:
    made = _create(api, b="1")
    arn = f"arn:aws:ssm:local-1:000000000001:patchbaseline/{made}"
    _add(api, BASELINE, arn, a="", b="2")
    assert _list(api, BASELINE, made) == _list(api, BASELINE, arn) == _wire({"a": "", "b": "2"})
    api("RemoveTagsFromResource", ResourceType=BASELINE, ResourceId=made, TagKeys=["a", "nothing"])
    assert _list(api, BASELINE, arn) == _wire({"b": "2"})


def test_an_empty_list_is_there(api: Api) -> None:
    assert api("ListTagsForResource", ResourceType=BASELINE, ResourceId=_create(api)) == {"TagList": []}
    assert api("ListTagsForResource", ResourceType=BASELINE, ResourceId=VENDOR) == {"TagList": []}


def test_the_fifty_first_tag_is_refused_but_not_a_new_value(api: Api) -> None:
    made = _create(api, **{f"k{n}": "" for n in range(50)})
    over = _wire({"k50": "", "k0": "lost"})
    error = _refused(api, "AddTagsToResource", ResourceType=BASELINE, ResourceId=made, Tags=over)
    assert error.code == "TooManyTagsError"
    _add(api, BASELINE, made, k1="new")
    values = {t["Key"]: t["Value"] for t in _list(api, BASELINE, made)}
    assert (len(values), values["k0"], values["k1"]) == (50, "", "new")


def test_a_reserved_key_is_refused(api: Api) -> None:
    made = _create(api)
    error = _refused(
        api, "AddTagsToResource", ResourceType=BASELINE, ResourceId=made, Tags=_wire({"ok": "", "aws:x": ""})
    )
    assert error.code == "ValidationException"
    assert _list(api, BASELINE, made) == []


@pytest.mark.parametrize("operation", ["AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"])
def test_what_has_no_tags(api: Api, store: Engine, operation: str) -> None:
    fleet = Fleet(store)
    gone = fleet.add()
    fleet.deregister(gone, NOW)
    deleted = _create(api)
    api("DeletePatchBaseline", BaselineId=deleted)
    needed: dict[str, Any] = {"AddTagsToResource": {"Tags": []}, "RemoveTagsFromResource": {"TagKeys": []}}
    more = needed.get(operation, {})
    cases = [
        (BASELINE, "pb-0123456789abcdef0", "InvalidResourceId"),
        (BASELINE, "nonsense", "InvalidResourceId"),
        (BASELINE, deleted, "InvalidResourceId"),
        (BASELINE, VENDOR.replace("local-1", "local-2"), "InvalidResourceId"),
        (NODE, "mi-00000000000000abc", "InvalidResourceId"),
        (NODE, "server-1", "InvalidResourceId"),
        (NODE, gone, "InvalidResourceId"),
        ("Parameter", "/x", "InvalidResourceType"),
        ("Nonsense", "/x", "ValidationException"),
    ]
    for kind, resource, code in cases:
        error = _refused(api, operation, ResourceType=kind, ResourceId=resource, **more)
        assert (resource, error.code) == (resource, code)


def test_the_tags_of_a_predefined_baseline_are_not_changed(api: Api) -> None:
    for operation, more in (("AddTagsToResource", {"Tags": []}), ("RemoveTagsFromResource", {"TagKeys": []})):
        error = _refused(api, operation, ResourceType=BASELINE, ResourceId=VENDOR, **more)
        assert error.code == "InvalidResourceId"


def test_a_deleted_baseline_takes_its_tags_with_it(api: Api, store: Engine) -> None:
    from patchwright.core.tags import TaggedType
    from patchwright.store import tags

    made = _create(api, a="1")
    api("DeletePatchBaseline", BaselineId=made)
    assert store.read(lambda tx: tags.of(tx, api.scope, TaggedType.PATCH_BASELINE, made)) == ()


def test_a_node_is_due_when_its_tags_change_its_group_and_not_otherwise(api: Api, store: Engine) -> None:
    node = Fleet(store).add(PatchGroup="web")
    _add(api, NODE, node, Stage="prod", PatchGroup="web", **{"Patch Group": "hidden by the other key"})
    api("RemoveTagsFromResource", ResourceType=NODE, ResourceId=node, TagKeys=["Stage"])
    assert due(store) == {}
    _add(api, NODE, f"arn:aws:ssm:local-1:000000000001:managed-instance/{node}", PatchGroup="db")
    assert {n: (cause, at) for n, (cause, at, _) in due(store).items()} == {node: ("tags", api.now)}
    api.later(minutes=1)
    api("RemoveTagsFromResource", ResourceType=NODE, ResourceId=node, TagKeys=["PatchGroup"])
    assert due(store)[node][1] == api.now


def test_who_may_only_touch_tagged_nodes_can_not_reach_others(api: Api, store: Engine) -> None:
    fleet = Fleet(store)
    mine, theirs = fleet.add(team="web"), fleet.add(team="db")
    api.policy = {
        "Statement": [
            {"Effect": "Allow", "Action": "ssm:*Tag*", "Resource": "arn:aws:ssm:*:*:managed-instance/*",
             "Condition": {"StringEquals": {"ssm:resourceTag/team": "web"}}}
        ]
    }  # fmt: skip
    _add(api, NODE, mine, more="1")
    for node in (theirs, "mi-00000000000000abc"):
        error = _refused(api, "AddTagsToResource", ResourceType=NODE, ResourceId=node, Tags=_wire({"team": "web"}))
        assert error.code == "AccessDeniedException"
