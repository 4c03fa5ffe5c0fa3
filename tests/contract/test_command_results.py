"""Reading what became of commands: outputs, steps, listings. Source: operations.md 3, 13 (2 to 5, 7, 17)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.conftest import RunningServer
from tests.contract.nodes_door import step_result
from tests.contract.nodes_fleet import Fleet, refused

NOBODY = "mi-0123456789abcdef0"


@pytest.fixture
def fleet(server: RunningServer, region: str) -> Fleet:
    return Fleet(server, region)


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


def test_a_combined_output_that_its_node_did_not_cut_is_cut_and_marked(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node])
    message = node.take()
    node.accept(message)
    node.reply(message, "Success", {message.steps[0]["name"]: {**step_result(), "output": "c" * 3_000}})
    (shown,) = fleet.ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
    combined = shown["CommandPlugins"][0]["Output"]
    assert len(combined) == 2_500
    assert re.fullmatch(r"c+\n---Output truncated---", combined)


def test_a_step_must_be_named_where_there_are_several(fleet: Fleet) -> None:
    node = fleet.node()
    message = fleet.order(node)
    ask = {"CommandId": message.command_id, "InstanceId": node.id}
    code, text = refused(lambda: fleet.ssm.get_command_invocation(**ask))
    assert (code, "PatchLinux" in text) == ("InvalidPluginName", True)
    code, _ = refused(lambda: fleet.ssm.get_command_invocation(**ask, PluginName="Nonsense"))
    assert code == "InvalidPluginName"
    code, _ = refused(lambda: fleet.ssm.get_command_invocation(**ask, PluginName="aws:runShellScript"))
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
        assert refused(lambda asked=asked: fleet.ssm.get_command_invocation(**asked))[0] == expected
    assert fleet.ssm.list_command_invocations(CommandId=nowhere)["CommandInvocations"] == []
    assert fleet.ssm.list_commands(CommandId=nowhere)["Commands"] == []
    elsewhere = fleet.client("ssm", "elsewhere-9")
    assert refused(lambda: elsewhere.get_command_invocation(CommandId=command, InstanceId=node.id))[0] == (
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
    fleet.ended(done)
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
        assert refused(lambda call=call, request=request: getattr(fleet.ssm, call)(**request))[0] == code, request


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


def test_a_step_result_without_a_start_has_no_times(fleet: Fleet) -> None:
    node = fleet.node()
    command = fleet.send([node])
    message = node.take()
    node.reply(message, "Success", {"aws:runShellScript": {**step_result(), "startDateTime": "soon", "endDateTime": 7}})
    got = fleet.ssm.get_command_invocation(CommandId=command, InstanceId=node.id)
    assert (got["ExecutionStartDateTime"], got["ExecutionElapsedTime"], got["Status"]) == ("", "", "Success")
