"""The RSA form of nodes. Source: spec/agent-protocol.md 3.2."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from patchwright.wire.canonical import SignedRequest
from patchwright.wire.errors import InvalidSignatureError
from patchwright.wire.node_signature import UnusableKeyError, load_public_key, verify_node
from patchwright.wire.sigv4 import parse_authorization

NODE = "mi-0a1b2c3d4e5f60718"
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
BODY = b'{"Fingerprint":"b1c6c0f2-2a0e-4e53-8d8c-3b2f0f7f7d10"}'
TARGET = "AmazonSSM.RequestManagedInstanceRoleToken"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def der(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def request(key, *, salt=32, body=BODY, target=TARGET):
    """Signed as the agent does it, written from the description and apart from the code under test."""
    stamp, scope = "20300102T030405Z", "20300102/lab-1/ssm/aws4_request"
    signed = {
        "content-type": "application/x-amz-json-1.1",
        "host": "ssm.lab.example:8443",
        "x-amz-date": stamp,
        "x-amz-target": target,
    }
    names = ";".join(signed)
    body_hash = hashlib.sha256(body).hexdigest()
    canonical = "POST\n/\n\n" + "".join(f"{n}:{v}\n" for n, v in signed.items()) + f"\n{names}\n{body_hash}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    signature = base64.b64encode(key.sign(text.encode(), pss, hashes.SHA256())).decode()
    return {
        **signed,
        "x-amz-content-sha256": body_hash,
        "authorization": f"AWS4-HMAC-SHA256 Credential={NODE}/{scope}, SignedHeaders={names}, Signature={signature}",
    }


def check(headers, public_key, *, body=BODY, now=NOW, service="ssm"):
    arrived = SignedRequest.of("POST", "/", "", [(n.encode(), v.encode()) for n, v in headers.items()], body)
    claim = parse_authorization(arrived)
    verify_node(arrived, claim, public_key, service=service, now=now)
    return claim


def test_what_a_node_signs_is_accepted(key):
    claim = check(request(key), der(key))
    assert claim.by_node_key
    assert claim.access_key_id == NODE


@pytest.mark.parametrize("change", [{"x-amz-target": "AmazonSSM.Other"}, {"host": "ssm.lab.example"}])
def test_a_changed_request_is_refused(key, change):
    with pytest.raises(InvalidSignatureError, match="does not match"):
        check({**request(key), **change}, der(key))


def test_a_changed_body_another_key_another_salt_another_time_are_refused(key):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for headers, public_key, options in [
        (request(key), der(other), {}),
        (request(key, salt=20), der(key), {}),
        (request(key), der(key), {"body": b"{}"}),
        (request(key), der(key), {"now": NOW + timedelta(minutes=6)}),
        (request(key), der(key), {"service": "ec2messages"}),
        (request(key), b"no key at all", {}),
        ({**request(key), "authorization": request(key)["authorization"][:-8] + "!"}, der(key), {}),
    ]:
        with pytest.raises(InvalidSignatureError):
            check(headers, public_key, **options)


def test_only_rsa_keys_of_a_sane_size_may_be_registered(key):
    assert load_public_key(der(key)).key_size == 2048
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  it is to be refused
    for bad, said in [
        (b"", "not DER"),
        (b"\x30\x00" * 20, "not DER"),
        (b"x" * 2000, "more than 1024 bytes"),
        (der(ec.generate_private_key(ec.SECP256R1())), "must be an RSA key"),
        (der(weak), "2048 to 4096 bits, not 1024"),
    ]:
        with pytest.raises(UnusableKeyError, match=said):
            load_public_key(bad)
