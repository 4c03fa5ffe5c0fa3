"""Requests that botocore signs are accepted; the same with anything changed are refused.

Source: spec/operations.md 1.3, 1.4.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from patchwright.wire import errors
from patchwright.wire.canonical import SignedRequest
from patchwright.wire.sigv4 import parse_authorization, verify

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime.now(UTC).replace(microsecond=0)  # botocore signs with the real clock
HOST = "ssm.example.internal:8443"
MISMATCH = "The request signature we calculated does not match the signature you provided."


def signed(
    *,
    token=None,
    body=b'{"Name":"x"}',
    url=f"https://{HOST}/",
    service="ssm",
    region="local-1",
    method="POST",
    extra=(),
):
    """Headers (lower-case) as botocore signs them, Host included as an HTTP client adds it."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonSSM.CreatePatchBaseline",
        **dict(extra),
    }
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    SigV4Auth(Credentials(KEY, SECRET, token), service, region).add_auth(request)
    return {"host": HOST, **{name.lower(): value for name, value in request.headers.items()}}


def arrived(headers, body=b'{"Name":"x"}', query="", path="/", method="POST"):
    pairs = headers.items() if isinstance(headers, dict) else headers
    return SignedRequest.of(method, path, query, [(n.encode(), v.encode()) for n, v in pairs], body)


@pytest.fixture(autouse=True)
def the_time_of_the_test(monkeypatch):
    """A request is good for five minutes, and the file may have been read longer ago than that."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC).replace(microsecond=0))


def check(request, *, service="ssm", now=None, secret=SECRET, **options):
    claim = parse_authorization(request)
    verify(request, claim, secret, service=service, now=now or NOW, **options)
    return claim


def refusal(request_or_call, error, **options):
    with pytest.raises(error) as caught:
        request = request_or_call() if callable(request_or_call) else request_or_call
        check(request, **options)
    assert caught.value.status == 400
    return caught.value.message


def test_what_botocore_signs_is_accepted_and_read():
    claim = check(arrived(signed()))
    assert (claim.access_key_id, claim.region, claim.service) == (KEY, "local-1", "ssm")
    assert claim.signed_headers == ("content-type", "host", "x-amz-date", "x-amz-target")
    assert not claim.by_node_key
    assert check(arrived(signed(token="a-session-token"))).signed_headers[-2:] == (
        "x-amz-security-token",
        "x-amz-target",
    )
    assert check(arrived(signed(region="eu-central-1"))).region == "eu-central-1"


def test_the_published_example_of_the_algorithm_is_accepted():
    """From the public documentation of Signature Version 4 (the `get-vanilla-query-order-key-case` test)."""
    headers = {
        "host": "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    }
    request = arrived(headers, body=b"", query="Param2=value2&Param1=value1", method="GET")
    check(
        request,
        secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        service="service",
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"Name":"y"}'},
        {"body": b""},
        {"method": "PUT"},
        {"path": "/x"},
        {"query": "a=b"},
        {"host": "ssm.example.internal"},
        {"host": "ssm.example.internal:8444"},
        {"host": "evil.example:8443"},
        {"x-amz-target": "AmazonSSM.DeletePatchBaseline"},
        {"content-type": "text/plain"},
    ],
)
def test_anything_changed_is_a_mismatch(change):
    headers = signed()
    parts = {name: change.pop(name) for name in ("body", "method", "path", "query") if name in change}
    assert refusal(arrived({**headers, **change}, **parts), errors.InvalidSignatureError).startswith(MISMATCH)


def test_another_secret_or_a_changed_signature_is_a_mismatch():
    headers = signed()
    assert refusal(arrived(headers), errors.InvalidSignatureError, secret="other").startswith(MISMATCH)
    signature = re.search("Signature=(.*)", headers["authorization"])[1]
    for other in (
        signature[:-1] + ("0" if signature[-1] != "0" else "1"),
        signature[:-1],
        signature.upper() + "G",
        "x",
    ):
        changed = {**headers, "authorization": headers["authorization"].replace(signature, other)}
        assert refusal(arrived(changed), errors.InvalidSignatureError).startswith(MISMATCH)


def test_a_scope_for_another_region_or_key_than_was_signed_is_a_mismatch():
    headers = signed()
    moved = {**headers, "authorization": headers["authorization"].replace("/local-1/", "/local-2/")}
    assert refusal(arrived(moved), errors.InvalidSignatureError).startswith(MISMATCH)


def test_a_scope_for_another_service_or_day_is_named():
    assert "correct service: 'ssm'" in refusal(arrived(signed(service="ec2messages")), errors.InvalidSignatureError)
    check(arrived(signed(service="ec2messages")), service=None)
    headers = signed()
    day = headers["x-amz-date"][:8]
    other = {**headers, "authorization": headers["authorization"].replace(f"/{day}/", "/20200101/")}
    assert f"'20200101' != '{day}'" in refusal(arrived(other), errors.InvalidSignatureError)


def test_clocks_may_differ_by_five_minutes_and_no_second_more():
    request = arrived(signed())
    stamp = parse_authorization(request).signed_at
    for seconds in (-300, 300):
        check(request, now=stamp + timedelta(seconds=seconds))
    late, early = stamp + timedelta(seconds=301), stamp - timedelta(seconds=301)

    def text(moment):
        return moment.strftime("%Y%m%dT%H%M%SZ")

    assert refusal(request, errors.InvalidSignatureError, now=late) == (
        f"Signature expired: {text(stamp)} is now earlier than {text(stamp + timedelta(seconds=1))} "
        f"({text(late)} - 5 min.)"
    )
    assert refusal(request, errors.InvalidSignatureError, now=early) == (
        f"Signature not yet current: {text(stamp)} is still later than {text(stamp - timedelta(seconds=1))} "
        f"({text(early)} + 5 min.)"
    )
    check(request, now=late, tolerance=timedelta(minutes=15))


def test_the_clock_is_checked_before_the_signature():
    headers = {**signed(), "x-amz-target": "other"}
    late = NOW + timedelta(hours=1)
    assert refusal(arrived(headers), errors.InvalidSignatureError, now=late).startswith("Signature expired")


def test_blanks_around_and_inside_values_do_not_matter():
    headers = signed(extra={"X-Amz-Meta": "a   b"}.items())
    assert "x-amz-meta" in headers["authorization"]
    check(arrived({**headers, "x-amz-meta": "  a b\t "}))
    assert refusal(arrived({**headers, "x-amz-meta": "ab"}), errors.InvalidSignatureError).startswith(MISMATCH)


def test_a_header_sent_twice_counts_in_order_and_a_decisive_one_is_refused():
    headers = signed(extra={"X-Other": "a,b"}.items())
    assert "x-other" in headers["authorization"]
    both = [*((n, v) for n, v in headers.items() if n != "x-other"), ("x-other", "a"), ("X-Other", " b")]
    check(arrived(both))
    for name in ("host", "authorization", "x-amz-date", "x-amz-target"):
        message = refusal(lambda n=name: arrived([*headers.items(), (n, headers[n])]), errors.IncompleteSignatureError)
        assert message == f"The header '{name}' must be sent only once."


def test_no_authorization_at_all():
    headers = signed()
    del headers["authorization"]
    assert refusal(arrived(headers), errors.MissingAuthenticationTokenError) == "Missing Authentication Token"
    assert refusal(arrived({}), errors.MissingAuthenticationTokenError) == "Missing Authentication Token"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (r"AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", "must begin with 'AWS4-HMAC-SHA256'"),
        (r"AWS4.*", "Bearer abc", "must begin with 'AWS4-HMAC-SHA256'"),
        (r"Credential=[^,]*, ", "", "requires 'Credential' parameter."),
        (r"Signature=.*", "Signature=", "requires 'Signature' parameter."),
        (r" .*", "", "requires 'Credential' parameter. Authorization header requires 'Signature' parameter."),
        (r"SignedHeaders=", "signedheaders=", "requires 'SignedHeaders' parameter."),
        (r"Signature=", "Signature=x, Signature=", "has 'Signature' more than once"),
        (r"/aws4_request", "", "exactly 5 slash-delimited elements"),
        (r"/aws4_request", "/aws5_request", "valid terminator: 'aws4_request'"),
        (r"/local-1/", "/local 1/", "valid region"),
        (r"/local-1/", "//", "valid region"),
        (r"/ssm/", "//", "scoped to a service"),
        (r"EXAMPLE/\d{8}/", "EXAMPLE/2024-01-01/", "YYYYMMDD"),
        (r"=AKIA[^/]*", "=a'b", "access key id"),
        (r"content-type;host", "host;content-type", "must be sorted"),
        (r"content-type;host", "host;host", "must be sorted"),
        (r"content-type;host", "Content-Type;host", "lower-case header names"),
        (r"content-type;host", "content-type", "'host' must be a 'SignedHeader'"),
        (r";x-amz-date", "", "'x-amz-date' must be a 'SignedHeader'"),
        (r";x-amz-target", "", "'x-amz-target' must be a 'SignedHeader'"),
        (r"Signature=", "Signature=" + "0" * 5000, "too long"),
        (r"Signature=", "Signature=é", "other than ASCII"),
    ],
)
def test_a_malformed_authorization_says_what_is_wrong(old, new, said):
    headers = signed()
    headers["authorization"] = re.sub(old, new, headers["authorization"], count=1)
    assert said in refusal(arrived(headers), errors.IncompleteSignatureError)


def test_a_session_token_must_be_signed():
    assert "'x-amz-security-token' must be a 'SignedHeader'" in refusal(
        arrived({**signed(), "x-amz-security-token": "stolen"}), errors.IncompleteSignatureError
    )


def test_a_signed_header_that_did_not_arrive_is_named():
    headers = signed()
    del headers["content-type"]
    assert refusal(arrived(headers), errors.InvalidSignatureError) == (
        "'content-type' is named in 'SignedHeaders' but was not received."
    )


@pytest.mark.parametrize("date", ["", "now", "20240101", "20240101T000000", "20241301T000000Z", "２0240101T000000Z"])
def test_a_date_that_is_none(date):
    headers = {**signed(), "x-amz-date": date}
    refusal(arrived(headers), errors.IncompleteSignatureError)


def by_hand(names, stamp):
    """An Authorization for headers that no SDK signs this way any more, written apart from the code under test."""
    scope = f"{stamp[:8]}/local-1/ssm/aws4_request"
    signed_names = ";".join(sorted(names))
    lines = [f"{name}:{names[name]}" for name in sorted(names)]
    canonical = "\n".join(["POST", "/", "", *lines, "", signed_names, hashlib.sha256(b"").hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={KEY}/{scope},SignedHeaders={signed_names},Signature={signature}"


def dated(date, **changes):
    stamp = NOW.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": HOST, "date": date}
    return arrived({**headers, "authorization": by_hand(headers, stamp), **changes}, body=b"")


def test_the_date_header_may_stand_in():
    for date in (format_datetime(NOW, usegmt=True), NOW.strftime("%Y%m%dT%H%M%SZ"), format_datetime(NOW)):
        check(dated(date))
        check(dated(date.replace("+0000", "-0000")))
    assert refusal(dated("soon"), errors.IncompleteSignatureError) == "The Date header is not a date."


def test_a_request_without_a_signed_date_is_refused():
    stamp = NOW.strftime("%Y%m%dT%H%M%SZ")
    unsigned = by_hand({"host": HOST}, stamp)
    message = refusal(dated(stamp, authorization=unsigned), errors.IncompleteSignatureError)
    assert message == "'date' must be a 'SignedHeader' in the AWS Authorization."
    message = refusal(arrived({"host": HOST, "authorization": unsigned}), errors.IncompleteSignatureError)
    assert message == "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."


def test_a_stated_body_hash_must_be_true():
    headers = signed()
    check(arrived({**headers, "x-amz-content-sha256": hashlib.sha256(b'{"Name":"x"}').hexdigest()}))
    for wrong in ("UNSIGNED-PAYLOAD", hashlib.sha256(b"").hexdigest()):
        message = refusal(arrived({**headers, "x-amz-content-sha256": wrong}), errors.InvalidSignatureError)
        assert "X-Amz-Content-Sha256" in message


def test_presigned_requests_are_refused():
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
    assert "Presigned" in refusal(arrived({"host": HOST}, query=query), errors.IncompleteSignatureError)
    assert "Presigned" in refusal(arrived(signed(), query=query), errors.IncompleteSignatureError)


def test_the_push_channels_upgrade_request_is_verified():
    """A GET with a path and a query and no body. Source: spec/agent-protocol.md 3.1 and 7.1."""
    path, query = "/v1/control-channel/mi-0a1b2c3d4e5f60718", "role=subscribe&stream=input"
    headers = signed(method="GET", url=f"https://{HOST}{path}?{query}", body=b"", service="ssmmessages")
    check(arrived(headers, body=b"", path=path, query=query, method="GET"), service="ssmmessages")
    check(
        arrived(headers, body=b"", path=path, query="stream=input&role=subscribe", method="GET"), service="ssmmessages"
    )
    stolen = arrived(headers, body=b"", path=path.replace("8", "9"), query=query, method="GET")
    assert refusal(stolen, errors.InvalidSignatureError, service="ssmmessages").startswith(MISMATCH)
