"""The operator's door itself: signatures, errors, limits, paging tokens. Source: operations.md 1, 13 (1, 2, 17)."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.contract.conftest import RunningServer


def _post(
    server: RunningServer,
    target: str,
    body: bytes,
    *,
    service: str = "ssm",
    shift: timedelta = timedelta(),
    tamper: bytes | None = None,
    sign: bool = True,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, Any]:
    """A call made by hand, signed by botocore's signer, perhaps spoilt after that."""
    request = AWSRequest(
        "POST",
        server.url,
        data=body,
        headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", **(headers or {})},
    )
    if sign:
        signer = botocore.auth.SigV4Auth(Credentials(server.key_id, server.secret), service, "local-1")
        if shift:
            moved = datetime.now(UTC) + shift
            request.headers["X-Amz-Date"] = moved.strftime("%Y%m%dT%H%M%SZ")
            request.context["timestamp"] = request.headers["X-Amz-Date"]
            text = signer.string_to_sign(request, signer.canonical_request(request))
            signature = signer.signature(text, request)
            parts = [
                f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}",
                f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}",
                f"Signature={signature}",
            ]
            request.headers["Authorization"] = ", ".join(parts)
        else:
            signer.add_auth(request)
    sent = urllib.request.Request(
        server.url, data=tamper if tamper is not None else body, headers=dict(request.headers), method="POST"
    )
    try:
        with urllib.request.urlopen(sent, timeout=20) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read()), refused.headers


def test_every_answer_carries_a_request_id_and_a_date(server: RunningServer) -> None:
    for target in ("AmazonSSM.DescribePatchBaselines", "AmazonSSM.Nonsense"):
        _, _, headers = _post(server, target, b"{}")
        assert len(headers["x-amzn-RequestId"]) == 36
        assert headers["Date"]


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ({"target": "AmazonSSM.Nonsense", "body": b"{}"}, 400, "UnknownOperationException"),
        ({"target": "AmazonSSM.GetOpsSummary", "body": b"{}"}, 501, "NotImplementedException"),
        ({"target": "AmazonSSM.GetPatchBaseline", "body": b"{nope"}, 400, "SerializationException"),
        ({"target": "AmazonSSM.GetPatchBaseline", "body": b"[]"}, 400, "SerializationException"),
        ({"target": "AmazonSSM.GetPatchBaseline", "body": b'{"BaselineId": 3}'}, 400, "SerializationException"),
        ({"target": "AmazonSSM.GetPatchBaseline", "body": b"{}"}, 400, "ValidationException"),
        (
            {"target": "AmazonSSM.DescribePatchBaselines", "body": b"{}", "sign": False},
            400,
            "MissingAuthenticationTokenException",
        ),
        (
            {"target": "AmazonSSM.DescribePatchBaselines", "body": b"{}", "service": "ec2"},
            400,
            "InvalidSignatureException",
        ),
        (
            {"target": "AmazonSSM.DescribePatchBaselines", "body": b"{}", "tamper": b'{ "MaxResults": 5}'},
            400,
            "InvalidSignatureException",
        ),
        (
            {"target": "AmazonSSM.DescribePatchBaselines", "body": b"{}", "shift": timedelta(minutes=-10)},
            400,
            "InvalidSignatureException",
        ),
    ],
)
def test_each_bad_call_gets_its_own_clear_error(
    server: RunningServer, call: dict[str, Any], status: int, code: str
) -> None:
    got, body, headers = _post(server, **call)
    assert (got, body["__type"], headers["x-amzn-ErrorType"]) == (status, code, code)
    assert body.get("message") or body["Message"]


def test_a_clock_ten_minutes_slow_is_told_so(server: RunningServer) -> None:
    _, body, _ = _post(server, "AmazonSSM.DescribePatchBaselines", b"{}", shift=timedelta(minutes=-10))
    assert body["message"].startswith("Signature expired: ")
    assert "is now earlier than" in body["message"]


def test_an_oversized_body_is_refused_unread(server: RunningServer) -> None:
    status, body, _ = _post(server, "AmazonSSM.DescribePatchBaselines", b" " * 2_000_000)
    assert (status, body["__type"]) == (413, "RequestEntityTooLargeException")


def test_a_stranger_learns_nothing_of_operations(server: RunningServer) -> None:
    stranger = RunningServer(server.url, server.data_dir, server.application, server.key_id, "wrong" * 8, server.engine)
    known = _post(stranger, "AmazonSSM.DescribePatchBaselines", b"{}")
    unknown = _post(stranger, "AmazonSSM.Nonsense", b"{}")
    assert known[:1] == unknown[:1]
    assert known[1] == unknown[1]
    assert known[1]["__type"] == "InvalidSignatureException"


def test_an_unknown_key_is_not_recognised(server: RunningServer) -> None:
    client = server.client(key=("AKIAAAAAAAAAAAAAAAAA", "x" * 40))
    with pytest.raises(ClientError) as refused:
        client.describe_patch_baselines()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_all_violations_come_in_one_message(ssm: Any) -> None:
    with pytest.raises(ClientError) as refused:
        ssm.create_patch_baseline(Name="x", OperatingSystem="PLAN9")
    message = refused.value.response["Error"]["Message"]
    assert message.startswith("3 validation errors detected: ")
    assert (
        "Value 'x' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 3"
        in message
    )
    assert (
        "Value 'PLAN9' at 'operatingSystem' failed to satisfy constraint: Member must satisfy enum value set:"
        in message
    )


def test_a_token_of_another_operation_or_filter_is_refused(ssm: Any) -> None:
    for i in range(6):
        ssm.create_patch_baseline(Name=f"base-{i}", OperatingSystem="DEBIAN")
    own = {"Filters": [{"Key": "OWNER", "Values": ["Self"]}]}
    token = ssm.describe_patch_baselines(MaxResults=2, **own)["NextToken"]
    assert len(ssm.describe_patch_baselines(MaxResults=3, NextToken=token, **own)["BaselineIdentities"]) == 3
    for wrong in (
        lambda: ssm.describe_patch_baselines(NextToken=token),
        lambda: ssm.describe_patch_groups(NextToken=token),
        lambda: ssm.list_commands(NextToken=token),
        lambda: ssm.describe_patch_baselines(NextToken=token[:-2] + "xx", **own),
    ):
        with pytest.raises(ClientError) as refused:
            wrong()
        assert refused.value.response["Error"]["Code"] in ("InvalidNextToken", "ValidationException")


def test_sts_says_who_calls(server: RunningServer) -> None:
    who = server.client("sts").get_caller_identity()
    assert who["Account"] == "000000000001"
    assert who["Arn"] == "arn:aws:iam::000000000001:user/admin"


def test_a_key_without_a_policy_may_do_nothing(server: RunningServer, patchwright_client: Any, region: str) -> None:
    made = patchwright_client.create_access_key(UserName="nobody")
    nobody = server.client(key=(made["AccessKeyId"], made["SecretAccessKey"]), region=region)
    with pytest.raises(ClientError) as refused:
        nobody.describe_patch_baselines()
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert "is not authorized to perform: ssm:DescribePatchBaselines" in error["Message"]


def test_an_auditor_reads_and_changes_nothing(server: RunningServer, patchwright_client: Any, region: str) -> None:
    made = patchwright_client.create_access_key(UserName="eve", Policy="auditor")
    auditor = server.client(key=(made["AccessKeyId"], made["SecretAccessKey"]), region=region)
    assert auditor.describe_patch_baselines()["BaselineIdentities"]
    with pytest.raises(ClientError, match="AccessDenied"):
        auditor.create_patch_baseline(Name="mine", OperatingSystem="DEBIAN")


def test_a_deleted_key_stops_at_once(server: RunningServer, patchwright_client: Any, region: str) -> None:
    made = patchwright_client.create_access_key(UserName="gone", Policy="admin")
    client = server.client(key=(made["AccessKeyId"], made["SecretAccessKey"]), region=region)
    assert client.describe_patch_baselines(MaxResults=1)
    patchwright_client.delete_access_key(AccessKeyId=made["AccessKeyId"])
    if server.engine == "postgresql":
        import time

        time.sleep(0.3)  # the wake-up travels through the database
    with pytest.raises(ClientError, match="UnrecognizedClient"):
        client.describe_patch_baselines(MaxResults=1)


def test_accounts_and_regions_see_nothing_of_each_other(
    server: RunningServer, patchwright_client: Any, ssm: Any, region: str
) -> None:
    baseline = ssm.create_patch_baseline(Name="ours", OperatingSystem="DEBIAN")["BaselineId"]
    account = patchwright_client.create_account(Name="other")["AccountId"]
    made = patchwright_client.create_access_key(UserName="bob", AccountId=account, Policy="admin")
    for other in (
        server.client(region="elsewhere-1"),
        server.client(region=region, key=(made["AccessKeyId"], made["SecretAccessKey"])),
    ):
        with pytest.raises(ClientError, match="DoesNotExistException"):
            other.get_patch_baseline(BaselineId=baseline)


def test_the_plain_aws_command_speaks_both_services(aws: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    first = aws("ssm", "describe-patch-baselines", "--filters", "Key=OPERATING_SYSTEM,Values=DEBIAN")
    assert first.returncode == 0, first.stderr
    names = [b["BaselineName"] for b in json.loads(first.stdout)["BaselineIdentities"]]
    assert names == ["AWS-DebianDefaultPatchBaseline"]
    second = aws("patchwright", "get-server-information")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["AccountId"] == "000000000001"


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_the_character_nul_is_refused_everywhere_alike(server: RunningServer, text: str) -> None:
    body = json.dumps({"Name": "fine", "OperatingSystem": "DEBIAN", "RejectedPatches": ["ok", text]}).encode()
    status, answer, _ = _post(server, "AmazonSSM.CreatePatchBaseline", body)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_a_text_that_only_looks_like_nul_is_kept(ssm: Any) -> None:
    made = ssm.create_patch_baseline(Name="fine", OperatingSystem="DEBIAN", RejectedPatches=["back\\u0000slash"])
    assert ssm.get_patch_baseline(BaselineId=made["BaselineId"])["RejectedPatches"] == ["back\\u0000slash"]
