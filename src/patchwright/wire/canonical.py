"""What a SigV4 signature is about: the request as received, brought into its one canonical form.

Source: spec/operations.md 1.4 (steps 3 to 6), spec/agent-protocol.md 3.1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from patchwright.wire.errors import IncompleteSignatureError, InvalidSignatureError

_SINGLE = (
    "authorization",
    "date",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
)
"""Headers that decide something: sent twice, two readers could take different ones, so they are refused."""


_BLANKS = re.compile(r"[ \t]+")  # not str.split(): a byte of UTF-8 may look like a blank of Latin-1


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it came in. Nothing about it is trusted before it is verified.

    `path` and `query` are percent-encoded as received, the query without its `?`; header names are lower-case, values
    in order of arrival; `host` is the header itself, with its port.
    """

    method: str
    path: str
    query: str
    headers: dict[str, tuple[str, ...]]
    body: bytes

    @classmethod
    def of(
        cls, method: str, path: str, query: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> SignedRequest:
        """Build from an ASGI scope's parts. Raises IncompleteSignatureError if a decisive header comes twice."""
        found: dict[str, tuple[str, ...]] = {}
        for raw_name, raw_value in headers:
            name = raw_name.decode("latin-1").lower()
            found[name] = (*found.get(name, ()), raw_value.decode("latin-1"))
        for name in _SINGLE:
            if len(found.get(name, ())) > 1:
                raise IncompleteSignatureError(f"The header '{name}' must be sent only once.")
        return cls(method=method, path=path, query=query, headers=found, body=body)

    def header(self, name: str) -> str | None:
        """The value of a header (lower-case name), trimmed; None if it was not sent."""
        values = self.headers.get(name)
        return values[0].strip(" \t") if values else None


def body_hash(request: SignedRequest) -> str:
    """SHA-256 of the body in hex, after checking that X-Amz-Content-Sha256, if sent, says the same.

    UNSIGNED-PAYLOAD is refused with the rest: a body that no signature covers could be anybody's.
    Raises InvalidSignatureError.
    """
    actual = hashlib.sha256(request.body).hexdigest()
    stated = request.header("x-amz-content-sha256")
    if stated is not None and stated != actual:
        raise InvalidSignatureError("The value of 'X-Amz-Content-Sha256' is not the SHA-256 hash of the body.")
    return actual


def string_to_sign(request: SignedRequest, signed_headers: tuple[str, ...], amz_date: str, scope: str) -> bytes:
    """The text that both signature forms (HMAC, and RSA of nodes) are made over.

    `amz_date` is `yyyymmddThhmmssZ`, `scope` is `date/region/service/aws4_request`. Raises InvalidSignatureError if a
    signed header was not received or the body's stated hash is wrong.
    """
    lines = [request.method, _canonical_path(request.path), _canonical_query(request.query)]
    for name in signed_headers:
        values = request.headers.get(name)
        if values is None:
            raise InvalidSignatureError(f"'{name}' is named in 'SignedHeaders' but was not received.")
        lines.append(f"{name}:{','.join(_trimmed(value) for value in values)}")
    lines += ("", ";".join(signed_headers), body_hash(request))
    digest = hashlib.sha256("\n".join(lines).encode("latin-1")).hexdigest()
    return f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{digest}".encode("ascii")


def _trimmed(value: str) -> str:
    return _BLANKS.sub(" ", value.strip(" \t"))


def _canonical_path(path: str) -> str:
    """Every service but S3 encodes the path once more, so that `%` becomes `%25`."""
    return quote(path, safe="/-_.~") if path else "/"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote_plus(text, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")
