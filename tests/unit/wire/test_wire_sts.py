"""GetCallerIdentity as botocore asks and reads it. Source: spec/client-expectations.md, spec/operations.md 1.3."""

from urllib.parse import urlencode

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from patchwright.wire import errors, sts


@pytest.fixture(scope="module")
def model():
    return botocore.session.Session().get_service_model("sts").operation_model("GetCallerIdentity")


def test_what_botocore_sends_is_understood(model):
    request = create_serializer("query").serialize_to_request({}, model)
    sts.parse_call(urlencode(request["body"]).encode())
    sts.parse_call(b"Version=2011-06-15&Action=GetCallerIdentity")


def test_what_is_answered_is_read_by_botocore(model):
    body = sts.render_identity(
        arn="arn:aws:iam::000000000001:user/a&b<c>", user_id="AKIA", account="000000000001", request_id="r-1"
    )
    response = {"status_code": 200, "headers": {}, "body": body}
    assert create_parser("query").parse(response, model.output_shape) == {
        "Arn": "arn:aws:iam::000000000001:user/a&b<c>",
        "UserId": "AKIA",
        "Account": "000000000001",
        "ResponseMetadata": {"RequestId": "r-1", "HTTPStatusCode": 200, "HTTPHeaders": {}},
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=AssumeRole&Version=2011-06-15", "InvalidAction"),
        (b"Action=GetCallerIdentity&Version=1", "InvalidAction"),
        (b"Version=2011-06-15", "InvalidAction"),
        (b"", "InvalidAction"),
        (b"{}", "MalformedQueryString"),
        (b"\xff=1", "MalformedQueryString"),
        (b"Action=" + b"x" * 5000, "MalformedQueryString"),
        (b"&".join(b"a%d=1" % n for n in range(100)), "MalformedQueryString"),
    ],
)
def test_anything_else_is_refused(body, code):
    with pytest.raises(errors.WireError) as caught:
        sts.parse_call(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.InvalidSignatureError("<no>"), "SignatureDoesNotMatch", 403),
        (errors.UnrecognizedClientError(), "InvalidClientTokenId", 403),
        (errors.ExpiredTokenError(), "ExpiredToken", 403),
        (errors.MissingAuthenticationTokenError(), "MissingAuthenticationToken", 403),
        (errors.WireError("InvalidAction", "no"), "InvalidAction", 400),
        (errors.InternalServerError("r-1"), "InternalFailure", 500),
    ],
)
def test_errors_have_the_query_protocols_names(model, error, code, status):
    answered, body = sts.render_error(error, "r-1")
    parsed = create_parser("query").parse({"status_code": answered, "headers": {}, "body": body}, model.output_shape)
    assert (answered, parsed["Error"]["Code"], parsed["Error"]["Message"]) == (status, code, error.message)
    assert parsed["ResponseMetadata"]["RequestId"] == "r-1"
