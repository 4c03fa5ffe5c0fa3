"""Operators' commands: what they ask of the API, what they print, how they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub, Refusal

from patchwright.cli.activation import register_lines

Run = Callable[..., tuple[int, str, str]]
WEB, OTHER = "mi-0123456789abcdef0", "mi-0123456789abcdef1"


def summary(node_id: str, name: str, computer: str = "host") -> dict[str, Any]:
    return {"NodeId": node_id, "Name": name, "ComputerName": computer, "PingStatus": "Online"}


@pytest.fixture
def fleet(api: ApiStub) -> ApiStub:
    api.answers["DescribeNodes"] = {"Nodes": [summary(WEB, "web\x1b[2J"), summary(OTHER, "db", "db-1")]}
    return api


def explained(state: str | None) -> dict[str, Any]:
    why = {
        "PatchId": "bash.amd64", "Code": "APPROVED_BY_RULE", "Summary": "rule 1 approves it", "RuleNumber": 1,
        "InstalledVersion": "5.1", "TargetVersion": "5.2", "ApprovalDate": 1795199177, "Remedy": "install it",
        "Details": ["version 5.2", "red \x1b[31m"],
    }  # fmt: skip
    return {"NodeId": WEB, "BaselineName": "own", "Explanations": [{**why, **({"State": state} if state else {})}]}


@pytest.mark.parametrize(
    ("found", "code"),
    [("MISSING", 2), ("FAILED", 2), ("INSTALLED_REJECTED", 2), ("INSTALLED", 0), ("INSTALLED_OTHER", 0), (None, 0)],
)
def test_why_ends_by_what_counts_against_the_node(api: ApiStub, patchwright: Run, found: str | None, code: int) -> None:
    api.answers["ExplainPatch"] = explained(found)
    assert patchwright("why", WEB, "bash")[0] == code
    assert api.requests("ExplainPatch") == [{"NodeId": WEB, "Patch": "bash"}]


def test_why_prints_code_sentence_versions_date_and_remedy(api: ApiStub, patchwright: Run) -> None:
    api.answers["ExplainPatch"] = explained("MISSING")
    _, out, _ = patchwright("why", WEB, "bash")
    for text in ("APPROVED_BY_RULE", "rule 1 approves it", "5.1", "5.2", "2026-11-20T18:26:17Z", "install it"):
        assert text in out
    assert "\x1b" not in out


@pytest.mark.parametrize("name", ["db", "db-1"])
def test_a_node_goes_by_its_name_or_computer_name(fleet: ApiStub, patchwright: Run, name: str) -> None:
    fleet.answers["ExplainPatch"] = explained("MISSING")
    patchwright("why", name, "bash")
    assert fleet.requests("ExplainPatch")[0]["NodeId"] == OTHER


def test_a_name_of_two_nodes_or_none_is_refused(fleet: ApiStub, patchwright: Run) -> None:
    fleet.answers["DescribeNodes"] = {"Nodes": [summary(WEB, "same"), summary(OTHER, "x", "same")]}
    code, _, errors = patchwright("why", "same", "bash")
    assert code == 1
    assert WEB in errors
    assert OTHER in errors
    code, _, errors = patchwright("why", "none\x1b", "bash")
    assert code == 1
    assert "\x1b" not in errors
    assert not fleet.requests("ExplainPatch")


def test_an_error_of_the_api_is_shown_escaped_and_ends_with_1(api: ApiStub, patchwright: Run) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("InvalidInstanceId", "gone\x1b[2J")

    api.answers["ExplainPatch"] = refuse
    code, out, errors = patchwright("why", WEB, "bash")
    assert (code, out) == (1, "")
    assert "InvalidInstanceId: gone\\u001b[2J" in errors


KEY = {"AccessKeyId": "AKIAX", "SecretAccessKey": "s3cret", "UserName": "bob", "AccountId": "000000000001"}


def test_a_key_is_printed_with_its_secret(api: ApiStub, patchwright: Run) -> None:
    api.answers["CreateAccessKey"] = KEY
    code, out, _ = patchwright("access-key", "create", "--user", "bob", "--json")
    assert (code, json.loads(out)) == (0, KEY)
    assert "s3cret" in patchwright("access-key", "create", "--user", "bob", "--policy", "auditor")[1]
    assert [r["Policy"] for r in api.requests("CreateAccessKey")] == ["admin", "auditor"]


def test_a_policy_may_be_a_file(api: ApiStub, patchwright: Run, tmp_path: Path) -> None:
    api.answers["CreateAccessKey"] = KEY
    policy = tmp_path / "policy.json"
    policy.write_text('{"Statement": []}')
    patchwright("access-key", "create", "--user", "bob", "--policy", str(policy))
    assert api.requests("CreateAccessKey")[0]["Policy"] == '{"Statement": []}'


def test_the_key_of_a_new_account_makes_the_account(api: ApiStub, patchwright: Run) -> None:
    def create(request: dict[str, Any]) -> dict[str, Any]:
        if not api.requests("CreateAccount"):
            raise Refusal("DoesNotExistException")
        return {**KEY, "AccountId": request["AccountId"]}

    api.answers["CreateAccessKey"] = create
    api.answers["CreateAccount"] = {}
    code, out, errors = patchwright("access-key", "create", "--user", "eve", "--account", "000000000022", "--json")
    assert (code, json.loads(out)["AccountId"]) == (0, "000000000022")
    assert api.requests("CreateAccount")[0]["AccountId"] == "000000000022"
    assert "000000000022" in errors


def test_keys_are_listed_and_deleted(api: ApiStub, patchwright: Run) -> None:
    api.answers["ListAccessKeys"] = {
        "AccessKeys": [
            {"AccessKeyId": "AKIAABCDEFGHIJKL", "UserName": "bob", "AccountId": "000000000001", "CreatedAt": 0}
        ]
    }
    api.answers["DeleteAccessKey"] = {}
    assert "AKIAABCDEFGHIJKL" in patchwright("access-key", "list")[1]
    assert patchwright("access-key", "delete", "AKIAABCDEFGHIJKL")[0] == 0
    assert api.requests("DeleteAccessKey") == [{"AccessKeyId": "AKIAABCDEFGHIJKL"}]


SERVER = {"PublicUrl": "http://127.0.0.1:8484", "Region": "local-1"}


def test_an_activation_prints_two_lines_for_a_host(api: ApiStub, patchwright: Run) -> None:
    api.answers["CreateActivation"] = {"ActivationId": "a" * 36, "ActivationCode": "CODE" * 6}
    api.answers["GetServerInformation"] = {**SERVER, "AgentSha256": "0" * 64}
    code, out, _ = patchwright("activation", "create", "--name", "web", "--limit", "3", "--tag", "Patch Group=web")
    assert code == 0
    fetch, register = out.strip().splitlines()[-2:]
    assert "http://127.0.0.1:8484/agent/patchwright-agent.pyz" in fetch
    assert f"{'0' * 64}  patchwright-agent.pyz" in fetch
    assert register.startswith(f"PATCHWRIGHT_ACTIVATION_CODE={'CODE' * 6} python3 patchwright-agent.pyz register ")
    assert f"--activation-id {'a' * 36}" in register
    asked = api.requests("CreateActivation")[0]
    assert (asked["RegistrationLimit"], asked["DefaultInstanceName"]) == (3, "web")
    assert asked["Tags"] == [{"Key": "Patch Group", "Value": "web"}]


def test_a_pinned_certificate_and_a_digest_are_both_checked_by_the_host() -> None:
    server = {"PublicUrl": "https://pw:8443", "Region": "r", "CaSha256": "ab" * 32, "AgentSha256": "cd" * 32}
    fetch, register = register_lines(server, "id", "code")
    assert "sha256sum -c" in fetch
    assert f"--ca-sha256 {'ab' * 32}" in register
    assert "--insecure-http" not in register


def test_a_server_without_an_agent_does_not_pretend() -> None:
    assert register_lines(SERVER, "id", "code")[0].startswith("# this server hands out no agent")
