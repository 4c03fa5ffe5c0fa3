"""The server's agent is believed only by its signature. Source: design decision 20."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from patchwright_agent.daemon import artefact, crypto

AGENT = b"the agent" * 100
_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def _der(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public


def server(key: Any = _KEYS[0], content: bytes = AGENT, **changes: Any) -> Callable[[str], bytes]:
    """What a server gives for a path; `changes` are made to the manifest after it was signed."""
    sha256 = hashlib.sha256(AGENT).hexdigest()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = key.sign(f"patchwright-agent\n0.2.0\n{sha256}\n".encode(), pss, hashes.SHA256())
    manifest = {
        "Version": "0.2.0",
        "Size": len(AGENT),
        "Sha256": sha256,
        "Signature": base64.b64encode(signature).decode(),
        "PublicKey": base64.b64encode(_der(key)).decode(),
        **changes,
    }
    return {artefact.MANIFEST_PATH: json.dumps(manifest).encode(), artefact.AGENT_PATH: content}.__getitem__


def test_a_signed_agent_is_taken_and_its_key_kept(tmp_path: Path) -> None:
    offered = artefact.offered(server(), str(tmp_path))
    assert (offered.version, artefact.content(server(), offered)) == ("0.2.0", AGENT)
    assert (tmp_path / artefact.KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_another_key_is_not_taken_once_one_is_kept(tmp_path: Path) -> None:
    artefact.keep_key(server(), str(tmp_path))
    with pytest.raises(artefact.Unusable, match="not signed by the key that this node keeps"):
        artefact.offered(server(_KEYS[1]), str(tmp_path))
    assert artefact.offered(server(), str(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"Version": "0.3.0"},
        {"Sha256": "0" * 64},
        {"Sha256": "0" * 63},
        {"Sha256": None},
        {"Version": ""},
        {"Version": "0.2.0\n"},
        {"Version": "ä"},
        {"Signature": "AAAA"},
        {"Signature": "no base64!"},
        {"PublicKey": "AAAA"},
        {"PublicKey": base64.b64encode(_der(ec.generate_private_key(ec.SECP256R1()))).decode()},
        {"PublicKey": base64.b64encode(_der(_KEYS[1])).decode()},
    ],
)
def test_a_changed_manifest_is_not_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(artefact.Unusable):
        artefact.offered(server(**changes), str(tmp_path))


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_not_taken(tmp_path: Path, manifest: bytes) -> None:
    with pytest.raises(artefact.Unusable):
        artefact.offered(lambda _: manifest, str(tmp_path))


@pytest.mark.parametrize("content", [AGENT[:-1], AGENT + b"x", b"X" + AGENT[1:]])
def test_another_file_than_the_signed_one_is_not_taken(tmp_path: Path, content: bytes) -> None:
    offered = artefact.offered(server(), str(tmp_path))
    with pytest.raises(artefact.Unusable, match="not the agent that it has signed"):
        artefact.content(server(content=content), offered)


def test_a_public_key_is_read_as_it_is_written() -> None:
    for key in _KEYS:
        assert crypto.load_public_modulus(_der(key)) == key.public_key().public_numbers().n
    for damaged in (b"", _der(_KEYS[0])[:-3], _der(_KEYS[0])[5:]):
        with pytest.raises(crypto.CryptoError):
            crypto.load_public_modulus(damaged)
