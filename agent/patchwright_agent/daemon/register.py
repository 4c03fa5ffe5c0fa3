"""Registration: an activation's id and code, and a new key, against a node id."""

import base64
import hashlib
import os
import time

from patchwright_agent import text
from patchwright_agent.connection import Connection, ConnectionFailed
from patchwright_agent.daemon import backoff, crypto, identity, log, storage
from patchwright_agent.transport import Address, Server, ServerError, Unreachable, tls_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

ATTEMPTS = 4  # with the pauses between them about 8 seconds, as the protocol's reference agent does
PIN_TIMEOUT_SECONDS = 20
MAX_CA_BYTES = 64 * 1024
_RETRIED_CODES = ("TooManyUpdates", "ThrottlingException")


class RegistrationFailed(Exception):
    """Nothing was registered and an earlier identity is intact; the message says why and what to do."""


class Registration:
    """What the operator asked for. `ca_sha256` and `ca_file` exclude each other; else the system's store counts."""

    def __init__(
        self,
        server: str,
        activation_id: str,
        activation_code: str,
        state_dir: str,
        region: str,
        ca_sha256: "Optional[str]" = None,
        ca_file: "Optional[str]" = None,
        insecure_http: bool = False,
        force: bool = False,
        keep: bool = False,
    ) -> None:
        self.server = server
        self.activation_id = activation_id
        self.activation_code = activation_code
        self.state_dir = state_dir
        self.region = region
        self.ca_sha256 = ca_sha256
        self.ca_file = ca_file
        self.insecure_http = insecure_http
        self.force = force
        self.keep = keep


def register(wanted: Registration) -> str:
    """Register this node and store its identity; the node id. Raises RegistrationFailed, StorageError, BadAddress."""
    if not identity.REGION.match(wanted.region):
        raise RegistrationFailed("a region is made of letters, digits and hyphens, at most 100")
    address = Address(wanted.server, wanted.insecure_http)
    state_dir = storage.prepare_dir(wanted.state_dir)
    if identity.exists(state_dir) and wanted.keep:
        kept = _kept(address, state_dir)
        if kept:
            return kept
    elif identity.exists(state_dir) and not wanted.force:
        raise RegistrationFailed(
            "this node is registered already (see %s); --force registers it anew, as another node" % state_dir
        )
    ca_file = _store_ca(wanted, address, state_dir)
    key = crypto.generate_key()
    fingerprint = backoff.uuid4()
    request = {
        "ActivationId": wanted.activation_id,
        "ActivationCode": wanted.activation_code,
        "PublicKey": base64.b64encode(crypto.public_key_der(key)).decode("ascii"),
        "PublicKeyType": "Rsa",
        "Fingerprint": fingerprint,
    }
    try:
        server = Server(address.base_url, ca_file or None, wanted.insecure_http)
    except OSError as error:
        raise RegistrationFailed("the certificate %s is not usable: %s" % (ca_file, error))
    answer = _call_patiently(server, request)
    try:
        registered = identity.Identity(
            instance_id=answer.get("InstanceId", ""),
            region=wanted.region,
            server=address.base_url,
            ca_file=ca_file,
            insecure_http=wanted.insecure_http,
            private_key=crypto.private_key_der(key),
            fingerprint=fingerprint,
        )
    except (TypeError, ValueError):
        raise RegistrationFailed("the server's answer has no usable node id")
    identity.save(state_dir, registered)
    _keep_artefact_key(server, state_dir)
    return registered.instance_id


def _kept(address: Address, state_dir: str) -> str:
    """The node id, if the key here proves it to the server; "" if that node is not registered there any more.

    Only the server that the identity belongs to is asked, over the trust that was stored with it. Whatever else goes
    wrong raises RegistrationFailed: a server that is down must not make a second node of this host.
    """
    from patchwright_agent.daemon import sigv4

    try:
        node = identity.load(state_dir)
        if node.server != address.base_url:
            raise RegistrationFailed(
                "this host is %s of %s; uninstall it first, or register with --force" % (node.instance_id, node.server)
            )
        server = Server(node.server, node.ca_file or None, node.insecure_http)
        for attempt in range(2):
            # A wrong clock makes a bad signature; the refusal's Date has just told the right time.
            now = time.time() + (server.clock_offset or 0.0 if attempt else 0.0)
            sign = sigv4.rsa_signer(node.instance_id, node.key(), node.region, now)
            try:
                server.call("AmazonSSM.RequestManagedInstanceRoleToken", {"Fingerprint": node.fingerprint}, sign=sign)
                return node.instance_id
            except ServerError as error:
                refusal = error
        if refusal.code == "AccessDeniedException":
            log.say("%s is not registered at %s any more; registering anew" % (node.instance_id, node.server))
            return ""
        raise RegistrationFailed("the server did not take the identity in %s: %s" % (state_dir, refusal))
    except (identity.NotRegistered, OSError) as error:
        raise RegistrationFailed("the identity in %s cannot be used: %s; --force replaces it" % (state_dir, error))
    except Unreachable as error:
        raise RegistrationFailed("%s. The identity in %s is kept" % (error.reason, state_dir))


def _keep_artefact_key(server: Server, state_dir: str) -> None:
    """Keep the key that signs the server's agents, in place of an earlier server's.

    A server without an agent to give has no such key; then the first update keeps it.
    """
    from patchwright_agent.daemon import artefact

    try:
        if os.path.exists(os.path.join(state_dir, artefact.KEY_FILE)):
            os.unlink(os.path.join(state_dir, artefact.KEY_FILE))
        artefact.keep_key(server.get, state_dir)
    except (artefact.Unusable, ServerError, Unreachable, OSError, storage.StorageError) as error:
        log.say("the key of the server's agents was not kept: %s; the first update will keep it" % error)


def _call_patiently(server: Server, request: "Dict[str, Any]") -> "Dict[str, Any]":
    for attempt in range(ATTEMPTS):
        try:
            return server.call("AmazonSSM.RegisterManagedInstance", request)
        except ServerError as error:
            problem = "the server refused: %s" % error
            if error.code not in _RETRIED_CODES:
                break
        except Unreachable as error:
            problem = error.reason
            if error.untrusted:
                break
        if attempt < ATTEMPTS - 1:
            log.say("%s; trying again" % problem)
            time.sleep(2**attempt * (1 + 0.5 * backoff.fraction()))
    raise RegistrationFailed("%s. Nothing was registered; an earlier identity, if any, is kept" % problem)


def _store_ca(wanted: Registration, address: Address, state_dir: str) -> str:
    """The path of the stored copy of the certificate to trust, named by its hash; "" for the system's store."""
    if not address.is_tls or not (wanted.ca_sha256 or wanted.ca_file):
        return ""
    if wanted.ca_file:
        try:
            with open(wanted.ca_file, "rb") as file:
                pem = file.read(MAX_CA_BYTES)
        except OSError as error:
            raise RegistrationFailed("cannot read %s: %s" % (wanted.ca_file, error.strerror))
    else:
        pem = fetch_pinned_ca(address, wanted.ca_sha256 or "")
    path = os.path.join(state_dir, "ca-%s.pem" % hashlib.sha256(pem).hexdigest()[:16])
    storage.write_atomically(path, pem)
    return path


def fetch_pinned_ca(address: Address, pin: str) -> bytes:
    """The server's CA certificate (PEM), if the SHA-256 of its DER form is `pin` (hexadecimal, colons allowed).

    The connection can't be verified yet: the pin alone decides, and nothing but this one request is sent on it.
    Raises RegistrationFailed.
    """
    import ssl

    expected = pin.replace(":", "").strip().lower()
    if len(expected) != 64 or expected.strip("0123456789abcdef"):
        raise RegistrationFailed("--ca-sha256 takes the 64 hexadecimal digits of a SHA-256")
    request = "GET /ca.pem HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n" % address.host_header
    deadline = time.monotonic() + PIN_TIMEOUT_SECONDS
    try:
        connection = Connection(address.host, address.port, tls_context(verify=False), deadline)
        response = connection.exchange(request.encode("ascii"), deadline)
    except ConnectionFailed as failure:
        raise RegistrationFailed("cannot fetch the server's certificate: %s" % text.field(failure.reason))
    if response.status != 200 or len(response.body) > MAX_CA_BYTES:
        raise RegistrationFailed("%s/ca.pem gave no certificate (HTTP status %d)" % (address.base_url, response.status))
    try:
        der = ssl.PEM_cert_to_DER_cert(response.body.decode("ascii").strip())
    except ValueError:
        raise RegistrationFailed("%s/ca.pem is not one certificate in PEM form" % address.base_url)
    found = hashlib.sha256(der).hexdigest()
    if found != expected:
        raise RegistrationFailed(
            "the server's certificate has SHA-256 %s, not the one that --ca-sha256 names; nothing was sent to it"
            % found
        )
    return ssl.DER_cert_to_PEM_cert(der).encode("ascii")
