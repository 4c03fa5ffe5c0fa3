"""Signatures of requests: Signature Version 4, and its form with the registration key.

Both sign the same canonical request. Source: spec/agent-protocol.md 3.1 and 3.2.
"""

import base64
import hashlib
import hmac
import time

from patchwright_agent.daemon import crypto

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional, Sequence, Tuple

    from patchwright_agent.transport import Signer

ALGORITHM = "AWS4-HMAC-SHA256"  # the registration-key form announces itself by this name too
CALL = ("POST", "/", "")
_RSA_SIGNED_HEADERS = ("content-type", "host", "x-amz-date", "x-amz-target")


def hmac_signer(
    access_key_id: str,
    secret_access_key: str,
    session_token: "Optional[str]",
    region: str,
    service: str,
    now: float,
    request: "Sequence[str]" = CALL,
) -> "Signer":
    """A signer by Signature Version 4 for one request at `now` (epoch seconds of the server's clock).

    `request` is its method, path and query, which need no encoding (and the query no sorting).
    """

    def sign(headers: "Dict[str, str]", body: bytes) -> "Dict[str, str]":
        added = {"x-amz-date": _amz_date(now)}
        if session_token:
            added["x-amz-security-token"] = session_token
        signed = dict(headers, **added)
        scope, to_sign = string_to_sign(signed, sorted(signed), body, region, service, request)
        key = ("AWS4" + secret_access_key).encode("utf-8")
        for part in scope.split("/"):
            key = hmac.new(key, part.encode("utf-8"), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode("utf-8"), hashlib.sha256).hexdigest()
        added["authorization"] = _authorization(access_key_id, scope, sorted(signed), signature)
        return added

    return sign


def rsa_signer(instance_id: str, key: crypto.PrivateKey, region: str, now: float) -> "Signer":
    """A signer with the registration key: the node's id is the access key, RSASSA-PSS replaces HMAC."""

    def sign(headers: "Dict[str, str]", body: bytes) -> "Dict[str, str]":
        added = {"x-amz-date": _amz_date(now), "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
        signed = dict(headers, **added)
        scope, to_sign = string_to_sign(signed, _RSA_SIGNED_HEADERS, body, region, "ssm")
        signature = base64.b64encode(crypto.sign_pss(key, to_sign.encode("utf-8"))).decode("ascii")
        added["authorization"] = _authorization(instance_id, scope, _RSA_SIGNED_HEADERS, signature)
        return added

    return sign


def string_to_sign(
    headers: "Dict[str, str]",
    signed_headers: "Sequence[str]",
    body: bytes,
    region: str,
    service: str,
    request: "Sequence[str]" = CALL,
) -> "Tuple[str, str]":
    """The credential scope and the string to sign of a request with these headers (names in lower case)."""
    lines = list(request)
    lines += ["%s:%s" % (name, " ".join(headers[name].split())) for name in signed_headers]
    lines += ["", ";".join(signed_headers), hashlib.sha256(body).hexdigest()]
    date = headers["x-amz-date"]
    scope = "%s/%s/%s/aws4_request" % (date[:8], region, service)
    digest = hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()
    return scope, "\n".join([ALGORITHM, date, scope, digest])


def _authorization(access_key_id: str, scope: str, signed_headers: "Sequence[str]", signature: str) -> str:
    return "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        ALGORITHM,
        access_key_id,
        scope,
        ";".join(signed_headers),
        signature,
    )


def _amz_date(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
