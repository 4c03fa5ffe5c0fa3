"""The agent that nodes update to: its version, hash and signature, at /agent/patchwright-agent.json.

Nodes keep the key when they register, and take no agent afterwards that this key has not signed. The key is made once
for the database, sealed with the master key, so that all processes of a server sign alike. Source: decisions.md 20.
"""

import base64
import hashlib
import re
import zipfile
from pathlib import Path
from threading import Lock
from typing import Any

from patchwright.server.secrets import Sealer
from patchwright.server.worker_artifact import SALT_BYTES, signing_key
from patchwright.store.engine import Engine

_VERSION = re.compile(rb'^__version__ = "([0-9A-Za-z.+-]{1,40})"$', re.MULTILINE)


def signed_text(version: str, sha256: str) -> bytes:
    """What the signature is over: the purpose, the version and the hash, each on a line."""
    return f"patchwright-agent\n{version}\n{sha256}\n".encode()


class AgentArtefact:
    """The zipapp in `file`, which may be replaced while the server runs."""

    def __init__(self, file: Path | None, store: Engine, sealer: Sealer) -> None:
        self._file = file
        self._store = store
        self._sealer = sealer
        self._lock = Lock()
        self._made_of: tuple[int, int] | None = None
        self._manifest: dict[str, Any] = {}

    def manifest(self) -> dict[str, Any] | None:
        """Version, Size, Sha256, Signature and PublicKey (base64; DER SubjectPublicKeyInfo); None without an agent."""
        if self._file is None or not self._file.is_file():
            return None
        with self._lock:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._made_of:
                self._manifest = self._signed(self._file)
                self._made_of = stamp
            return self._manifest

    def _signed(self, file: Path) -> dict[str, Any]:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        content = file.read_bytes()
        version, sha256 = _version_of(file), hashlib.sha256(content).hexdigest()
        key = signing_key(self._store, self._sealer)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=SALT_BYTES)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {
            "Version": version,
            "Size": len(content),
            "Sha256": sha256,
            "Signature": base64.b64encode(key.sign(signed_text(version, sha256), pss, hashes.SHA256())).decode(),
            "PublicKey": base64.b64encode(public).decode(),
        }


def _version_of(file: Path) -> str:
    """The version that the agent itself tells. A file that is no agent of ours has none: nodes refuse it."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = _VERSION.search(archive.read("patchwright_agent/__init__.py"))
    except (zipfile.BadZipFile, KeyError):
        return ""
    return found[1].decode() if found else ""
