"""`patchwright patch` where there are more nodes than can be named, and where the nodes do not answer in time."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub, Refusal

from patchwright.cli import follow

Run = Callable[..., tuple[int, str, str]]
PLAN, INSTALL = "p" * 36, "i" * 36
ITEM = {"Name": "openssl", "Arch": "amd64", "FromVersion": "1", "ToVersion": "2", "Role": "target"}
DIGEST = "d" * 64


def node_id(number: int) -> str:
    return f"mi-{number:017x}"


class Fleet:
    """Nodes 0, 1, … of one tag; node 0 gives no plan. `joins` is one that comes under the tag before the Install."""

    def __init__(self, api: ApiStub, count: int, joins: int = 0) -> None:
        self.planned = [node_id(n) for n in range(count)]
        self.installed = self.planned + [node_id(n) for n in range(count, count + joins)]
        api.answers["SendCommand"] = self._send
        api.answers["ListCommands"] = lambda r: {
            "Commands": [{"CommandId": r["CommandId"], "Status": "Success", "TargetCount": count}]
        }
        api.answers["ListCommandInvocations"] = self._invocations
        api.answers["GetPatchPlan"] = self._plan
        api.answers["DescribeNodes"] = lambda r: {
            "Nodes": [
                {"NodeId": i, "Name": i, "Compliance": "COMPLIANT", "FactsCollectedAt": 1.0} for i in r["NodeIds"]
            ]
        }

    def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        if "Operation" in request["Parameters"] and "InstanceIds" in request:
            self.installed = request["InstanceIds"]
        return {"Command": {"CommandId": INSTALL if "Operation" in request["Parameters"] else PLAN}}

    def _invocations(self, request: dict[str, Any]) -> dict[str, Any]:
        ids = self.planned if request["CommandId"] == PLAN else self.installed
        start = int(request.get("NextToken", "0"))
        more = {"NextToken": str(start + 50)} if start + 50 < len(ids) else {}
        page = ids[start : start + 50]
        return {
            "CommandInvocations": [
                {"InstanceId": i, "Status": "Failed" if i == node_id(0) and request["CommandId"] == PLAN else "Success"}
                for i in page
            ],
            **more,
        }

    def _plan(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["NodeId"] == node_id(0) and request["CommandId"] == PLAN:
            raise Refusal("DoesNotExistException")
        over = {"Installed": [ITEM], "ExitCode": 0} if request["CommandId"] == INSTALL else {}
        return {"Items": [ITEM], "Dropped": [], "SettledAt": 1.0, "PlanDigest": DIGEST, **over}


def test_more_nodes_than_can_be_named_are_sent_the_install_by_their_target(api: ApiStub, patchwright: Run) -> None:
    Fleet(api, 120, joins=1)
    code, out, errors = patchwright("patch", "--target", "tag:tier=web", "--yes")
    plan, install = api.requests("SendCommand")
    assert plan["Targets"] == install["Targets"] == [{"Key": "tag:tier", "Values": ["web"]}]
    assert plan["MaxErrors"] == "100%"
    assert "MaxErrors" not in install
    assert "1 node without a plan: under the target all the same, so the Install is sent there too" in errors
    assert code == 0  # that node was patched in the end
    assert "121 packages installed, 0 failed; 121 of 121 nodes compliant" in out
    assert out.count("openssl.amd64") == 3  # the plan, and the two kinds of result: as shown, and otherwise
    calls = [name for name, _ in api.asked]
    assert calls.count("DescribeNodes") == 3


def test_few_nodes_are_sent_the_install_by_their_ids(api: ApiStub, patchwright: Run) -> None:
    Fleet(api, 3)
    code, _, errors = patchwright("patch", "--all", "--yes", "--max-errors", "1")
    assert api.requests("SendCommand")[1]["InstanceIds"] == [node_id(1), node_id(2)]
    assert "1 node without a plan: left out" in errors
    assert code == 1  # that one is not patched


@pytest.mark.parametrize("command", ["plan", "patch"])
def test_nodes_that_take_too_long_to_plan_stop_it_before_anything_is_installed(
    api: ApiStub, patchwright: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.001)
    Fleet(api, 3)
    api.answers["ListCommands"] = {"Commands": [{"Status": "InProgress", "TargetCount": 3, "CompletedCount": 1}]}
    yes = ["--yes"] if command == "patch" else []
    code, out, errors = patchwright(command, "--all", "--timeout", "0", *yes)
    assert (code, out, len(api.requests("SendCommand"))) == (1, "", 1)
    assert "2 of 3 nodes have not ended after 0 seconds" in errors
    assert "changes nothing" in errors
    assert PLAN in errors


def test_an_install_that_takes_too_long_goes_on_and_says_so(
    api: ApiStub, patchwright: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.001)
    Fleet(api, 3)
    api.answers["ListCommands"] = lambda r: {
        "Commands": [{"Status": "InProgress" if r["CommandId"] == INSTALL else "Success", "TargetCount": 2}]
    }
    code, _, errors = patchwright("patch", "--all", "--timeout", "0", "--yes")
    assert code == 1
    assert f"aws ssm cancel-command --command-id {INSTALL}" in errors
