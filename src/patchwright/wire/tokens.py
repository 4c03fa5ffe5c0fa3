"""Tokens that only this server can have made: sealed texts, and the NextToken of a listing.

All keys come from one master key, by purpose; so every process of an installation reads the others' tokens, also after
a restart. Sealed is authenticated, not secret: a holder may read the content, never change it.
Source: spec/operations.md 1.6, design decision 23.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from patchwright.wire.errors import InvalidNextTokenError

MIN_MASTER_KEY = 32  # bytes: as strong as the hash that everything is derived with
MAX_TOKEN = 4096  # characters; longer ones are refused before any work is done on them
_TAG = 32
_canonical = msgspec.json.Encoder(order="deterministic").encode

_NOT_FILTERS = frozenset({"NextToken", "MaxResults"})
"""Members that may differ from page to page; everything else says what is listed."""


class InvalidTokenError(Exception):
    """A token that this server did not make, made for something else, or made of other bytes than it has now."""


def derive_key(master_key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose: HKDF (RFC 5869) with SHA-256, no salt, `purpose` as its info."""
    if len(master_key) < MIN_MASTER_KEY:
        raise ValueError(f"the master key must have at least {MIN_MASTER_KEY} bytes")
    extracted = hmac.digest(bytes(32), master_key, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")


def seal(key: bytes, content: Any, context: bytes = b"") -> str:
    """Seal a small JSON value: base64url of its tag and its bytes. Only the same `context` opens it again.

    Raises ValueError if the token would be longer than MAX_TOKEN, which no reader would accept.
    """
    data: bytes = _canonical(content)
    token = urlsafe_b64encode(_tag(key, context, data) + data).decode("ascii").rstrip("=")
    if len(token) > MAX_TOKEN:
        raise ValueError(f"a token may have {MAX_TOKEN} characters, not {len(token)}")
    return token


def unseal(key: bytes, token: str, context: bytes = b"") -> Any:
    """The value that `seal` was given. Raises InvalidTokenError for anything else, whatever was done to it."""
    try:
        if len(token) > MAX_TOKEN:
            raise InvalidTokenError
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        # Decoding forgives stray characters and loose bits; comparing the text again leaves one spelling per token.
        if urlsafe_b64encode(raw).decode("ascii").rstrip("=") != token:
            raise InvalidTokenError
    except (binascii.Error, ValueError):
        raise InvalidTokenError from None
    tag, data = raw[:_TAG], raw[_TAG:]
    if not hmac.compare_digest(tag, _tag(key, context, data)):
        raise InvalidTokenError
    return msgspec.json.decode(data)


class Tokens:
    """Makes and reads the NextToken of listings."""

    def __init__(self, master_key: bytes) -> None:
        self._key = derive_key(master_key, "next-token")

    def seal_page(self, cursor: Any, operation: str, account: str, region: str, request: Mapping[str, Any]) -> str:
        """A NextToken that stands for `cursor` (a small JSON value), for the same listing only.

        `request` is the parsed request; all its members but NextToken and MaxResults belong to the binding.
        """
        return seal(self._key, cursor, _listing(operation, account, region, request))

    def open_page(self, token: str, operation: str, account: str, region: str, request: Mapping[str, Any]) -> Any:
        """The cursor of a NextToken. Raises InvalidNextTokenError if it is not from this very listing."""
        try:
            return unseal(self._key, token, _listing(operation, account, region, request))
        except InvalidTokenError:
            raise InvalidNextTokenError from None


def _listing(operation: str, account: str, region: str, request: Mapping[str, Any]) -> bytes:
    filters = {name: value for name, value in request.items() if name not in _NOT_FILTERS}
    listing: bytes = _canonical([operation, account, region, filters])
    return listing


def _tag(key: bytes, context: bytes, data: bytes) -> bytes:
    # The digest has a fixed length, so that no part of a context can pass for content.
    return hmac.digest(key, sha256(context).digest() + data, "sha256")
