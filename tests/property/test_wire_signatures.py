"""Whatever botocore signs is accepted, and a flipped bit anywhere that counts is refused."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.wire.canonical import SignedRequest
from patchwright.wire.errors import InvalidSignatureError, UnrecognizedClientError, WireError
from patchwright.wire.sigv4 import parse_authorization, verify
from patchwright.wire.tokens import InvalidTokenError, seal, unseal

KEY = "AKIAIOSFODNN7EXAMPLE"
often = settings(max_examples=150, deadline=None, derandomize=True)
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
REGIONS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


def sign(body, region, secret, extra, path, query):
    url = f"https://host.example:8443{quote(path)}"
    if query:
        url += "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    headers = {"X-Amz-Target": "AmazonSSM.X", **{f"X-E-{name}": value for name, value in extra.items()}}
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    SigV4Auth(Credentials(KEY, secret, None), "ssm", region).add_auth(request)
    # As they go over the network: names in any case, values without blanks at their ends.
    sent = [(b"host", b"host.example:8443")]
    sent += [(name.encode(), value.strip().encode()) for name, value in request.headers.items()]
    return sent, url


def accepts(sent, body, url, secret):
    path, _, query = url.removeprefix("https://host.example:8443").partition("?")
    arrived = SignedRequest.of("POST", path, query, sent, body)
    claim = parse_authorization(arrived)
    verify(arrived, claim, secret, service="ssm", now=datetime.now(UTC))
    return claim


@often
@given(
    st.binary(max_size=64),
    REGIONS,
    st.text(min_size=1, max_size=40),
    st.dictionaries(NAMES, VISIBLE, max_size=3),
    st.text("abc/-_.~ %é", max_size=10).map(lambda tail: "/" + tail.replace("//", "/").replace(".", "d").strip("/")),
    st.dictionaries(NAMES, VISIBLE, max_size=3),
)
def test_what_botocore_signs_is_accepted(body, region, secret, extra, path, query):
    sent, url = sign(body, region, secret, extra, path, query)
    accepts(sent, body, url, secret)


@often
@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_flipped_bit_is_refused(body, data):
    sent, url = sign(body, "local-1", "secret", {"thing": "value"}, "/", {})
    where = data.draw(st.sampled_from(["body", *(name for name, _ in sent if name.lower() != b"x-amz-content-sha256")]))
    if where == "body":
        body = flipped(body, data)
    else:
        sent = [(name, flipped(value, data) if name == where else value) for name, value in sent]
    with pytest.raises(WireError) as caught:
        claim = accepts(sent, body, url, "secret")
        # The key's name is what its secret was looked up by, so here it is looked up as it would be.
        if claim.access_key_id != KEY:
            raise UnrecognizedClientError
    assert where != "body" or isinstance(caught.value, InvalidSignatureError)


def flipped(value, data):
    position = data.draw(st.integers(0, len(value) - 1))
    bit = 1 << data.draw(st.integers(0, 6))
    changed = bytearray(value)
    changed[position] ^= bit
    # A blank more or less at either end or beside another is not a change: canonical values are trimmed.
    return bytes(changed) if bytes(changed).split() != value.split() else value + b"x"


@often
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    st.binary(max_size=8),
    st.binary(min_size=32, max_size=32),
)
def test_a_sealed_value_comes_back_for_its_key_and_context_only(value, context, key):
    token = seal(key, value, context)
    assert unseal(key, token, context) == value
    for other_key, other_context in ((key, context + b"x"), (bytes(byte ^ 1 for byte in key), context)):
        with pytest.raises(InvalidTokenError):
            unseal(other_key, token, other_context)
