"""Who this node is: the result of a registration, in one file that is replaced as a whole."""

import base64
import os
import re

from patchwright_agent.daemon import storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from patchwright_agent.daemon import crypto

INSTANCE_ID = re.compile(r"[A-Za-z0-9_-]{10,124}\Z")  # also part of path names and message ids: no dot, no slash
REGION = re.compile(r"[A-Za-z0-9-]{1,100}\Z")
_VERSION = 1


class NotRegistered(Exception):
    """There is no identity here, or it can't be read; the message says what to do."""


class Identity:
    """A registered node. `private_key` is PKCS#1 DER; `ca_file` is "" where the system's store is trusted."""

    __slots__ = ("ca_file", "fingerprint", "insecure_http", "instance_id", "private_key", "region", "server")

    def __init__(
        self,
        instance_id: str,
        region: str,
        server: str,
        ca_file: str,
        insecure_http: bool,
        private_key: bytes,
        fingerprint: str,
    ) -> None:
        if not INSTANCE_ID.match(instance_id) or not REGION.match(region):
            raise ValueError("the node id or the region has a form that this agent does not accept")
        self.instance_id = instance_id
        self.region = region
        self.server = server
        self.ca_file = ca_file
        self.insecure_http = insecure_http
        self.private_key = private_key
        self.fingerprint = fingerprint

    def key(self) -> "crypto.PrivateKey":
        """The registration key. Raises NotRegistered when it's damaged."""
        from patchwright_agent.daemon import crypto  # once an hour at most, so not at start

        try:
            return crypto.load_private_key(self.private_key)
        except crypto.CryptoError as error:
            raise NotRegistered("the registration key is damaged (%s); register this node again with --force" % error)


def exists(state_dir: str) -> bool:
    return os.path.exists(_path(state_dir))


def save(state_dir: str, identity: Identity) -> None:
    """Raises StorageError; the old identity is intact then."""
    storage.write_json(
        _path(state_dir),
        {
            "version": _VERSION,
            "instance_id": identity.instance_id,
            "region": identity.region,
            "server": identity.server,
            "ca_file": os.path.basename(identity.ca_file),
            "insecure_http": identity.insecure_http,
            "private_key": base64.b64encode(identity.private_key).decode("ascii"),
            "fingerprint": identity.fingerprint,
        },
    )


def load(state_dir: str) -> Identity:
    """Raises NotRegistered."""
    try:
        stored = storage.read_json(_path(state_dir))
    except storage.StorageError as error:
        raise NotRegistered("%s; restore the file, or register this node again with --force" % error)
    if stored is None:
        raise NotRegistered("this node is not registered (no identity in %s); run `register` first" % state_dir)
    try:
        ca_name = os.path.basename(stored["ca_file"])
        return Identity(
            instance_id=stored["instance_id"],
            region=stored["region"],
            server=stored["server"],
            ca_file=os.path.join(state_dir, ca_name) if ca_name else "",
            insecure_http=stored["insecure_http"] is True,
            private_key=base64.b64decode(stored["private_key"]),
            fingerprint=stored["fingerprint"],
        )
    except (KeyError, TypeError, ValueError):
        raise NotRegistered("%s is damaged; restore it, or register this node again with --force" % _path(state_dir))


def _path(state_dir: str) -> str:
    return os.path.join(state_dir, "registration.json")
