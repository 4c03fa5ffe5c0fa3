"""The key by which an installation signs the agent and worker that it serves.

Made once and kept sealed in the store, so that all processes sign with the same one: hosts remember it, and refuse
what another key has signed. Source: design decision 20; decision records 27 and 29.
"""

import base64
from typing import TYPE_CHECKING

from patchwright.server.secrets import Sealer
from patchwright.store import meta
from patchwright.store.engine import Engine, Tx

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_META_KEY = "artefact_key"
KEY_BITS = 2048
SALT_BYTES = 32


def sign(key: "RSAPrivateKey", content: bytes) -> bytes:
    """RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(content, PSS(mgf=MGF1(SHA256()), salt_length=SALT_BYTES), SHA256())


def signing_key(store: Engine, sealer: Sealer) -> "RSAPrivateKey":
    """The installation's key, made at the first call. Not within a transaction: it has its own."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    sealed = store.read(lambda tx: meta.get(tx, _META_KEY))
    if sealed is None:
        made = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        fresh = base64.b64encode(sealer.seal(text, bound_to=_META_KEY)).decode()

        def keep(tx: Tx) -> str:
            """Another process may have been first."""
            kept = meta.get(tx, _META_KEY)
            if kept is None:
                meta.put(tx, _META_KEY, fresh)
            return kept or fresh

        sealed = store.write(keep)
    pem = sealer.open(base64.b64decode(sealed), bound_to=_META_KEY)
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("the signing key of the installation is not an RSA key")
    return key
