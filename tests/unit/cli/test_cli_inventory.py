"""`patchwright inventory`: what it asks and what it prints."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub, Refusal

Run = Callable[..., tuple[int, str, str]]
WEB = "mi-0123456789abcdef0"
OPENSSL = {"Name": "openssl", "Version": "3.0.7", "Release": "27.el9", "Epoch": "1", "Architecture": "x86_64"}
BASH = {"Name": "bash", "Version": "5.2\x1b[2J", "Architecture": "amd64", "Epoch": "0"}


def test_a_nodes_packages(api: ApiStub, patchwright: Run) -> None:
    api.answers["ListInventoryEntries"] = {"Entries": [BASH, OPENSSL]}
    code, out, errors = patchwright("inventory", WEB)
    assert (code, errors) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["bash", "5.2\\u001b[2J", "amd64"], ["openssl", "1:3.0.7-27.el9", "x86_64"],
    ]  # fmt: skip
    assert "\x1b" not in out
    (asked,) = api.requests("ListInventoryEntries")
    assert (asked["InstanceId"], asked["TypeName"]) == (WEB, "AWS:Application")


def test_another_type_has_the_columns_of_its_schema(api: ApiStub, patchwright: Run) -> None:
    api.answers["ListInventoryEntries"] = {"Entries": [{"Name": "eth0", "IPV4": "192.0.2.1"}]}
    names = [{"Name": n, "DataType": "string"} for n in ("Name", "Gateway", "IPV4")]
    api.answers["GetInventorySchema"] = {"Schemas": [{"TypeName": "AWS:Network", "Attributes": names}]}
    code, out, _ = patchwright("inventory", WEB, "--type", "AWS:Network")
    assert (code, [line.split() for line in out.splitlines()]) == (0, [["NAME", "IPV4"], ["eth0", "192.0.2.1"]])
    assert json.loads(patchwright("inventory", WEB, "--type", "AWS:Network", "-o", "json")[1])[0]["Name"] == "eth0"


def test_nothing_gathered_is_an_error_that_says_what_gathers(api: ApiStub, patchwright: Run) -> None:
    api.answers["ListInventoryEntries"] = {"Entries": []}
    code, _, errors = patchwright("inventory", WEB)
    assert (code, "AWS-GatherSoftwareInventory" in errors) == (1, True)


def test_the_nodes_that_have_a_package(api: ApiStub, patchwright: Run) -> None:
    def answer(_: dict[str, Any]) -> dict[str, Any]:
        item = {"CaptureTime": "2030-01-02T03:04:05Z", "Content": [BASH, OPENSSL]}
        return {"Entities": [{"Id": WEB, "Data": {"AWS:Application": item}}]}

    api.answers["GetInventory"] = answer
    api.answers["DescribeNodes"] = {"Nodes": [{"NodeId": WEB, "Name": "web-1"}]}
    code, out, _ = patchwright("inventory", "--package", "openssl")
    assert (code, out.splitlines()[1].split()) == (
        0, [WEB, "web-1", "openssl", "1:3.0.7-27.el9", "x86_64", "2030-01-02T03:04:05Z"],
    )  # fmt: skip
    assert len(patchwright("inventory", "--package", "*")[1].splitlines()) == 3
    code, out, errors = patchwright("inventory", "--package", "openssl", "--version", "1")
    assert (code, len(out.splitlines()), "no node has it" in errors) == (0, 1, True)
    first, every, _ = (asked["Filters"][0] for asked in api.requests("GetInventory"))
    assert first == {"Key": "AWS:Application.Name", "Values": ["openssl"], "Type": "Equal"}
    assert (every["Type"], every["Values"]) == ("BeginWith", [""])


@pytest.mark.parametrize(
    "words", [(), (WEB, "--package", "x"), ("--package", "x", "--type", "AWS:File"), (WEB, "--version", "1")]
)
def test_what_does_not_go_together(patchwright: Run, words: tuple[str, ...]) -> None:
    assert patchwright("inventory", *words)[0] == 64


def test_a_refusal_is_shown(api: ApiStub, patchwright: Run) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("InvalidTypeNameException", "AWS:X is not an inventory type")

    api.answers["ListInventoryEntries"] = refuse
    code, _, errors = patchwright("inventory", WEB, "--type", "AWS:X")
    assert (code, "InvalidTypeNameException" in errors) == (1, True)
