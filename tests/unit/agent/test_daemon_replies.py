"""What a reply holds, and how outputs are cut. Source: spec/agent-protocol.md 9."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright_agent.daemon import replies
from patchwright_agent.daemon.clock import iso_time
from patchwright_agent.daemon.command_state import CommandState
from patchwright_agent.daemon.documents import Step

STEP = Step("runShellScript", "aws:runShellScript", {})
NOW = 1893553445.678


def result(stdout: bytes, stderr: bytes = b"", status: str = "Success", code: int = 0) -> dict[str, Any]:
    return replies.step_result(STEP, status, code, stdout, stderr, NOW, NOW + 1)


def test_a_short_result_is_reported_whole() -> None:
    assert result(b"6.1.0-18\n") == {
        "status": "Success",
        "code": 0,
        "name": "aws:runShellScript",
        "output": "6.1.0-18\n",
        "standardOutput": "6.1.0-18\n",
        "standardError": "",
        "startDateTime": "2030-01-02T03:04:05.678Z",
        "endDateTime": "2030-01-02T03:04:06.678Z",
        "outputS3BucketName": "",
        "outputS3KeyPrefix": "",
        "stepName": "",
    }


@pytest.mark.parametrize(("size", "is_cut"), [(24000, False), (24001, True), (60000, True)])
def test_streams_are_cut_at_24000_bytes(size: int, is_cut: bool) -> None:
    shown = result(b"x" * size)["standardOutput"]
    assert len(shown) == 24000
    assert shown.endswith("--output truncated--") is is_cut
    assert len(result(b"", b"x" * size)["standardError"]) == 24000


def test_the_combined_output_names_the_error_part() -> None:
    assert result(b"out", b"err")["output"] == "out\n----------ERROR-------\nerr"
    assert result(b"out")["output"] == "out"
    assert result(b"", b"err")["output"] == "\n----------ERROR-------\nerr"


@pytest.mark.parametrize(
    ("stdout", "stderr", "stdout_cut", "stderr_cut"),
    [
        (b"o" * 5000, b"", True, False),
        (b"o" * 5000, b"e" * 5000, True, True),
        (b"o" * 5000, b"e" * 100, True, False),
        (b"o" * 100, b"e" * 5000, False, True),
        (b"o" * 2500, b"", False, False),
        (b"o" * 2501, b"", True, False),
    ],
)
def test_the_combined_output_is_shared_out(stdout: bytes, stderr: bytes, stdout_cut: bool, stderr_cut: bool) -> None:
    shown = result(stdout, stderr)["output"]
    assert len(shown) <= 2500
    assert len(shown) >= min(len(stdout) + len(stderr), 2499)
    assert ("\n---Output truncated---" in shown) is stdout_cut
    assert ("\n---Error truncated----" in shown) is stderr_cut
    if stdout_cut and stderr_cut:
        assert abs(shown.count("o") - shown.count("e")) < 10
    if not stdout_cut:
        assert stdout.decode() in shown
    if not stderr_cut:
        assert shown.endswith(stderr.decode())


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(1, 300))
@settings(deadline=None)
def test_no_output_whatever_exceeds_the_limits_in_bytes(stdout: bytes, stderr: bytes, times: int) -> None:
    shown = result(stdout * times, stderr * times)
    assert len(shown["output"].encode()) <= 2500
    assert len(shown["standardOutput"].encode()) <= 24000
    assert len(shown["standardError"].encode()) <= 24000


def test_a_character_is_not_cut_through() -> None:
    shown = result("é".encode() * 13000)["standardOutput"]
    assert shown == "é" * 11990 + "--output truncated--"


def test_an_accepted_order_has_no_results() -> None:
    payload = json.loads(replies.accepted(NOW))
    assert payload["documentStatus"] == "InProgress"
    assert payload["runtimeStatus"] is None
    assert payload["additionalInfo"]["runtimeStatusCounts"] is None
    assert payload["additionalInfo"]["dateTime"] == "2030-01-02T03:04:05.678Z"


def test_the_final_reply_carries_the_step_only_if_there_is_one() -> None:
    one = json.loads(replies.final([("a", result(b"x"))], NOW))
    two = json.loads(replies.final([("a", result(b"x")), ("b", result(b"", status="Failed", code=1))], NOW))
    assert (one["documentStatus"], list(one["runtimeStatus"])) == ("Success", ["a"])
    assert (two["documentStatus"], two["runtimeStatus"]) == ("Failed", {})
    assert two["additionalInfo"]["runtimeStatusCounts"] == {"Success": 1, "Failed": 1}


def test_stored_replies_come_in_order_and_the_same_each_time() -> None:
    state = CommandState("c", "m", "Doc", "{}", 1.0)
    state.apply({"t": "done", "at": 2.0, "step": 1, "name": "b", "reply_id": "r1", "result": result(b"2")})
    state.apply({"t": "done", "at": 2.0, "step": 0, "name": "a", "reply_id": "r0", "result": result(b"1")})
    state.apply({"t": "final", "at": 3.0, "reply_id": "rf", "payload": "final"})
    stored = list(replies.stored(state))
    assert [reply_id for reply_id, _ in stored] == ["r0", "r1", "rf"]
    assert list(json.loads(stored[1][1])["runtimeStatus"]) == ["b"]
    assert json.loads(stored[0][1])["documentStatus"] == "InProgress"
    assert stored == list(replies.stored(state))


def test_a_refusal_says_why_in_both_places() -> None:
    payload = json.loads(replies.refused("because", "PatchLinux", NOW))
    assert (payload["documentStatus"], payload["documentTraceOutput"]) == ("Failed", "because")
    assert payload["runtimeStatus"]["PatchLinux"]["standardError"] == "because"
    assert json.loads(replies.refused("because", "", NOW))["runtimeStatus"] is None


def test_times_round_to_milliseconds() -> None:
    assert iso_time(1893553445.9996) == "2030-01-02T03:04:06.000Z"
