"""The master key, and what is sealed with it at rest. Source: decisions.md 23."""

import hashlib
import hmac
import os
from pathlib import Path

KEY_BYTES = 32
_NONCE_BYTES = 12


class WrongKey(Exception):
    """The master key is not the one that this database was made with. Nothing was changed."""


def load_master_key(path: Path, *, make: bytes | None) -> bytes:
    """The key in `path` (hex, mode 0600). Written from `make` when the file is absent and `make` is given."""
    if not path.exists():
        if make is None:
            raise WrongKey(f"the key file {path} does not exist; bring back the file that this database was made with")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise WrongKey(f"the key file {path} can be read by others: chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise WrongKey(f"the key file {path} does not hold {KEY_BYTES} bytes in hex; bring back the right file")
    return key


def check_value(master_key: bytes) -> str:
    """What the database keeps to recognise its key; says nothing about the key itself."""
    return hmac.digest(master_key, b"patchwright check value", "sha256").hex()


class Sealer:
    """Seals small secrets with AES-256-GCM, bound to what they belong to."""

    def __init__(self, master_key: bytes) -> None:
        # Imported here: a server start pays for it once, other commands never.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(hashlib.sha256(b"patchwright at rest" + master_key).digest())

    def seal(self, secret: str, *, bound_to: str) -> bytes:
        """Encrypt `secret`; it opens only under the same `bound_to`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> str:
        """Raises WrongKey when it was sealed with another key or for something else."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode()).decode()
        except InvalidTag as wrong:
            raise WrongKey("a sealed secret does not open with this master key") from wrong
