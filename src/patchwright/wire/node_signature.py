"""The signature of a node's registration key: looks like SigV4, but is RSA.

Source: spec/agent-protocol.md 3.2. `cryptography` is imported inside the functions: it takes tens of milliseconds, and
a server whose nodes hold fresh credentials does not need it.
"""

from __future__ import annotations

import binascii
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from patchwright.wire.canonical import SignedRequest, string_to_sign
from patchwright.wire.errors import InvalidSignatureError
from patchwright.wire.sigv4 import CLOCK_TOLERANCE, MISMATCH, Authorization, check_scope_and_clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_KEY_BITS, MAX_KEY_BITS = 2048, 4096
"""The agent makes 2048 bits. Larger than 4096 would only make verification slow."""

MAX_KEY_BYTES = 1024  # a key of 4096 bits in DER has 550


class UnusableKeyError(ValueError):
    """A public key that no node may register: the message says what is wrong with it."""


def load_public_key(key: bytes) -> RSAPublicKey:
    """Read a node's public key, DER SubjectPublicKeyInfo. Raises UnusableKeyError unless it is RSA of a sane size."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if len(key) > MAX_KEY_BYTES:
        raise UnusableKeyError(f"The public key has more than {MAX_KEY_BYTES} bytes.")
    try:
        loaded = load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKeyError("The public key is not DER SubjectPublicKeyInfo.") from None
    if not isinstance(loaded, RSAPublicKey):
        raise UnusableKeyError("The public key must be an RSA key.")
    if not MIN_KEY_BITS <= loaded.key_size <= MAX_KEY_BITS:
        raise UnusableKeyError(f"The RSA key must have {MIN_KEY_BITS} to {MAX_KEY_BITS} bits, not {loaded.key_size}.")
    return loaded


def verify_node(
    request: SignedRequest,
    authorization: Authorization,
    public_key: bytes,
    *,
    service: str | None,
    now: datetime,
    tolerance: timedelta = CLOCK_TOLERANCE,
) -> None:
    """Raise InvalidSignatureError unless the holder of the node's key signed `request` for `service` around `now`.

    `public_key` is the registered key, DER SubjectPublicKeyInfo. The signature is RSASSA-PSS with SHA-256, MGF1 and a
    salt of 32 bytes over the very string that SigV4 signs, as standard base64.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    check_scope_and_clock(authorization, service, now, tolerance)
    text = string_to_sign(request, authorization.signed_headers, authorization.amz_date, authorization.scope)
    try:
        signature = binascii.a2b_base64(authorization.signature, strict_mode=True)
        load_public_key(public_key).verify(signature, text, PSS(mgf=MGF1(SHA256()), salt_length=32), SHA256())
    except (InvalidSignature, ValueError):
        raise InvalidSignatureError(MISMATCH) from None
