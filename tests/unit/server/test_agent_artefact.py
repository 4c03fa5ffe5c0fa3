"""The agent that a server gives to its nodes: signed by one key of the database, whichever process is asked."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from tools import build_agent

from patchwright.server.agent_artefact import AgentArtefact, signed_text
from patchwright.server.secrets import Sealer, WrongKey
from patchwright.store import meta
from patchwright.store.engine import Engine

SEALER = Sealer(b"k" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    build_agent.build(tmp_path / "agent.pyz")
    return tmp_path / "agent.pyz"


def _verify(manifest: dict[str, Any], text: bytes) -> None:
    key = load_der_public_key(base64.b64decode(manifest["PublicKey"]))
    assert isinstance(key, rsa.RSAPublicKey)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    key.verify(base64.b64decode(manifest["Signature"]), text, pss, hashes.SHA256())


def test_version_hash_and_signature_are_those_of_the_file(store: Engine, file: Path) -> None:
    manifest = AgentArtefact(file, store, SEALER).manifest()
    assert manifest is not None
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (manifest["Version"], manifest["Sha256"], manifest["Size"]) == ("0.1.0", sha256, file.stat().st_size)
    _verify(manifest, signed_text("0.1.0", sha256))
    with pytest.raises(InvalidSignature):
        _verify(manifest, signed_text("0.1.1", sha256))


def test_all_processes_sign_with_one_key_which_is_sealed_at_rest(store: Engine, file: Path) -> None:
    one, other = AgentArtefact(file, store, SEALER).manifest(), AgentArtefact(file, store, SEALER).manifest()
    assert one is not None and other is not None
    assert one["PublicKey"] == other["PublicKey"]
    kept = store.read(lambda tx: meta.get(tx, "artefact_key")) or ""
    assert b"PRIVATE" not in base64.b64decode(kept)
    with pytest.raises(WrongKey):
        AgentArtefact(file, store, Sealer(b"x" * 32)).manifest()


def test_a_new_file_is_signed_anew_and_no_file_is_none(store: Engine, file: Path) -> None:
    artefact = AgentArtefact(file, store, SEALER)
    before = artefact.manifest()
    file.write_bytes(b"no agent at all")
    after = artefact.manifest()
    assert before is not None and after is not None
    assert (after["Version"], after["Size"]) == ("", 15)
    assert after["Sha256"] != before["Sha256"]
    file.unlink()
    assert artefact.manifest() is None
    assert AgentArtefact(None, store, SEALER).manifest() is None


def test_a_worker_is_named_by_the_file_that_is_served_now(store: Engine, file: Path) -> None:
    artefact = AgentArtefact(file, store, SEALER, url="https://x", ca_sha256="ab")
    before = artefact.worker_source()
    file.write_bytes(b"a newer one")
    # Within a transaction of the one writer, where a command is made ready for its node.
    after = store.write(lambda _tx: artefact.worker_source())
    assert (after["PATCHWRIGHT_WORKER_SERVER"], after["PATCHWRIGHT_WORKER_CA_SHA256"]) == ("https://x", "ab")
    assert after["PATCHWRIGHT_WORKER_SHA256"] == hashlib.sha256(b"a newer one").hexdigest()
    assert after["PATCHWRIGHT_WORKER_KEY"] == before["PATCHWRIGHT_WORKER_KEY"]
    key = rsa.RSAPublicNumbers(65537, int(after["PATCHWRIGHT_WORKER_KEY"], 16)).public_key()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    key.verify(bytes.fromhex(after["PATCHWRIGHT_WORKER_SIGNATURE"]), b"a newer one", pss, hashes.SHA256())
    file.unlink()
    assert artefact.worker_source() == AgentArtefact(None, store, SEALER).worker_source() == {}
