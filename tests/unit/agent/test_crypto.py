"""The agent's own RSA against `cryptography`, both ways. Sources: RFC 8017; spec/agent-protocol.md 3.2 and 4.1."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from patchwright_agent.daemon import crypto

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
MESSAGES = (b"", b"AWS4-HMAC-SHA256\n20300102T030405Z\n", b"\x00\xff" * 4000)


@pytest.fixture(scope="module")
def own_key() -> crypto.PrivateKey:
    return crypto.generate_key()


@pytest.fixture(scope="module")
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def der_of(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def test_a_generated_key_is_accepted_by_cryptography_as_the_same_key(own_key: crypto.PrivateKey) -> None:
    loaded = load_der_private_key(crypto.private_key_der(own_key), None)  # checks that the numbers are consistent
    assert isinstance(loaded, rsa.RSAPrivateKey)
    assert loaded.key_size == 2048
    assert loaded.private_numbers().public_numbers.e == 65537
    public = loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert crypto.public_key_der(own_key) == public
    assert len(base64.b64encode(public)) == 392


def test_a_generated_key_has_far_apart_primes_and_a_long_exponent(own_key: crypto.PrivateKey) -> None:
    assert abs(own_key.p - own_key.q) > 2**924
    assert own_key.d > 2**1024
    assert own_key.p.bit_length() == own_key.q.bit_length() == 1024


@pytest.mark.parametrize("message", MESSAGES)
def test_own_signatures_verify_with_cryptography(own_key: crypto.PrivateKey, message: bytes) -> None:
    public_key = load_der_public_key(crypto.public_key_der(own_key))
    assert isinstance(public_key, rsa.RSAPublicKey)
    public_key.verify(crypto.sign_pss(own_key, message), message, PSS, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public_key.verify(crypto.sign_pss(own_key, message + b"x"), message, PSS, hashes.SHA256())


@pytest.mark.parametrize("message", MESSAGES)
def test_signatures_of_cryptography_verify_here(other_key: rsa.RSAPrivateKey, message: bytes) -> None:
    n = other_key.public_key().public_numbers().n
    signature = other_key.sign(message, PSS, hashes.SHA256())
    assert crypto.verify_pss(n, message, signature)
    assert not crypto.verify_pss(n, message + b"x", signature)


def test_damaged_signatures_do_not_verify(own_key: crypto.PrivateKey) -> None:
    signature = crypto.sign_pss(own_key, b"message")
    for position in (0, 100, 255):
        damaged = bytearray(signature)
        damaged[position] ^= 1
        assert not crypto.verify_pss(own_key.n, b"message", bytes(damaged))
    for other in (b"", signature[:-1], signature + b"\0", b"\xff" * 256, b"\0" * 256):
        assert not crypto.verify_pss(own_key.n, b"message", other)


def test_another_salt_length_does_not_verify(other_key: rsa.RSAPrivateKey) -> None:
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=20)
    signature = other_key.sign(b"message", scheme, hashes.SHA256())
    assert not crypto.verify_pss(other_key.public_key().public_numbers().n, b"message", signature)


def test_each_signature_has_a_salt_of_its_own(own_key: crypto.PrivateKey) -> None:
    assert crypto.sign_pss(own_key, b"message") != crypto.sign_pss(own_key, b"message")


def test_keys_survive_writing_and_reading(own_key: crypto.PrivateKey, other_key: rsa.RSAPrivateKey) -> None:
    assert crypto.private_key_der(crypto.load_private_key(crypto.private_key_der(own_key))) == crypto.private_key_der(
        own_key
    )
    foreign = crypto.load_private_key(der_of(other_key))
    other_key.public_key().verify(crypto.sign_pss(foreign, b"m"), b"m", PSS, hashes.SHA256())


def test_a_faulty_calculation_gives_no_signature_away(own_key: crypto.PrivateKey) -> None:
    faulty = crypto.load_private_key(crypto.private_key_der(own_key))
    faulty.d_p += 2  # as a flipped bit in memory would: such a signature reveals the key
    with pytest.raises(crypto.CryptoError):
        crypto.sign_pss(faulty, b"message")


def test_damaged_keys_are_refused(own_key: crypto.PrivateKey) -> None:
    der = crypto.private_key_der(own_key)
    middle = bytearray(der)
    middle[600] ^= 1
    for damaged in (
        b"",
        der[:-1],
        der[:100],
        der + b"\0",
        bytes(middle),
        b"\x30\x80" + der[4:],
        b"\x30\x84" + b"\xff" * 4,
    ):
        with pytest.raises(crypto.CryptoError):
            crypto.load_private_key(damaged)


def test_a_key_of_another_size_is_refused() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (it is to be refused)
    with pytest.raises(crypto.CryptoError):
        crypto.load_private_key(der_of(small))


@pytest.mark.parametrize(("number", "is_prime"), [(2**127 - 1, True), (2**128 + 51, True), (2**127 + 1, False)])
def test_primes_are_told_from_composites(number: int, is_prime: bool) -> None:
    assert crypto._is_probably_prime(number) is is_prime


def test_carmichael_numbers_are_composite() -> None:
    for number in (561, 41041, 825265, 321197185):
        assert not crypto._is_probably_prime(number)
