"""Calls go to the server that was named, with its key, and failures say what to do."""

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.api_stub import ApiStub, Refusal, write_aws_files

from patchwright.client.calls import Client
from patchwright.client.errors import ApiError, NotConfigured, Unreachable


def test_the_folder_wins_over_keys_regions_and_proxies_of_the_environment(
    api: ApiStub, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAOFTHESHELL", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "t",
        "AWS_PROFILE": "other", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    api.answers["DescribeInstanceInformation"] = {"InstanceInformationList": []}
    Client(data_dir).call("ssm", "DescribeInstanceInformation")
    (headers,) = api.headers
    assert "Credential=AKIAOFTHEFOLDER/" in headers["Authorization"]
    assert "/local-1/ssm/aws4_request" in headers["Authorization"]
    assert "X-Amz-Security-Token" not in headers


def test_the_environment_as_it_is(api: ApiStub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAOFTHESHELL", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "site-2",
        "AWS_ENDPOINT_URL": api.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    api.answers["GetServerInformation"] = {"Version": "1"}
    assert Client().call("patchwright", "GetServerInformation") == {"Version": "1"}
    assert "Credential=AKIAOFTHESHELL/" in api.headers[0]["Authorization"]
    assert "/site-2/patchwright/" in api.headers[0]["Authorization"]


def test_a_server_in_var_is_found_without_options(api: ApiStub) -> None:
    write_aws_files(Path("var"), api.url)
    api.answers["GetServerInformation"] = {"Version": "1"}
    assert Client().call("patchwright", "GetServerInformation")["Version"] == "1"


def test_the_managed_service_is_never_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(NotConfigured, match="names no server of yours"):
        Client().call("ssm", "SendCommand", DocumentName="AWS-RunPatchBaseline")


def test_a_server_that_is_down_is_named_with_what_starts_it(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        folder = write_aws_files(tmp_path / "d", url)
        with pytest.raises(Unreachable) as failure:
            Client(folder).call("patchwright", "GetServerInformation")
    assert url in str(failure.value)
    assert f"patchwright serve --data-dir {folder}" in str(failure.value)


def test_a_refusal_has_its_code_and_text_and_is_not_repeated(api: ApiStub, data_dir: Path) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("ThrottlingException", "slow down")

    api.answers["CreateAccessKey"] = refuse
    with pytest.raises(ApiError) as failure:
        Client(data_dir).call("patchwright", "CreateAccessKey", UserName="bob")
    assert (failure.value.code, failure.value.message) == ("ThrottlingException", "slow down")
    assert len(api.asked) == 1


def test_a_request_that_the_model_forbids_is_refused_before_it_is_sent(api: ApiStub, data_dir: Path) -> None:
    with pytest.raises(ApiError, match="ValidationException"):
        Client(data_dir).call("ssm", "DescribeInstanceInformation", MaxResults="many")
    assert not api.asked


def test_pages_are_followed_to_the_end(api: ApiStub, data_dir: Path) -> None:
    def page(request: dict[str, Any]) -> dict[str, Any]:
        start = int(request.get("NextToken", "0"))
        more = {"NextToken": str(start + 2)} if start < 4 else {}
        return {"AccessKeys": [{"AccessKeyId": f"K{i}"} for i in (start, start + 1)], **more}

    api.answers["ListAccessKeys"] = page
    keys = Client(data_dir).pages("patchwright", "ListAccessKeys", "AccessKeys", MaxResults=2)
    assert [k["AccessKeyId"] for k in keys] == ["K0", "K1", "K2", "K3", "K4", "K5"]
    assert {r["MaxResults"] for r in api.requests("ListAccessKeys")} == {2}
