"""The agent that nodes update to, and that hosts with another agent take their worker from, signed.

Its version, hash and signature stand at /agent/patchwright-agent.json; nodes keep the key when they register, and take
no agent afterwards that this key has not signed. A worker's hash and signature come in the environment of the step.
Source: decisions.md 20; decision records 27 and 29.
"""

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from patchwright.core.worker_script import worker_environment
from patchwright.server.artefact_key import sign, signing_key
from patchwright.server.secrets import Sealer
from patchwright.store.engine import Engine

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_VERSION = re.compile(rb'^__version__ = "([0-9A-Za-z.+-]{1,40})"$', re.MULTILINE)


def signed_text(version: str, sha256: str) -> bytes:
    """What the signature is over: the purpose, the version and the hash, each on a line."""
    return f"patchwright-agent\n{version}\n{sha256}\n".encode()


class AgentArtefact:
    """The zipapp in `file`, which may be replaced while the server runs: agent of some hosts, worker of others."""

    def __init__(self, file: Path | None, store: Engine, sealer: Sealer, *, url: str = "", ca_sha256: str = "") -> None:
        self._file = file
        # Here and not later: what is asked for within a transaction can't open another one.
        self._key = signing_key(store, sealer) if file is not None else None
        self._url = url
        self._ca_sha256 = ca_sha256
        self._lock = Lock()
        self._signed_of: tuple[int, int] | None = None
        self._signed: _Signed | None = None

    def manifest(self) -> dict[str, Any] | None:
        """Version, Size, Sha256, Signature and PublicKey (base64; DER SubjectPublicKeyInfo); None without an agent."""
        signed = self._current()
        return None if signed is None else signed.manifest

    def worker_source(self) -> Mapping[str, str]:
        """The environment by which a step fetches and checks its worker; empty without an agent."""
        signed = self._current()
        return {} if signed is None else signed.worker_source

    def _current(self) -> "_Signed | None":
        if self._file is None or self._key is None:
            return None
        with self._lock:
            try:
                status = self._file.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                if stamp != self._signed_of:
                    self._signed = self._sign(self._file, self._key)
                    self._signed_of = stamp
            except FileNotFoundError:
                return None
            return self._signed

    def _sign(self, file: Path, key: "RSAPrivateKey") -> "_Signed":
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        content = file.read_bytes()
        version, sha256 = _version_of(content), hashlib.sha256(content).hexdigest()
        public = key.public_key()
        return _Signed(
            manifest={
                "Version": version,
                "Size": len(content),
                "Sha256": sha256,
                "Signature": base64.b64encode(sign(key, signed_text(version, sha256))).decode(),
                "PublicKey": base64.b64encode(
                    public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                ).decode(),
            },
            worker_source=worker_environment(
                server=self._url,
                sha256=sha256,
                signature=sign(key, content).hex(),
                key=f"{public.public_numbers().n:x}",
                ca_sha256=self._ca_sha256,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    manifest: dict[str, Any]
    worker_source: Mapping[str, str]


def _version_of(content: bytes) -> str:
    """The version that the agent itself tells. A file that is no agent of ours has none: nodes refuse it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = _VERSION.search(archive.read("patchwright_agent/__init__.py"))
    except (zipfile.BadZipFile, KeyError):
        return ""
    return found[1].decode() if found else ""
