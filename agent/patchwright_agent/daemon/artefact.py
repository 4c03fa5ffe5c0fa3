"""The agent that the server has: fetched, and believed only by its signature. Source: design decision 20.

The key is kept when the node registers (or at the first update of a node that registered before there was one), over
the same trusted connection as everything else; afterwards nothing that another key has signed is taken.
"""

import base64
import hashlib
import json
import os

from patchwright_agent.daemon import crypto, storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

    Get = Callable[[str], bytes]

MANIFEST_PATH, AGENT_PATH = "/agent/patchwright-agent.json", "/agent/patchwright-agent.pyz"
KEY_FILE = "artefact-key.json"
_HEX = "0123456789abcdef"


class Unusable(Exception):
    """The server's agent is not taken; the message says why."""


class Artefact:
    """What the server says of its agent, signature verified."""

    __slots__ = ("sha256", "size", "version")

    def __init__(self, version: str, sha256: str, size: int) -> None:
        self.version = version
        self.sha256 = sha256
        self.size = size


def keep_key(get: "Get", state_dir: str) -> None:
    """Keep the server's key if there is none yet. Raises Unusable, StorageError."""
    _key(_manifest(get), state_dir)


def offered(get: "Get", state_dir: str) -> Artefact:
    """The server's agent, its signature verified by the key that is kept. Raises Unusable, StorageError."""
    manifest = _manifest(get)
    version, sha256, size = (manifest.get(name) for name in ("Version", "Sha256", "Size"))
    if not isinstance(version, str) or not version or not isinstance(sha256, str) or not isinstance(size, int):
        raise Unusable("the server's agent has no version, hash or size")
    if len(sha256) != 64 or sha256.strip(_HEX) or len(version) > 40 or not version.isprintable():
        raise Unusable("the server's agent has a malformed version or hash")
    text = "patchwright-agent\n%s\n%s\n" % (version, sha256)
    try:
        signature = base64.b64decode(str(manifest.get("Signature")))
        is_good = crypto.verify_pss(_key(manifest, state_dir), text.encode("ascii"), signature)
    except (ValueError, UnicodeError):
        is_good = False
    if not is_good:
        raise Unusable("the server's agent is not signed by the key that this node keeps; nothing was changed")
    return Artefact(version, sha256, size)


def content(get: "Get", artefact: Artefact) -> bytes:
    """The file itself, its hash verified. Raises Unusable."""
    found = get(AGENT_PATH)
    if len(found) != artefact.size or hashlib.sha256(found).hexdigest() != artefact.sha256:
        raise Unusable("what the server sent is not the agent that it has signed; nothing was changed")
    return found


def _manifest(get: "Get") -> "Dict[str, Any]":
    try:
        value = json.loads(get(MANIFEST_PATH).decode("utf-8"))
    except (ValueError, RecursionError):
        raise Unusable("what the server says of its agent is not JSON")
    if not isinstance(value, dict):
        raise Unusable("what the server says of its agent is not an object")
    return value


def _key(manifest: "Dict[str, Any]", state_dir: str) -> int:
    """The modulus of the key that counts: the one kept, else the one offered, which is kept from now on."""
    path = os.path.join(state_dir, KEY_FILE)
    kept = storage.read_json(path)
    text = manifest.get("PublicKey") if kept is None else kept.get("public_key")
    try:
        modulus = crypto.load_public_modulus(base64.b64decode(str(text)))
    except (ValueError, crypto.CryptoError):
        raise Unusable("the key of the server's agent can't be read")
    if kept is None:
        storage.write_json(path, {"public_key": text})
    return modulus
