"""The worker that a patch document brings to hosts with another agent: its hash, and a signature of this installation.

The key is made once and kept sealed in the store, so that all processes sign with the same one: hosts remember it, and
refuse a worker that another key has signed. Source: design decision 20; decision record 29.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from patchwright.core.worker_script import worker_environment
from patchwright.server.secrets import Sealer
from patchwright.store import meta
from patchwright.store.engine import Engine, Tx

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_META_KEY = "artefact_key"
KEY_BITS = 2048
SALT_BYTES = 32


def source_of(agent_file: Path | None, store: Engine, sealer: Sealer, *, url: str, ca_sha256: str) -> Mapping[str, str]:
    """The environment by which a step fetches and checks the worker; empty when no agent file is served."""
    if agent_file is None or not agent_file.is_file():
        return {}
    content = agent_file.read_bytes()
    key = signing_key(store, sealer)
    return worker_environment(
        server=url,
        sha256=hashlib.sha256(content).hexdigest(),
        signature=sign(key, content).hex(),
        key=f"{key.public_key().public_numbers().n:x}",
        ca_sha256=ca_sha256,
    )


def sign(key: "RSAPrivateKey", content: bytes) -> bytes:
    """RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(content, PSS(mgf=MGF1(SHA256()), salt_length=SALT_BYTES), SHA256())


def signing_key(store: Engine, sealer: Sealer) -> "RSAPrivateKey":
    """The installation's key for workers, made at the first call."""
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
        raise TypeError("the worker's signing key is not an RSA key")
    return key
