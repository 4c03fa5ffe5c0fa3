"""RSA-2048 for the registration key: make one, sign with RSASSA-PSS, read and write DER. Pure Python.

The one exception to "no cryptography of our own": patched hosts offer neither the `cryptography` package nor always an
`openssl` program. So it is small, has one key size and one scheme, and is tested both ways against `cryptography`.
Signatures are made about once an hour. Python's big integers do not take constant time; blinding hides the message and
the private exponent's use from an observer of the timing, and each signature is verified before it leaves (a faulty
calculation with the Chinese remainder theorem would give the key away).
Sources: RFC 8017 (RSA, PSS, MGF1, PKCS#1 keys), RFC 5280 4.1 (SubjectPublicKeyInfo), FIPS 186-5 (primes).
"""

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

KEY_BITS = 2048
PUBLIC_EXPONENT = 65537
SALT_BYTES = 32
MILLER_RABIN_ROUNDS = 40
_HASH_BYTES = 32
_KEY_BYTES = KEY_BITS // 8
_SIEVE_LIMIT = 4000
# AlgorithmIdentifier {rsaEncryption, NULL}, DER
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")


class CryptoError(Exception):
    """A key that can't be read, or a calculation that went wrong; nothing was signed."""


class PrivateKey:
    """An RSA key by its primes; the rest is derived."""

    __slots__ = ("d", "d_p", "d_q", "n", "p", "q", "q_inverse")

    def __init__(self, p: int, q: int) -> None:
        """Raises CryptoError if the product isn't of 2048 bits or the exponent doesn't fit."""
        self.p, self.q = max(p, q), min(p, q)
        self.n = p * q
        if self.n.bit_length() != KEY_BITS or p == q:
            raise CryptoError("the key is not an RSA key of %d bits" % KEY_BITS)
        self.d = _inverse(PUBLIC_EXPONENT, _lcm(p - 1, q - 1))
        self.d_p = self.d % (self.p - 1)
        self.d_q = self.d % (self.q - 1)
        self.q_inverse = _inverse(self.q, self.p)


def generate_key() -> PrivateKey:
    """A new key from the system's random source; takes about a second."""
    while True:
        p, q = _prime(KEY_BITS // 2), _prime(KEY_BITS // 2)
        if abs(p - q).bit_length() <= KEY_BITS // 2 - 100:  # close primes are found by Fermat's method
            continue
        key = PrivateKey(p, q)
        if key.d.bit_length() > KEY_BITS // 2:  # a short exponent is found by continued fractions
            return key


def sign_pss(key: PrivateKey, message: bytes) -> bytes:
    """The 256-byte RSASSA-PSS signature of `message`: SHA-256, MGF1 with SHA-256, a fresh salt of 32 bytes."""
    encoded = int.from_bytes(_pss_encode(message, os.urandom(SALT_BYTES)), "big")
    blinder = _random_below(key.n)
    blinded = encoded * pow(blinder, PUBLIC_EXPONENT, key.n) % key.n
    s_p = pow(blinded % key.p, key.d_p, key.p)
    s_q = pow(blinded % key.q, key.d_q, key.q)
    combined = s_q + key.q * ((s_p - s_q) * key.q_inverse % key.p)
    signature = combined * _inverse(blinder, key.n) % key.n
    if pow(signature, PUBLIC_EXPONENT, key.n) != encoded:
        raise CryptoError("the signature did not verify; it was thrown away (faulty memory or a damaged key)")
    return signature.to_bytes(_KEY_BYTES, "big")


def verify_pss(n: int, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is RSASSA-PSS (as `sign_pss` makes it) of `message` by the key with modulus `n`."""
    number = int.from_bytes(signature, "big")
    if len(signature) != _KEY_BYTES or number >= n or n.bit_length() != KEY_BITS:
        return False
    encoded = pow(number, PUBLIC_EXPONENT, n).to_bytes(_KEY_BYTES, "big")
    masked, digest, trailer = encoded[: -_HASH_BYTES - 1], encoded[-_HASH_BYTES - 1 : -1], encoded[-1:]
    if trailer != b"\xbc" or masked[0] & 0x80:
        return False
    block = bytearray(_xor(masked, _mgf1(digest, len(masked))))
    block[0] &= 0x7F
    padding, salt = bytes(block[: -SALT_BYTES - 1]), bytes(block[-SALT_BYTES:])
    if any(padding) or block[-SALT_BYTES - 1] != 1:
        return False
    return hashlib.sha256(b"\x00" * 8 + hashlib.sha256(message).digest() + salt).digest() == digest


def public_key_der(key: PrivateKey) -> bytes:
    """SubjectPublicKeyInfo of the key's public half."""
    rsa_public_key = _sequence(_integer(key.n) + _integer(PUBLIC_EXPONENT))
    return _sequence(_RSA_ENCRYPTION + _tagged(0x03, b"\x00" + rsa_public_key))


def load_public_modulus(der: bytes) -> int:
    """The modulus of a SubjectPublicKeyInfo, as `public_key_der` writes it. Raises CryptoError."""
    body, _ = _read(der, 0x30)
    if not body.startswith(_RSA_ENCRYPTION):
        raise CryptoError("the public key is not RSA")
    bits, _ = _read(body[len(_RSA_ENCRYPTION) :], 0x03)
    numbers, _ = _read(bits[1:], 0x30)
    modulus, rest = _read(numbers, 0x02)
    exponent, _ = _read(rest, 0x02)
    n = int.from_bytes(modulus, "big")
    if int.from_bytes(exponent, "big") != PUBLIC_EXPONENT or n.bit_length() != KEY_BITS:
        raise CryptoError("the public key is not RSA-%d with exponent %d" % (KEY_BITS, PUBLIC_EXPONENT))
    return n


def private_key_der(key: PrivateKey) -> bytes:
    """PKCS#1 RSAPrivateKey."""
    numbers = (0, key.n, PUBLIC_EXPONENT, key.d, key.p, key.q, key.d_p, key.d_q, key.q_inverse)
    return _sequence(b"".join(_integer(number) for number in numbers))


def load_private_key(der: bytes) -> PrivateKey:
    """Read PKCS#1 RSAPrivateKey, as `private_key_der` writes it. Raises CryptoError unless all of its numbers agree."""
    body, rest = _read(der, 0x30)
    numbers: List[int] = []
    while body:
        content, body = _read(body, 0x02)
        numbers.append(int.from_bytes(content, "big"))
    if rest or len(numbers) != 9 or numbers[0] != 0 or numbers[2] != PUBLIC_EXPONENT:
        raise CryptoError("this is not an RSA private key with exponent %d" % PUBLIC_EXPONENT)
    key = PrivateKey(numbers[4], numbers[5])
    d = numbers[3]
    if numbers[1] != key.n or d % (key.p - 1) != key.d_p or d % (key.q - 1) != key.d_q:
        raise CryptoError("the numbers of the RSA private key do not agree with each other")
    return key


def _pss_encode(message: bytes, salt: bytes) -> bytes:
    digest = hashlib.sha256(b"\x00" * 8 + hashlib.sha256(message).digest() + salt).digest()
    block = b"\x01" + salt
    block = b"\x00" * (_KEY_BYTES - _HASH_BYTES - 1 - len(block)) + block
    masked = bytearray(_xor(block, _mgf1(digest, len(block))))
    masked[0] &= 0x7F  # the encoded message has one bit less than the modulus
    return bytes(masked) + digest + b"\xbc"


def _mgf1(seed: bytes, length: int) -> bytes:
    blocks = (
        hashlib.sha256(seed + counter.to_bytes(4, "big")).digest() for counter in range(-(-length // _HASH_BYTES))
    )
    return b"".join(blocks)[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right))  # noqa: B905 (strict= came with 3.10)


def _small_primes() -> "List[int]":
    composite = bytearray(_SIEVE_LIMIT)
    primes = []
    for number in range(2, _SIEVE_LIMIT):
        if not composite[number]:
            primes.append(number)
            composite[number * number :: number] = b"\x01" * len(range(number * number, _SIEVE_LIMIT, number))
    return primes


def _prime(bits: int) -> int:
    """A random prime with its two top bits set, so that a product of two has exactly twice the bits."""
    small_primes = _small_primes()
    while True:
        candidate = int.from_bytes(os.urandom(bits // 8), "big") | (3 << (bits - 2)) | 1
        if any(candidate % prime == 0 for prime in small_primes) or candidate % PUBLIC_EXPONENT == 1:
            continue
        if _is_probably_prime(candidate):
            return candidate


def _is_probably_prime(candidate: int) -> bool:
    """Miller-Rabin with random bases, for odd candidates above the small primes."""
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(MILLER_RABIN_ROUNDS):
        power = pow(_random_below(candidate), odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True


def _random_below(limit: int) -> int:
    """A uniform number from 2 to limit - 2."""
    while True:
        number = int.from_bytes(os.urandom((limit.bit_length() + 7) // 8), "big") >> (-limit.bit_length() % 8)
        if 2 <= number <= limit - 2:
            return number


def _lcm(a: int, b: int) -> int:
    return a * b // _extended_gcd(a, b)[0]


def _inverse(number: int, modulus: int) -> int:
    divisor, coefficient = _extended_gcd(number % modulus, modulus)
    if divisor != 1:
        raise CryptoError("a number has no inverse; the key is damaged")
    return coefficient % modulus


def _extended_gcd(a: int, b: int) -> "Tuple[int, int]":
    """gcd(a, b), and x with a * x = gcd modulo b."""
    x, next_x = 1, 0
    while b:
        quotient = a // b
        a, b = b, a - quotient * b
        x, next_x = next_x, x - quotient * next_x
    return a, x


def _tagged(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(content: bytes) -> bytes:
    return _tagged(0x30, content)


def _integer(number: int) -> bytes:
    return _tagged(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _read(der: bytes, tag: int) -> "Tuple[bytes, bytes]":
    """Content of the element at the start of `der`, which must have `tag`, and what follows it."""
    if len(der) < 2 or der[0] != tag:
        raise CryptoError("the key's DER encoding is damaged")
    length, start = der[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[2 : 2 + size], "big"), 2 + size
        if not 1 <= size <= 4:
            raise CryptoError("the key's DER encoding is damaged")
    if len(der) < start + length:
        raise CryptoError("the key's DER encoding is cut short")
    return der[start : start + length], der[start + length :]
